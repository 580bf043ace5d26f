"""Files of the project that no other test reads: versions, workflows, hooks, targets. They agree with each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

import vgil_ros

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DISTRIBUTIONS = ["humble", "jazzy", "kilted", "lyrical"]


def text(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def stated(*options: str) -> list[str]:
    """What setup.py says to these options, line by line."""
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return said.stdout.splitlines()


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return found


def steps() -> list[tuple[str, dict[str, Any]]]:
    """Each step of each workflow, behind its place."""
    return [
        (f"{workflow.name}/{name}", step)
        for workflow in WORKFLOWS
        for name, job in jobs(workflow).items()
        for step in job["steps"]
    ]


def matrix(key: str) -> list[str]:
    """The values of a matrix key, of whichever job has it."""
    (found,) = [
        job["strategy"]["matrix"][key]
        for workflow in WORKFLOWS
        for job in jobs(workflow).values()
        if key in job.get("strategy", {}).get("matrix", {})
    ]
    return list(found)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), re.MULTILINE))


def test_the_version_stands_in_package_xml_alone() -> None:
    version = ET.parse(ROOT / "package.xml").getroot().findtext("version", "")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert vgil_ros.__version__ == version
    assert stated("--version") == [version]
    assert version not in text("setup.py") + text("vgil_ros", "__init__.py") + text("pyproject.toml")


def test_an_installation_takes_the_version_from_its_metadata(tmp_path: Path) -> None:
    (tmp_path / "vgil_ros").mkdir()
    (tmp_path / "vgil_ros" / "__init__.py").write_text(text("vgil_ros", "__init__.py"))
    (tmp_path / "vgil_ros-9.8.7.dist-info").mkdir()
    (tmp_path / "vgil_ros-9.8.7.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: vgil_ros\nVersion: 9.8.7\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", "import vgil_ros; print(vgil_ros.__version__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "9.8.7\n"


def test_workflows_ask_for_little_and_do_not_run_twice() -> None:
    assert WORKFLOWS
    for workflow in WORKFLOWS:
        content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
        assert content["permissions"] == {"contents": "read"}, workflow
        assert content["concurrency"]["group"], workflow
        for name, job in content["jobs"].items():
            assert 0 < job["timeout-minutes"] <= 120, name


def test_what_workflows_run_exists() -> None:
    known = targets()
    ran = 0
    for place, step in steps():
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]), f"{place}: {step['uses']} is not @v<major>"
        for line in step.get("run", "").splitlines():
            program, first, *_ = line.split()
            assert program in ("make", "sh", "bash"), f"{place}: {line}"
            assert first in known if program == "make" else (ROOT / first).is_file(), f"{place}: {line}"
            ran += 1
    assert ran >= 5


def test_every_python_that_setup_names_is_tested() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(stated("--classifiers")))
    assert matrix("python") == named
    assert f'python_requires=">={named[0]}"' in text("setup.py")
    assert f'target-version = "py{named[0].replace(".", "")}"' in text("pyproject.toml")


def test_every_ros_distribution_that_is_named_is_built() -> None:
    assert matrix("distro") == DISTRIBUTIONS
    names = ", ".join(name.capitalize() for name in DISTRIBUTIONS)
    assert f"({names})" in text("README.md")
    assert names in text("CONTRIBUTING.md")


def test_hooks_use_the_tools_of_make_lint() -> None:
    hooks = {
        hook["id"]: hook
        for repository in yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
        for hook in repository["hooks"]
    }
    lint = text("Makefile").split("\nlint:")[1].split("\n\n")[0]
    for name in ("ruff", "ruff-format", "mypy"):
        program, *arguments = hooks[name]["entry"].split()
        assert program.startswith(".venv/bin/")
        used = program.replace(".venv/bin", "$(BIN)")
        assert " ".join([used, *arguments[:1]]) in lint


def test_dependabot_watches_actions_and_packages() -> None:
    updates = yaml.safe_load(text(".github", "dependabot.yml"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "pip"}


@pytest.mark.parametrize("word", ["test", "test-fast", "test-jazzy", "coverage", "bench", "lint", "docs", "demo"])
def test_contributors_are_told_of_a_target(word: str) -> None:
    assert word in targets()
    assert f"make {word}" in text("CONTRIBUTING.md") + text("README.md")


def test_what_a_workspace_needs_from_pypi_is_what_setup_asks_for() -> None:
    asked = set(re.findall(r'^        "([\w-]+[>=.\d]*)",$', text("setup.py"), re.MULTILINE))
    workspace = [line for line in text("requirements.txt").splitlines() if line and not line.startswith("#")]
    assert workspace
    assert set(workspace) <= asked

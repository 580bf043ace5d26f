"""Readers get where they are sent: every link, anchor, path and name in README and docs, and the way through them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

import vgil_ros

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "models" / "README.md"]
PAGES += sorted(DOCS.rglob("*.md"))
TUTORIAL = sorted((DOCS / "tutorial").glob("*.md"))
PLACES = ("vgil_ros/", "test/", "config/", "docs/", "examples/", "scripts/", "launch/")  # where a path in code lies
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(text: str) -> list[str]:
    """Targets of links and images that lie within the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as Python-Markdown and GitHub make them alike."""
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        found.add(re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower()))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for target in links(prose(page)):
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not place.exists():
            wrong.append(f"{target}: no such file")
        elif anchor and anchor not in anchors(place):
            wrong.append(f"{target}: no such heading; found {sorted(anchors(place))}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_code_exist(page: Path) -> None:
    """`vgil_ros/core/layout.py`, and `core/layout.py` as the contributors' pages say it; NAME is anybody's."""
    named = re.findall(r"`([\w./-]+/[\w./-]*)`", prose(page))
    wrong = []
    for path in named:
        inside = path.startswith(PLACES) or (path.endswith(".py") and page.is_relative_to(DOCS / "contributing"))
        if inside and "NAME" not in path and not any((top / path).exists() for top in (ROOT, ROOT / "vgil_ros")):
            wrong.append(path)
    assert not wrong, "no such file or folder"


def test_the_way_from_the_readme_to_my_robot_records() -> None:
    readme = links(prose(ROOT / "README.md"))
    assert {"docs/index.md", "docs/tutorial/01-install.md"} <= set(readme)
    start = links(prose(DOCS / "index.md"))
    assert start[0] == "tutorial/01-install.md", "the first link of the first page"
    assert [path.name[:2] for path in TUTORIAL] == [f"{number:02}" for number in range(1, 10)]
    page, way = DOCS / start[0], [TUTORIAL[0]]
    while following := re.search(r"^Next: \*\*\[[^\]]+\]\(([^)]+)\)\*\*$", page.read_text(), re.MULTILINE):
        page = (page.parent / following[1]).resolve()
        way.append(page)
    assert way == TUTORIAL, "each page leads to the next, the last to none"
    assert "**My robot records.**" in TUTORIAL[7].read_text()
    assert "This was the last page." in TUTORIAL[8].read_text()


def snippets(page: Path) -> Iterator[str]:
    """Blocks of Python on a page."""
    yield from re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if list(snippets(p))], ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets_are_python_and_import_what_there_is(page: Path) -> None:
    for text in snippets(page):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module == "vgil_ros":
                unknown = {alias.name for alias in node.names} - {*vgil_ros.__all__, "__version__"}
                assert not unknown, f"{unknown} in: {text}"


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/07-your-robots-contract.md"])
def test_a_contract_that_is_to_be_copied_is_one(page: str, tmp_path: Path) -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "my_robot.yaml").write_text(text)
    assert vgil_ros.load_robot(tmp_path / "my_robot.yaml").layout.joint_names[-1] == "arm/gripper"


def test_the_readmes_python_runs() -> None:
    [text] = snippets(ROOT / "README.md")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(50, 7) ('cam_high', 'cam_wrist')"


def defined(path: Path, name: str) -> bool:
    """Whether a module defines or hands on a name at its top."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {getattr(node, "name", "") for node in tree.body}
    names |= {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return name in names


@pytest.mark.parametrize("page", sorted((DOCS / "reference" / "api").glob("*.md")), ids=lambda page: page.stem)
def test_what_the_api_pages_show_exists(page: Path) -> None:
    wrong = []
    for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE):
        as_module = ROOT / Path(*name.split("."))
        parent, _, last = name.rpartition(".")
        owner = (ROOT / Path(*parent.split("."))).with_suffix(".py")
        is_module = as_module.with_suffix(".py").is_file() or (as_module / "__init__.py").is_file()
        if not is_module and not (owner.is_file() and defined(owner, last)):
            wrong.append(name)
    assert not wrong


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    missing = [name for path in sorted(DOCS.rglob("*.md")) if (name := str(path.relative_to(DOCS))) not in text]
    assert not missing


def test_the_words_are_the_fields() -> None:
    """README and docs say image, and none of the names that were replaced."""
    old = re.compile(
        r"\bpictures?\b|\bintervention|query[_-]every|\breal_time\b|execution:=real|FirstStepLimit|\bActor\b", re.I
    )
    allowed = {"docs/reference/launch.md", "docs/reference/status.md", "CHANGELOG.md"}  # they name the old spellings
    # a human's intervention, as the field says
    allowed |= {"docs/how-to/take-over.md", "docs/reference/episodes.md", "docs/reference/datasets.md"}
    found = {
        f"{page.relative_to(ROOT)}: {match[0]}"
        for page in PAGES
        for match in old.finditer(prose(page))
        if str(page.relative_to(ROOT)) not in allowed
    }
    assert not found

"""The runner of all tests: every file in one part, failures named, and a process that a signal ended is one of them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.paths import ROOT

SCRIPT = ROOT / "scripts" / "run_tests.py"
ENDED = "import os, signal\n\n\ndef test_it_ends_its_process():\n    os.kill(os.getpid(), signal.SIGSEGV)\n"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_tests", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "run_tests", module)  # its dataclasses look for themselves there
    spec.loader.exec_module(module)
    return module


def test_each_file_is_run_once(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    ran: list[str] = []
    for part in (part for parts in runner.parts() for part in parts):
        files = [part.path] if part.path.endswith(".py") else map(str, Path(part.path).rglob("test_*.py"))
        ran += [file for file in files if file not in part.without]
    there = [str(path) for path in Path("test").rglob("test_*.py")]
    assert sorted(ran) == sorted(there)


LATE = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("word", ["a b", "c::d"])
def test_late(word):
    tried = Path(__file__).with_suffix(f".{word[0]}")
    tried.touch() if (first := not tried.exists()) else None
    assert not first

def test_wrong():
    assert Path(__file__).name == "FILE"
"""


def test_a_test_over_nodes_has_a_second_try_and_is_named(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    (tmp_path / "test_late.py").write_text(LATE)
    (tmp_path / "notes").mkdir()
    part, options = runner.Part("test_late.py"), ("-p", "no:cacheprovider")
    results = [runner.run(part, options, tmp_path / "notes")]
    assert (results[0].counts["failed"], results[0].counts["passed"]) == (3, 0)
    assert runner.once_more(results, options, tmp_path / "notes") == []
    assert results[0].verdict == "failed, exit code 1", "one of them failed again"

    (tmp_path / "test_late.py").write_text(LATE.replace("FILE", "test_late.py"))
    for tried in ("test_late.a", "test_late.c"):
        (tmp_path / tried).unlink()
    polite = runner.run(runner.Part("test_late.py", polite=True), options, tmp_path / "notes")
    assert runner.once_more([polite], options, tmp_path / "notes") == [], "who computes has one try"
    assert polite.verdict
    polite.part = part
    unsteady = runner.once_more([polite], options, tmp_path / "notes")
    assert [name.split(" - ")[0] for name in unsteady] == [
        "FAILED test_late.py::test_late[a b]",
        "FAILED test_late.py::test_late[c::d]",
    ]
    assert (polite.verdict, polite.counts["failed"], polite.counts["passed"]) == ("", 0, 3)


def test_a_file_whose_process_a_signal_ended_is_tried_whole(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    (tmp_path / "notes").mkdir()
    once = ENDED.replace("def test_it_ends", "from pathlib import Path\n\n\ndef test_it_ends")
    once = once.replace(
        "    os.kill",
        "    if not (tried := Path(__file__).with_suffix('.tried')).exists():\n        tried.touch()\n        os.kill",
    )
    (tmp_path / "test_ended.py").write_text(once + "\n\ndef test_more():\n    pass\n")
    options = ("-p", "no:cacheprovider")
    result = runner.run(runner.Part("test_ended.py"), options, tmp_path / "notes")
    assert result.verdict == "ended by signal 11 (SIGSEGV)"
    assert runner.once_more([result], options, tmp_path / "notes") == [
        "FAILED test_ended.py - ended by signal 11 (SIGSEGV)"
    ]
    assert (result.verdict, result.counts["passed"], result.counts["failed"]) == ("", 2, 0)


def test_failures_are_named_and_a_signal_is_one(runner: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    page = next(file for file in runner.LAST if file.startswith(runner.ONE_SESSION))
    last = (runner.LAST[0], page)  # two of them are as good as all: each is a process
    files = dict.fromkeys((runner.IN_REAL_TIME[0], *last), "def test_it():\n    pass\n")
    files["test/core/test_wrong.py"] = "class TestSums:\n    def test_sum(self):\n        assert 1 + 1 == 3\n"
    files["test/nodes/test_ended.py"] = ENDED
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    code = f"import sys, run_tests as r; r.IN_REAL_TIME, r.LAST = r.IN_REAL_TIME[:1], {last}; sys.exit(r.main())"
    command = [sys.executable, "-c", code, "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path / "scripts", capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    *_, failed, sums = done.stdout.splitlines()
    assert "FAILED test/core/test_wrong.py::TestSums::test_sum - assert (1 + 1) == 3" in done.stdout
    assert "FAILED test/nodes/test_ended.py - ended by signal 11 (SIGSEGV)" in done.stdout
    assert set(failed.split()[1:]) == {"test/core", "test/nodes/test_ended.py"}
    assert sums.startswith(f"{len(files) - 2} passed, 2 failed in ")
    blocks = re.split(r"^== (?=test/)", done.stdout, flags=re.MULTILINE)
    assert [block.split(",")[0] for block in blocks if ">       assert 1 + 1 == 3" in block] == ["test/core"]
    assert sum(f"{file}, " in block for file in (*last, "test/core") for block in blocks) == len(last) + 1

"""Trial's folder: nothing is lost by a kill, what is altered is named, and the report follows from the journal."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.evaluation.made_trials import write_trial
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.trials.folder import signer, verify, write_report
from vgil_ros.evaluation.trials.journal import FIRST, Journal, read_journal
from vgil_ros.evaluation.trials.report import trial_markdown

BLOCKS = [(True, False)] * 9 + [(True, True)]


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    """A trial that seven blocks decided, with its report."""
    out = write_trial(tmp_path, BLOCKS)
    write_report(out)
    return out


def test_the_report_names_who_was_who(trial: Path) -> None:
    report = write_report(trial)
    assert [(one.name, one.successes, one.attempts) for one in report.contenders] == [("good", 7, 7), ("bad", 0, 7)]
    assert (report.reason, report.blocks, report.pairs[0].better) == ("decided", 7, "good")
    assert report.pairs[0].interval[0] > 0
    page = (trial / "report.md").read_text()
    assert page == trial_markdown(report)
    assert "| good | 7 of 7 |" in page
    assert report.seal in page
    assert verify(trial) == []


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        path = folder / name
        path.write_text(change(path.read_text()))

    return do


def line(number: int, change: Callable[[str], str]) -> Callable[[Path], None]:
    def do(text: str) -> str:
        lines = text.splitlines(keepends=True)
        lines[number] = change(lines[number])
        return "".join(lines)

    return edit("journal.jsonl", do)


def other_verdict(text: str) -> str:
    return text.replace("failure", "success") if "failure" in text else text.replace("success", "failure")


def resealed(folder: Path) -> None:
    """A report that is changed, and sealed anew."""
    values = json.loads((folder / "report.json").read_text())
    values["contenders"][1]["successes"] = 7
    from vgil_ros.evaluation.trials.report import TrialReport

    made = TrialReport.model_validate(values)
    made = made.model_copy(update={"seal": made.digest()})
    (folder / "report.json").write_text(json.dumps(made.as_dict()))
    (folder / "report.md").write_text(trial_markdown(made))


def rechained(kind: str, **changes: object) -> Callable[[Path], None]:
    """A journal in which a line of a kind says something else, and all later ones were made to fit."""

    def do(folder: Path) -> None:
        path, before, lines = folder / "journal.jsonl", FIRST, []
        for text in path.read_text().splitlines():
            values = json.loads(text)
            if values["kind"] == kind:
                values["values"] = {k: v for k, v in {**values["values"], **changes}.items() if v is not None}
            lines.append(json.dumps({**values, "previous": before}, sort_keys=True))
            before = hashlib.sha256(lines[-1].encode()).hexdigest()
        path.write_text("".join(f"{text}\n" for text in lines))

    return do


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (rechained("plan", alpha=2), "line 1 was altered: it is no line that was written here"),
        (rechained("attempt", who="me"), "line 2, or line 1 before it was altered: it is no line that was written"),
        (rechained("attempt", verdict="won"), "line 2, or line 1 before it was altered: it is no line that was"),
        (rechained("end", reason=None), "line 16, or line 15 before it was altered: it is no line that was written"),
        (edit("report.json", lambda text: text.replace('"decided"', '"chance"')), "report.json: reason"),
        (line(3, other_verdict), "line 5, or line 4 before it was altered: the digest"),
        (line(4, lambda text: ""), "line 5, or line 4 before it was altered"),
        (line(15, lambda text: text.replace("decided", "max")), "report.json: "),
        (line(2, lambda text: "nonsense\n"), "journal.jsonl: line 3, or line 2 before it was altered: it is no line"),
        (edit("report.json", lambda text: text.replace('"successes": 7', '"successes": 6')), "contenders differ"),
        (resealed, "report.json: contenders differ from what the journal says"),
        (edit("report.md", lambda text: text.replace("7 of 7", "8 of 8")), "report.md: is not the page"),
        (edit(".order", lambda text: "eyJzZWVkIjogMSwgInNhbHQiOiAieCJ9"), ".order: is not the order that was settled"),
        (edit("../bad/policy.json", lambda text: text + " "), "bad: was altered, its fingerprint is"),
        (lambda folder: shutil.rmtree(folder.parent / "bad"), "bad: is not there any more"),
        (lambda folder: (folder / "report.json").unlink(), "report.json: is missing"),
    ],
)
def test_what_is_altered_is_named(alter: Callable[[Path], None], named: str, trial: Path) -> None:
    before = (trial / "journal.jsonl").read_text() + (trial / "report.json").read_text()
    alter(trial)
    found = verify(trial)
    assert any(named in fault for fault in found), (found, before)
    assert CliRunner().invoke(app, ["trial", "verify", str(trial)]).exit_code == 1


def test_a_trial_made_anew_does_not_have_the_seal_that_was_kept(trial: Path) -> None:
    seal = json.loads((trial / "report.json").read_text())["seal"]
    good = CliRunner().invoke(app, ["trial", "verify", str(trial), "--seal", seal])
    assert (good.exit_code, good.stdout.strip()) == (0, f"{trial}: nothing was altered")
    other = CliRunner().invoke(app, ["trial", "verify", str(trial), "--seal", "0" * 64])
    assert other.exit_code == 1
    assert "everything was made anew" in other.stdout


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """An SSH key."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen")
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def test_a_key_signs_the_report_and_no_other(trial: Path, key: Path) -> None:
    write_report(trial, key)
    assert verify(trial) == []
    shown = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True)
    assert signer(trial) == shown.stdout.split()[1]
    resealed(trial)
    assert "report.json.sig: is no signature of this report.json" in verify(trial)


def test_a_signature_stays_as_long_as_its_report_does(trial: Path, key: Path) -> None:
    write_report(trial, key)
    before = signer(trial)
    assert before is not None
    write_report(trial)
    assert signer(trial) == before, "the same report again, by nobody"
    write_report(trial, key)
    assert signer(trial) == before
    resealed(trial)
    write_report(trial)
    assert signer(trial) is None, "what lay there was another report"
    assert verify(trial) == []


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 400), st.booleans())
def test_a_kill_while_writing_loses_that_line_alone(cut: int, again: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Journal(folder) as journal:
            for number in range(3):
                journal.write("resumed", {"number": number})
        whole = (folder / "journal.jsonl").read_bytes()
        last = len(whole.splitlines()[-1]) + 1
        cut = 1 + cut % last
        (folder / "journal.jsonl").write_bytes(whole[:-cut])
        with Journal(folder) as journal:
            assert [one.values["number"] for one in journal.found.lines] == [0, 1]
            assert journal.found.torn == last - cut
            if again:
                journal.write("resumed", {"number": 9})
        found = read_journal(folder / "journal.jsonl")
        assert found.fault is None
        assert [one.values["number"] for one in found.lines] == [0, 1] + [9] * again


def test_ctrl_c_while_a_line_is_written_comes_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, over, handler = os.fsync, threading.Event(), signal.getsignal(signal.SIGINT)

    def interrupted(file: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        fsync(file)

    other = threading.Thread(target=over.wait)  # which the kernel may give the signal to
    other.start()
    try:
        with Journal(tmp_path) as journal:
            journal.write("resumed", {"number": 0})
            monkeypatch.setattr(os, "fsync", interrupted)
            with pytest.raises(KeyboardInterrupt):
                journal.write("resumed", {"number": 1})
            monkeypatch.undo()
            journal.write("resumed", {"number": 2})
    finally:
        over.set()
        other.join()
    found = read_journal(tmp_path / "journal.jsonl")
    assert found.fault is None
    assert [one.values["number"] for one in found.lines] == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is handler


def test_one_process_at_a_time_writes_and_none_goes_on_with_what_was_altered(trial: Path) -> None:
    with Journal(trial), pytest.raises(VgilError, match="another process runs this trial; allowed: one"):
        Journal(trial)
    line(2, lambda text: "nonsense\n")(trial)
    with pytest.raises(VgilError, match=r"line 3, or line 2 before it was altered.*go on only where nothing"):
        Journal(trial)


def test_a_folder_without_a_trial_is_none(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["trial", "verify", str(tmp_path)])
    assert done.exit_code == 2
    assert "journal.jsonl: cannot be read" in done.stderr

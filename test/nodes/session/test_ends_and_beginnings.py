"""How episodes end, and what is said of what stands against starting one: without a node."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from support.episodes import made_episodes as made
from support.killed_change import killed_before

from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.service_names import did_you_mean
from vgil_ros.core.leader_follower import Phase
from vgil_ros.core.session import Session, SessionCommand
from vgil_ros.episodes import EpisodeReader, h5
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.checks.findings import Finding, Report
from vgil_ros.episodes.curation import operations
from vgil_ros.episodes.curation.journal import Journal
from vgil_ros.episodes.curation.labels import Label, write_label
from vgil_ros.episodes.writing import disk
from vgil_ros.episodes.writing.sink import EpisodeEnd
from vgil_ros.nodes.base.alerts import Problem, Severity
from vgil_ros.nodes.session.closing import Closed, EpisodeClosing
from vgil_ros.nodes.session.labelling import SPARE, LateLabels, label_file
from vgil_ros.nodes.session.readiness import Waiting, nobody_there, slow_words, teleop_problem
from vgil_ros.nodes.session.session import SessionNode


@dataclass
class Desk:
    """A log, kept to be looked at."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def log(self, words: str, *, severity: Severity = "info") -> None:
        self.lines.append((severity, words))

    def warn_once(self, key: str, message: str) -> None:
        raise AssertionError("an end is no condition that lasts")

    def clear(self, key: str) -> None:
        pass


def done(value: Any = None, error: BaseException | None = None) -> Future[Any]:
    future: Future[Any] = Future()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)
    return future


def episode_end(path: Path, *errors: str, aborted: str | None = None) -> EpisodeEnd:
    findings = tuple(Finding("error", "sync", "cam", words) for words in errors)
    return EpisodeEnd(path, 300, 1_100_000, Report(path, findings), aborted)


FILE = Path("/data/episode_0.hdf5")
HELD = "held (the last value repeated) in 93 of 300 rows"


@pytest.mark.parametrize(
    ("end", "severity", "words", "counts"),
    [
        (episode_end(FILE), "info", f"saved {FILE}, 300 rows, 1.1 MB, success", True),
        (
            episode_end(FILE, HELD),
            "warning",
            f"saved {FILE}, 300 rows, 1.1 MB, success, BAD: cam: {HELD}; r records it again",
            True,
        ),
        (
            episode_end(FILE, HELD, "does not decode"),
            "warning",
            f"saved {FILE}, 300 rows, 1.1 MB, success, BAD: cam: {HELD} and 1 more, see `vgil episodes check`;"
            " r records it again",
            True,
        ),
        (
            episode_end(FILE, HELD, aborted="cam: silent"),
            "warning",
            f"saved {FILE}, 300 rows, 1.1 MB, success; it lies apart and does not count, as it was aborted",
            False,
        ),
    ],
    ids=["good", "bad", "twice_bad", "aborted"],
)
def test_the_end_of_an_episode_says_what_lies_on_the_disk(
    end: EpisodeEnd, severity: str, words: str, counts: bool
) -> None:
    desk = Desk()
    closing = EpisodeClosing(desk, remedy="r records it again", files=True)
    assert not closing.ended
    assert closing.wait(None) is None
    closing.begin(done(end), keep=True)
    assert closing.ended
    assert closing.take(success=True) == Closed(FILE, counts=counts, failed=not counts)
    assert not closing.ended
    assert desk.lines == [(severity, words)]


@pytest.mark.parametrize("success", [None, True, False])
def test_what_the_operator_says_counts_for_more_than_what_a_topic_says(success: bool | None) -> None:
    desk = Desk()
    closing = EpisodeClosing(desk, files=True)
    closing.begin(done(episode_end(FILE)), keep=True)
    closing.take(success, "unsure")
    assert desk.lines == [("info", f"saved {FILE}, 300 rows, 1.1 MB, labelled unsure")]


def test_a_bad_episode_counts_only_where_it_is_to() -> None:
    closing = EpisodeClosing(Desk(), count_bad=False)
    closing.begin(done(episode_end(FILE, HELD)), keep=True)
    assert closing.take(None) == Closed(FILE, counts=False, failed=True)
    closing.begin(done(episode_end(FILE)), keep=True)
    assert closing.take(None) == Closed(FILE, counts=True)


def test_nothing_is_said_to_be_kept_where_nothing_is() -> None:
    desk = Desk()
    closing = EpisodeClosing(desk, files=True)
    closing.begin(done(), keep=True)
    assert closing.take(None) == Closed(None, failed=True)
    closing.begin(done(), keep=False, failed=True)
    assert closing.take(None) == Closed(None, failed=True)
    assert desk.lines == [("warning", "nothing is recorded of this episode: it had no row")] * 2
    closing.begin(done(), keep=False)  # as the operator wanted
    assert closing.take(None) == Closed(None)
    assert len(desk.lines) == 2


def test_an_episode_of_a_policy_that_records_nothing_counts() -> None:
    closing = EpisodeClosing(Desk())
    closing.begin(done(), keep=True)
    assert closing.take(None) == Closed(None, counts=True)
    closing.begin(done(), keep=True, failed=True)
    assert closing.take(None) == Closed(None, failed=True)


def test_a_file_that_cannot_be_closed_is_an_error_and_a_failure() -> None:
    desk = Desk()
    closing = EpisodeClosing(desk)
    closing.begin(done(error=VgilError("disk full")), keep=True)
    assert closing.take(success=None) == Closed(None, failed=True, unsaved=True)
    closing.begin(done(error=VgilError("disk full")), keep=True)
    closed = closing.wait(None)
    assert closed is not None
    assert closed.unsaved
    assert desk.lines == [("error", "disk full")] * 2


def problem(key: str) -> Problem:
    return Problem(key, f"{key} of now")


def test_what_is_waited_for_is_said_once_and_then_what_is_new() -> None:
    second, waiting = 1_000_000_000, Waiting()
    silent, frozen, other = problem("cam silent"), problem("cam frozen"), problem("arm silent")
    assert waiting.news((silent,), 0) == (silent,)
    assert waiting.news((silent,), second) == ()
    assert waiting.news((frozen,), 2 * second) == (frozen,), "its word changes"
    assert waiting.news((silent,), 3 * second) == (), "and back: that was said"
    assert waiting.news((frozen,), 4 * second) == ()
    assert waiting.news((frozen, other), 5 * second) == (other,)
    assert waiting.news((silent, other), 20 * second) == (silent,), "long ago"
    waiting.over()
    assert waiting.news((silent,), 21 * second) == (silent,)


def test_what_comes_up_together_is_said_together() -> None:
    waiting = Waiting()
    assert waiting.news((problem("a"),), 0) == (problem("a"),)
    assert waiting.news((problem("a"), problem("b")), 10_000_000) == ()
    assert waiting.news((problem("a"), problem("b"), problem("c")), 600_000_000) == (problem("b"), problem("c"))


def test_nobody_at_all_is_told_from_somebody_else() -> None:
    alone = nobody_there("sim_single", 7, 35, ["/recorder", "/r2/teleop", "/posture", "/replay"]).detail
    assert alone == (
        "nothing at all on domain 35: is the driver running, with the same ROS_DOMAIN_ID?;"
        " 'sim_single' is simulated: sim:=true?"
    )
    there = nobody_there("lab", 7, 35, ["/recorder", "/usb_cam", "/arm/driver"]).detail
    assert there.startswith("no publisher on any of 7 topics, domain 35, where /arm/driver, /usb_cam run")
    assert "sim:=true" not in there
    assert "where /sim run" in nobody_there("lab", 7, 35, ["/sim", "/replay"]).detail, "a simulator is a robot"


@pytest.mark.parametrize(
    ("wanted", "guess"),
    [
        ("/left/folower/joint_states", "/left/follower/joint_states"),
        ("/cam_high/image_raw", "/cam_high/image"),
        ("/x", ""),
    ],
)
def test_a_topic_with_a_typo_is_guessed(wanted: str, guess: str) -> None:
    there = ["/left/follower/joint_states", "/right/follower/joint_states", "/cam_high/image"]
    assert (did_you_mean(wanted, there) or "") == guess


def test_a_recording_waits_for_puppets_that_do_not_follow() -> None:
    assert teleop_problem(None, wanted=False) is None
    silent = teleop_problem(None, wanted=True)
    assert silent is not None
    assert "wait_for_teleop:=false" in silent.detail
    assert teleop_problem({"left": "following", "right": "following"}, wanted=True) is None
    late = teleop_problem({"left": "aligning", "right": "following"}, wanted=False)
    assert late is not None
    assert late.detail == "teleop: left is still on its way to its master; needed: every arm follows"
    for phase in {phase.value for phase in Phase} | {"released", "a phase of a later release"}:
        problem = teleop_problem({"left": "following", "right": phase}, wanted=False)
        assert (problem is None) == (phase == "following"), phase
        assert problem is None or problem.detail.startswith("teleop: right "), "and the arm that follows is no problem"
    released = teleop_problem({"left": "released"}, wanted=False)
    assert released is not None
    assert "left was let go of; vgil call start --node teleop" in released.detail
    unknown = teleop_problem({"left": "asleep"}, wanted=False)
    assert unknown is not None
    assert unknown.detail == "teleop: left is 'asleep'; needed: every arm follows"


def test_a_camera_that_has_become_slow_is_told_of_with_its_rate() -> None:
    assert slow_words(15, 30) == "it comes at 15 a second, half of 30: auto exposure in dim light, or a busy USB bus?"
    assert slow_words(20, 30).startswith("it comes at 20 a second, less than 30")
    assert slow_words(29, 30) == "it comes at 29 a second"


def test_a_late_label_leaves_a_whole_file_whenever_it_is_killed(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.meta(), 4, success=True)
    before, labels = path.read_bytes(), []
    for after in range(20):
        path.write_bytes(before)
        calls = ((os, "open"), (os, "fsync"), (os, "replace"), (os, "rename"), (h5, "amend"))
        killed = killed_before(after, calls, lambda: label_file(path, "failure"))
        with EpisodeReader(path) as episode:
            labels.append((episode.attrs.get("label"), episode.success))
        assert list(tmp_path.rglob("*.hdf5")) == [path], "no reader takes what was left behind"
        if not killed:
            break
    assert labels[0] == (None, True)
    assert labels[-1] == ("failure", False)
    assert check_episode(path).ok


def test_a_label_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    desk = Desk()
    labels = LateLabels(desk)
    labels.write(tmp_path / "episode_0.hdf5", "success")
    labels.write(None, "success")
    labels.wait()
    words = "the label 'success' cannot be written (No such file or directory); `vgil episodes label` writes it later"
    assert sorted(desk.lines) == [
        ("error", f"{tmp_path / 'episode_0.hdf5'}: {words}"),
        ("warning", "the label is lost: there is no file of the last episode"),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_late_label_leaves_its_room_to_the_episode_that_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made.write(tmp_path, made.meta(), 4)
    before = path.read_bytes()
    monkeypatch.setattr(disk, "free_bytes", lambda folder: SPARE + len(before) - 1)
    words = r"'success' cannot be written \(256 MiB free; 256 MiB are needed .*`vgil episodes label` writes it later"
    with pytest.raises(VgilError, match=words):
        label_file(path, "success")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_late_label_brings_no_episode_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool) -> None:
    path = made.write(tmp_path, made.meta(), 4)

    def meanwhile(copy: Path, label: Label) -> None:
        write_label(copy, label)
        with Journal(tmp_path).held() as journal:
            operations.delete(journal, [path])
        if replaced:
            path.write_bytes(b"another")

    monkeypatch.setattr("vgil_ros.nodes.session.labelling.write_label", meanwhile)
    with pytest.raises(VgilError, match="found another file in its place" if replaced else "No such file"):
        label_file(path, "failure")
    assert [one.read_bytes() for one in tmp_path.glob("*.hdf5")] == ([b"another"] if replaced else [])
    assert not list(tmp_path.glob(".label_*"))


class EndingNode:
    """What of a node the end of its process needs."""

    on_shutdown, _count, _do = SessionNode.on_shutdown, SessionNode._count, SessionNode._do
    _remove_last, _write_label, end_code = SessionNode._remove_last, SessionNode._write_label, SessionNode.end_code

    def __init__(self, session: Session, end: EpisodeEnd) -> None:
        self.session, self.desk = session, Desk()
        self.closing, self.labels = EpisodeClosing(self.desk), LateLabels(self.desk)
        self.closing.begin(done(end), keep=True)
        self.success, self.exit_code = None, 0
        self.log = self.desk.log

    def now_ns(self) -> int:
        return 0


@pytest.mark.parametrize("said", [SessionCommand.DISCARD, SessionCommand.LABEL_FAILURE])
def test_what_is_said_while_the_last_file_is_closed_is_done_before_the_process_ends(
    tmp_path: Path, said: SessionCommand
) -> None:
    session, path = Session(late=True), made.write(tmp_path, made.meta(), 4, success=True)
    session.command(SessionCommand.START)
    session.prepared()
    session.advance(0, [])
    for _ in range(5):
        session.sampled()
    session.command(SessionCommand.STOP)
    assert session.command(said).ok
    node = EndingNode(session, episode_end(path))
    node.on_shutdown()  # type: ignore[misc]
    if said is SessionCommand.DISCARD:
        assert not path.exists()
        assert node.desk.lines[-1] == ("info", f"{path} is removed")
    else:
        with EpisodeReader(path) as episode:
            assert episode.success is False

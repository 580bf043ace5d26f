"""Parts of recorder and policy without a node: they take a log and a clock; and what making a node leaves alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st
from rclpy.task import Future as RosFuture
from std_srvs.srv import Trigger
from support import contracts
from support.nodes.policy_rig import PolicyBench, checkpoint_for, robot
from support.process import Process

from vgil_ros.core.control.takeover import Actor, Decision
from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety import Command, Outcome, SafetyEvent
from vgil_ros.core.sync import Sample
from vgil_ros.nodes.base.alerts import Notes, Severity
from vgil_ros.nodes.base.status import SafetyEventLog
from vgil_ros.nodes.session.recording import RolloutSink
from vgil_ros.nodes.session.scene_reset import ABSENT_NS, TIMEOUT_NS, SceneReset


@dataclass
class Desk:
    """Alerts and a clock, kept to be looked at."""

    now: int = 0
    lines: list[tuple[str, str]] = field(default_factory=list)
    lasting: dict[str, str] = field(default_factory=dict)

    def now_ns(self) -> int:
        return self.now

    def log(self, words: str, *, severity: Severity = "info") -> None:
        self.lines.append((severity, words))

    def warn_once(self, key: str, message: str) -> None:
        self.lasting[key] = message

    def clear(self, key: str) -> None:
        self.lasting.pop(key, None)


COMMAND = Command(np.zeros(3))
LIMITED = Outcome(COMMAND, (SafetyEvent("velocity", "left/waist is limited"),), holding=False)
HELD = Outcome(COMMAND, (SafetyEvent("stale", "cam_a is old"),), holding=True)
WELL = Outcome(COMMAND, (), holding=False)


def test_a_hold_lasts_and_a_changed_command_is_said_now_and_then() -> None:
    desk = Desk()
    log = SafetyEventLog(desk)
    assert log.reason == "none"
    log.log(HELD)
    assert desk.lasting == {"holding": "holding: stale: cam_a is old"}
    log.log(LIMITED)
    log.log(LIMITED)
    assert desk.lasting == {}
    assert desk.lines == [("warning", "limited: velocity: left/waist is limited")]
    log.log(WELL)
    assert log.reason == "velocity: left/waist is limited", "the last one is remembered"


class Resetter:
    """A client of a reset service, which answers when it is told to."""

    srv_name = "/sim/reset"

    def __init__(self) -> None:
        self.there = True
        self.asked: list[RosFuture] = []

    def service_is_ready(self) -> bool:
        return self.there

    def call_async(self, request: Trigger.Request) -> RosFuture:
        self.asked.append(RosFuture())
        return self.asked[-1]


def test_nobody_to_ask_is_no_reset() -> None:
    assert not SceneReset(Desk(), None).ask()


def test_a_reset_is_asked_for_until_it_is_answered() -> None:
    desk, client = Desk(), Resetter()
    scene = SceneReset(desk, client)
    client.there = False
    assert not scene.under_way
    assert scene.ask()
    assert not scene.under_way, "nobody was there to be asked"
    assert desk.lasting == {"reset": "waiting for the service /sim/reset"}
    client.there = True
    desk.now = ABSENT_NS + 1
    assert not scene.answered(desk.now)  # asks again
    assert scene.under_way, "from now on the robot may be anywhere"
    desk.now += TIMEOUT_NS + 1
    assert not scene.answered(desk.now)  # and again, as the answer took too long
    assert len(client.asked) == 2
    client.asked[-1].set_result(Trigger.Response(success=False, message="no"))
    assert scene.under_way
    assert scene.answered(desk.now)
    assert not scene.under_way
    assert not scene.answered(desk.now)
    assert desk.lasting == {}
    assert desk.lines == [("error", "/sim/reset refused: no")]


class Rows:
    """Where a rollout's rows go; full after so many."""

    recording = SimpleNamespace(takeover=False)

    def __init__(self, room: int = 10**6) -> None:
        self.room = room
        self.rows: list[tuple[int, int]] = []  # ticks of sample and action

    def open(self, task: str | None = None, words: Mapping[str, str] | None = None) -> None:
        self.rows.clear()

    def push(self, sample: Sample, marker: float, action: np.ndarray, beside: object = None) -> bool:
        if len(self.rows) == self.room:
            raise VgilError("disk full")
        self.rows.append((sample.tick, int(action[0])))
        return True


def sample(tick: int) -> Sample:
    return Sample(tick, 0, (), np.zeros(0, np.int64), np.zeros(0, np.uint8))


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 8)), max_size=60))
def test_a_rollouts_rows_are_the_ticks_that_have_both(ticks: list[tuple[bool, bool, int]]) -> None:
    """An observation comes out before its command or some ticks after it; each row is one tick's, in order."""
    rows = Rows()
    sink = RolloutSink(Desk(), rows, marker=False)  # type: ignore[arg-type]
    sink.open()
    events: list[tuple[int, bool, int]] = []  # when, whether it is the command, tick
    at = 0
    for tick, (observed, commanded, late) in enumerate(ticks):
        at = max(at, 10 * tick + 10 * late)  # observations stay in order
        if observed:
            events.append((at, False, tick))
        if commanded:
            events.append((10 * tick + 5, True, tick))
    for _, command, tick in sorted(events):
        if command:
            sink.acted(tick, Command(np.full(3, tick)))
        else:
            sink.observe(tick, sample(tick))
    newest = max((tick for tick, one in enumerate(ticks) if one[1]), default=-1)
    both = [tick for tick, one in enumerate(ticks) if one[0] and one[1]]
    assert rows.rows == [(tick, tick) for tick in both if tick <= newest]
    assert sink.pairs == len(rows.rows)


@given(st.integers(1, 8), st.integers(0, 5))
def test_a_rollout_takes_as_many_rows_as_were_asked_for_also_where_they_come_at_once(length: int, late: int) -> None:
    rows = Rows()
    sink = RolloutSink(Desk(), rows, marker=False)  # type: ignore[arg-type]
    sink.open(length)
    for tick in range(length + late):
        sink.acted(tick, COMMAND)
    for tick in range(length + late):
        sink.observe(tick, sample(tick))
    assert len(rows.rows) == sink.pairs == min(length + 1, length + late)


def test_a_rollout_that_cannot_be_written_is_said() -> None:
    desk = Desk()
    sink = RolloutSink(desk, Rows(room=1), marker=False)  # type: ignore[arg-type]
    sink.open()
    for tick in range(3):
        sink.observe(tick, sample(tick))
        sink.acted(tick, COMMAND)
    assert desk.lasting == {"rollout": "the rollout is recorded no further: disk full"}
    assert sink.aborted == "disk full"
    assert sink.pairs is None, "its length is no longer what counts"
    sink.open()
    assert desk.lasting == {}, "the next one is recorded anew"


class Kept(Rows):
    """Rows as they come."""

    recording = SimpleNamespace(takeover=True)

    def push(self, sample: Sample, marker: float, action: np.ndarray, beside: object = None) -> bool:
        self.pushed = action, beside
        return super().push(sample, marker, action, beside)


@pytest.mark.parametrize(
    ("actor", "said", "done", "wanted"),
    [
        (Actor.POLICY, 0.75, 0.75, 0.75),
        (Actor.POLICY, 1.25, 1.0, 1.25),
        (Actor.POLICY, -0.25, 0.0, -0.25),
        (Actor.POLICY, np.nan, 0.0, np.nan),
        (Actor.HUMAN, 0.75, 0.0, 0.75),
        (Actor.RETURNING, 0.75, 0.0, 0.75),
    ],
)
def test_a_rollout_keeps_the_policys_end_marker_and_counts_it_where_the_policy_acts(
    actor: Actor, said: float, done: float, wanted: float
) -> None:
    rows = Kept()
    sink = RolloutSink(Desk(), rows, marker=True)  # type: ignore[arg-type]
    sink.open()
    proposal = Command(np.full(3, 0.5), marker=said)
    sink.acted(0, COMMAND, Decision(actor, COMMAND, proposal.positions, np.zeros(3)), proposal)
    sink.observe(0, sample(0))
    action, beside = rows.pushed
    assert isinstance(beside, dict)
    np.testing.assert_array_equal(action, [*COMMAND.positions, done])
    np.testing.assert_array_equal(beside["policy_action"], [0.5, 0.5, 0.5, wanted])
    np.testing.assert_array_equal(beside["human_action"], np.zeros(4))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=50))
def test_notes_of_an_episode_are_one_line_a_kind(met: list[tuple[str, int]]) -> None:
    notes = Notes(["of another set-up"])
    for key, figure in met:
        notes.add(key, f"{key}: {figure} images cut off")
    lines = notes.lines()
    kinds = list(dict.fromkeys(key for key, _ in met))
    assert len(lines) == 1 + len(kinds)
    assert lines[0] == "of another set-up"
    for key, line in zip(kinds, lines[1:], strict=True):
        figures = [figure for other, figure in met if other == key]
        assert line.startswith(f"{key}: {figures[0]} images cut off"), "the first words stay"
        assert (f"(the first of {len(figures)}; the last: {key}: {figures[-1]} " in line) == (figures[0] != figures[-1])


MADE = """
import gc, json, os, sys
import cv2, rclpy, torch
from vgil_ros.nodes.policy import PolicyNode
from vgil_ros.nodes.recorder import Recorder

def state():
    threads = cv2.getNumThreads(), torch.get_num_threads()
    collector = gc.isenabled(), gc.get_freeze_count()
    return [*collector, sys.getswitchinterval(), os.getpriority(os.PRIO_PROCESS, 0), *threads]

rclpy.init(args=sys.argv)
before = state()
PolicyNode()
Recorder()
print(json.dumps([before, state()]))
os._exit(0)
"""


def test_making_a_node_changes_nothing_of_the_process(tmp_path: Path) -> None:
    with PolicyBench(tmp_path) as bench:
        contract = contracts.write(robot(), tmp_path / "robot.yaml")
        given = {"robot": contract, "policy:checkpoint": checkpoint_for(bench, contract), "recorder:keys": "false"}
        given["recorder:dataset_dir"] = tmp_path / "episodes"
        options = [part for key, value in given.items() for part in ("-p", f"{key}:={value}")]
        process = Process.python(["-c", MADE, "--ros-args", *options], bench.environment)
        bench._started(process)
        line = process.expect(r"^\[\[")
        before, after = json.loads(line.text)
        assert after == before

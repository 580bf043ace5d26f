"""Conductor of a trial, without ROS: a policy that does not take a stop is told again, and the operator hears why."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from support.evaluation.made_trials import ORDER, plan_of

from vgil_ros.evaluation.trials.journal import Journal, read_journal
from vgil_ros.evaluation.trials.session import TrialEffect, TrialSession, TrialState
from vgil_ros.nodes.trial.conductor import Conductor

REFUSAL = "policy/stop did not answer"


class DeafRobot:
    """A robot whose policy moves on until it has been told to stop so many times; Ctrl-C may come in the first one."""

    ready, rests, success, words = True, True, None, ""

    def __init__(self, deaf: int, interrupted: bool) -> None:
        self._deaf, self._interrupted = deaf, interrupted
        self.has_ended = False
        self.stops = 0

    def forget_policy(self) -> None:
        """Nothing was heard."""

    def live(self) -> np.ndarray | None:
        """No image."""
        return None

    def start(self) -> tuple[bool, str]:
        self.has_ended = False
        return True, "starting"

    def call(self, name: str) -> tuple[bool, str]:
        assert name == "stop"
        self.stops += 1
        if self._interrupted and self.stops == 1:
            raise KeyboardInterrupt
        self.has_ended = self.stops > self._deaf
        return self.has_ended, "stopping" if self.has_ended else REFUSAL


class RunningPolicy:
    """A policy's process that is there."""

    alive = True

    def bring_up(self, parameters: object) -> bool:
        """It runs already."""
        return False


class NoGuide:
    """A trial without start images."""

    shift = None

    def look(self, block: int) -> None:
        """Nothing to see."""

    def keep(self, block: int, live: object) -> None:
        """Nothing to keep."""


class Presses:
    """Keys, one a turn."""

    def __init__(self, *keys: str) -> None:
        self._keys = list(keys)

    def pressed(self) -> list[str]:
        return [self._keys.pop(0)] if self._keys else []


@pytest.mark.parametrize("interrupted", [False, True], ids=["by a key", "by Ctrl-C while it is told"])
def test_a_policy_that_does_not_take_a_stop_is_told_again(tmp_path: Path, interrupted: bool) -> None:
    told: list[str] = []
    robot = DeafRobot(2, interrupted)
    keys = Presses("", " ", "s" if interrupted else "q")
    with Journal(tmp_path) as journal:
        Conductor(
            TrialSession(plan_of(), ORDER),
            journal,
            robot,
            RunningPolicy(),
            NoGuide(),
            {},
            keys,
            told.append,  # type: ignore[arg-type]
        ).run()
    assert robot.stops == 3
    assert told.count(f"not stopped: {REFUSAL}") == (1 if interrupted else 2)
    (record,) = read_journal(tmp_path / "journal.jsonl").attempts
    assert (record.verdict, record.note) == ("repeated", "the trial was interrupted")


class LoadingPolicy:
    """A policy's process that takes its time to come up, each its own."""

    def __init__(self) -> None:
        self.alive, self.since, self.source = False, 0.0, ""

    def bring_up(self, parameters: dict[str, object]) -> bool:
        self.alive, self.since, self.source = True, time.monotonic(), str(parameters["checkpoint"])
        return True


class LoadingRobot(DeafRobot):
    """A robot that is ready once its policy is there."""

    def __init__(self, policies: LoadingPolicy, seconds: dict[str, float]) -> None:
        super().__init__(0, interrupted=False)
        self._policies, self._seconds = policies, seconds

    @property
    def ready(self) -> bool:  # type: ignore[override]
        return time.monotonic() - self._policies.since > self._seconds[self._policies.source]


class Operator:
    """Presses what the last line asks for, and notes how long each attempt's policy was waited for."""

    def __init__(self, attempts: int) -> None:
        self.waits: list[float] = []
        self._left, self._line, self._since = attempts, "", time.monotonic()

    def tell(self, line: str) -> None:
        if "SPACE" in line:
            self.waits.append(time.monotonic() - self._since)
        self._since, self._line = time.monotonic(), line

    def pressed(self) -> list[str]:
        if "SPACE" in self._line:
            return [" "]
        if "runs" in self._line:
            self._left -= 1
            return ["y"] if self._left else ["q"]
        return []


def test_how_long_a_policy_takes_to_come_up_does_not_tell_which_one_it_is(tmp_path: Path) -> None:
    plan = plan_of()
    loads = dict(zip((one.source for one in plan.contenders), (0.2, 0.9), strict=True))
    policies, operator = LoadingPolicy(), Operator(9)
    robot = LoadingRobot(policies, loads)
    with Journal(tmp_path) as journal:
        session = TrialSession(plan, ORDER)
        Conductor(session, journal, robot, policies, NoGuide(), {}, operator, operator.tell).run()  # type: ignore[arg-type]
    first = [ORDER.block(number, 2) for number in range(4)]
    assert any(one[-1] == other[0] for one, other in itertools.pairwise(first)), "one comes twice in a row"
    assert all(0.85 < wait < 1.3 for wait in operator.waits[2:]), operator.waits


def test_a_label_that_ctrl_c_comes_right_after_is_kept(tmp_path: Path) -> None:
    class Torn(TrialSession):
        """Ctrl-C comes between the operator's word and the journal."""

        def judge(self, verdict: str) -> tuple[TrialEffect, ...]:
            super().judge(verdict)
            if self.state is TrialState.DONE:
                raise KeyboardInterrupt
            return (TrialEffect.STOP,) if self.state is TrialState.ENDING else (TrialEffect.WRITE, TrialEffect.PREPARE)

    operator = Operator(99)
    with Journal(tmp_path) as journal:
        session = Torn(plan_of(max_blocks=1), ORDER)
        Conductor(session, journal, DeafRobot(0, interrupted=False), RunningPolicy(), NoGuide(), {}, operator,
                  operator.tell).run()  # type: ignore[arg-type]  # fmt: skip
    kept = read_journal(tmp_path / "journal.jsonl")
    assert [one.verdict for one in kept.attempts] == ["success", "success"]
    assert kept.end == "max"

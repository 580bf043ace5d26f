"""Conductor of a trial, without ROS: a policy that does not take a stop is told again, and the operator hears why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from support.evaluation.made_trials import ORDER, plan_of

from vgil_ros.evaluation.trials.journal import Journal, read_journal
from vgil_ros.evaluation.trials.session import TrialSession
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

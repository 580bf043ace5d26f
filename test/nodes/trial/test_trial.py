"""`vgil trial` over real nodes: the simulated robot, two random policies, keys from a terminal, a kill in between."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from support.evaluation.sources import tiny_act, tiny_flow

pytest.importorskip("rclpy")

from support.nodes.bench import Bench, ros_arguments
from support.nodes.client import until
from support.process import Process

from vgil_ros.evaluation.trials.folder import verify
from vgil_ros.evaluation.trials.journal import read_journal

TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
COMES_UP_S = 240.0  # two policies have to load torch, on a machine that may be busy


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("policies")
    return [str(tiny_act(folder / "act")), str(tiny_flow(folder / "flow"))]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A domain with a simulated robot."""
    with Bench(tmp_path) as bench:
        given = {"robot": "sim_single", "task": "pick_place", "operator": False, "sim_time": True}
        bench.start(Process, ["vgil_ros.nodes", "sim", *ros_arguments(given)])
        yield bench


class Trial:
    """A `vgil trial`; with a terminal, whose keys can be pressed, or without."""

    def __init__(self, bench: Bench, checkpoints: list[str], *options: str, keys: bool) -> None:
        self.out = bench.folder / "trial"
        words = ["trial", *checkpoints, "--robot", "sim_single", "--sim-time", "--out", str(self.out), *options]
        command = [sys.executable, "-m", "vgil_ros.cli.main", *words]
        self.master, slave = pty.openpty()
        self.process = Process(
            subprocess.Popen(
                [sys.executable, "-c", TAKE_TERMINAL, *command] if keys else command,
                env=bench.environment,
                stdin=slave if keys else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        os.close(slave)

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def verdicts(self) -> list[str]:
        """What the journal has of the attempts."""
        found = read_journal(self.out / "journal.jsonl")
        assert found.fault is None
        return [record.verdict for record in found.attempts]

    def attempt(self, number: int, label: str) -> None:
        """One attempt by keys."""
        name = f"attempt {number} of at most 2"
        self.process.expect(f"{name}.*then SPACE starts", timeout=COMES_UP_S)
        since = self.process.mark()
        until(lambda: self._runs(name, since), f"{name} runs:\n{self.process.output}")
        self.press(label)

    def _runs(self, name: str, since: int) -> bool:
        """Press SPACE until it is taken: a busy machine may just be missing a stream."""
        self.press(" ")
        time.sleep(1.0)
        return any(name in line.text and " runs: " in line.text for line in self.process.lines[since:])

    def close(self) -> None:
        self.process.close()
        os.close(self.master)


@pytest.fixture
def ended() -> Iterator[list[Trial]]:
    """Trials that are ended with the test."""
    trials: list[Trial] = []
    yield trials
    for trial in trials:
        trial.close()


def policy_ends(bench: Bench) -> None:
    """Wait until no policy is there any more: it ends with the trial that was killed."""
    node = bench.client.node
    until(lambda: "policy" not in node.get_node_names(), "the policy's end")


@pytest.mark.slow
def test_a_trial_that_was_killed_is_gone_on_with(bench: Bench, checkpoints: list[str], ended: list[Trial]) -> None:
    trial = Trial(bench, checkpoints, "--max", "1", "--seed", "4", keys=True)
    ended.append(trial)
    trial.attempt(1, "n")
    until(lambda: trial.verdicts() == ["failure"], "the first label is written")
    trial.process.send(signal.SIGKILL)
    trial.process.wait()
    policy_ends(bench)
    assert [fault for fault in verify(trial.out) if "as a kill leaves it" not in fault] == []
    trial = Trial(bench, checkpoints, "--max", "1", "--seed", "4", keys=True)
    ended.append(trial)
    trial.attempt(2, "y")
    assert trial.process.wait(COMES_UP_S) == 0, trial.process.output
    assert trial.verdicts() == ["failure", "success"]
    report: dict[str, Any] = json.loads((trial.out / "report.json").read_text())
    assert (report["reason"], report["blocks"]) == ("max", 1)
    assert sum(one["successes"] for one in report["contenders"]) == 1
    assert verify(trial.out) == []
    start, overlay = cv2.imread(str(trial.out / "starts/block_0.png")), cv2.imread(str(trial.out / "overlay.jpg"))
    assert start is not None
    assert overlay is not None
    assert start.shape == overlay.shape == (240, 320, 3)
    assert "of the image differs" in trial.process.output, "the second attempt was guided to the first one's start"
    until_report = trial.process.output.partition("# Trial")[0]
    assert "policies" not in until_report.replace(" ".join(checkpoints), ""), "no name before the end"


@pytest.mark.slow
def test_a_simulated_robot_is_tried_without_a_terminal(
    bench: Bench, checkpoints: list[str], ended: list[Trial]
) -> None:
    options = ["--max", "1", "--label", "topic", "--reset", "sim", "--scene-seed", "3", "--episode-len", "20"]
    trial = Trial(bench, checkpoints, *options, keys=False)
    ended.append(trial)
    assert trial.process.wait(2 * COMES_UP_S) == 0, trial.process.output
    assert trial.verdicts() == ["failure", "failure"]
    report = json.loads((trial.out / "report.json").read_text())
    assert [(one["attempts"], one["successes"]) for one in report["contenders"]] == [(1, 0), (1, 0)]
    assert report["pairs"][0]["better"] is None
    assert verify(trial.out) == []

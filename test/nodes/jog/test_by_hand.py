"""A demonstration recorded by key presses alone: launch file, simulator, teleop, recorder, and jog at a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState
from support.by_hand import KeyedHand, small_sim_robot
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.rig import STALL_S
from support.process import Process

pytest.importorskip("mujoco")

from vgil_ros.assets import load_contract
from vgil_ros.episodes import EpisodeReader
from vgil_ros.robots.sim.robot import SimRobot

SEED = 3  # of the simulator; the episode's scene is one after it
TRIES = 3


class Hand(KeyedHand):
    """Presses keys at a terminal, and waits until the arm has come to rest."""

    def __init__(self, bench: Bench, robot: Path) -> None:
        super().__init__(load_contract(str(robot))[0])
        self.master, slave = pty.openpty()
        options = {
            "stdin": slave,
            "start_new_session": True,
            "preexec_fn": lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        }
        self.jog = bench.start(Process, ["vgil_ros.cli.main", "jog", str(robot), "level:=4", "--sim-time"], **options)
        os.close(slave)
        self.masters = bench.client.collect(JointState, "/master/joint_states")
        self.statuses: list[tuple[float, DiagnosticStatus]] = bench.client.status("/recorder/status")

    def press(self, keys: str) -> None:
        self._before = self.masters[-1][1].position if self.masters else None
        os.write(self.master, keys.encode())

    def position(self) -> np.ndarray:
        until(lambda: self.masters, "a master")
        return self.arm.master.normalise(np.array(self.masters[-1][1].position))

    def rest(self) -> None:
        """A motion, and then 0.3 s of the simulator's time without."""

        def moved() -> bool:
            return bool(self.masters) and self.masters[-1][1].position != self._before

        def still() -> bool:
            rows = [message.position for _, message in self.masters[-30:]]
            return len(rows) == 30 and np.ptp(np.array(rows), axis=0).max() < 1e-9

        until(moved, "the master moves")
        self.masters.clear()
        until(still, "the master at rest")

    def start(self) -> None:
        """Have the recorder begin an episode: it says what is missing until everything is there."""

        def taken() -> bool:
            since = self.jog.mark()
            self.press("s")
            answer = self.jog.expect("recorder: |no recorder is heard", since=since)
            time.sleep(0.5)
            return "starting episode" in answer.text

        until(taken, "it begins")
        until(lambda: self.value("state") == "recording", "it records")

    def value(self, key: str) -> str:
        status = self.statuses[-1][1] if self.statuses else None
        return next((pair.value for pair in status.values if pair.key == key), "") if status else ""


@pytest.fixture
def hand(bench: Bench) -> Iterator[Hand]:
    robot = small_sim_robot(bench.folder)
    made = Hand(bench, robot)
    yield made
    os.close(made.master)


def test_pick_place_is_recorded_by_key_presses_alone(bench: Bench, hand: Hand) -> None:
    robot = bench.folder / "sim_by_hand.yaml"
    arguments = {"robot": robot, "sim": "true", "speed": 0.5, "leader": "keyboard", "task": "pick_place"}
    arguments |= {"seed": SEED, "num_episodes": 1, "dataset_dir": bench.episodes}
    words = [f"{key}:={value}" for key, value in arguments.items()]
    launch = bench.start(Process, ["vgil_ros.cli.main", "launch", "record.launch.py", *words], start_new_session=True)
    launch.expect(f"run there: vgil jog {robot} --sim-time")
    hand.jog.expect("arm: led from where it is")
    until(lambda: hand.statuses and hand.statuses[-1][1].level == DiagnosticStatus.OK, "the recorder is ready")

    hand.press("e")
    for attempt in range(TRIES):
        since, began = launch.mark(), time.monotonic()
        hand.start()
        hand.pick_and_place(SimRobot(hand.contract, "pick_place", SEED + 1 + attempt).objects())
        early = [line.text for line in launch.lines[since:] if "episode ended early" in line.text]
        if not early:
            break
        assert bench.gauge.stood(began) > STALL_S, early  # a machine that keeps nodes waiting makes streams silent
    hand.press("s")
    assert launch.wait() == 0, launch.output
    hand.press("\x03")
    assert hand.jog.wait() == 0, hand.jog.output

    (file,) = bench.episodes.glob("*.hdf5")
    with EpisodeReader(file) as episode:
        assert episode.rows > 200
        assert episode.success is True
    check = bench.start(Process, ["vgil_ros.cli.main", "episodes", "check", str(bench.episodes)])
    assert check.wait() == 0, check.output

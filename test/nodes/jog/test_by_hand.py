"""A demonstration recorded by key presses alone: launch file, simulator, teleop, recorder, and jog at a terminal."""

from __future__ import annotations

import fcntl
import math
import os
import pty
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.rig import STALL_S
from support.process import Process

pytest.importorskip("mujoco")

from vgil_ros.assets import load_contract, share_dir
from vgil_ros.core.layout import Layout
from vgil_ros.episodes import EpisodeReader
from vgil_ros.robots.jog.tip import TipMotion
from vgil_ros.robots.sim.robot import SimRobot
from vgil_ros.robots.sim.tasks.base import CUBE
from vgil_ros.robots.sim.tasks.pick_place import TARGET
from vgil_ros.robots.transforms import pose_rpy

SEED = 3  # of the simulator; the episode's scene is one after it
ABOVE = 0.10  # m
TRIES = 3
STEP, TURN = 0.01, 0.1  # m, rad: of a key press at the highest speed level


def small_robot(folder: Path) -> Path:
    """The simulated single arm with one small camera."""
    text = (share_dir() / "config" / "robots" / "sim_single.yaml").read_text(encoding="utf-8")
    described: dict[str, Any] = yaml.safe_load(text)
    described["cameras"] = [{**described["cameras"][0], "height": 48, "width": 64}]
    path = folder / "sim_by_hand.yaml"
    path.write_text(yaml.safe_dump(described), encoding="utf-8")
    return path


class Hand:
    """Presses keys at a terminal, and waits until the arm has come to rest."""

    def __init__(self, bench: Bench, robot: Path) -> None:
        self.master, slave = pty.openpty()
        options = {
            "stdin": slave,
            "start_new_session": True,
            "preexec_fn": lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        }
        self.jog = bench.start(Process, ["vgil_ros.cli.main", "jog", str(robot), "level:=4", "--sim-time"], **options)
        os.close(slave)
        self.contract, _ = load_contract(str(robot))
        layout = Layout(self.contract)
        self.arm = layout.arms[0]
        self.tip = TipMotion(layout, self.arm, 1.0)
        self.masters = bench.client.collect(JointState, "/master/joint_states")
        self.statuses: list[tuple[float, DiagnosticStatus]] = bench.client.status("/recorder/status")

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def pose(self) -> np.ndarray:
        """Where the master has its tip now, (4, 4) in the arm's base."""
        until(lambda: self.masters, "a master")
        position = np.array(self.masters[-1][1].position)
        return self.tip.pose(self.arm.master.normalise(position))

    def rest(self) -> None:
        """Wait until the master stands still, for 0.3 s of the simulator's time."""

        def still() -> bool:
            rows = [message.position for _, message in self.masters[-30:]]
            return len(rows) == 30 and np.ptp(np.array(rows), axis=0).max() < 1e-9

        self.masters.clear()
        until(still, "the master at rest")

    def go(self, *ways: tuple[str, float, float]) -> None:
        """Press keys as often as brings their ways: each is a key, the one for below 0, a way (m, rad), and a step's.

        Big steps first, and then small ones.
        """
        pressed, left = "", [float(way) for _, way, _ in ways]
        for share, after in ((1.0, "-"), (0.5, "-"), (0.25, "-"), (0.1, "+++")):
            for i, (keys, _, step) in enumerate(ways):
                count = int(abs(left[i]) / (step * share) + (0.5 if share == 0.1 else 1e-9))
                pressed += keys[int(left[i] < 0)] * count
                left[i] -= math.copysign(count * step * share, left[i])
            pressed += after
        if not pressed.strip("+-"):
            return
        before = self.pose()
        self.press(pressed)
        until(lambda: np.abs(self.pose() - before).max() > 1e-5, "a motion")
        self.rest()

    def value(self, key: str) -> str:
        status = self.statuses[-1][1] if self.statuses else None
        return next((pair.value for pair in status.values if pair.key == key), "") if status else ""


@pytest.fixture
def hand(bench: Bench) -> Iterator[Hand]:
    robot = small_robot(bench.folder)
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
        until(lambda: (hand.press("s"), time.sleep(1.0), hand.value("state") == "recording")[-1], "it records")
        demonstrate(hand, SimRobot(hand.contract, "pick_place", SEED + 1 + attempt).objects())
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
        assert episode.meta.success is True
        assert not episode.meta.warnings
    check = bench.start(Process, ["vgil_ros.cli.main", "episodes", "check", str(bench.episodes)])
    assert check.wait() == 0, check.output


def demonstrate(hand: Hand, scene: Mapping[str, np.ndarray]) -> None:
    """The keys that take the cube to its field."""
    mount = pose_rpy(hand.arm.arm.mount.xyz, hand.arm.arm.mount.rpy)
    cube, field = (np.linalg.inv(mount) @ scene[name] for name in (CUBE, TARGET))
    hand.rest()
    hand.go(("gt", math.pi / 2 - math.asin(-hand.pose()[2, 0]), TURN))
    yaw = math.atan2(cube[1, 0], cube[0, 0])
    hand.go(("fh", (yaw + math.pi / 4) % (math.pi / 2) - math.pi / 4, TURN))
    place(hand, cube[:3, 3])
    grip(hand)
    hand.go(("uo", ABOVE, STEP))
    place(hand, field[:3, 3] + [0.0, 0.0, 0.024])
    grip(hand)
    hand.go(("uo", ABOVE, STEP))


def place(hand: Hand, xyz: np.ndarray) -> None:
    """Bring the tip over a place, and down to it; the last bit again, as a hand would."""
    way = xyz - hand.pose()[:3, 3]
    hand.go(("ik", way[0], STEP), ("jl", way[1], STEP))
    hand.go(("uo", (xyz - hand.pose()[:3, 3])[2], STEP))
    way = xyz - hand.pose()[:3, 3]
    hand.go(("ik", way[0], STEP), ("jl", way[1], STEP), ("uo", way[2], STEP))
    np.testing.assert_allclose(hand.pose()[:3, 3], xyz, atol=2e-3)


def grip(hand: Hand) -> None:
    """Close the gripper, or open it."""
    before = hand.masters[-1][1].position[-1]
    hand.press(" ")
    until(lambda: abs(hand.masters[-1][1].position[-1] - before) > 0.001, "the gripper moves")
    hand.rest()

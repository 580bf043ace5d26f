"""One side of ALOHA behind pretended drivers: a follower, its leader, a small camera, and our nodes beside them."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState

from support import contracts
from support.nodes.bench import Bench, FakeRobot
from support.nodes.client import until
from support.process import Process
from vgil_ros.assets import load_contract, share_dir

PATIENT = {"max_age_ms": 2000.0}  # a machine that is busy with other tests is no fault of a robot
CAMERA = "/cam_high/image_raw"
MODULE = "support.nodes.fake_xs_sdk"
NODES = ("bringup", "teleop", "recorder", "replay", "policy", "posture")


def half_aloha(folder: Path, **changes: Any) -> Path:
    """The shipped ALOHA with its left arms and one small camera; patient, as tests share a machine."""
    robot = yaml.safe_load((share_dir() / "config" / "robots" / "aloha.yaml").read_text(encoding="utf-8"))
    robot["arms"] = robot["arms"][:1]
    robot["cameras"] = [contracts.camera("cam_high")]
    robot["rate_hz"], robot["sync"] = 25, contracts.sync(max_hold=50)
    robot["following"] = {"off": ["left"]}  # a servo that the machine keeps waiting is not to be blamed
    robot |= copy.deepcopy(changes)
    return contracts.write(robot, folder / "half_aloha.yaml")


class AlohaBench(Bench):
    """A bench on which the nodes of a whole day begin quickly."""

    loaded: tuple[str, ...] = (MODULE, "vgil_ros.policies.act", *(f"vgil_ros.nodes.{name}" for name in NODES))


class AlohaRig:
    """Drivers of one side, started; nothing is brought up."""

    def __init__(self, bench: Bench, **changes: Any) -> None:
        self.bench = bench
        self.contract = half_aloha(bench.folder, **changes)
        self.arm = load_contract(str(self.contract))[0].arms[0]
        self.states = bench.client.collect(JointState, self.arm.puppet.topic)
        assert self.arm.master is not None
        self.leads = bench.client.collect(JointState, self.arm.master.topic)
        self.bringups = bench.client.status("/bringup/status")
        self.teleops = bench.client.status("/teleop/status")
        self.follower, self.leader = self.drive_follower(), self.drive_leader()

    def drive_follower(self) -> FakeRobot:
        """Start the follower's driver."""
        driver = self.bench.start(FakeRobot, [MODULE, "follower_left", "follower", "--camera", CAMERA])
        driver.expect("^ready")
        return driver

    def drive_leader(self) -> FakeRobot:
        """Start the leader's driver."""
        driver = self.bench.start(FakeRobot, [MODULE, "leader_left", "leader"])
        driver.expect("^ready")
        return driver

    def bringup(self, **parameters: Any) -> Process:
        """Start the bring-up node, quick."""
        return self.bench.node("bringup", {"robot": self.contract, "speed": 0.5, **PATIENT, **parameters})

    def up(self, **parameters: Any) -> Process:
        """Bring both arms up, without waiting for an operator's grippers."""
        node = self.bringup(ceremony=False, **parameters)
        node.expect("is up, and its motors are watched")
        return node

    def at(self, messages: list[tuple[float, Any]] | None = None) -> np.ndarray:
        """(7,) where the follower, or another arm, is now; rad."""
        return np.array((self.states if messages is None else messages)[-1][1].position[:7])

    def since(self, began: float) -> np.ndarray:
        """(N, 7) where the follower has been since a time (time.monotonic)."""
        return np.array([message.position[:7] for at, message in self.states if at >= began])

    def until_at(self, pose: Any, joints: int = 6, tolerance: float = 0.06, arm: list[Any] | None = None) -> None:
        """Wait until an arm is at a pose."""
        messages = self.states if arm is None else arm

        def there() -> bool:
            wanted = np.array(pose)[:joints]
            return bool(messages) and bool(np.abs(self.at(messages)[: len(wanted)] - wanted).max() < tolerance)

        until(there, f"at {pose}")

    def until_status(self, words: str, level: bytes | None = None, *, since: float = 0.0) -> DiagnosticStatus:
        """Wait for a status of the bring-up that has these words."""

        def said() -> DiagnosticStatus | None:
            fits = (s for at, s in self.bringups if at >= since and words in s.message and level in (None, s.level))
            return next(fits, None)

        found: DiagnosticStatus = until(said, f"'{words}' in bringup's status")
        return found

    def phase(self) -> str:
        """The teleop node's phase of the arm."""
        values = self.teleops[-1][1].values if self.teleops else []
        return next((pair.value for pair in values if pair.key == "phase_left"), "")

    def hand(self, *pose: float) -> None:
        """A hand takes the leader to a pose, gripper included."""
        self.leader.tell("hand " + ",".join(map(str, pose)))

    def seconds(self, since: float, start: Sequence[float], end: Sequence[float]) -> float:
        """How long the follower took from a pose to another, in its messages since a time."""
        rows = [(at, np.array(message.position[: len(start)])) for at, message in self.states if at >= since]
        left = next(at for at, row in rows if np.abs(row - np.array(start)).max() > 0.05)
        return next(at for at, row in rows if np.abs(row - np.array(end)).max() < 0.06) - left

    def still(self, seconds: float) -> np.ndarray:
        """(7,) how far the follower moves in a time."""
        began = time.monotonic()
        time.sleep(seconds)
        rows = self.since(began)
        moved: np.ndarray = rows.max(axis=0) - rows.min(axis=0)
        return moved

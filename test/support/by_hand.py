"""A demonstration as key presses: what to press, from where the tip is and where things lie."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vgil_ros.assets import share_dir
from vgil_ros.core.contract import Contract
from vgil_ros.core.layout import Layout
from vgil_ros.robots.jog.tip import TipMotion
from vgil_ros.robots.sim.tasks.base import CUBE
from vgil_ros.robots.sim.tasks.pick_place import TARGET
from vgil_ros.robots.transforms import pose_rpy

ABOVE = 0.10  # m
STEP, TURN = 0.01, 0.1  # m, rad: of a key press at the highest speed level


def small_sim_robot(folder: Path) -> Path:
    """The simulated single arm with one small camera."""
    text = (share_dir() / "config" / "robots" / "sim_single.yaml").read_text(encoding="utf-8")
    described: dict[str, Any] = yaml.safe_load(text)
    described["cameras"] = [{**described["cameras"][0], "height": 48, "width": 64}]
    path = folder / "sim_by_hand.yaml"
    path.write_text(yaml.safe_dump(described), encoding="utf-8")
    return path


class KeyedHand(ABC):
    """Presses keys of `jog` in step mode at the highest speed level.

    Args:
        contract: a robot whose first arm is moved.
    """

    def __init__(self, contract: Contract) -> None:
        layout = Layout(contract)
        self.contract, self.arm = contract, layout.arms[0]
        self.tip = TipMotion(layout, self.arm, 1.0)

    @abstractmethod
    def press(self, keys: str) -> None:
        """Press keys one after the other."""

    @abstractmethod
    def position(self) -> np.ndarray:
        """Where the master is, (J,) in units of the action."""

    @abstractmethod
    def rest(self) -> None:
        """Wait until the master has moved since the last press and stands still again."""

    def pose(self) -> np.ndarray:
        """Where the tip is in the arm's base, (4, 4)."""
        return self.tip.pose(self.position())

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
        if pressed.strip("+-"):
            self.press(pressed)
            self.rest()

    def pick_and_place(self, scene: Mapping[str, np.ndarray]) -> None:
        """Take the cube to its field; both are in the simulator's `objects`."""
        mount = pose_rpy(self.arm.arm.mount.xyz, self.arm.arm.mount.rpy)
        cube, field = (np.linalg.inv(mount) @ scene[name] for name in (CUBE, TARGET))
        self.go(("gt", math.pi / 2 - math.asin(-self.pose()[2, 0]), TURN))
        yaw = math.atan2(cube[1, 0], cube[0, 0])
        self.go(("fh", (yaw + math.pi / 4) % (math.pi / 2) - math.pi / 4, TURN))
        for place in (cube[:3, 3], field[:3, 3] + [0.0, 0.0, 0.024]):
            self._bring_to(place)
            self.press(" ")
            self.rest()
            self.go(("uo", ABOVE, STEP))

    def _bring_to(self, xyz: np.ndarray) -> None:
        """Bring the tip over a place, and down to it; the last bit again, as a hand would."""
        way = xyz - self.pose()[:3, 3]
        self.go(("ik", way[0], STEP), ("jl", way[1], STEP))
        self.go(("uo", (xyz - self.pose()[:3, 3])[2], STEP))
        way = xyz - self.pose()[:3, 3]
        self.go(("ik", way[0], STEP), ("jl", way[1], STEP), ("uo", way[2], STEP))
        np.testing.assert_allclose(self.pose()[:3, 3], xyz, atol=2e-3)

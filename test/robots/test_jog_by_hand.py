"""`pick_place` by key presses alone, in the simulator's own time: keys, their holding, jogging and physics, no ROS."""

from __future__ import annotations

import numpy as np
import pytest
from support.by_hand import KeyedHand

pytest.importorskip("mujoco")

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.robots.jog.jogger import Jogger
from vgil_ros.robots.jog.keys import COMMAND_KEYS, MOTIONS, HeldKeys, KeyNames
from vgil_ros.robots.jog.settings import JogSettings
from vgil_ros.robots.sim.robot import SimRobot

DT = 0.01
LONGEST_S = 20.0


class SimulatedHand(KeyedHand):
    """The puppet is sent wherever the master is, as teleop would once it is aligned."""

    def __init__(self, seed: int) -> None:
        super().__init__(load_contract("sim_single")[0])
        self.robot = SimRobot(self.contract, "pick_place", seed)
        settings = JogSettings()
        self.jogger = Jogger(Layout(self.contract), [self.arm], settings, level=3)
        self.jogger.measured(0, self.arm.command.normalise(self.robot.joint_states("arm").position[:7]))
        step_s = [settings.step_linear / settings.linear] * 3 + [settings.step_angular / settings.angular] * 3
        self.held, self.names = HeldKeys(0.5, 0.15, np.array([*step_s, 0.1])), KeyNames()
        self.waiting = ""

    def press(self, keys: str) -> None:
        self.waiting += keys

    def position(self) -> np.ndarray:
        position = self.jogger.arm.position
        assert position is not None
        return position

    def tick(self) -> None:
        came, self.waiting = self.waiting[:3], self.waiting[3:]  # as a terminal brings them
        for key in self.names.feed(came):
            if key in MOTIONS:
                self.held.press(key, self.jogger.pace)
            else:
                self.jogger.do(COMMAND_KEYS[key])
        stick = self.held.stick(DT, self.jogger.pace)
        self.jogger.step(DT, self.jogger.twist(stick), float(stick[6]))
        self.robot.step(DT, {"arm": self.arm.command.restore(self.position())})

    def rest(self) -> None:
        still = 0
        for _ in range(round(LONGEST_S / DT)):
            before = self.position().copy()
            self.tick()
            still = 0 if self.waiting or not np.array_equal(before, self.position()) else still + 1
            if still * DT >= 0.3:
                return
        raise AssertionError("it does not come to rest")


@pytest.mark.parametrize("seed", [4, 7])
def test_pick_place_succeeds_by_key_presses(seed: int) -> None:
    hand = SimulatedHand(seed)
    hand.press("e")
    hand.pick_and_place(hand.robot.objects())
    assert hand.robot.success()

"""The guard and the watch over following have nothing to say of a simulated robot at its task, in contact and all."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco")

from vgil_ros.assets import load_contract
from vgil_ros.core.guard.following import following_monitor
from vgil_ros.core.guard.reading_guard import guards_of
from vgil_ros.core.layout import Layout
from vgil_ros.robots.operators import make_operator
from vgil_ros.robots.sim.robot import SimRobot

RATE = 100
START = 10**18


@pytest.mark.parametrize(("name", "task"), [("sim_single", "pick_place"), ("sim_aloha", "transfer_cube")])
def test_a_demonstration_is_believed_and_followed(name: str, task: str) -> None:
    contract, _ = load_contract(name)
    layout, guards = Layout(contract), guards_of(contract)
    robot = SimRobot(contract, task, 1)
    operator, monitor = make_operator(robot, 1), following_monitor(layout)
    assert monitor is not None
    for i in range(9 * RATE):
        masters = operator.masters_after(0.5)
        commands = {
            arm.arm.name: arm.command.restore(arm.master.normalise(masters[arm.arm.name])) for arm in layout.arms
        }
        robot.step(1 / RATE, commands)
        now = START + i * 10**9 // RATE
        measured = []
        for arm in layout.arms:
            states, stream = robot.joint_states(arm.arm.name), arm.arm.name
            raw = states.position[: len(arm.arm.joints)]
            assert guards[f"{stream}/puppet"].judge(now, now, raw) is None
            assert guards[f"{stream}/master"].judge(now, now, masters[stream]) is None
            measured.append(arm.state.normalise(raw))
        sent = np.concatenate([arm.command.normalise(commands[arm.arm.name]) for arm in layout.arms])
        assert not monitor.update(now, sent, np.concatenate(measured)).any()

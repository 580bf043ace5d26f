"""Scripted operators solve their tasks by moving masters that puppets follow, also when these come late."""

from __future__ import annotations

import numpy as np
import pytest

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.robots.operators import make_operator
from vgil_ros.robots.operators.motion import Tremor, min_jerk
from vgil_ros.robots.operators.script import Operator
from vgil_ros.robots.sim.robot import SimRobot

TICK = 0.02


def follow(robot: SimRobot, operator: Operator, delay: int, ticks: int = 500) -> tuple[list[float], list[np.ndarray]]:
    """Let puppets follow masters `delay` half-ticks (10 ms) late; return rewards and actions by tick."""
    layout = Layout(robot.contract)
    names = [arm.name for arm in robot.contract.arms]
    sent: list[dict[str, np.ndarray]] = []
    rewards, actions = [], []
    for _ in range(ticks):
        masters = operator.masters()
        action = np.concatenate([a.master.normalise(masters[a.arm.name]) for a in layout.arms])
        command = dict(zip(names, layout.commands(action), strict=True))
        for _ in range(2):
            sent.append(command)
            robot.step(TICK / 2, sent[-1 - delay] if len(sent) > delay else None)
        rewards.append(robot.reward())
        actions.append(action)
        if operator.finished:
            break
    return rewards, actions


@pytest.mark.parametrize("delay", [0, 4])
@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("sim_single", "pick_place"),
        ("sim_single", "pick_place_any"),
        ("sim_aloha", "pick_place"),
        ("sim_aloha", "transfer_cube"),
        ("mobile_aloha", "transfer_cube"),  # a base, grippers measured in rad, masters with a range of their own
    ],
)
def test_the_operator_solves_its_task(name: str, task: str, delay: int) -> None:
    contract, _ = load_contract(name)
    robot = SimRobot(contract, task)
    operator = make_operator(robot)
    for seed in (100, 101, 102):
        robot.reset(seed)
        operator.reset(seed)
        rewards, actions = follow(robot, operator, delay)
        assert operator.finished
        assert robot.success()
        assert sorted(set(rewards)) == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert 250 <= len(rewards) <= 450
        speed = np.abs(np.diff(actions, axis=0)) / TICK
        layout = Layout(contract)
        hands = [arm.gripper_column for arm in layout.arms if arm.gripper_column is not None]
        fastest = layout.limit("velocity")
        assert fastest is not None
        assert (np.delete(speed, hands, axis=1) < np.delete(fastest, hands)).all()


def test_equal_seeds_give_equal_hands_and_others_differ() -> None:
    robot = SimRobot(load_contract("sim_single")[0], "pick_place")

    def actions(seed: int) -> np.ndarray:
        robot.reset(1)
        operator = make_operator(robot, seed)
        return np.array(follow(robot, operator, 0, ticks=150)[1])

    first = actions(1)
    np.testing.assert_array_equal(first, actions(1))
    assert np.abs(first - actions(2)).max() > 0.005


def test_the_operator_waits_for_puppets_that_do_not_follow_yet() -> None:
    robot = SimRobot(load_contract("sim_single")[0], "pick_place")
    robot.command("arm", robot.arms["arm"].home + np.array([0.5, 0, 0, 0, 0, 0, 0]))
    robot.step(1.0)
    operator = make_operator(robot)
    for _ in range(150):
        position = operator.masters()["arm"]
        robot.step(TICK)
    np.testing.assert_allclose(position[:6], robot.arms["arm"].home[:6], atol=0.01)
    assert not operator.finished
    robot.command("arm", robot.arms["arm"].home)
    for _ in range(100):
        position = operator.masters()["arm"]
        robot.step(TICK)
    assert np.abs(position[:6] - robot.arms["arm"].home[:6]).max() > 0.2


def test_masters_speak_in_their_own_units() -> None:
    contract, _ = load_contract("sim_single")
    arm = contract.arms[0]
    assert arm.gripper is not None
    gripper = arm.gripper.model_copy(update={"master_range": (-0.4, 1.6)})
    robot = SimRobot(contract.model_copy(update={"arms": (arm.model_copy(update={"gripper": gripper}),)}), "pick_place")
    assert make_operator(robot).home()["arm"][6] == pytest.approx(1.6)


def test_min_jerk_starts_and_ends_at_rest() -> None:
    s = np.array([min_jerk(x) for x in np.linspace(-0.5, 1.5, 2001)])
    assert (np.diff(s) >= 0).all()
    assert (s[0], s[1000], s[-1]) == (0.0, pytest.approx(0.5), 1.0)
    assert np.abs(np.diff(s, 2)).max() < 1e-5  # no jump in speed, neither at the ends


def test_tremor_stays_small() -> None:
    tremor = Tremor(7, 0.003, np.random.default_rng(0))
    values = np.array([tremor.at(t) for t in np.linspace(0, 20, 500)])
    assert 0.0005 < np.abs(values).max() <= 0.003


def test_a_teleoperation_that_starts_late_costs_time_but_not_the_task() -> None:
    robot = SimRobot(load_contract("sim_single")[0], "pick_place", 5)
    operator = make_operator(robot, 5)
    for _ in range(400):  # 8 s in which nobody follows
        operator.masters()
        robot.step(TICK)
    assert not operator.finished
    follow(robot, operator, 0)
    assert operator.finished
    assert robot.success()

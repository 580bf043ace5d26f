"""Every shipped contract drives a fake of its robot, whose drivers know their own topics, types and names.

Teleop, record, replay and a policy, over real nodes and DDS, one robot after the other.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from support.robots.drivers import DRIVERS
from support.robots.stage import ROWS, Day, ShippedBench

from vgil_ros.assets import load_contract, robot_names
from vgil_ros.core.contract import Contract
from vgil_ros.core.layout import Layout
from vgil_ros.episodes import EpisodeReader
from vgil_ros.episodes.checks.check import check_episode

pytestmark = pytest.mark.robots  # a day in real time: `make test-robots`

SIMULATED = {"sim_aloha", "sim_single", "gym_aloha"}  # their drivers are ours, and tested with the simulators
NEEDS = {
    "interbotix_group": "interbotix_xs_msgs",
    "gripper_command": "control_msgs",
    "parallel_gripper_command": "control_msgs",
}
LEAD = 0.05  # rad on average: a follower's joint is nearer to its own leader's than to another's


def needs(contract: Contract) -> list[str]:
    """Packages of messages that its commands need, and that are not installed."""
    kinds = {arm.command.type for arm in contract.arms}
    kinds |= {arm.gripper.command.type for arm in contract.arms if arm.gripper and arm.gripper.command}
    wanted = {package for kind, package in NEEDS.items() if kind in kinds}
    return sorted(package for package in wanted if importlib.util.find_spec(package) is None)


def live(robot: str, folder: Path) -> Day:
    with ShippedBench(robot, folder) as bench:
        return bench.live()


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Day]]]:
    """A day of each robot; the next one begins while the one before is looked at."""
    able = [robot for robot in DRIVERS if not needs(load_contract(robot)[0])]
    with ThreadPoolExecutor(1) as pool:
        yield {robot: pool.submit(live, robot, tmp_path_factory.mktemp(robot)) for robot in able}
        pool.shutdown(cancel_futures=True)


def test_no_contract_is_forgotten() -> None:
    assert set(robot_names()) == SIMULATED | set(DRIVERS)


@pytest.mark.parametrize("robot", sorted(DRIVERS))
def test_it_drives_its_robot_through_teleop_record_replay_and_a_policy(
    robot: str, days: dict[str, Future[Day]]
) -> None:
    contract, _ = load_contract(robot)
    if missing := needs(contract):
        pytest.skip(f"{missing} not installed")
    day = days[robot].result()
    assert_recorded(day, Layout(contract))
    assert_commanded(day, contract)
    assert day.replay[0] == 0, day.replay[1]
    assert f"replayed {ROWS} ticks" in day.replay[1]


def assert_recorded(day: Day, layout: Layout) -> None:
    """Each column moves, and each follower's joint goes where its own leader's does."""
    assert day.episode is not None
    report = check_episode(day.episode)
    assert report.ok, [*map(str, report.findings)]
    with EpisodeReader(day.episode) as episode:
        assert episode.joint_names == layout.joint_names
        qpos, action = np.asarray(episode.qpos), np.asarray(episode.action)
    joints = layout.joints
    assert (np.ptp(action[:, :joints], axis=0) > 0.01).all(), np.ptp(action, axis=0)
    assert (np.ptp(qpos[:, :joints], axis=0) > 0.005).all(), np.ptp(qpos, axis=0)
    arm = np.array([column not in {a.gripper_column for a in layout.arms} for column in range(joints)])
    gap = np.abs(qpos - action)[:, :joints]
    assert gap[:, arm].mean(axis=0).max() < LEAD, gap.mean(axis=0)


def assert_commanded(day: Day, contract: Contract) -> None:
    """Every command topic was heard, in each part of the day, and nothing was refused."""
    reports = day.reports
    for name, report in reports.items():
        assert not report.refused, (name, report.refused[:3])
    commands = DRIVERS[contract.name]().commands
    wanted = {command.topic for command in commands}
    actions = {command.topic for command in commands if command.kind in ("gripper_command", "parallel")}
    follows = all(arm.driver_follows_master for arm in contract.arms)
    for before, after in zip([*reports.values()][:-1], [*reports.values()][1:], strict=True):
        assert set(after.taken) >= set(before.taken)
        moving = [topic for topic in after.taken if topic not in actions]  # a goal that stays is not sent again
        assert all(after.taken[topic] > before.taken.get(topic, 0) for topic in moving), (before, after)
    assert all(any(heard.startswith(topic) for heard in reports["recorded"].taken) for topic in wanted)
    assert ("its own driver follows the masters" in day.teleop) == follows

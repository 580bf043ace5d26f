"""The replay node: slowly to the first action, one action a tick, a hold at the end; refusals before motion."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.process import Process

pytest.importorskip("rclpy")

from sensor_msgs.msg import JointState
from support import contracts
from support.nodes.client import until
from support.nodes.command_log import Commands
from support.nodes.made_episode import episode
from support.nodes.policy_rig import STANDS, PolicyBench, robot

from vgil_ros.core.layout import Layout

TOPIC = "/puppet/command"
ROWS = 60


class Stage:
    """A robot, a listener, and an episode that begins 0.5 rad from where the robot stands."""

    def __init__(self, bench: PolicyBench) -> None:
        self.bench = bench
        self.contract = contracts.write(robot(), bench.folder / "robot.yaml")
        self.commands: Commands = bench.listen(self.contract)
        self.robot = bench.robot(self.contract)
        self.robot.expect("^ready")
        self.robot.tell(f"left/puppet at {','.join(map(str, STANDS))}")
        ramp = np.linspace(0, 1, ROWS)[:, None]
        self.actions = np.array([0.5, -0.3, 0.5]) + ramp * np.array([0.4, 0.4, 0.2])
        self.base = np.tile([0.2, -0.1], (ROWS, 1))

    def file(self, folder: str, **changes: np.ndarray) -> Path:
        given = {"actions": self.actions, "base": self.base, **changes}
        return episode(self.contract, self.bench.folder / folder, **given)

    def replay(self, file: Path, contract: Path | None = None, **parameters: object) -> Process:
        given = {"robot": contract or self.contract, "episode": file, **parameters}
        return self.bench.module("vgil_ros.nodes.replay", given)

    def assert_allowed(self) -> int:
        return self.commands.assert_allowed({"left": STANDS})


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with PolicyBench(tmp_path) as bench:
        yield Stage(bench)


def test_it_goes_slowly_to_the_first_action_replays_and_holds_at_the_end(stage: Stage) -> None:
    node = stage.replay(stage.file("episodes"))
    assert node.wait() == 0, node.output
    assert f"replayed {ROWS} ticks" in node.output
    assert node.output.count("replayed") == 1
    stage.commands.wait_for_rest(4)
    assert stage.assert_allowed() > 2 * ROWS
    sent = np.array([messages.values for messages in stage.commands.on(TOPIC)])
    wanted = np.array([Layout(stage.commands.contract).commands(a)[0] for a in stage.actions])
    end = len(sent) - np.argmax(np.abs(sent[::-1] - wanted[-1]).max(axis=1) > 1e-5) + 1  # first row at the end
    np.testing.assert_allclose(sent[end - ROWS : end][5:], wanted[5:], atol=1e-5)
    far = np.abs(sent[:-1] - wanted[0])[:, :2].max(axis=1) > 0.05 * 2.0 + 1e-6
    assert far[:20].all()
    way = np.abs(np.diff(sent, axis=0))[far & (np.arange(len(far)) < end - ROWS)] * 50
    assert way.max() <= 0.2 * 2.0 + 1e-6, "a fifth of the velocity limit on the way to the first action"
    base = stage.commands.on("/cmd_vel")
    driving = [messages for messages in base if messages.values.any()]
    assert ROWS - 3 <= len(driving) <= ROWS
    np.testing.assert_allclose(driving[0].values, [0.2, -0.1], atol=1e-6)


def test_a_first_action_beyond_the_limits_is_reached_at_the_limit(stage: Stage) -> None:
    actions = stage.actions + np.array([1.7, 0.0, 0.0])  # 2.2 .. 2.6 where 2.0 is the limit
    node = stage.replay(stage.file("episodes", actions=actions))
    assert node.wait() == 0, node.output
    assert stage.assert_allowed() > ROWS
    assert max(messages.values[0] for messages in stage.commands.on(TOPIC)) == pytest.approx(2.0)


def test_a_stream_that_stops_holds_and_ctrl_c_ends_it_at_rest(stage: Stage) -> None:
    slowly = {"actions": np.repeat(stage.actions, 6, axis=0), "base": np.repeat(stage.base, 6, axis=0)}
    node = stage.replay(stage.file("episodes", **slowly))
    until(lambda: any(messages.values.any() for messages in stage.commands.on("/cmd_vel")), "it replays")
    failed = stage.robot.tell("left/puppet stop").at
    node.expect("holding: left/puppet is .* old")
    assert stage.commands.assert_holds(failed + 0.25, 0.25)
    time.sleep(1.6)
    count = len(stage.commands.on(TOPIC))
    time.sleep(0.4)
    assert len(stage.commands.on(TOPIC)) == count, "its driver may have ended: it must find no old command"
    stage.robot.tell("left/puppet well")
    stage.robot.tell(f"left/puppet at {','.join(map(str, STANDS))}")
    node.expect("holding: recovered")
    time.sleep(0.5)
    node.send(signal.SIGINT)
    assert node.wait() == 0
    stage.commands.wait_for_rest(4)
    assert stage.assert_allowed() > 0


def test_a_joint_that_does_not_follow_ends_it_by_name_and_not_in_a_dry_run(stage: Stage) -> None:
    watched = contracts.write(robot(following={}), stage.bench.folder / "watched.yaml")
    file = stage.file("episodes")
    node = stage.replay(file, watched)  # the fake robot stays where it is
    assert node.wait() == 1, node.output
    node.expect(r"held at row \d+ of 60: left/waist does not follow: commanded to .*, measured at 0 for 1 s")
    stage.assert_allowed()
    sent = stage.commands.on(TOPIC)
    assert max(abs(message.values[0]) for message in sent) > 0.3
    assert [message.values[0] for message in sent[-4:]] == pytest.approx([0.0] * 4, abs=1e-6), "where it is measured"
    assert stage.replay(file, watched, dry_run=True).wait() == 0


def test_another_node_that_commands_the_robot_is_waited_for_and_one_that_comes_ends_it(stage: Stage) -> None:
    client = stage.bench.client.node
    intruder = client.create_publisher(JointState, TOPIC, 10)
    node = stage.replay(stage.file("episodes"))
    node.expect(f"waiting for: commands on {TOPIC} come from node /client too; only one may command")
    assert stage.commands.all == []
    client.destroy_publisher(intruder)
    until(lambda: any(messages.values.any() for messages in stage.commands.on("/cmd_vel")), "it replays")
    client.create_publisher(JointState, TOPIC, 10)
    assert node.wait() == 1, node.output
    assert "held, and let go of; the replay ends here" in node.output
    stage.commands.wait_for_rest()
    assert stage.assert_allowed() > 0


def test_a_dry_run_sends_nothing(stage: Stage) -> None:
    node = stage.replay(stage.file("episodes"), dry_run=True)
    assert node.wait() == 0, node.output
    assert stage.commands.all == []


def test_another_robots_episode_and_one_that_is_not_finite_are_refused(stage: Stage, tmp_path: Path) -> None:
    file = stage.file("episodes")
    arm = contracts.ARM | {"joints": ["waist", "elbow", "hook"], "gripper": None}
    other = contracts.write(robot(arms=[arm]), tmp_path / "other.yaml")
    slow = contracts.write(robot(rate_hz=25), tmp_path / "slow.yaml")
    two = {**contracts.ARM, "joints": ["waist", "elbow"], "home": [0.0, 0.0], "gripper": None}
    two["limits"] = {key: values[:2] for key, values in contracts.ARM["limits"].items()}
    fewer = contracts.write(robot(arms=[two]), tmp_path / "fewer.yaml")
    for contract, reason in (
        (other, "joints are .*left/grip.*the robot's are .*left/hook"),
        (slow, "recorded at 50 Hz; the robot runs at 25 Hz"),
        (fewer, "3 action dims; robot 'small' has 2"),
    ):
        node = stage.replay(file, contract)
        node.expect(reason)
        assert node.wait() == 2, node.output
    with h5py.File(file, "r+") as episode:
        base = episode["base_action"][:]
        del episode["base_action"]
        episode["base_action"] = base[:3]
    node = stage.replay(file)
    node.expect("found 60 actions and 3 of the base; allowed: one or more, and as many of the base")
    assert node.wait() == 2, node.output
    node = stage.replay(tmp_path / "none.hdf5")
    node.expect("none.hdf5")
    assert node.wait() == 2, node.output
    node = stage.bench.module("vgil_ros.nodes.replay", {"robot": stage.contract})
    node.expect("parameter 'episode' is empty")
    assert node.wait() == 2, node.output
    assert stage.commands.all == []

"""RosEnvironment on the simulated robot, a process of its own, over DDS."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import dm_env
import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("mujoco")

from geometry_msgs.msg import Twist  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from support.nodes.bench import Bench, ros_arguments  # noqa: E402
from support.nodes.client import until  # noqa: E402
from support.nodes.light_sim import PARAMETERS, light_robot  # noqa: E402
from support.process import Process  # noqa: E402

from vgil_ros.core.errors import VgilError  # noqa: E402
from vgil_ros.nodes.environment.environment import RosEnvironment  # noqa: E402

LENGTH = 12


@contextlib.contextmanager
def simulated(change: Callable[[dict[str, Any]], None] | None = None) -> Iterator[tuple[Bench, Process]]:
    """A simulated robot without an operator, in its own domain; its contract is `robot_of(bench)`."""
    with tempfile.TemporaryDirectory() as folder, Bench(Path(folder)) as bench:
        robot = light_robot(bench.folder, change=change)
        given = {"robot": robot, "operator": False, **PARAMETERS}
        process = Process.python(["-m", "vgil_ros.nodes", "sim", *ros_arguments(given)], bench.environment)
        process.expect("seed 0")
        try:
            yield bench, process
        finally:
            process.popen.terminate()
            process.popen.wait(90)


def robot_of(bench: Bench) -> str:
    """The contract of a bench's simulated robot."""
    return str(bench.folder / "light_sim_single.yaml")


def make(bench: Bench, **options: Any) -> RosEnvironment:
    """The environment on that robot."""
    given = {"reset_service": "/sim/reset", "reward_topic": "/sim/reward", "success_topic": "/sim/success"} | options
    return RosEnvironment(robot_of(bench), domain_id=bench.domain, timeout_s=60.0, **{"episode_len": LENGTH, **given})


class TestContractOfDmEnv(test_utils.EnvironmentTestMixin, absltest.TestCase):
    """dm_env's own tests. Every second action sequence runs over an episode's end."""

    _stack: ClassVar[contextlib.ExitStack]
    _bench: ClassVar[Bench]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls._stack = contextlib.ExitStack()
        cls._bench, _ = cls._stack.enter_context(simulated())

    @classmethod
    def tearDownClass(cls) -> None:
        cls._stack.close()
        super().tearDownClass()

    def make_object_under_test(self) -> RosEnvironment:
        return make(self._bench)

    def make_action_sequence(self) -> Iterator[np.ndarray]:
        for _ in range(LENGTH + 5):
            yield self.make_action()


@pytest.fixture(scope="module")
def single() -> Iterator[Bench]:
    """A simulated arm that all tests of this file share."""
    with simulated() as (bench, _):
        yield bench


def test_an_action_moves_the_arm_there(single: Bench) -> None:
    with make(single, episode_len=400) as environment:
        first = environment.reset()
        goal = first.observation["qpos"].copy()
        goal[0] += 0.3
        for _ in range(390):  # a busy machine simulates more slowly than the ticks come
            step = environment.step(goal)
            if step.observation["qpos"] == pytest.approx(goal, abs=0.1):
                break
        assert step.observation["qpos"] == pytest.approx(goal, abs=0.1)
        assert step.step_type is dm_env.StepType.MID
        assert step.observation["images"]["cam_high"].std() > 5.0
        assert not step.observation["images"]["cam_high"].flags.writeable


def test_the_length_truncates_and_the_next_step_resets(single: Bench) -> None:
    with make(single, episode_len=3) as environment:
        home = environment.reset().observation["qpos"]
        steps = [environment.step(home) for _ in range(4)]
    assert [step.step_type.name for step in steps] == ["MID", "MID", "LAST", "FIRST"]
    assert [step.discount for step in steps] == [1.0, 1.0, 1.0, None]
    assert steps[0].reward is not None


def test_commands_stay_within_the_limits(single: Bench) -> None:
    messages = single.client.collect(JointState, "/puppet/command")
    with make(single, episode_len=400) as environment:
        spec = environment.action_spec()
        environment.reset()
        for i in range(40):
            environment.step(spec.maximum if i // 10 % 2 else spec.minimum)
    until(lambda: len(messages) >= 30, "commands")
    commands = np.array([message.position for _, message in messages])
    limits = environment.contract.arms[0].limits
    steps = np.abs(np.diff(commands, axis=0)) * environment.contract.rate_hz
    assert (steps <= np.array(limits.velocity) * 1.001).all()
    assert (commands >= np.array(limits.lower) - 1e-9).all()
    assert (commands <= np.array(limits.upper) + 1e-9).all()
    assert np.ptp(commands, axis=0)[0] > 0.05


def test_wrong_arguments_are_named(single: Bench) -> None:
    with make(single) as environment:
        environment.reset()
        with pytest.raises(VgilError, match=r"action has shape \(3,\); allowed: \(7,\)"):
            environment.step(np.zeros(3))
        environment.close()
        with pytest.raises(VgilError, match="closed"):
            environment.reset()
    with pytest.raises(VgilError, match="episode_len is 0"):
        make(single, episode_len=0)
    with make(single, reset_service="/nobody/reset") as environment:
        environment._timeout = 0.5
        with pytest.raises(VgilError, match="nobody offers /nobody/reset"):
            environment.reset()


def test_streams_that_do_not_come_are_named(bench: Bench) -> None:
    with pytest.raises(VgilError) as found:
        RosEnvironment("sim_single", domain_id=bench.domain, timeout_s=1.0)
    for name in ("arm/puppet: nothing received on /puppet/joint_states", "cam_high: nothing", "cam_wrist: nothing"):
        assert name in str(found.value)
    assert "master" not in str(found.value)


def test_a_robot_that_dies_is_named_and_the_base_is_stopped() -> None:
    base = {"odom": {"topic": "/odom"}, "command": {"topic": "/cmd_vel"}, "limits": {"linear": 0.5, "angular": 1.0}}
    with simulated(lambda raw: raw.update(base=base)) as (bench, sim):
        messages = bench.client.collect(Twist, "/cmd_vel")
        with make(bench, episode_len=400) as environment:
            action = np.concatenate([environment.reset().observation["qpos"], [0.2, 0.0]])
            drive(environment, action, messages)
        until(lambda: messages[-1][1].linear.x == 0.0, "a base at rest after close")
        with make(bench, episode_len=400) as environment:
            environment.reset()
            drive(environment, action, messages)
            sim.popen.kill()
            with pytest.raises(VgilError, match=r"stream lost: .*arm/puppet"):
                follow(environment, action, 200)
            until(lambda: messages[-1][1].linear.x == 0.0, "a base at rest after the streams were lost")


def drive(environment: RosEnvironment, action: np.ndarray, messages: list[tuple[float, Any]]) -> None:
    """Step until the base was told to go."""
    for _ in range(150):
        step = environment.step(action)
        if messages and messages[-1][1].linear.x == pytest.approx(action[-2]):
            break
    assert messages[-1][1].linear.x == pytest.approx(action[-2])
    assert step.observation["base_vel"].shape == (2,)


def follow(environment: RosEnvironment, action: np.ndarray, steps: int) -> None:
    """Ask for the same action so often."""
    for _ in range(steps):
        environment.step(action)


def follow_through(environment: RosEnvironment, action: np.ndarray) -> None:
    """Ask for the same action in one episode after another, should a busy machine end them."""
    for _ in range(10):
        try:
            follow(environment, action, 200)
        except VgilError as error:
            if "stream lost" not in str(error):
                raise
        environment.reset()


def test_a_silent_caller_holds_the_robot(single: Bench) -> None:
    with make(single, episode_len=400) as environment:
        environment.reset()
        goal = environment.action_spec().maximum
        messages = single.client.collect(JointState, "/puppet/command")
        environment.step(goal)

        def rests() -> bool:
            last = [message.position for _, message in messages[-10:]]
            return len(messages) > 30 and float(np.ptp(np.array(last), axis=0).max()) < 1e-9

        until(rests, "a robot that is held")
        assert (np.array(messages[-1][1].position) < np.array(environment.contract.arms[0].limits.upper)).any()


def test_a_joint_that_does_not_follow_ends_the_episode_by_name(bench: Bench) -> None:
    contract = bench.contract(cameras=[], following={})
    bench.robot(contract).tell("left/puppet at 0.0,0.0,0.1")  # and there it stays
    messages = bench.client.collect(JointState, "/puppet/command")
    with RosEnvironment(str(contract), domain_id=bench.domain, timeout_s=30.0) as environment:
        environment.reset()
        with pytest.raises(VgilError, match=r"left/waist does not follow: commanded to .*, measured at 0 for 1 s"):
            follow(environment, np.array([1.0, 0.0, 1.0]), 300)
        node = bench.client.node
        until(lambda: not node.count_publishers("/puppet/command"), "the environment lets go of the robot")
    sent = [message.position[0] for _, message in messages]
    assert max(sent) > 0.3
    assert sent[-1] == pytest.approx(0.0, abs=1e-6), "it was held until its command was where it is measured"
    assert abs(sent[0]) < 0.05, "and the first of its commands has arrived"


def test_commands_that_nobody_hears_are_named(bench: Bench) -> None:
    contract = bench.contract(cameras=[])
    bench.robot(contract).expect("^ready")
    with RosEnvironment(str(contract), domain_id=bench.domain, timeout_s=30.0) as environment:
        home = environment.reset().observation["qpos"]
        with pytest.raises(VgilError, match="no complete tick within 2 s: the robot does not hear /puppet/command"):
            environment.step(home)
        messages = bench.client.collect(JointState, "/puppet/command")
        environment.reset()
        environment.step(home)
        until(lambda: messages, "a command")


def test_another_node_that_commands_the_robot_ends_the_episode_and_refuses_the_next(single: Bench) -> None:
    with make(single, episode_len=400) as environment:
        action = environment.reset().observation["qpos"]
        environment.step(action)
        node = single.client.node
        intruder: Any = node.create_publisher(JointState, "/puppet/command", 10)
        words = "commands on /puppet/command come from node /client too; only one may command"
        with pytest.raises(VgilError, match=words):
            follow_through(environment, action)
        until(lambda: node.count_publishers("/puppet/command") == 1, "the environment lets go of the robot")
        with pytest.raises(VgilError, match=words):
            environment.reset()
        node.destroy_publisher(intruder)
        until(lambda: not node.count_publishers("/puppet/command"), "nobody commands")
        environment.reset()
        assert not environment.step(action).first()

"""The node `sim` as a process of its own, met over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

rclpy = pytest.importorskip("rclpy")

from geometry_msgs.msg import Twist  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Bool, Empty, Float32, Float64MultiArray  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from support.nodes.domains import own_domain  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

from vgil_ros.assets import contract_path, load_contract  # noqa: E402
from vgil_ros.nodes.query.client import small_segments  # noqa: E402

small_segments()  # a process that the machine keeps waiting is not given up after a second
DOMAIN = own_domain()
HOME = np.array([0.0, -0.96, 1.16, 0.0, -0.3, 0.0, 0.057])


class Sim:
    """The node's process, and a peer that listens to it."""

    def __init__(self, log: Path, robot: str, **parameters: Any) -> None:
        self._log = log
        given = [f"{key}:={value}" for key, value in {"robot": robot, **parameters}.items()]
        command = [sys.executable, "-m", "vgil_ros.nodes", "sim", "--ros-args"]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command + [part for pair in given for part in ("-p", pair)],
                env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN), "PYTHONUNBUFFERED": "1"},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.context = Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.got: dict[str, list[Any]] = defaultdict(list)

    def listen(self, kind: type, topic: str, qos: Any = qos_profile_sensor_data) -> None:
        self.node.create_subscription(kind, topic, self.got[topic].append, qos)

    def until(self, wanted: Callable[[], Any], seconds: float = 90.0) -> None:
        """Spin until `wanted` holds; fail with the node's output when it does not come true."""
        end = time.monotonic() + seconds
        while not wanted():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, f"not within {seconds} s\n{self.log}"
            self.executor.spin_once(timeout_sec=0.05)

    def position(self, topic: str) -> np.ndarray:
        return np.array(self.got[topic][-1].position)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=90)

    def close(self) -> None:
        """The peer first: it shares memory with the node, which a process that is killed may leave locked."""
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sim]]:
    started: list[Sim] = []

    def make(robot: str, **parameters: Any) -> Sim:
        started.append(Sim(tmp_path / f"{len(started)}.log", robot, **parameters))
        return started[-1]

    yield make
    for sim in started:
        sim.close()


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """Write `sim_single` with a change, and return its path."""
    raw = yaml.safe_load(contract_path("sim_single").read_text())
    change(raw)
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(raw))
    return str(path)


def stamp(message: Any) -> float:
    return float(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9)


def test_publishes_all_streams_with_stamps_of_now(start: Callable[..., Sim]) -> None:
    sim = start("sim_aloha", seed=3)
    contract, _ = load_contract("sim_aloha")
    for arm in contract.arms:
        sim.listen(JointState, arm.puppet.topic)
        assert arm.master is not None
        sim.listen(JointState, arm.master.topic, 10)  # a reliable subscriber
    for camera in contract.cameras:
        sim.listen(Image, camera.topic)
    sim.listen(Float32, "/sim/reward")
    sim.listen(Bool, "/sim/success")
    sim.until(lambda: len(sim.got) == 9 and all(len(messages) >= 20 for messages in sim.got.values()))
    for arm in contract.arms:
        assert arm.master is not None
        puppet, master = sim.got[arm.puppet.topic][-1], sim.got[arm.master.topic][-1]
        assert tuple(puppet.name) == tuple(master.name) == arm.joints
        assert len(puppet.position) == len(puppet.velocity) == len(puppet.effort) == len(master.velocity) == 7
        assert abs(stamp(puppet) - time.time()) < 5.0
        steps = np.diff([stamp(message) for message in sim.got[arm.puppet.topic]])
        assert (steps > 0).all()
        assert np.median(steps) == pytest.approx(0.01, abs=0.002)
    for camera in contract.cameras:
        image = sim.got[camera.topic][-1]
        assert (image.height, image.width, image.encoding, image.step) == (240, 320, "rgb8", 960)
        assert len(image.data) == 240 * 960
        assert np.frombuffer(image.data, np.uint8).std() > 20
        assert sim.got[camera.topic][-1].data != sim.got[camera.topic][-2].data
    assert sim.got["/sim/reward"][-1].data == 0.0
    assert sim.end() == 0


def test_follows_commands_and_refuses_bad_ones(start: Callable[..., Sim]) -> None:
    sim = start("sim_single", operator=False, task="pick_place")
    sim.listen(JointState, "/puppet/joint_states")
    out = sim.node.create_publisher(JointState, "/puppet/command", 10)
    names = ["gripper", "waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"]
    target = HOME + np.array([0.4, 0, 0, 0, 0, 0, -0.02])

    def send(joints: list[str], position: np.ndarray) -> None:
        out.publish(JointState(name=joints, position=position.tolist()))
        sim.executor.spin_once(timeout_sec=0.02)

    def arrived() -> bool:
        send(names, np.roll(target, 1))  # another order: names decide
        return bool(sim.got["/puppet/joint_states"]) and np.allclose(
            sim.position("/puppet/joint_states"), target, atol=0.01
        )

    sim.until(arrived)
    for _ in range(5):
        send(["knee", *names[1:]], np.zeros(7))
    sim.until(lambda: "refused" in sim.log)
    assert sim.log.count("['gripper'] is not in the message") == 1
    send(names, np.roll(target, 1))
    sim.until(lambda: "arm/command: recovered" in sim.log)
    broken = np.roll(target, 1)
    broken[1] = np.nan
    send(names, broken)
    sim.until(lambda: "position of ['waist'] is not a finite number" in sim.log)
    send(names, np.zeros(3))
    sim.until(lambda: len(sim.got["/puppet/joint_states"]) > 100)
    np.testing.assert_allclose(sim.position("/puppet/joint_states"), target, atol=0.01)
    assert not sim.node.get_publishers_info_by_topic("/master/joint_states")


@pytest.mark.parametrize("kind", ["float64_multi_array", "joint_trajectory"])
def test_takes_the_contracts_command_type(start: Callable[..., Sim], tmp_path: Path, kind: str) -> None:
    robot = changed(tmp_path, lambda raw: raw["arms"][0]["command"].update(type=kind))
    sim = start(robot, operator=False)
    sim.listen(JointState, "/puppet/joint_states")
    target = HOME + np.array([0.0, 0.2, 0, 0, 0.3, 0, -0.01])
    if kind == "float64_multi_array":
        message: Any = Float64MultiArray(data=target.tolist())
    else:
        names = load_contract("sim_single")[0].arms[0].joints
        message = JointTrajectory(joint_names=list(names), points=[JointTrajectoryPoint(positions=target.tolist())])
    out = sim.node.create_publisher(type(message), "/puppet/command", 10)

    def arrived() -> bool:
        out.publish(message)
        return bool(sim.got["/puppet/joint_states"]) and np.allclose(
            sim.position("/puppet/joint_states"), target, atol=0.01
        )

    sim.until(arrived)


def test_reset_takes_the_seed_and_counts_on(start: Callable[..., Sim]) -> None:
    sim = start("sim_single", seed=7, operator=False)
    sim.listen(Image, "/cam_high/image_raw")
    sim.listen(Empty, "/sim/was_reset")
    client = sim.node.create_client(Trigger, "/sim/reset")
    sim.until(lambda: client.service_is_ready() and sim.got["/cam_high/image_raw"])
    sim.until(lambda: sim.node.count_publishers("/sim/was_reset"))
    answers = []
    for _ in range(2):
        future = client.call_async(Trigger.Request())
        sim.until(future.done)
        answers.append((future.result().success, future.result().message))
    assert answers == [(True, "seed 8"), (True, "seed 9")]
    sim.until(lambda: len(sim.got["/sim/was_reset"]) == 2)
    first = np.frombuffer(sim.got["/cam_high/image_raw"][0].data, np.uint8).astype(int)
    count = len(sim.got["/cam_high/image_raw"])
    sim.until(lambda: len(sim.got["/cam_high/image_raw"]) > count + 10)
    last = np.frombuffer(sim.got["/cam_high/image_raw"][-1].data, np.uint8)
    assert np.abs(first - last).max() > 50  # the cube lies elsewhere


def test_the_operator_solves_the_task_through_topics_faster_than_real_time(start: Callable[..., Sim]) -> None:
    sim = start("sim_single", speed=2.0, camera_rate=5.0)
    sim.listen(Clock, "/clock")
    sim.listen(Bool, "/sim/success")
    sim.listen(JointState, "/puppet/joint_states")
    out = sim.node.create_publisher(JointState, "/puppet/command", 10)
    sim.node.create_subscription(JointState, "/master/joint_states", out.publish, 10)  # the plainest teleoperation
    sim.until(lambda: any(message.data for message in sim.got["/sim/success"]), 60.0)
    clock = sim.got["/clock"][-1].clock
    assert clock.sec > 5
    assert abs(stamp(sim.got["/puppet/joint_states"][-1]) - (clock.sec + clock.nanosec * 1e-9)) < 0.5


def test_the_base_drives_and_measures(start: Callable[..., Sim], tmp_path: Path) -> None:
    base = {"odom": {"topic": "/odom"}, "command": {"topic": "/cmd_vel"}, "limits": {"linear": 0.5, "angular": 1.0}}
    sim = start(changed(tmp_path, lambda raw: raw.update(base=base)), operator=False)
    sim.listen(Odometry, "/odom")
    out = sim.node.create_publisher(Twist, "/cmd_vel", 10)
    twist = Twist()
    twist.linear.x = 0.2

    def driven() -> bool:
        out.publish(twist)
        return bool(sim.got["/odom"]) and sim.got["/odom"][-1].pose.pose.position.x > 0.05

    sim.until(driven)
    assert sim.got["/odom"][-1].twist.twist.linear.x == pytest.approx(0.2)
    twist.linear.x = float("nan")
    out.publish(twist)
    sim.until(lambda: "base: command is nan m/s" in sim.log)


@pytest.mark.parametrize(
    ("robot", "parameters", "said"),
    [
        ("sim_singel", {}, "robot 'sim_singel' is unknown; allowed: ["),
        (
            "sim_single",
            {"task": "dance"},
            "task 'dance' is unknown; allowed: ['pick_place', 'pick_place_any', 'transfer_cube']",
        ),
        ("sim_single", {"task": "transfer_cube"}, "needs arms 'right' and 'left'"),
        ("sim_single", {"joint_rate": 500.0}, "parameter 'joint_rate' is 500.0; allowed: a number, 1 to 200"),
        ("sim_single", {"speed": -1.0}, "parameter 'speed' is -1.0"),
        ("vgil_franka", {}, "names no urdf"),
    ],
)
def test_wrong_input_ends_with_one_message(
    start: Callable[..., Sim], robot: str, parameters: dict[str, Any], said: str
) -> None:
    sim = start(robot, **parameters)
    assert sim.process.wait(timeout=90) == 2
    assert said in sim.log
    assert "Traceback" not in sim.log

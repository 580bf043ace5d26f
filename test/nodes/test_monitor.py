"""The monitor: markers where the links are, states as text, and an RViz file whose displays all have a publisher."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from support.domains import own_domain
from support.reference import assert_documented
from visualization_msgs.msg import Marker, MarkerArray

from vgil_ros.assets import load_contract, robot_names
from vgil_ros.nodes.viz import markers
from vgil_ros.nodes.viz import rviz_config as rviz
from vgil_ros.robots.arm_model import ArmModel

DOMAIN = own_domain()
TYPES = {"rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray"}


class Watcher:
    """A node of the test's own, and the processes that it watches."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("watcher", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.last: dict[str, Any] = {}

    def start(self, name: str, **parameters: object) -> None:
        options = [part for key, value in parameters.items() for part in ("-p", f"{key}:={value}")]
        command = [sys.executable, "-m", "vgil_ros.nodes", name, *(["--ros-args", *options] if options else [])]
        self.processes.append(subprocess.Popen(command, env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)}))

    def collect(self, kind: Any, topic: str) -> None:
        self.node.create_subscription(kind, topic, lambda message: self.last.update({topic: message}), 10)

    def wait(self, condition: Callable[[], object], *, meanwhile: Callable[[], object] = lambda: None) -> None:
        end = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < end, f"it did not happen; last heard: {self.last}"
            meanwhile()
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGINT)
        for process in self.processes:
            process.wait(timeout=90)
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        assert [process.returncode for process in self.processes] == [0] * len(self.processes)


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    found = Watcher()
    try:
        yield found
    finally:
        found.close()


def of(array: MarkerArray | None, space: str) -> list[Marker]:
    return [marker for marker in array.markers if marker.ns == space] if array else []


def test_links_follow_the_joint_states_and_states_stand_as_text(watcher):
    contract, _ = load_contract("sim_aloha")
    watcher.collect(MarkerArray, "/monitor/markers")
    watcher.collect(DiagnosticArray, "/diagnostics")
    states = watcher.node.create_publisher(JointState, contract.arms[0].puppet.topic, 10)
    status = watcher.node.create_publisher(DiagnosticStatus, "/recorder/status", 10)
    watcher.start("monitor")
    arm = contract.arms[0]
    position = np.array(arm.home)
    position[:3] += (0.7, 0.2, -0.3)
    joints = JointState(name=list(reversed(arm.joints)), position=position[::-1].tolist())
    words = DiagnosticStatus(level=DiagnosticStatus.OK, name="recorder", message="recording episode 2")
    words.values = [KeyValue(key="rate_hz_cam_high", value="30"), KeyValue(key="rate_hz_cam_left_wrist", value="0")]

    def speak() -> None:
        states.publish(joints)
        status.publish(words)

    def arrived() -> bool:
        array = watcher.last.get("/monitor/markers")
        recording = of(array, "recording")
        return bool(recording and "episode 2" in recording[0].text and of(array, "left")[0].color.a == 1.0)

    watcher.wait(arrived, meanwhile=speak)
    array = watcher.last["/monitor/markers"]
    expected = ArmModel(arm).link_poses(dict(zip(arm.joints, position.tolist(), strict=True)))
    found = [[m.pose.position.x, m.pose.position.y, m.pose.position.z] for m in of(array, "left")]
    np.testing.assert_allclose(found, [xyz for _, xyz, _ in expected], atol=1e-9)
    assert all(marker.color.a < 0.5 for marker in of(array, "right")), "an arm that was never heard is drawn faintly"
    assert {marker.header.frame_id for marker in array.markers} == {markers.FRAME}
    assert len({(marker.ns, marker.id) for marker in array.markers}) == len(array.markers)
    cameras = {marker.text.split(":")[0]: marker for marker in of(array, "cameras")}
    assert list(cameras) == [camera.name for camera in contract.cameras]
    assert "30 Hz" in cameras["cam_high"].text
    assert cameras["cam_left_wrist"].color.r > 0.9, "a camera without frames is red"
    watcher.wait(lambda: "/diagnostics" in watcher.last)
    assert "right" in watcher.last["/diagnostics"].status[0].message

    watcher.wait(lambda: "nothing heard" in of(watcher.last["/monitor/markers"], "recording")[0].text)


def test_an_arm_without_a_urdf_is_text(watcher, tmp_path):
    text = load_contract("sim_single")[1].replace("urdf: vx300s.urdf", "")
    (tmp_path / "bare.yaml").write_text(text)
    watcher.collect(MarkerArray, "/monitor/markers")
    watcher.start("monitor", robot=tmp_path / "bare.yaml")
    watcher.wait(lambda: of(watcher.last.get("/monitor/markers"), "arm"))
    shown = of(watcher.last["/monitor/markers"], "arm")
    assert [marker.type for marker in shown] == [Marker.TEXT_VIEW_FACING]
    assert "waist: ?" in shown[0].text


def test_a_joint_that_is_missing_is_named(watcher):
    contract, _ = load_contract("sim_single")
    watcher.collect(DiagnosticStatus, "/monitor/status")
    states = watcher.node.create_publisher(JointState, contract.arms[0].puppet.topic, 10)
    watcher.start("monitor", robot="sim_single")
    wrong = JointState(name=["waist"], position=[0.0])
    watcher.wait(
        lambda: "shoulder" in getattr(watcher.last.get("/monitor/status"), "message", ""),
        meanwhile=lambda: states.publish(wrong),
    )
    keys = [pair.key for pair in watcher.last["/monitor/status"].values]
    assert_documented(keys, "Monitor", streams=["arm/puppet"])


def displays(config: dict[str, Any]) -> dict[str, str]:
    """Topic -> display class, of each display that has a topic."""
    shown = config["Visualization Manager"]["Displays"]
    return {display["Topic"]["Value"]: display["Class"] for display in shown if "Topic" in display}


def test_every_display_of_the_rviz_file_has_a_publisher_of_its_type(watcher):
    """The file as it is shipped, beside the real simulator and monitor (and the policy node's own topic)."""
    config = yaml.safe_load(rviz.template().read_text())
    watcher.start("sim", robot="sim_aloha")
    watcher.start("monitor", robot="sim_aloha")
    wanted = {}
    for topic, kind in displays(config).items():
        wanted[topic] = TYPES.get(kind, "sensor_msgs/msg/Image")
    policy = wanted.pop("/policy/markers")
    assert policy == "visualization_msgs/msg/MarkerArray"

    def published() -> dict[str, set[str]]:
        return {topic: {i.topic_type for i in watcher.node.get_publishers_info_by_topic(topic)} for topic in wanted}

    watcher.wait(lambda: all(published().values()))
    assert published() == {topic: {kind} for topic, kind in wanted.items()}
    assert config["Visualization Manager"]["Global Options"]["Fixed Frame"] == markers.FRAME


@pytest.mark.parametrize("robot", robot_names())
def test_each_robot_gets_its_own_cameras_and_stock_displays(robot):
    contract, _ = load_contract(robot)
    path = rviz.write_config(contract)
    config = yaml.safe_load(path.read_text())
    path.unlink()
    path.parent.rmdir()
    shown = displays(config)
    images = [topic for topic, kind in shown.items() if kind == "rviz_default_plugins/Image"]
    assert images == [camera.topic for camera in contract.cameras]
    classes = {display["Class"] for display in config["Visualization Manager"]["Displays"]}
    assert classes <= {f"rviz_default_plugins/{name}" for name in ("Grid", "MarkerArray", "Image")}


def test_the_shipped_file_is_that_of_sim_aloha():
    text = rviz.template().read_text()
    contract, _ = load_contract("sim_aloha")
    assert rviz.config_for(contract, text) == yaml.safe_load(text)

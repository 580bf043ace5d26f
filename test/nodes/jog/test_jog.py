"""Jog over real nodes: a gamepad's and a topic's wishes, silence, resets, another leader."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float32, String
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.reference import assert_documented
from support.process import Process

pytest.importorskip("mujoco")

from vgil_ros.assets import share_dir
from vgil_ros.nodes.jog import MasterTopic

DEADMAN_S, TICK_S = 0.25, 0.01
DEADMAN_BUTTON = 5


def robot_without_cameras(folder: Path) -> Path:
    """The simulated ALOHA, blind."""
    text = (share_dir() / "config" / "robots" / "sim_aloha.yaml").read_text(encoding="utf-8")
    path = folder / "blind.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(text), "cameras": []}), encoding="utf-8")
    return path


class Rig:
    """A simulated robot and jog with a gamepad; this process is the hand."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        robot = robot_without_cameras(bench.folder)
        client = bench.client
        self.masters = {n: client.collect(JointState, f"/master_{n}/joint_states") for n in ("left", "right")}
        self.puppets = {n: client.collect(JointState, f"/puppet_{n}/joint_states") for n in ("left", "right")}
        self.statuses = client.status("/jog/status")
        make = client.node.create_publisher
        self.joy: Any = make(Joy, "/joy", 10)
        self.twist: Any = make(TwistStamped, "/jog/twist", 10)
        self.gripper: Any = make(Float32, "/jog/gripper", 10)
        self.arm: Any = make(String, "/jog/arm", 10)
        self.sim = bench.node("sim", {"robot": robot, "operator": False, "task": "transfer_cube"})
        self.jog: Process = bench.node("jog", {"robot": robot, "device": "gamepad", "level": 4})

    def at(self, arm: str) -> np.ndarray:
        """The newest position of a master, (J,)."""
        return np.array(self.masters[arm][-1][1].position)

    def say(self, publisher: Any, message: Any, seconds: float) -> float:
        """Publish a message at 50 Hz for a time; return when the last one left."""
        end = time.monotonic() + seconds
        while True:
            publisher.publish(message)
            if time.monotonic() >= end:
                return time.monotonic()
            time.sleep(0.02)

    def stick(self, *, deadman: bool = True, button: int | None = None, **axes: float) -> Joy:
        """A gamepad's message."""
        message = Joy(axes=[0.0] * 8, buttons=[0] * 11)
        message.buttons[DEADMAN_BUTTON] = int(deadman)
        if button is not None:
            message.buttons[button] = 1
        for name, value in axes.items():
            message.axes[{"x": 1, "y": 0, "z": 4}[name]] = value
        return message

    def last_motion(self, arm: str) -> float:
        """When a master moved last, by its arrival here."""
        rows = self.masters[arm]
        positions = np.array([message.position for _, message in rows])
        moved = 1 + np.flatnonzero(np.abs(np.diff(positions, axis=0)).max(axis=1) > 1e-9)
        return rows[moved[-1]][0]

    def no_step(self) -> None:
        """No master has ever been faster than its limits since the last reset."""
        for rows in self.masters.values():
            positions = np.array([m.position for _, m in rows])[:, :6]
            stamps = np.array([m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for _, m in rows])
            assert (np.abs(np.diff(positions, axis=0)) <= 0.5 * 3.15 * 0.05 + 1e-6).all()
            assert (np.diff(stamps) > 0).all()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Bench(tmp_path_factory.mktemp("jog")) as bench:
        made = Rig(bench)
        for name in ("left", "right"):
            made.jog.expect(f"{name}: led from where it is")
        until(lambda: all((*made.masters.values(), *made.puppets.values())), "masters and puppets")
        until(lambda: made.joy.get_subscription_count() and made.twist.get_subscription_count(), "jog listens")
        yield made


def test_it_begins_where_the_puppets_are(rig: Rig) -> None:
    for name, rows in rig.masters.items():
        puppet = rig.puppets[name][-1][1]
        first = np.array(rows[0][1].position)
        np.testing.assert_allclose(first[:6], np.array(puppet.position)[:6], atol=0.01)
        assert list(rows[0][1].name) == list(puppet.name)
    until(lambda: rig.statuses and rig.statuses[-1][1].level == DiagnosticStatus.OK, "its status")
    assert_documented({pair.key for pair in rig.statuses[-1][1].values}, "Jog", streams=("",))


def test_a_gamepad_moves_the_arm_while_its_deadman_is_held(rig: Rig) -> None:
    before, other = rig.at("left"), rig.at("right")
    rig.say(rig.joy, rig.stick(deadman=False, z=1.0), 0.3)
    np.testing.assert_array_equal(rig.at("left"), before)
    rig.say(rig.joy, rig.stick(z=1.0), 0.4)
    rig.say(rig.joy, rig.stick(), 0.3)
    assert np.abs(rig.at("left") - before).max() > 0.01
    np.testing.assert_array_equal(rig.at("right"), other)
    rig.no_step()


@pytest.mark.parametrize("source", ["gamepad", "twist"])
def test_a_silent_device_holds_within_two_ticks_of_the_deadman_time(rig: Rig, source: str) -> None:
    message = TwistStamped()
    message.twist.linear.x = -0.1
    began = time.monotonic()
    asked = (rig.joy, rig.stick(x=-0.5)) if source == "gamepad" else (rig.twist, message)
    last = rig.say(*asked, 0.4)
    time.sleep(DEADMAN_S + 0.3)
    lasted = rig.last_motion("left") - last
    assert 0.1 < lasted <= DEADMAN_S + 2 * TICK_S + 0.03 + rig.bench.gauge.stood(began)
    if source == "gamepad":
        rig.jog.expect("the device is silent: everything stands")
    rig.no_step()


def test_topics_choose_the_arm_and_its_gripper(rig: Rig) -> None:
    def chosen(name: str) -> Callable[[], bool]:
        return lambda: any(p.key == "arm" and p.value == name for p in rig.statuses[-1][1].values)

    rig.arm.publish(String(data="right"))
    until(chosen("right"), "the other arm")
    until(lambda: (rig.say(rig.gripper, Float32(data=0.0), 0.2), rig.at("right")[6] < 0.0215)[-1], "a closed gripper")
    assert rig.at("left")[6] > 0.05
    rig.gripper.publish(Float32(data=7.0))
    rig.jog.expect(r"~/gripper: 7; allowed: 0 \(closed\) to 1 \(open\)")
    rig.arm.publish(String(data="middle"))
    rig.jog.expect(r"~/arm: arm 'middle' is unknown; allowed: \['left', 'right'\]")
    wrong = TwistStamped()
    wrong.header.frame_id = "world"
    rig.twist.publish(wrong)
    rig.jog.expect("~/twist: frame_id is 'world'; allowed: base, tool, or empty")
    rig.say(rig.joy, rig.stick(), 0.1)
    rig.say(rig.joy, rig.stick(button=2), 0.1)
    until(chosen("left"), "button X is the next arm")


def test_after_a_reset_of_the_scene_it_begins_anew(rig: Rig) -> None:
    away = rig.at("left")
    rig.bench.client.call("/sim/reset")
    home = np.array([0.0, -0.96, 1.16, 0.0, -0.3, 0.0])
    until(lambda: np.allclose(rig.at("left")[:6], home, atol=0.02), "the masters at home")
    assert np.abs(away[:6] - home).max() > 0.02, "which they were not"


def test_a_way_home_ends_where_the_deadman_is_let_go_of(rig: Rig) -> None:
    rig.say(rig.joy, rig.stick(z=1.0), 0.4)
    rig.say(rig.joy, rig.stick(), 0.3)
    rig.say(rig.joy, rig.stick(button=3), 0.1)
    rig.say(rig.joy, rig.stick(), 0.1)
    began, last = time.monotonic(), rig.say(rig.joy, rig.stick(deadman=False), 0.0)
    rig.say(rig.joy, rig.stick(deadman=False), 0.5)
    assert rig.last_motion("left") - last <= 2 * TICK_S + 0.05 + rig.bench.gauge.stood(began)
    home = np.array([0.0, -0.96, 1.16, 0.0, -0.3, 0.0])
    assert np.abs(rig.at("left")[:6] - home).max() > 1e-3, "which it was not before"


def test_another_leader_is_left_alone(rig: Rig) -> None:
    node = rig.bench.client.node
    other = node.create_publisher(JointState, "/master_left/joint_states", 10)
    rig.jog.expect("left: not led by jog: commands on /master_left/joint_states come from node /client too")
    count, before = len(rig.masters["left"]), rig.at("left")
    moved = JointState(name=list(rig.masters["left"][-1][1].name), position=before.tolist())
    moved.position[0] += 0.3
    commands: Any = node.create_publisher(JointState, "/puppet_left/command", 10)
    until(lambda: commands.get_subscription_count(), "the puppet listens")
    rig.say(commands, moved, 1.5)
    node.destroy_publisher(commands)
    assert len(rig.masters["left"]) <= count + 1
    since = rig.jog.mark()
    node.destroy_publisher(other)
    rig.jog.expect("left: led from where it is", since=since)
    until(lambda: len(rig.masters["left"]) > count + 5, "its master again")
    first = np.array(rig.masters["left"][count + 2][1].position)
    assert abs(first[0] - before[0]) > 0.2, "the other leader has moved the puppet"
    puppet = np.array(rig.puppets["left"][-1][1].position)
    np.testing.assert_allclose(first[:6], puppet[:6], atol=0.02)


class Place:
    """A topic whose publisher is counted."""

    def __init__(self) -> None:
        self.made = 0
        self.publisher: Any = None

    taken = property(lambda self: self.publisher is not None)

    def take(self) -> None:
        if self.publisher is None:
            self.made += 1
            self.publisher = self
            self.sent: list[Any] = []

    def let_go(self) -> None:
        self.publisher = None

    def publish(self, message: Any) -> None:
        self.sent.append(message)


def test_masters_on_one_topic_have_one_publisher_and_begin_each_by_itself() -> None:
    place: Any = Place()
    left, right = MasterTopic(place, ["a"]), MasterTopic(place, ["b"])
    left.take()
    right.publish(np.zeros(1), 1)
    assert (left.led, right.led, place.sent) == (True, False, [])
    right.take()
    left.publish(np.zeros(1), 1)
    right.publish(np.zeros(1), 1)
    assert (place.made, len(place.sent)) == (1, 2)
    left.let_go()
    assert not left.led
    assert not right.led
    right.take()
    assert (left.led, right.led) == (False, True)


def test_wrong_settings_are_named(bench: Bench) -> None:
    text = (share_dir() / "config" / "robots" / "sim_single.yaml").read_text(encoding="utf-8")
    contract = yaml.safe_load(text)
    arm = contract["arms"][0]
    arm["master"] = {"topic": arm["puppet"]["topic"], "joints": [f"master_{joint}" for joint in arm["joints"]]}
    mixed = bench.folder / "mixed.yaml"
    mixed.write_text(yaml.safe_dump(contract), encoding="utf-8")
    processes = [
        (bench.node("jog", {"robot": "vgil_franka", "device": "topic"}), "no master|names no urdf"),
        (bench.node("jog", {"robot": "sim_single", "device": "gamepad", "axes": "w=1"}), "axes has 'w'; allowed: x"),
        (
            bench.node("jog", {"robot": "sim_single", "device": "topic", "tip": "nose"}),
            "tip is 'nose'; allowed: a link",
        ),
        (
            bench.node("jog", {"robot": mixed, "device": "topic"}),
            "arm/master is on '.*', where a puppet's driver publishes; allowed with jog: a topic of masters alone",
        ),
        (
            bench.node("jog", {"robot": "sim_single"}, start_new_session=True),
            "no terminal for keys: start jog in one of its own",
        ),
    ]
    for process, words in processes:
        process.expect(words)
        assert process.wait() == 2, process.output

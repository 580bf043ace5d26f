"""An SO-101 over its drivers: bring-up, teleop, an episode, its replay, and each fault of cables and servos."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from support.process import Process

pytest.importorskip("rclpy")
pytest.importorskip("serial")

from diagnostic_msgs.msg import DiagnosticStatus
from std_srvs.srv import SetBool
from support.feetech.calibrations import JOINTS
from support.feetech.rig import So101
from support.nodes.bench import Bench
from support.nodes.client import until

from vgil_ros.core.leader_follower import ALIGN_SPEED

VELOCITY = 3.0
HELD = 0.02  # rad
AWAY = 0.6  # rad, where the leader is when a fault is over


class FeetechBench(Bench):
    loaded = ("rclpy", "vgil_ros.nodes.feetech", "vgil_ros.nodes.teleop", "support.feetech.emulator")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[So101]:
    with FeetechBench(tmp_path_factory.mktemp("so101")) as bench:
        yield So101(bench)


@pytest.fixture
def rig(shared: So101) -> So101:
    """Both arms together, the leader still."""
    shared.hand("shoulder_pan", 0.0, speed=1.5)
    shared.following(0.0)
    return shared


def test_it_comes_up_without_a_move_and_says_what_it_measures(shared: So101) -> None:
    follower, leader = shared.emulators["follower"].say(), shared.emulators["leader"].say()
    assert all(servo["torque"] == 1 for servo in follower.values())
    assert all(servo["torque"] == 0 for servo in leader.values())
    statuses = shared.bench.client.collect(DiagnosticStatus, "/feetech_follower/status")
    until(lambda: len(shared.states["follower"]) > 200 and statuses, "states and a status")
    message = shared.states["follower"][-1][1]
    assert tuple(message.name) == JOINTS
    assert len(message.position) == len(message.velocity) == len(message.effort) == 6
    values = {pair.key: pair.value for pair in statuses[-1][1].values}
    assert values["temperature_c_elbow_flex"] == "31"
    assert values["voltage_gripper"] == "12"


def test_the_follower_follows_by_name_and_the_gripper_in_shares(rig: So101) -> None:
    for joint, radians in (("shoulder_pan", 0.5), ("elbow_flex", -0.4), ("wrist_roll", 0.6), ("gripper", 1.5)):
        rig.hand(joint, radians, speed=1.0)
    until(lambda: abs(rig.at("leader")[0] - 0.5) < 0.01 and abs(rig.at("leader")[5] - 1.5) < 0.01, "the hand")
    rig.following(0.5)
    until(lambda: abs(rig.at("follower")[5] - 1.5) < 0.05, "the gripper opens as far")
    for joint in ("elbow_flex", "wrist_roll", "gripper"):
        rig.hand(joint, 0.0, speed=1.5)


def test_an_episode_is_recorded_passes_its_check_and_is_played_back(rig: So101) -> None:
    given = {"task": "wave", "episode_len": 100, "num_episodes": 1, "autostart": True}
    recorder = rig.bench.recorder(rig.contract, **given, process={"bufsize": -1})  # an interpreter of its own
    recorder.expect("recording|episode 0|started")
    rig.hand("shoulder_pan", 0.4, speed=0.3)
    assert recorder.wait() == 0, recorder.output
    (file,) = rig.bench.episodes.glob("episode_*.hdf5")
    checked = rig.bench.start(Process, ["vgil_ros.cli.main", "episodes", "check", str(file)])
    assert checked.wait() == 0, checked.output
    assert rig.bench.client.call("/teleop/stop").success
    replay = rig.bench.node("replay", {"robot": rig.contract, "episode": file})
    assert replay.wait() == 0, replay.output
    replay.expect("replayed 100 ticks")
    assert rig.bench.client.call("/teleop/start").success


FAULTS: dict[str, tuple[str, str, str, str]] = {
    "a silent servo": ("follower", "silent 3", "heard 3", r"elbow_flex \(id 3\): no answer; look at its cable"),
    "a silent bus": ("follower", "mute", "unmute", "no servo answers; look at the arm's power supply"),
    "a wrong checksum": ("follower", "flip 2", "whole 2", r"shoulder_lift \(id 2\): answers with a wrong checksum"),
    "cut packets": ("follower", "cut 6 9", "whole 6", r"gripper \(id 6\): no answer, \d+ bytes of noise"),
    "an adapter gone": ("follower", "gone", "back", "the port has gone .*; is its USB cable plugged in"),
    "a hot servo": ("follower", "set 5 63 1 80", "set 5 63 1 31", r"wrist_roll \(id 5\): too hot \(80 C"),
    "the leader's adapter gone": ("leader", "gone", "back", "the port has gone"),
    "a silent leader": ("leader", "mute", "unmute", "no servo answers"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_follower_holds_through_a_fault_and_comes_back_slowly(fault: str, rig: So101) -> None:
    role, command, cure, words = FAULTS[fault]
    emulator, driver, mark = rig.emulators[role], rig.drivers[role], rig.drivers[role].mark()
    rig.emulators["follower"].tell("track")
    emulator.tell(command)
    assert str(rig.ports[role]) in driver.expect(words, since=mark).text
    rig.hand("shoulder_pan", AWAY, speed=2.0)  # meanwhile the leader goes on
    time.sleep(0.8)
    assert rig.emulators["follower"].travel() <= HELD
    assert fault == "a hot servo" or rig.silent_for(role, 0.5), "a reading that is missing is no reading"
    healed = time.monotonic()
    emulator.tell(cure)
    rig.following(AWAY)
    slowest = (AWAY - 0.05) / (ALIGN_SPEED * VELOCITY)
    assert time.monotonic() - healed >= slowest, "at a share of the speed"


def test_a_second_fault_of_a_joint_is_told_beside_the_first(rig: So101) -> None:
    """It grows warm, which is said, and then it is too hot."""
    follower, driver, mark = rig.emulators["follower"], rig.drivers["follower"], rig.drivers["follower"].mark()
    follower.tell("set 5 63 1 60")
    driver.expect(r"wrist_roll \(id 5\): 60 C; it switches itself off at 70", since=mark)
    follower.tell("set 5 63 1 75")
    driver.expect(r"wrist_roll \(id 5\): too hot \(75 C.*the arm holds", since=mark)
    follower.tell("set 5 63 1 31")
    driver.expect("health: recovered", since=mark)


def test_a_byte_lost_now_and_then_stops_nothing_and_is_told(rig: So101) -> None:
    mark = rig.drivers["follower"].mark()
    rig.emulators["follower"].tell("lost 0.001")
    rig.hand("shoulder_pan", 0.4, speed=0.5)
    rig.drivers["follower"].expect(r"\d+% of the readings are lost, most by \w+ \(id \d\)", since=mark)
    rig.following(0.4)
    rig.emulators["follower"].tell("lost 0")


def test_a_gripper_that_pushes_too_hard_gives_way_and_is_named(rig: So101) -> None:
    rig.hand("gripper", 1.0, speed=2.0)
    until(lambda: abs(rig.at("follower")[5] - 1.0) < 0.05, "open")
    mark = rig.drivers["follower"].mark()
    rig.emulators["follower"].tell("stop 6 2500")
    rig.hand("gripper", -0.1, speed=2.0)
    rig.drivers["follower"].expect(
        r"gripper \(id 6\): overload \(31 C, 12.0 V, load \d+%\).*; the arm holds", since=mark
    )
    rig.emulators["follower"].tell("free 6")
    rig.hand("gripper", 1.0, speed=2.0)
    until(lambda: abs(rig.at("follower")[5] - 1.0) < 0.05, "open again")
    rig.hand("gripper", 0.0, speed=2.0)


def test_an_arm_that_lost_its_power_stays_limp_until_told(rig: So101) -> None:
    mark = rig.drivers["follower"].mark()
    rig.emulators["follower"].tell("power off")
    rig.drivers["follower"].expect("no servo answers", since=mark)
    rig.emulators["follower"].tell("power on")
    rig.drivers["follower"].expect("shoulder_pan, .*: no torque; .*/feetech_follower/torque", since=mark)
    rig.emulators["follower"].tell("track")
    rig.hand("shoulder_pan", -0.5, speed=1.0)
    time.sleep(1.0)
    assert rig.emulators["follower"].travel() < HELD
    answer = rig.bench.client.call("/feetech_follower/torque", SetBool.Request(data=True), SetBool)
    assert answer.success, answer.message
    healed = time.monotonic()
    rig.following(-0.5)
    assert time.monotonic() - healed >= 0.4 / (ALIGN_SPEED * VELOCITY)
    assert rig.emulators["follower"].say()["1"]["torque"] == 1


def test_joints_whose_torque_came_on_though_another_s_did_not_hold_where_they_are(rig: So101) -> None:
    """They had a goal before their torque went off, and somebody has moved them since."""
    follower, driver, torque = rig.emulators["follower"], rig.drivers["follower"], "/feetech_follower/torque"
    assert rig.bench.client.call(torque, SetBool.Request(data=False), SetBool).success
    present = follower.say()["1"]["present"]
    follower.tell(f"hand 1 {present + 400:.0f} 800")
    until(lambda: follower.say()["1"]["present"] > present + 390, "moved by hand")
    follower.tell("weak 6")
    follower.tell("track")
    since = driver.mark()
    answer = rig.bench.client.call(torque, SetBool.Request(data=True), SetBool)
    assert not answer.success
    assert "gripper (id 6): torque_enable is 0 after 1 was written" in answer.message
    driver.expect(": gripper: no torque", since=since)  # and it alone
    time.sleep(1.5)
    assert follower.say()["1"]["torque"] == 1
    assert follower.travel() < HELD
    follower.tell("strong 6")
    answer = rig.bench.client.call(torque, SetBool.Request(data=True), SetBool)
    assert answer.success, answer.message
    rig.following(0.0)


def test_a_parameter_that_there_is_not_is_refused_before_a_port_is_opened(shared: So101) -> None:
    driver = shared.driver("follower", port=str(shared.bench.folder / "nowhere"), prot="/dev/ttyACM0")
    assert driver.wait() == 2, driver.output
    assert "prot" in driver.output
    assert "no such port" not in driver.output

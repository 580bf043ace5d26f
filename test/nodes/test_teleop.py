"""Teleoperation over real nodes: the commands that a robot would get."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import Twist
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty, Float64MultiArray
from support.contracts import ARM
from support.nodes.bench import Bench, FakeRobot
from support.nodes.client import until
from support.process import Process
from trajectory_msgs.msg import JointTrajectory

from vgil_ros.core.leader_follower import ALIGN_SPEED
from vgil_ros.nodes.messages.publishers import FINAL_HOLDS

VELOCITY = np.array(ARM["limits"]["velocity"])
BASE = {
    "odom": {"topic": "/odom"},
    "command": {"topic": "/cmd_vel"},
    "limits": {"linear": 0.5, "angular": 1.0},
}


class Rig:
    """A robot, its teleop, and the commands that it gives."""

    def __init__(
        self,
        bench: Bench,
        kind: type = JointState,
        command: str = "joint_state",
        contract: Path | None = None,
        **parameters: Any,
    ) -> None:
        arm = copy.deepcopy(ARM)
        arm["command"]["type"] = command
        contract = contract or bench.contract(arms=[arm], cameras=[], base=BASE)
        self.bench = bench
        self.commands = bench.client.collect(kind, "/puppet/command")
        self.base = bench.client.collect(Twist, "/cmd_vel")
        self.twist = bench.client.node.create_publisher(Twist, "/teleop/cmd_vel", 10)
        self.robot: FakeRobot = bench.robot(contract)
        self.robot.expect("ready")
        self.robot.tell("left/puppet at 0.0,0.0,0.1")
        self.robot.tell("left/master at 0.0,0.0,0.5")
        self.teleop: Process = bench.node("teleop", {"robot": contract, **parameters})

    def drive(self, linear: float, angular: float) -> None:
        message = Twist()
        message.linear.x, message.angular.z = linear, angular
        self.twist.publish(message)

    def listening(self) -> None:
        """Wait until both ends of the base's topics know of each other."""
        until(lambda: self.twist.get_subscription_count(), "teleop listens")
        until(lambda: self.bench.client.node.count_publishers("/cmd_vel"), "teleop speaks")

    def last(self) -> np.ndarray:
        """The last command, once there is one."""
        until(lambda: self.commands, "commands")
        return np.array(self.commands[-1][1].position)

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) stamps in s and (N, 3) positions of all commands."""
        messages = [message for _, message in self.commands]
        stamps = np.array([m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in messages])
        return stamps, np.array([m.position for m in messages])

    def settle(self, goal: tuple[float, ...]) -> None:
        """Wait until the commands stand at a goal, in the puppet's units."""
        until(lambda: self.commands and np.allclose(self.last(), goal, atol=1e-6), f"commands at {goal}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A rig for many tests."""
    with Bench(tmp_path_factory.mktemp("teleop")) as bench:
        yield Rig(bench)


@pytest.fixture
def rig(shared: Rig) -> Rig:
    """The shared rig, whose puppet follows a master that stands still."""
    shared.robot.tell("left/master well")
    shared.robot.tell("left/master at 0.0,0.0,0.5")
    shared.commands.clear()
    shared.settle((0.0, 0.0, 0.1))
    return shared


def test_the_puppet_is_aligned_gently_before_it_follows(rig: Rig) -> None:
    rig.teleop.expect("left: following")  # the rig's own start is over
    since, start = rig.teleop.mark(), len(rig.commands)
    statuses = rig.bench.client.status("/teleop/status")

    def phases() -> list[str]:
        seen = [{pair.key: pair.value for pair in status.values} for _, status in statuses]
        assert all(set(one) == {"state", "robot", "phase_left"} for one in seen)
        found = [one["phase_left"] for one in seen]
        return [one for i, one in enumerate(found) if found[i - 1 : i] != [one]]

    until(lambda: phases()[-1:] == ["following"], "its status")  # after the rig's own alignment, perhaps
    del statuses[:-1]
    rig.robot.tell("left/master stop")
    rig.teleop.expect("left: holding", since=since)
    until(lambda: phases() == ["following", "waiting"], "its status")
    since = rig.teleop.mark()  # what is said of the rig's own start may have come after the first
    rig.robot.tell("left/master at 1.0,-0.5,0.0")
    rig.robot.tell("left/master go")
    rig.settle((1.0, -0.5, 0.02))
    stamps, positions = (part[start:] for part in rig.table())
    moving = np.flatnonzero(np.abs(np.diff(positions[:, 0])) > 1e-9)
    way, seconds = np.ptp(positions[moving, 0]), np.ptp(stamps[moving])
    assert way / seconds < ALIGN_SPEED * VELOCITY[0] * 1.1
    aligning = rig.teleop.expect("left: aligning", since=since)
    assert rig.teleop.expect("left: following", since=since).at > aligning.at
    until(lambda: phases() == ["following", "waiting", "aligning", "following"], "its status")


def test_it_lets_go_of_a_robot_that_another_node_commands_and_starts_again_when_told(rig: Rig) -> None:
    node, since = rig.bench.client.node, rig.teleop.mark()
    intruder = node.create_publisher(JointState, "/puppet/command", 10)
    words = "commands on /puppet/command come from node /client too; only one may command"
    rig.teleop.expect(f"{words}: let go of; start again with /teleop/start", since=since)
    until(lambda: node.count_publishers("/puppet/command") == 1, "it lets go")
    refused = rig.bench.client.call("/teleop/start")
    assert not refused.success
    assert words in refused.message
    node.destroy_publisher(intruder)
    time.sleep(0.5)
    assert not node.count_publishers("/puppet/command"), "it does not begin by itself"
    rig.commands.clear()
    assert rig.bench.client.call("/teleop/start").success
    rig.settle((0.0, 0.0, 0.1))
    stopped = rig.bench.client.call("/teleop/stop")
    assert stopped.success
    until(lambda: not node.count_publishers("/puppet/command"), "it lets go when told")
    assert rig.bench.client.call("/teleop/start").success


def test_the_puppet_follows_within_its_velocity_and_position_limits(rig: Rig) -> None:
    start = len(rig.commands)
    rig.robot.tell("left/master at 1.9,1.6,0.0")
    rig.settle((1.9, 1.0, 0.02))  # the elbow's limit is 1.0
    stamps, positions = (part[start:] for part in rig.table())
    for joint in range(3):
        moving = np.flatnonzero(np.abs(np.diff(positions[:, joint])) > 1e-9)
        speed = np.ptp(positions[moving, joint]) / np.ptp(stamps[moving])
        assert speed < VELOCITY[joint] * 1.1
    longest = VELOCITY * 0.1  # what a step may be at most, however late the timer comes
    assert (np.abs(np.diff(positions, axis=0)).max(axis=0) <= longest + 1e-9).all()


def test_grippers_are_mapped_from_the_masters_range_to_the_puppets(rig: Rig) -> None:
    for master, puppet in ((0.0, 0.02), (0.25, 0.06), (0.5, 0.1), (0.7, 0.1)):
        rig.robot.tell(f"left/master at 0.0,0.0,{master}")
        rig.settle((0.0, 0.0, puppet))


def test_a_stale_master_stops_the_commands_and_is_named(rig: Rig) -> None:
    since = rig.teleop.mark()
    told = rig.robot.tell("left/master stop")
    line = rig.teleop.expect(r"left: holding: /master/joint_states is \d+ ms old", since=since)
    assert line.at - told.at < 1.0 + rig.bench.gauge.stood(told.at, line.at)
    time.sleep(0.1 + rig.bench.gauge.stood(told.at))  # what was sent before may be on its way
    quiet = len(rig.commands)
    time.sleep(0.4)
    assert len(rig.commands) == quiet
    rig.robot.tell("left/master at 0.5,0.0,0.5")
    rig.robot.tell("left/master go")
    rig.teleop.expect("left: aligning", since=since)  # a wide gap is closed gently again
    rig.settle((0.5, 0.0, 0.1))


def test_a_master_stamped_by_a_clock_that_is_ahead_is_stale_all_the_same(rig: Rig) -> None:
    rig.robot.tell("left/master old -100")
    time.sleep(0.1)
    since = rig.teleop.mark()
    rig.robot.tell("left/master stop")
    rig.teleop.expect(r"left: holding: /master/joint_states is \d+ ms old", since=since)


def test_a_master_that_is_no_number_stops_the_commands_and_is_named(rig: Rig) -> None:
    since = rig.teleop.mark()
    rig.robot.tell("left/master nan elbow")
    rig.teleop.expect(r"left/master: position of \['elbow'\] is not a finite number", since=since)
    rig.teleop.expect("left: holding: /master/joint_states", since=since)
    assert np.isfinite(rig.table()[1]).all()


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("left/master lost", r": every joint reads -3\.1416: the driver has lost its servos"),
        ("left/puppet jump 1.5,0.0,0.1", r": waist jumped by 1\.5 within \d+ ms, from 0 to 1\.5"),
        ("left/master jump -49.0,0.0,0.5", r": waist reads -49, its limits are -2 to 2: degrees\?"),
    ],
    ids=["lost", "jump", "degrees"],
)
def test_readings_that_lie_hold_the_puppet_where_it_is_and_are_named(rig: Rig, lie: str, words: str) -> None:
    since, start = rig.teleop.mark(), len(rig.commands)
    rig.robot.tell(lie)
    rig.teleop.expect(words, since=since)
    rig.teleop.expect("left: holding: /(master|puppet)/joint_states: ", since=since)
    time.sleep(0.3)
    np.testing.assert_allclose(rig.table()[1][start:], np.tile([0.0, 0.0, 0.1], (len(rig.commands) - start, 1)))
    stream = lie.split()[0]
    rig.robot.tell(f"{stream} well")
    rig.robot.tell("left/puppet at 0.0,0.0,0.1")
    rig.robot.tell("left/master at 1.0,0.0,0.5")
    rig.teleop.expect("left: (aligning|following)", since=since)
    rig.settle((1.0, 0.0, 0.1))


def test_the_base_follows_a_fresh_velocity_within_limits_and_stops_at_a_stale_one(rig: Rig) -> None:
    rig.listening()
    rig.drive(9.0, -9.0)
    until(lambda: rig.base, "a velocity")
    assert (rig.base[0][1].linear.x, rig.base[0][1].angular.z) == (0.5, -1.0)
    began = rig.base[0][0]
    until(lambda: rig.base[-1][1].linear.x == 0.0, "a stop")
    stopped = next(at for at, m in rig.base if m.linear.x == 0.0)
    assert stopped - began < 1.0 + rig.bench.gauge.stood(began, stopped)
    assert rig.base[-1][1].angular.z == 0.0
    since = rig.teleop.mark()
    rig.drive(float("nan"), 0.0)
    rig.teleop.expect("base: velocity .* is not finite; not followed", since=since)
    assert all(np.isfinite((m.linear.x, m.angular.z)).all() for _, m in rig.base)


def test_the_base_stops_where_the_robot_is_to_be_held(bench: Bench) -> None:
    enable = [{"service": "/motors", "type": "std_srvs/srv/SetBool"}]
    rig = Rig(bench, contract=bench.contract(arms=[copy.deepcopy(ARM)], cameras=[], base=BASE, enable=enable))
    health = bench.client.node.create_publisher(DiagnosticStatus, "/bringup/status", 10)
    until(lambda: health.get_subscription_count(), "teleop listens to the bring-up")

    def say(level: bytes) -> None:
        health.publish(DiagnosticStatus(level=level, message="motors", values=[KeyValue(key="state", value="up")]))

    def driven(linear: float) -> bool:
        say(levels[-1])  # again and again: on a busy machine seconds pass, and who is silent watches over nothing
        rig.drive(0.3, 0.1)
        return bool(rig.base) and rig.base[-1][1].linear.x == linear

    levels = [b"\x00"]
    say(levels[-1])
    rig.listening()
    until(lambda: driven(0.3), "a velocity")
    levels.append(b"\x02")
    until(lambda: driven(0.0), "a stop, though it is told to drive on")
    rig.teleop.expect("left: holding: bringup: motors")
    levels.append(b"\x00")
    until(lambda: driven(0.3), "a velocity again")


def test_the_base_is_left_alone_until_driven(bench: Bench) -> None:
    rig = Rig(bench)
    rig.listening()
    rig.settle((0.0, 0.0, 0.1))
    rig.teleop.popen.terminate()
    assert rig.teleop.wait() == 0, rig.teleop.output
    time.sleep(0.3)  # what it said last has arrived
    assert not rig.base, "it never drove the base, and sent it a command"


def test_the_end_holds_the_arm_where_it_was_commanded_and_stops_the_base(bench: Bench) -> None:
    rig = Rig(bench)
    rig.listening()
    rig.robot.tell("left/master at 1.0,-0.5,0.25")
    rig.settle((1.0, -0.5, 0.06))
    rig.drive(0.3, 0.1)
    until(lambda: rig.base and rig.base[-1][1].linear.x == 0.3, "a velocity")
    rig.teleop.popen.terminate()
    assert rig.teleop.wait() == 0, rig.teleop.output

    def stops() -> list[bool]:
        return [m.linear.x == m.angular.z == 0.0 for _, m in rig.base]

    until(lambda: sum(stops()) >= FINAL_HOLDS, "the stops that were sent last")
    last = stops()
    assert all(last[last.index(True) :]), "once it stops the base it goes on to"
    stopped = rig.base[last.index(True)][0]
    until(lambda: sum(at >= stopped for at, _ in rig.commands) >= FINAL_HOLDS - 1, "the holds that were sent last")
    held = np.array([message.position for _, message in rig.commands[-FINAL_HOLDS + 1 :]])
    np.testing.assert_allclose(held, [(1.0, -0.5, 0.06)] * len(held), atol=1e-6)


def test_an_arm_that_holds_by_itself_is_sent_nothing_at_the_end(bench: Bench) -> None:
    rig = Rig(bench)
    rig.settle((0.0, 0.0, 0.1))
    since = rig.teleop.mark()
    rig.robot.tell("left/master stop")
    rig.teleop.expect("left: holding", since=since)
    time.sleep(0.2)
    quiet = len(rig.commands)
    rig.teleop.popen.terminate()
    assert rig.teleop.wait() == 0, rig.teleop.output
    time.sleep(0.3)
    assert len(rig.commands) == quiet


def test_a_joint_that_does_not_follow_holds_the_arm_until_the_master_is_brought_to_it(bench: Bench) -> None:
    rig = Rig(bench, contract=bench.contract(arms=[copy.deepcopy(ARM)], cameras=[], base=BASE, following={}))
    rig.settle((0.0, 0.0, 0.1))
    since = rig.teleop.mark()
    rig.robot.tell("left/master at 1.0,0.0,0.5")  # the fake robot stays where it is
    words = r"left/waist does not follow: commanded to \S+, measured at 0 for 1 s"
    rig.teleop.expect(f"left: holding: {words}; look at the robot, then bring the master to where", since=since)
    rig.settle((0.0, 0.0, 0.1))
    rig.robot.tell("left/master at 0.1,0.0,0.5")
    rig.settle((0.1, 0.0, 0.1))


@pytest.mark.parametrize(
    ("kind", "command"), [(Float64MultiArray, "float64_multi_array"), (JointTrajectory, "joint_trajectory")]
)
def test_other_kinds_of_commands_carry_the_same_numbers(bench: Bench, kind: type, command: str) -> None:
    rig = Rig(bench, kind, command)
    rig.robot.tell("left/master at 0.1,-0.1,0.25")
    message = until(lambda: rig.commands and rig.commands[-1][1], "commands")

    def numbers() -> np.ndarray:
        message = rig.commands[-1][1]
        return np.array(message.data if kind is Float64MultiArray else message.points[0].positions)

    until(lambda: np.allclose(numbers(), (0.1, -0.1, 0.06), atol=1e-6), "the master's place")
    if kind is JointTrajectory:
        assert list(message.joint_names) == ARM["joints"]
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
        assert message.points[0].time_from_start.nanosec == 10_000_000  # 100 Hz


def test_it_waits_for_the_controller_that_is_to_take_its_commands(bench: Bench) -> None:
    arm = copy.deepcopy(ARM) | {"command": {"topic": "/puppet/command", "type": "float64_multi_array"}}
    contract = bench.contract(arms=[arm], cameras=[])
    robot = bench.robot(contract)
    robot.expect("ready")
    teleop = bench.node("teleop", {"robot": contract})
    teleop.expect("waiting for: nobody listens on /puppet/command")
    assert not bench.client.node.count_publishers("/puppet/command")
    commands = bench.client.collect(Float64MultiArray, "/puppet/command")
    until(lambda: commands, "commands, once somebody listens")
    teleop.expect("/client does not tell its `joints`")


def test_interbotix_commands_are_refused_where_their_messages_are_not_installed(bench: Bench) -> None:
    blocker = Path(__file__).resolve().parents[1] / "support" / "missing"
    bench.environment["MISSING"] = "interbotix_xs_msgs"
    bench.environment["PYTHONPATH"] = os.pathsep.join([str(blocker), bench.environment["PYTHONPATH"]])
    arm = {**copy.deepcopy(ARM), "command": {"topic": "/a/commands/joint_group", "type": "interbotix_group"}}
    teleop = bench.node("teleop", {"robot": bench.contract(arms=[arm])}, bufsize=-1)  # an interpreter of its own
    assert teleop.wait() == 2, teleop.output
    teleop.expect("error: arm 'left': command type 'interbotix_group' needs the package interbotix_xs_msgs")


def test_with_wait_for_gripper_nothing_moves_before_the_grippers_are_closed(bench: Bench) -> None:
    rig = Rig(bench, wait_for_gripper=True)
    rig.robot.tell("left/master at 0.3,0.0,0.5")
    rig.teleop.expect("left: ready")
    time.sleep(0.3)
    assert not rig.commands
    rig.robot.tell("left/master at 0.3,0.0,0.0")
    rig.settle((0.3, 0.0, 0.02))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rate": 0.0}, "parameter 'rate' is 0.0; allowed: a number, 1 to 1000"),
        ({"robot": "nobody"}, "robot 'nobody' is unknown"),
    ],
    ids=["rate", "robot"],
)
def test_a_bad_parameter_is_refused(bench: Bench, given: dict[str, Any], words: str) -> None:
    teleop = bench.node("teleop", {"robot": bench.contract(), **given})
    assert teleop.wait() == 2, teleop.output
    teleop.expect(f"error: {words}")


def test_a_contested_base_alone_is_let_go_of_and_the_arm_goes_on(bench: Bench) -> None:
    rig, node = Rig(bench), bench.client.node
    rig.listening()
    rig.drive(0.3, 0.0)
    until(lambda: rig.base and rig.base[-1][1].linear.x == 0.3, "a velocity")
    intruder = node.create_publisher(Twist, "/cmd_vel", 10)
    words = "base: commands on /cmd_vel come from node /client too; only one may command: let go of; start again with"
    rig.teleop.expect(words)
    until(lambda: node.count_publishers("/cmd_vel") == 1, "it lets go of the base")
    assert rig.base[-1][1].linear.x == 0.0
    rig.robot.tell("left/master at 0.1,0.0,0.5")
    rig.settle((0.1, 0.0, 0.1))
    node.destroy_publisher(intruder)
    time.sleep(0.5)
    assert not node.count_publishers("/cmd_vel"), "it does not begin by itself"
    assert bench.client.call("/teleop/start").message == "puppets follow their masters"
    until(lambda: node.count_publishers("/cmd_vel"), "it takes the base again")


def test_its_status_says_that_it_let_go_and_how_to_start(bench: Bench) -> None:
    rig = Rig(bench)
    rig.settle((0.0, 0.0, 0.1))
    statuses = bench.client.status("/teleop/status")

    def last() -> tuple[str, str]:
        found = statuses[-1][1] if statuses else None
        return ("", "") if found is None else (found.values[0].value, found.message)

    assert bench.client.call("/teleop/stop").success
    until(lambda: last()[0] == "released", "its state")
    assert last()[1] == ("the robot is let go of; start again with /teleop/start (vgil call start --node teleop)")
    answer = bench.client.call("/teleop/start").message
    assert answer == "as soon as the robot is heard, and nobody else commands it, puppets follow their masters"
    until(lambda: last()[0] == "following", "its state")
    intruder = bench.client.node.create_publisher(JointState, "/puppet/command", 10)
    until(lambda: last()[0] == "released", "its state")
    assert last()[1].startswith("commands on /puppet/command come from node /client too; only one may command: let")
    bench.client.node.destroy_publisher(intruder)


def test_states_are_stamped_by_their_arrival_where_the_contract_says_so(bench: Bench) -> None:
    arm = copy.deepcopy(ARM)
    arm["puppet"]["stamp"], arm["master"]["stamp"] = "arrival - 20", "arrival"
    rig = Rig(bench, contract=bench.contract(arms=[arm], cameras=[], base=BASE))
    rig.robot.tell("left/puppet zero")
    rig.robot.tell("left/master old 60")
    since = rig.teleop.mark()
    rig.robot.tell("left/master at 0.3,0.0,0.5")
    rig.settle((0.3, 0.0, 0.1))
    rig.robot.tell("left/master stop")
    rig.teleop.expect(r"left: holding: /master/joint_states is \d+ ms old", since=since)


def test_a_scene_that_was_reset_is_begun_with_at_once(bench: Bench) -> None:
    arms, guard = [copy.deepcopy(ARM)], {"settle_s": 10}  # so long a jump is refused, where nobody says why
    contract = bench.contract(arms=arms, cameras=[], base=BASE, guard=guard)
    rig = Rig(bench, contract=contract, reset_topic="sim/was_reset")
    out = bench.client.node.create_publisher(Empty, "/sim/was_reset", 10)
    rig.settle((0.0, 0.0, 0.1))
    until(out.get_subscription_count, "teleop listens")
    since = rig.teleop.mark()
    rig.robot.tell("left/puppet jump 1.5,0.0,0.1")
    told = rig.robot.tell("left/master jump 1.5,0.0,0.5")
    rig.teleop.expect("left: holding: .*jumped by", since=since)
    since = rig.teleop.mark()
    out.publish(Empty())
    line = rig.teleop.expect("left: following", since=since)
    assert line.at - told.at < 8.0 + rig.bench.gauge.stood(told.at, line.at)
    rig.settle((1.5, 0.0, 0.1))

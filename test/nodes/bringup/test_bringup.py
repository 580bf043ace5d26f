"""The bring-up of one side of ALOHA behind pretended drivers: refused before, opened, laid down; and what is wrong."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("interbotix_xs_msgs")

from interbotix_xs_msgs.srv import RegisterValues, RobotInfo
from std_srvs.srv import SetBool
from support.nodes.aloha_rig import AlohaBench, AlohaRig
from support.nodes.client import until
from support.process import Process

START = [0.0, -0.96, 1.16, 0.0, -0.3, 0.0]
SLEEP = [0.0, -1.85, 1.6, 0.0, -1.86, 0.0]
CRADLE = [0.0, -2.05, 1.7, 0.0, -2.0, 0.0]
METRES = "/follower_left: its gripper is in mode 'linear_position' and takes metres, the contract commands rad"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlohaRig]:
    """Drivers as Interbotix' launch file leaves them, the arms in their cradles."""
    with AlohaBench(tmp_path_factory.mktemp("aloha")) as bench:
        yield AlohaRig(bench)


def register(rig: AlohaRig, name: str, motor: str, space: str = "follower_left") -> list[int]:
    request = RegisterValues.Request(cmd_type="single", name=motor, reg=name)
    return list(rig.bench.client.call(f"/{space}/get_motor_registers", request, RegisterValues).values)


def mode(rig: AlohaRig, motor: str, space: str = "follower_left") -> str:
    request = RobotInfo.Request(cmd_type="single", name=motor)
    return str(rig.bench.client.call(f"/{space}/get_robot_info", request, RobotInfo).mode)


def robot_check(rig: AlohaRig) -> Process:
    """`vgil robot check`, whole."""
    arguments = ["-m", "vgil_ros.cli.main", "robot", "check", str(rig.contract)]
    process = Process.python(arguments, {**rig.bench.environment})
    process.wait()
    process.close()
    return process


def test_a_gripper_in_metres_is_not_commanded_by_anybody(rig: AlohaRig) -> None:
    """Found: one command in rad, and the real driver drives the gripper past closed until it switches itself off."""
    teleop = rig.bench.node("teleop", {"robot": rig.contract})
    home = rig.bench.node("posture", {"robot": rig.contract, "pose": "home"})
    for process in (teleop, home):
        process.expect(f"waiting.*{re.escape(METRES)}.*bringup.launch.py` sets it")
        process.send(signal.SIGINT)
        assert process.wait() == 0
    report = robot_check(rig).output
    assert METRES in report, report
    assert "NO-GO" in report, report
    assert "gripper goal" not in rig.follower.output
    np.testing.assert_allclose(rig.at()[:6], CRADLE, atol=1e-3)


def test_the_environment_refuses_a_gripper_in_metres(rig: AlohaRig) -> None:
    script = f"import vgil_ros; env = vgil_ros.RosEnvironment({str(rig.contract)!r}, timeout_s=30.0); env.reset()"
    process = Process.python(["-c", script], {**rig.bench.environment})
    try:
        assert process.wait() == 1
        assert METRES in process.output
    finally:
        process.close()
    assert "gripper goal" not in rig.follower.output


def test_out_of_the_cradle_to_the_operator_and_back_to_sleep(rig: AlohaRig) -> None:
    since = rig.follower.mark()
    node = rig.bringup()
    node.expect("take the leaders by their grippers and close them all")
    began = time.monotonic()
    np.testing.assert_allclose(rig.at()[:6], START, atol=0.06)
    np.testing.assert_allclose(rig.at(rig.leads)[:6], START, atol=0.06)
    assert register(rig, "Torque_Enable", "elbow", "leader_left") == [1], "it keeps its torque until it is held"
    assert rig.bringups[-1][1].values[0].value == "waking"
    rig.hand(*START, -0.05)
    node.expect("robot aloha is up, and its motors are watched")
    assert time.monotonic() - began > 0.3
    expected = {"Current_Limit": 300, "Operating_Mode": 5, "Torque_Enable": 1}
    assert {name: register(rig, name, "gripper")[0] for name in expected} == expected
    assert mode(rig, "gripper") == "current_based_position"
    expected = {"Position_P_Gain": 800, "Position_I_Gain": 0, "Profile_Velocity": 0, "Operating_Mode": 3}
    assert {name: register(rig, name, "elbow")[0] for name in expected} == expected
    assert register(rig, "Torque_Enable", "elbow", "leader_left") == [0]
    rig.until_status("the robot is up", b"\x00")
    assert "in mode 'current_based_position', which takes rad" in robot_check(rig).output
    node.send(signal.SIGINT)
    assert node.wait() == 0, node.output
    off = [line.text for line in rig.follower.lines[since:] if line.text.startswith("torque") and " off " in line.text]
    where = {line.split()[1]: float(line.split()[-1]) for line in off if "gripper" not in line}
    np.testing.assert_allclose([where[joint] for joint in rig.arm.joints[:6]], SLEEP, atol=0.07)
    assert rig.bringups[-1][1].values[0].value == "ended"


def test_a_dead_motor_ends_it_by_name_and_the_torque_stays(rig: AlohaRig) -> None:
    rig.follower.tell("dead elbow")
    node = rig.bringup(ceremony=False)
    node.expect("left/puppet/elbow does not answer, or has switched itself off.*: rebooting it")
    node.expect("not up: left/puppet/elbow .*, also after a reboot: cable, power, or a dead motor")
    rig.until_status("also after a reboot", b"\x02")
    rig.follower.tell("cool")
    rig.follower.tell("hot waist 71")
    assert rig.bench.client.call("/bringup/wake").success
    node.expect("not up: left/puppet/waist is at 71 C; allowed: below 70. Let it cool")
    rig.follower.tell("cool")
    assert rig.bench.client.call("/bringup/wake").success
    node.expect("is up, and its motors are watched")
    node.send(signal.SIGINT)
    time.sleep(1.2)
    node.send(signal.SIGINT)
    assert node.wait() == 1, "the second one skips"
    node.expect("ended at once: the robot is held by its driver, its torque as it is")
    assert register(rig, "Torque_Enable", "shoulder") == [1]


def test_ctrl_c_while_it_lies_down_begins_nothing_anew(rig: AlohaRig) -> None:
    node = rig.up()
    assert rig.bench.client.call("/bringup/sleep").success
    rig.until_status("the robot lies down", b"\x01")
    node.send(signal.SIGINT)
    node.expect("the robot lies down already; a second Ctrl-C leaves it as it is")
    assert node.wait() == 0, node.output
    assert node.output.count("left/puppet: torque off") == 1
    assert register(rig, "Torque_Enable", "elbow", "leader_left") == [0]


def test_services_are_called_in_order_and_one_that_fails_ends_it(rig: AlohaRig) -> None:
    calls: list[tuple[str, bool]] = []

    def serve(name: str, success: bool) -> None:
        def answer(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            calls.append((name, request.data))
            response.success, response.message = success, "the base is charging"
            return response

        rig.bench.client.node.create_service(SetBool, name, answer)

    serve("/base/torque", True)
    serve("/base/brake", False)
    enable = [
        {"service": name, "type": "std_srvs/srv/SetBool", "request": {"data": True}}
        for name in ("/base/torque", "/base/brake", "/base/light")
    ]
    contract = rig.contract.with_name("with_base.yaml")
    contract.write_text(rig.contract.read_text() + "enable: " + str(enable))
    node = rig.bench.node("bringup", {"robot": contract})
    node.expect("not up: /base/brake failed: the base is charging .success is false.; nothing after it was called")
    assert calls == [("/base/torque", True), ("/base/brake", True)]
    node.send(signal.SIGINT)
    assert node.wait() == 1
    contract.write_text(rig.contract.read_text() + str({"enable": [{**enable[0], "type": "vendor_msgs/srv/Go"}]})[1:-1])
    wrong = rig.bench.node("bringup", {"robot": contract})
    assert wrong.wait() == 2
    assert "the package vendor_msgs is not installed" in wrong.output


def test_the_launch_file_hands_on_and_ends_with_the_node(rig: AlohaRig) -> None:
    command = ["-m", "vgil_ros.cli.main", "launch", "bringup.launch.py", f"robot:={rig.contract}", "ceremony:=false"]
    launch = Process.python(command, rig.bench.environment)
    try:
        launch.expect("is up, and its motors are watched")
        launch.send(signal.SIGINT)
        assert launch.wait() == 0, launch.output
        assert "the robot lies, its torque is off" in launch.output
    finally:
        launch.close()
    until(lambda: register(rig, "Torque_Enable", "shoulder") == [0], "torque off")

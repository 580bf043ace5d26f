"""The bring-up's sequences against the pretended driver, without ROS: from any state of the servos, or why not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nodes.fake_xs_driver import ARM, MODES, XsDriver

from vgil_ros.assets import load_contract
from vgil_ros.core.bringup import interbotix
from vgil_ros.core.bringup.health import Health, look
from vgil_ros.core.bringup.judgements import mode_wrong
from vgil_ros.core.bringup.leaders import leaders_of
from vgil_ros.core.bringup.services import call_all, refusal
from vgil_ros.core.bringup.steps import BringupError, Call, CloseGrippers, Move, Say, Steps
from vgil_ros.core.bringup.units import Unit, units_of
from vgil_ros.core.bringup.watch import SILENT_S, BringupWatch
from vgil_ros.core.contract import Contract, ServiceCall, parse_contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.layout import Layout

R = TypeVar("R")
ALOHA, TEXT = load_contract("aloha")
ONE = ALOHA.model_copy(update={"arms": ALOHA.arms[:1]})
UNITS = units_of(ONE, leaders=True)
DRIVER = ONE.driver
assert DRIVER is not None


class Desk:
    """Drivers by their namespace, and what was asked of them."""

    def __init__(self) -> None:
        self.drivers = {"/follower_left": XsDriver(leads=False, wait=self._wait)}
        self.drivers["/leader_left"] = XsDriver(leads=True, wait=self._wait)
        self.calls: list[Call] = []
        self.steps: list[Any] = []
        self.silent: set[str] = set()  # namespaces that do not answer
        self.lost: list[tuple[str, str]] = []  # (motor, register) whose next answer has no value

    def _wait(self, seconds: float) -> None:
        for driver in self.drivers.values():
            driver.step(seconds)

    @property
    def follower(self) -> XsDriver:
        return self.drivers["/follower_left"]

    def register(self, motor: str, name: str) -> int:
        return self.follower.servos[motor].registers[name]

    def answer(self, call: Call) -> Any:
        space, service = call.service.rsplit("/", 1)
        self.calls.append(call)
        if space in self.silent:
            return None
        asked = (str(call.request.get("name")), str(call.request.get("reg")))
        if asked in self.lost:
            self.lost.remove(asked)
            return {"values": []}
        if service == "gravity_compensation_enable":
            return {"success": True, "message": ""}
        return getattr(self.drivers[space], service)(SimpleNamespace(**call.request))

    def run(self, steps: Steps[R]) -> R:
        answer = None
        try:
            while True:
                step = steps.send(answer)
                self.steps.append(step)
                answer = self.answer(step) if isinstance(step, Call) else None
        except StopIteration as end:
            result: R = end.value
            return result

    def wake(self, contract: Contract = ONE, **options: Any) -> None:
        self.run(interbotix.wake(contract, UNITS, **{"ceremony": True, **options}))

    def look(self) -> Health:
        assert DRIVER is not None
        return self.run(look(UNITS, DRIVER))


def assert_up(desk: Desk) -> None:
    for joint in ARM:
        expected = {"Operating_Mode": 3, "Position_P_Gain": 800, "Position_I_Gain": 0, "Torque_Enable": 1}
        assert {name: desk.register(joint, name) for name in expected} == expected
    expected = {"Operating_Mode": 5, "Current_Limit": 300, "Torque_Enable": 1, "Hardware_Error_Status": 0}
    assert {name: desk.register("gripper", name) for name in expected} == expected
    assert desk.follower.modes["gripper"] == "current_based_position"
    assert not any(servo.torque for servo in desk.drivers["/leader_left"].servos.values())


def test_from_interbotix_own_start() -> None:
    desk = Desk()
    desk.wake()
    assert_up(desk)
    acts = [step for step in desk.steps if isinstance(step, (Move, CloseGrippers))]
    assert acts == [Move("wake", leaders=True), CloseGrippers()]
    before_move = desk.steps[: desk.steps.index(acts[0])]
    assert not any(
        isinstance(s, Call) and s.request.get("enable") is False and "leader" in s.service for s in before_move
    )


@given(
    st.sampled_from(sorted(MODES)),
    st.sampled_from(sorted(MODES)),
    st.sets(st.sampled_from([*ARM, "gripper", "shoulder_shadow"])),
    st.integers(100, 1193),
    st.booleans(),
    st.booleans(),
)
def test_from_any_state_the_servos_read_as_they_should(
    arm_mode: str, gripper_mode: str, off: set[str], limit: int, torque: bool, ceremony: bool
) -> None:
    desk = Desk()
    for joint in ARM:
        desk.follower.set_mode(joint, arm_mode, torque=torque)
    desk.follower.group_mode = arm_mode
    desk.follower.servos["gripper"].registers["Current_Limit"] = limit
    desk.follower.set_mode("gripper", gripper_mode, torque=torque)
    for motor in off:
        desk.follower.obey(f"off {motor}")
    desk.wake(ceremony=ceremony)
    assert_up(desk)
    assert not desk.look().findings


def test_a_second_one_lets_no_raised_arm_sag() -> None:
    desk = Desk()
    desk.wake()
    done = len(desk.calls)
    desk.wake()
    followers = [call for call in desk.calls[done:] if call.service.startswith("/follower_left")]
    assert not any(call.request.get("enable") is False for call in followers)
    assert not any(call.service.endswith("set_operating_modes") for call in followers)


def test_the_torque_goes_off_after_the_sleep_pose_alone() -> None:
    desk = Desk()
    desk.wake()
    desk.steps.clear()
    desk.run(interbotix.lie_down(ONE, UNITS))
    move = desk.steps.index(Move("sleep", leaders=True))
    off = [i for i, step in enumerate(desk.steps) if isinstance(step, Call) and step.request.get("enable") is False]
    assert off
    assert min(off) > move
    assert not any(servo.torque for driver in desk.drivers.values() for servo in driver.servos.values())


def test_gravity_compensation_in_place_of_limp_leaders() -> None:
    assert DRIVER is not None
    driver = DRIVER.model_copy(update={"leaders": "gravity_compensation"})
    desk = Desk()
    desk.wake(ONE.model_copy(update={"driver": driver}))
    calls = [call for call in desk.calls if call.service.endswith("gravity_compensation_enable")]
    assert calls == [
        Call("/leader_left/gravity_compensation_enable", "std_srvs/srv/SetBool", {"data": on}) for on in (False, True)
    ]
    leaders = [call for call in desk.calls if call.service.startswith("/leader_left")]
    changes = [call for call in leaders if call.service.endswith(("_modes", "torque_enable"))]
    assert desk.calls.index(calls[0]) < desk.calls.index(changes[0]), "off before the position mode"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("restart", "left/puppet/waist: torque is off; bring the robot up first"),
        ("dead elbow", "left/puppet/elbow does not answer, or .*; bring the robot up first"),
        ("metres", "its gripper is in mode 'linear_position' and takes metres"),
        ("pwm", "its arm is in mode 'pwm' and takes PWM"),
    ],
)
def test_no_arm_is_laid_down_that_must_not_be_moved(change: str, words: str) -> None:
    desk = Desk()
    desk.wake()
    if change == "restart":
        desk.drivers["/follower_left"] = XsDriver(leads=False, wait=lambda _: None)
        desk.follower.set_mode("gripper", "linear_position", torque=False)
        for joint in ARM:
            desk.follower.servos[joint].write("Torque_Enable", 0)
    elif change == "metres":
        desk.follower.set_mode("gripper", "linear_position")
    elif change == "pwm":
        desk.follower.group_mode = "pwm"
    else:
        desk.follower.obey(change)
    done = len(desk.steps)
    with pytest.raises(BringupError, match=words):
        desk.run(interbotix.lie_down(ONE, UNITS))
    steps = desk.steps[done:]
    assert not any(isinstance(step, Move) for step in steps), "nothing has moved"
    assert not any(isinstance(step, Call) and "enable" in step.request for step in steps), "the torque stays as it is"


def test_one_lost_answer_reboots_no_motor() -> None:
    desk = Desk()
    desk.lost = [("elbow", "Hardware_Error_Status")]
    desk.wake()
    assert not any(call.service.endswith("reboot_motors") for call in desk.calls)
    desk.lost = [("elbow", "Torque_Enable")]
    desk.run(interbotix.lie_down(ONE, UNITS))
    assert not desk.lost


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        (["dead wrist_angle"], "left/puppet/wrist_angle does not answer, .*, also after a reboot"),
        (["hot elbow_shadow 70"], "left/puppet/elbow_shadow is at 70 C; allowed: below 70"),
        (["unplug"], "left/puppet/waist does not answer"),
    ],
)
def test_what_is_wrong_is_named(orders: list[str], words: str) -> None:
    desk = Desk()
    for order in orders:
        desk.follower.obey(order)
    with pytest.raises(BringupError, match=words):
        desk.wake()
    assert not any(isinstance(step, Move) for step in desk.steps), "nothing has moved"


def test_a_driver_that_is_not_there_or_commands_other_joints() -> None:
    desk = Desk()
    desk.silent.add("/leader_left")
    with pytest.raises(BringupError, match="/leader_left/get_robot_info did not answer within 10 s"):
        desk.wake()
    arm = ONE.arms[0].model_copy(update={"joints": (*reversed(ONE.arms[0].joints[:6]), "gripper")})
    with pytest.raises(BringupError, match=r"its driver commands the joints .*waist.*shoulder"):
        Desk().run(interbotix.compare(Unit("left/puppet", "/follower_left", arm, False, ())))
    limits = ONE.arms[0].limits.model_copy(update={"upper": (9.0, *ONE.arms[0].limits.upper[1:])})
    arm = ONE.arms[0].model_copy(update={"limits": limits})
    with pytest.raises(BringupError, match=r"waist may go from -3.14158 to 9; the driver's limits are -3.142 to 3.142"):
        Desk().run(interbotix.compare(Unit("left/puppet", "/follower_left", arm, False, ())))


class Deaf(XsDriver):
    """A driver that says "done" and writes no Current_Limit."""

    def set_motor_registers(self, request: Any) -> dict[str, Any]:
        return {} if request.reg == "Current_Limit" else super().set_motor_registers(request)


def test_done_is_not_believed() -> None:
    desk = Desk()
    desk.drivers["/follower_left"] = Deaf(leads=False, wait=lambda _: None)
    with pytest.raises(BringupError, match=r"gripper: Current_Limit 300 was not taken, .* \(it reads 1193\)"):
        desk.wake()
    assert desk.follower.servos["gripper"].torque, "it holds what it held"


@pytest.mark.parametrize(
    ("where", "orders", "holds", "words"),
    [
        ("/follower_left", ["off elbow"], True, "left/puppet/elbow does not answer, or has switched itself off"),
        ("/follower_left", ["hot waist 65"], False, "left/puppet/waist is at 65 C, warm from 60 on"),
        ("/follower_left", ["hot shoulder_shadow 80"], True, "left/puppet/shoulder_shadow is at 80 C"),
        ("/follower_left", ["unplug"], True, "left/puppet: none of its motors answers"),
        ("/leader_left", ["off elbow"], False, "left/master/elbow does not answer"),
        ("/leader_left", ["unplug"], False, "left/master: none of its motors answers"),
    ],
)
def test_health_names_the_motor_and_holds_for_followers(where: str, orders: list[str], holds: bool, words: str) -> None:
    desk = Desk()
    desk.wake()
    for order in orders:
        desk.drivers[where].obey(order)
    health = desk.look()
    assert words in (health.holds if holds else health.warns)
    assert not (health.warns if holds else health.holds)


def test_health_of_a_driver_that_is_gone_or_was_restarted() -> None:
    desk = Desk()
    desk.wake()
    desk.silent.add("/follower_left")
    assert desk.look().holds == "left/puppet: its driver does not answer (/follower_left/get_motor_registers)"
    desk.silent.clear()
    desk.drivers["/follower_left"] = XsDriver(leads=False, wait=lambda _: None)
    assert "torque is off, as after a restart of its driver" in desk.look().holds
    assert desk.look().figures["volts_left_puppet"] == 12.0


def test_the_leaders_are_a_robot_of_their_own() -> None:
    made = leaders_of(ALOHA, units_of(ALOHA, leaders=True))
    assert made is not None
    assert [arm.name for arm in made.arms] == ["left_leader", "right_leader"]
    assert made.arms[0].command.topic == "/leader_left/commands/joint_group"
    assert Layout(made).home[6] == pytest.approx(0.5), "half open: then the operator closes it"
    assert leaders_of(ALOHA, units_of(ALOHA, leaders=False)) is None


def test_enabling_services_are_judged_by_what_they_answer() -> None:
    def run(*answers: Any) -> list[Any]:
        calls = [ServiceCall(service=f"/s{i}", type="std_srvs/srv/SetBool") for i in range(len(answers))]
        steps, given, out = call_all(calls), iter(answers), []
        answer = None
        try:
            while True:
                step = steps.send(answer)
                out.append(step)
                answer = next(given) if isinstance(step, Call) else None
        except StopIteration:
            return out

    assert [step for step in run({"success": True}, {"ret": 0}, {}) if isinstance(step, Say)] == [
        Say(f"/s{i}: done") for i in range(3)
    ]
    with pytest.raises(BringupError, match=r"/s1 failed: locked \(success is false\)"):
        run({"success": True}, {"success": False, "message": "locked"}, {"success": True})
    with pytest.raises(BringupError, match="/s0 did not answer within 10 s"):
        run(None)
    assert refusal({"ret": 3, "message": ""}) == "ret is 3, and 0 is success"
    assert refusal({"ok": False}) == "ok is false"
    assert refusal({"values": [1]}) is None


def test_modes_of_a_gripper() -> None:
    assert mode_wrong("/f", "gripper", "current_based_position") is None
    assert mode_wrong("/f", "gripper", "position") is None
    assert "takes metres" in str(mode_wrong("/f", "gripper", "linear_position"))
    assert "takes PWM" in str(mode_wrong("/f", "gripper", "pwm"))


def test_what_others_make_of_the_status() -> None:
    watch = BringupWatch()
    assert watch.hold(0.0) == watch.silent(0.0) == watch.moves(0.0) == "", "nobody brings anything up: others may have"
    watch.heard(1.0, "waking", False, "on its way")
    assert "not up yet (waking): on its way" in watch.hold(1.1)
    assert "only one may command" in watch.moves(1.1)
    watch.heard(2.0, "up", False, "fine")
    assert watch.hold(2.1) == watch.moves(2.1) == ""
    watch.heard(3.0, "up", True, "left/puppet/elbow is hot")
    assert watch.hold(3.1) == "bringup: left/puppet/elbow is hot"
    assert "left/puppet/elbow is hot; its last word before it fell silent" in watch.hold(3.1 + SILENT_S)
    assert "nothing watches over the motors" in watch.silent(3.1 + SILENT_S)
    watch.heard(7.0, "up", True, "left/puppet/elbow is hot")
    watch.heard(7.5, "up", False, "fine")
    assert watch.hold(7.6) == watch.hold(8.0 + SILENT_S) == "", "it was well when it was last heard"
    watch.heard(8.0, "waking", False, "on its way")
    assert "not up yet (waking)" in watch.hold(8.1 + SILENT_S)
    assert watch.moves(8.1 + SILENT_S) == "", "whoever was killed commands nothing"
    watch.heard(9.0, "ended", False, "bye")
    assert watch.hold(9.1) == watch.silent(99.0) == "", "it said so"


@pytest.mark.parametrize(
    ("found", "wrong", "words"),
    [
        ("type: interbotix_xs", "type: dynamixel", "driver.type"),
        ("/commands/joint_group", "/goal", "allowed with driver interbotix_xs: NAME/commands/joint_group"),
        ("type: interbotix_group}", "type: joint_state}", "allowed with driver interbotix_xs: interbotix_group"),
        ("gripper_current: 300", "gripper_current: 5000", "driver.gripper_current"),
        ("gripper_current: 300", "warm: 80", "allowed: warm up to hot"),
        ("gripper_current: 300", "position_gains: [800, 0, 99999]", "allowed: 0 to 16383"),
    ],
)
def test_a_contract_says_what_its_driver_is(found: str, wrong: str, words: str) -> None:
    assert found in TEXT
    with pytest.raises(ContractError, match=words):
        parse_contract(TEXT.replace(found, wrong), "aloha.yaml")
    with pytest.raises(ContractError, match=r"enable\[0\]|enable"):
        parse_contract(TEXT + "enable: [{service: /a, type: SetBool}]\n", "aloha.yaml")

"""Bring-up on pretended servos: settings read back, no jump, and each fault named before any torque goes on."""

from __future__ import annotations

import errno
import json
import math
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.feetech.calibrations import JOINTS, calibration, write_calibration
from support.feetech.emulator import arm_servos, put
from support.feetech.servo import Servo
from support.feetech.threaded import RunningLine

pytest.importorskip("serial")

from vgil_ros.robots.feetech.arm import FeetechArm
from vgil_ros.robots.feetech.bus import Bus, BusError, PortLost
from vgil_ros.robots.feetech.calibration import load_calibration
from vgil_ros.robots.feetech.readings import QUIET_CYCLES, LinkQuality

CLOSED = {"gripper": -0.17453}
PATIENT_S = 0.1  # a busy machine lets the pretended servos wait


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningLine]:
    with RunningLine(tmp_path / "ttyACM0", arm_servos(calibration("follower"))) as line:
        yield line


def arm_at(running: RunningLine, *, follower: bool = True, baud: int = 1_000_000) -> FeetechArm:
    folder = running.line.port.parent
    motors = load_calibration(write_calibration("follower", folder), JOINTS)
    arm = FeetechArm(str(running.line.port), baud, motors, CLOSED, follower=follower, reply_s=PATIENT_S)
    arm.open()
    return arm


def test_a_follower_is_set_holds_and_has_not_moved(running: RunningLine) -> None:
    running.line.track()
    arm = arm_at(running)
    changed = arm.bring_up()
    assert "gripper: max_torque_limit 1000 -> 500" in changed
    for number in range(1, 7):
        servo = running.servo(number)
        assert (servo.get(33, 1), servo.get(21, 1), servo.get(22, 1), servo.get(23, 1)) == (0, 16, 32, 0)
        assert (servo.get(7, 1), servo.get(41, 1), servo.get(85, 1)) == (0, 254, 254)
        assert (servo.torque, servo.get(55, 1)) == (True, 1)
        assert servo.eeprom[21] == 16, "it outlasts a loss of power"
    gripper = running.servo(6)
    assert (gripper.get(16, 2), gripper.get(28, 2), gripper.get(36, 1), gripper.get(48, 2)) == (500, 250, 25, 500)
    assert max(running.line.travel) <= 1
    arm.close()
    again = arm_at(running)
    assert again.bring_up() == [], "what is right is not written again"
    again.close()


def test_a_leader_is_limp_and_keeps_its_forces(running: RunningLine) -> None:
    running.servo(2).set(40, 1, 1)
    arm = arm_at(running, follower=False)
    arm.bring_up()
    assert not any(servo.torque for servo in running.line.servos)
    arm.close()


def test_a_reading_has_all_joints_in_their_units(running: RunningLine) -> None:
    arm = arm_at(running)
    arm.bring_up()
    running.servo(3).set(63, 1, 47)
    reading, found = arm.measure()
    assert reading is not None
    assert not found.silent
    np.testing.assert_allclose(reading.position[:5], 0, atol=math.tau / 4096)
    assert reading.position[5] == pytest.approx(-0.17453 + (3565 - 1975) / 2 * math.tau / 4096, abs=2e-3)
    assert (reading.temperature[2], reading.voltage[0]) == (47, 12)
    arm.close()


def test_a_joint_that_holds_already_keeps_its_goal(running: RunningLine) -> None:
    """The node was ended and started anew; the arm does not sink on the way."""
    arm = arm_at(running)
    arm.bring_up()
    goals = arm.goals()
    goals[1] += 0.05
    arm.send(goals)
    arm.close()
    again = arm_at(running)
    again.bring_up()
    np.testing.assert_allclose(again.goals(), goals, atol=2e-3)
    again.close()


def test_joints_that_hold_again_are_told_nothing_before_their_goals_are_known(running: RunningLine) -> None:
    """A follower's joint that was limp is not sent the goal that it had before."""
    arm = arm_at(running)
    arm.bring_up()
    assert arm.limp == ()
    old = arm.goals()
    arm.release()
    arm.limp = arm.joints
    running.servo(1).actual += 300
    arm.engage()
    assert arm.limp == arm.joints, "until whoever engaged it has read the goals"
    running.line.track()
    arm.send(old)
    assert arm.measure()[0] is not None
    assert running.servo(1).get(42, 2) == pytest.approx(running.servo(1).present, abs=1)
    assert max(running.line.travel) <= 1
    arm.close()


Change = Callable[[RunningLine], None]
FAULTS: list[tuple[Change, str]] = [
    (lambda r: r.line.silent.add(3), r"ttyACM0: elbow_flex \(id 3\): no answer; look at its cable"),
    (lambda r: put(r.servo(4), 3, 2, 1284), r"wrist_flex \(id 4\): its model number is 1284; allowed: 777"),
    (
        lambda r: r.line.twins.update({2: Servo(2, 99)}),
        r"shoulder_lift \(id 2\): two servos have this id; allowed: one",
    ),
    (lambda r: collide(r, 2), r"shoulder_lift \(id 2\): answers with a wrong checksum; .*a second servo with this id"),
    (lambda r: put(r.servo(3), 5, 1, 1), r"(?s)two servos have this id.*\(id 3\): no answer"),
    (lambda r: put(r.servo(3), 5, 1, 9), r"(?s)\(id 3\): no answer.*the ids \[9\] answer, which no joint"),
    (lambda r: slower(r), r"nobody answers at 1000000 baud, ids .* at 500000"),
    (lambda r: setattr(r.line, "mute", True), r"none of the ids \[1, 2, 3, 4, 5, 6\] answers; look at its power"),
    (
        lambda r: put(r.servo(1), 31, 2, 5),
        r"shoulder_pan \(id 1\): homing_offset is 5 in the servo and -1365 in the cali",
    ),
    (
        lambda r: put(r.servo(4), 18, 1, 0x1C),
        r"wrist_flex \(id 4\): it counts several turns \(multi-turn: phase is 28, with bit 0x10\); allowed: one turn;"
        " mend it with write_calibration:=true",
    ),
    (lambda r: put(r.servo(1), 11, 2, 3000), r"max_position_limit is 3000 in the servo and 3477"),
    (
        lambda r: setattr(r.servo(5), "errors", 0x20),
        r"wrist_roll \(id 5\): overload \(12.0 V, 31 C\); allowed: no error",
    ),
    (lambda r: r.servo(5).set(63, 1, 80), r"wrist_roll \(id 5\): too hot \(12.0 V, 80 C\)"),
    (lambda r: r.servo(5).set(62, 1, 30), r"wrist_roll \(id 5\): voltage out of its limits \(3.0 V"),
    (
        lambda r: setattr(r.servo(2), "actual", 700 - 1200),
        r"\(id 2\): stands at 700 ticks, outside its calibrated range",
    ),
]


def slower(running: RunningLine) -> None:
    """All servos at 500000 baud."""
    for servo in running.line.servos:
        put(servo, 6, 1, 1)


def collide(running: RunningLine, number: int) -> None:
    """Two servos of one id that answer at the same time."""
    running.line.twins[number], running.line.collide = Servo(number, 99), True


@pytest.mark.parametrize(("change", "words"), FAULTS, ids=range(len(FAULTS)))
def test_each_fault_is_named_and_nothing_gets_torque(change: Change, words: str, running: RunningLine) -> None:
    change(running)
    running.line.track()
    arm = arm_at(running)
    with pytest.raises(BusError, match=words):
        arm.bring_up()
    arm.close()
    assert not any(servo.torque for servo in running.line.servos)
    assert max(running.line.travel) < 1


def test_another_calibration_is_written_when_told_to(running: RunningLine) -> None:
    put(running.servo(1), 31, 2, 5)
    arm = arm_at(running)
    assert "shoulder_pan: homing_offset 5 -> -1365" in arm.bring_up(write_calibration=True)
    assert running.servo(1).homing == -1365
    arm.close()


def test_counting_of_several_turns_is_switched_off_when_told_to_and_nothing_else_with_it(running: RunningLine) -> None:
    servo = running.servo(4)
    put(servo, 18, 1, 0x1C)
    servo.actual -= 4096
    arm = arm_at(running)
    assert [words for words in arm.bring_up(write_calibration=True) if "phase" in words] == [
        "wrist_flex: phase 28 -> 12"
    ]
    assert (servo.get(18, 1), servo.eeprom[18], running.servo(3).get(18, 1)) == (12, 12, 12)
    reading, _ = arm.measure()
    assert reading is not None
    assert reading.position[3] == pytest.approx(0, abs=math.tau / 4096)
    arm.close()


@pytest.mark.parametrize("turns", [-1, 1])
def test_a_position_outside_a_turn_is_no_reading_and_is_named(turns: int, running: RunningLine) -> None:
    arm = arm_at(running, follower=False)
    arm.bring_up()
    put(running.servo(4), 18, 1, 0x1C)
    running.servo(4).actual += turns * 4096
    running.servo(4).measure(0.0)
    at, quality = round(running.servo(4).present), LinkQuality()
    for _ in range(QUIET_CYCLES):
        reading, found = arm.measure()
        assert reading is None
        quality.add(found, whole=False)
    said = quality.faults(found, arm.bus)
    assert list(said) == ["wrist_flex"]
    words = (
        f"wrist_flex (id 4): stands at {at} ticks; allowed: 0 to 4095, one turn; it counts several (multi-turn)? Run"
    )
    assert words in said["wrist_flex"]
    arm.close()


def test_a_bad_cable_is_lived_with_while_nothing_moves(running: RunningLine) -> None:
    """What is asked in peace is asked again: one byte in 100 lost, and noise before each answer."""
    running.line.lost, running.line.noise = 0.003, 3
    arm = arm_at(running)
    arm.bring_up()
    assert all(servo.torque for servo in running.line.servos)
    arm.close()


def test_a_reading_is_whole_or_none(running: RunningLine) -> None:
    arm = arm_at(running)
    arm.bring_up()
    for spoil in (
        lambda: running.line.cut.update({4: 9}),
        lambda: running.line.flipped.add(2),
        lambda: running.line.silent.add(6),
    ):
        spoil()
        reading, found = arm.measure()
        assert reading is None
        assert len(found.silent) >= 1
    running.line.cut.clear()
    running.line.flipped.clear()
    running.line.silent.clear()
    assert arm.measure()[0] is not None
    running.servo(1).set(56, 2, 5000)
    running.line.gone()
    with pytest.raises(PortLost, match=r"ttyACM0: the port has gone .*; is its USB cable plugged in\?"):
        arm.measure()
    arm.close()


def unplugged(*_: object, **__: object) -> None:
    """What a port says whose cable is out."""
    raise termios.error(errno.EIO, "Input/output error")


def test_ports_that_cannot_be_opened_say_why(
    running: RunningLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PortLost, match=r"nowhere: no such port; found: "):
        Bus(str(tmp_path / "nowhere"), 1_000_000)
    first = Bus(str(running.line.port), 1_000_000)
    with pytest.raises(PortLost, match="another program has it open; allowed: one"):
        Bus(str(running.line.port), 1_000_000)
    first.close()
    again = Bus(str(running.line.port), 1_000_000)
    with pytest.raises(PortLost, match="cannot be opened at -1 baud"):
        again.set_baud(-1)
    assert again.baud == 1_000_000
    monkeypatch.setattr("serial.Serial._reconfigure_port", unplugged)
    with pytest.raises(PortLost, match=r"cannot be opened at 500000 baud .*Input/output"):
        again.set_baud(500_000)
    with pytest.raises(PortLost, match="cannot be opened at 1000000 baud"):
        again.answering_bauds([1])
    monkeypatch.undo()
    again.close()
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(PortLost, match="cannot be opened at 1000000 baud"):
        Bus(str(tmp_path / "file"), 1_000_000)

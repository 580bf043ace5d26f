"""`vgil robot calibrate`, with a hand that moves pretended servos; the file and the servos then fit each other."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.feetech.calibrations import JOINTS, calibration
from support.feetech.emulator import arm_servos, put
from support.feetech.servo import Servo
from support.feetech.threaded import RunningLine
from support.paths import process_environment
from support.process import Process

pytest.importorskip("serial")

from vgil_ros.assets import contract_path
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.feetech.arm import FeetechArm
from vgil_ros.robots.feetech.bus import Bus, BusError
from vgil_ros.robots.feetech.calibration import load_calibration
from vgil_ros.robots.feetech.recording import Calibrator, RangeRecorder


def contract(folder: Path) -> Path:
    robot = yaml.safe_load(contract_path("so101").read_text(encoding="utf-8"))
    robot["arms"][0]["bus"] |= {
        "follower": str(folder / "tty"),
        "follower_calibration": str(folder / "new" / "arm.json"),
    }
    path = folder / "so101.yaml"
    path.write_text(yaml.safe_dump(robot), encoding="utf-8")
    return path


def test_a_hand_shows_middles_and_ends(tmp_path: Path) -> None:
    servos = arm_servos(calibration("follower"))
    for servo in servos:
        servo.set(31, 2, 0)
        servo.eeprom[31:33] = b"\x00\x00"
        servo.set(40, 1, 1)
    file = tmp_path / "new" / "arm.json"
    with RunningLine(tmp_path / "tty", servos):
        words = ["-m", "vgil_ros.cli.main", "robot", "calibrate", str(contract(tmp_path)), "follower"]
        process = Process.python(words, process_environment(PYTHONUNBUFFERED="1"))
        process.expect("it goes limp")
        assert all(servo.torque for servo in servos)
        process.write("\n")
        process.expect("into the middle")
        assert not any(servo.torque for servo in servos)
        process.write("\n")
        process.expect("to both its ends")
        for end in (1000.0, 3000.0, 2000.0):
            for servo in servos:
                servo.hand = (end + servo.id, 20000.0)
            time.sleep(0.6)
        process.write("\n")
        assert process.wait() == 0, process.output
        process.close()
        motors = load_calibration(file, JOINTS)
        for motor, servo in zip(motors.values(), servos, strict=True):
            assert abs(motor.range_min - 1000 - motor.id) <= 1
            assert abs(motor.range_max - 3000 - motor.id) <= 1
            assert servo.homing == motor.homing_offset
        arm = FeetechArm(str(tmp_path / "tty"), 1_000_000, motors, {}, follower=True, reply_s=0.1)
        arm.open()
        arm.bring_up()
        arm.close()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 2
    assert "is there already, not overwritten" in done.stderr
    assert json.loads(file.read_text())["gripper"]["id"] == 6


def test_what_is_no_calibration_is_named() -> None:
    ranges = RangeRecorder(["a", "b", "c"])
    for ticks in (2000, 3000, 1000):
        ranges.update({"a": ticks, "b": 2000})
    for ticks in (100, 4000):
        ranges.update({"c": ticks})
    assert ranges.faults() == [
        "c went over the end of a turn; begin again with it in the middle of its range",
        "b was moved by 0 ticks; allowed: at least 50; move it to both ends",
    ]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Calibrator, list[Servo]]]:
    """A calibration of two joints, gone limp."""
    servos = [Servo(1, 2000), Servo(2, 2000)]
    with RunningLine(tmp_path / "tty", servos):
        bus = Bus(str(tmp_path / "tty"), 1_000_000, reply_s=0.1)
        calibrator = Calibrator(bus, ["pan", "wrist"])
        calibrator.let_go()
        yield calibrator, servos
        bus.close()


def moved(servo: Servo, actual: float) -> None:
    """A hand has moved it there."""
    servo.actual = actual
    servo.measure(0.0)


def test_a_servo_that_counts_several_turns_is_set_to_one_and_its_middle_found(
    two: tuple[Calibrator, list[Servo]],
) -> None:
    calibrator, servos = two
    put(servos[1], 18, 1, 0x1C)
    moved(servos[1], 4517.0)
    assert calibrator.take_middle() == ["wrist: phase 28 -> 12"]
    assert (servos[0].eeprom[18], servos[1].eeprom[18]) == (12, 12)
    assert servos[1].homing == 4517 - 4096 - 2047
    assert calibrator.look() == {"pan": 2047, "wrist": 2047}


def test_the_last_tick_of_a_turn_is_a_middle(two: tuple[Calibrator, list[Servo]]) -> None:
    calibrator, servos = two
    moved(servos[1], 4095.0)
    calibrator.take_middle()
    assert (servos[1].homing, calibrator.look()["wrist"]) == (2047, 2048)


@pytest.mark.parametrize("at", [4096, 4200, -1])
def test_a_middle_outside_a_turn_is_refused(
    at: int, two: tuple[Calibrator, list[Servo]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrator, servos = two
    monkeypatch.setattr(servos[1], "_counted", lambda ticks: ticks)  # whatever its phase says
    moved(servos[1], float(at))
    with pytest.raises(BusError, match=rf"wrist \(id 2\): stands at {at} ticks; allowed: 0 to 4095, one turn"):
        calibrator.take_middle()


def test_an_end_outside_a_turn_is_named_at_once(two: tuple[Calibrator, list[Servo]]) -> None:
    calibrator, servos = two
    calibrator.take_middle()
    put(servos[1], 18, 1, 0x1C)
    moved(servos[1], -100.0)
    at = -100 - servos[1].homing
    with pytest.raises(BusError, match=rf"wrist \(id 2\): stands at {at} ticks; allowed: 0 to 4095"):
        calibrator.look()
    assert calibrator.ranges.low == {}


def test_of_ends_that_cannot_be_none_is_written(two: tuple[Calibrator, list[Servo]]) -> None:
    calibrator, servos = two
    calibrator.take_middle()
    for ticks in (2000, 900, 2000, 3950):
        calibrator.ranges.update({"pan": ticks, "wrist": ticks + 200})
    with pytest.raises(VgilError, match=r"wrist \(id 2\): range_max: found 4150; allowed: less than or equal to 4095"):
        calibrator.finish()
    assert [(servo.get(9, 2), servo.get(11, 2)) for servo in servos] == [(0, 4095)] * 2

"""`vgil robot calibrate`, with a hand that moves pretended servos; the file and the servos then fit each other."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support.feetech.calibrations import JOINTS, calibration
from support.feetech.emulator import arm_servos
from support.feetech.threaded import RunningLine
from support.paths import process_environment
from support.process import Process

pytest.importorskip("serial")

from vgil_ros.assets import contract_path
from vgil_ros.robots.feetech.arm import FeetechArm
from vgil_ros.robots.feetech.calibration import load_calibration
from vgil_ros.robots.feetech.recording import RangeRecorder


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

"""The process `python -m support.feetech.emulator PORT CALIBRATION.json [TICKS,...]`: an arm's servos on a port.

Their homing offsets and limits are the calibration's; they stand in the middle of their ranges, or at TICKS. Commands
come over standard input, and `done COMMAND` is said once obeyed:

gone, back                  the adapter is pulled out, and plugged in
power off, power on         the servos' supply
mute, unmute                nothing answers, and all does
silent ID, heard ID         one servo
lost SHARE, noise COUNT     bytes that get lost, and that come before each answer
cut ID BYTES, flip ID       its answers are cut, or have a wrong byte; `whole ID` ends both
twin ID, collide ID         a second servo of the same id, that answers after or at the same time; `alone ID`
set ID ADDRESS SIZE VALUE   a value of its memory, and of its EEPROM
error ID BITS               error bits
weak ID                     its torque does not go on; `strong ID`
stop ID TICKS               it cannot go below; `free ID`
hand ID TICKS SPEED         somebody moves it there (ticks/s) while it has no torque; `at` gives no time for it
track                       from now on the way of each servo is measured
say                         one JSON line: {"ID": {"present", "goal", "torque", "travel"}}
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from support.feetech.line import ServoLine
from support.feetech.servo import EEPROM, Servo


def arm_servos(calibration: dict[str, dict[str, int]], ticks: list[int] | None = None) -> list[Servo]:
    """Servos that fit a calibration file's values."""
    servos = []
    for i, motor in enumerate(calibration.values()):
        low, high, homing = motor["range_min"], motor["range_max"], motor["homing_offset"]
        present = ticks[i] if ticks else (low + high) // 2
        servos.append(Servo(motor["id"], present + homing, homing, low, high))
    return servos


def obey(line: ServoLine, words: list[str]) -> None:
    """Do what a command says."""
    verb, rest = words[0], words[1:]
    servos = {servo.id: servo for servo in line.servos}
    one = servos.get(int(rest[0])) if rest and rest[0].isdigit() else None
    number = one.id if one else -1
    simple: dict[str, Any] = {
        "gone": line.gone,
        "back": line.back,
        "mute": lambda: setattr(line, "mute", True),
        "unmute": lambda: setattr(line, "mute", False),
        "silent": lambda: line.silent.add(number),
        "heard": lambda: line.silent.discard(number),
        "lost": lambda: setattr(line, "lost", float(rest[0])),
        "noise": lambda: setattr(line, "noise", int(rest[0])),
        "cut": lambda: line.cut.update({number: int(rest[1])}),
        "flip": lambda: line.flipped.add(number),
        "whole": lambda: whole(line, number),
        "twin": lambda: twin(line, number, collide=False),
        "collide": lambda: twin(line, number, collide=True),
        "alone": lambda: line.twins.pop(number, None),
        "error": lambda: setattr(one, "errors", int(rest[1], 0)),
        "weak": lambda: setattr(one, "weak", True),
        "strong": lambda: setattr(one, "weak", False),
        "stop": lambda: setattr(one, "stop", float(rest[1])),
        "free": lambda: setattr(one, "stop", None),
        "hand": lambda: setattr(one, "hand", (float(rest[1]), float(rest[2]))),
        "set": lambda: put(one, *(int(word) for word in rest[1:])),
        "power": lambda: power(line, on=rest[0] == "on"),
        "track": line.track,
        "say": lambda: print(json.dumps(state(line)), flush=True),
    }
    simple[verb]()


def whole(line: ServoLine, number: int) -> None:
    """Its answers are as they should be."""
    line.flipped.discard(number)
    line.cut.pop(number, None)


def twin(line: ServoLine, number: int, *, collide: bool) -> None:
    """A second servo with an id, elsewhere."""
    line.twins[number], line.collide = Servo(number, 777.0), collide


def put(servo: Servo | None, address: int, size: int, value: int) -> None:
    """A value in memory and, where it lasts, in the EEPROM."""
    assert servo is not None
    servo.set(address, size, value)
    if address < EEPROM:
        servo.eeprom[address : address + size] = value.to_bytes(size, "little")


def power(line: ServoLine, *, on: bool) -> None:
    """The supply: without it nothing answers and nothing holds; with it again, RAM is as new."""
    line.mute = not on
    for servo in line.servos:
        servo.power_on()


def state(line: ServoLine) -> dict[str, dict[str, float]]:
    """Of each servo."""
    return {
        str(servo.id): {
            "present": servo.present,
            "goal": servo.get(42, 2),
            "torque": servo.get(40, 1),
            "travel": line.travel[i] if line.travel else 0.0,
        }
        for i, servo in enumerate(line.servos)
    }


def main(port: str, calibration: str, ticks: str = "") -> None:
    """Run until standard input ends."""
    values = json.loads(Path(calibration).read_text(encoding="utf-8"))
    line = ServoLine(Path(port), arm_servos(values, [int(word) for word in ticks.split(",")] if ticks else None))
    print("ready", flush=True)
    pending = b""
    try:
        while True:
            if line.turn(0.002, 0):
                data = os.read(0, 4096)
                if not data:
                    return
                *whole, pending = (pending + data).split(b"\n")
                for text in whole:
                    obey(line, text.decode().split())
                    print(f"done {text.decode()}", flush=True)
    finally:
        line.gone()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""An SO-101 of pretended servos with its drivers and teleop, over DDS: what a bench of it looks like."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sensor_msgs.msg import JointState

from support.feetech.calibrations import JOINTS, calibration, write_calibration
from support.nodes.bench import Bench, ros_arguments
from support.nodes.client import until
from support.process import Process
from vgil_ros.assets import contract_path

RAD = 2 * np.pi / 4096


class Emulator(Process):
    """The process of `support.feetech.emulator`."""

    def tell(self, command: str) -> None:
        """Send a command and wait until it is obeyed."""
        since = self.mark()
        self.write(command + "\n")
        self.expect(f"^done {command}", since=since)

    def say(self) -> dict[str, dict[str, float]]:
        """What its servos are at."""
        since = self.mark()
        self.write("say\n")
        found: dict[str, dict[str, float]] = json.loads(self.expect("^{", since=since).text)
        return found

    def travel(self) -> float:
        """How far any servo came since `track`, rad."""
        return max(one["travel"] for one in self.say().values()) * RAD


class So101:
    """A follower and a leader, their drivers, and teleop between them."""

    def __init__(self, bench: Bench, *, teleop: bool = True) -> None:
        self.bench = bench
        self.files = {role: write_calibration(role, bench.folder) for role in ("follower", "leader")}
        self.ports = {role: bench.folder / f"tty_{role}" for role in self.files}
        self.contract = self._contract()
        self.emulators = {role: self.emulator(role) for role in self.files}
        self.states: dict[str, list[tuple[float, JointState]]] = {
            role: bench.client.collect(JointState, f"/{role}/joint_states") for role in self.files
        }
        for emulator in self.emulators.values():
            emulator.expect("^ready")
            emulator.tell("track")
        self.drivers = {role: self.driver(role) for role in self.files}
        for driver in self.drivers.values():
            driver.expect("6 servos")
        self.teleop = self.bench.node("teleop", {"robot": self.contract}) if teleop else None

    def _contract(self) -> Path:
        """The shipped one, with the ports of here and no cameras; patient with a busy machine."""
        robot = yaml.safe_load(contract_path("so101").read_text(encoding="utf-8"))
        for role in self.files:
            robot["arms"][0]["bus"][role] = str(self.ports[role])
            robot["arms"][0]["bus"][f"{role}_calibration"] = str(self.files[role])
        robot["cameras"] = []
        robot["following"] = {"off": ["arm"]}  # what nodes do about that has its own tests
        robot["sync"] |= {"tolerance_ms": 40, "max_wait_ms": 120, "max_hold": 50}
        path = self.bench.folder / "so101.yaml"
        path.write_text(yaml.safe_dump(robot, sort_keys=False), encoding="utf-8")
        return path

    def emulator(self, role: str) -> Emulator:
        """Servos on a port."""
        return self.bench.start(Emulator, ["support.feetech.emulator", str(self.ports[role]), str(self.files[role])])

    def driver(self, role: str, **parameters: Any) -> Process:
        """The node `feetech` for an arm; it is called after its role, as the launch files have it."""
        given = {"robot": self.contract, "role": role, "reply_ms": 100.0, **parameters}
        arguments = ["vgil_ros.nodes.feetech", *ros_arguments(given), "-r", f"__node:=feetech_{role}"]
        return self.bench.start(Process, arguments)

    def at(self, role: str) -> np.ndarray:
        """(6,) rad, as last published."""
        until(lambda: self.states[role], f"states of the {role}")
        return np.array(self.states[role][-1][1].position)

    def hand(self, joint: str, radians: float, speed: float = 0.5) -> None:
        """Somebody moves a joint of the leader."""
        motor = calibration("leader")[joint]
        closed = joint == "gripper"
        zero = motor["range_min"] if closed else (motor["range_min"] + motor["range_max"]) / 2
        ticks = zero + (radians + 0.17453 if closed else radians) / RAD
        self.emulators["leader"].tell(f"hand {motor['id']} {ticks:.0f} {speed / RAD:.0f}")

    def together(self, within: float = 0.008) -> bool:
        """Whether both are heard now and the arm's joints are where the leader's are."""
        heard = not any(self.silent_for(role, 0.5) for role in self.states)
        return heard and bool((np.abs(self.at("follower") - self.at("leader"))[:5] < within).all())

    def following(self, pan: float) -> None:
        """Wait until the leader's first joint is there, and the follower with it."""
        try:
            until(lambda: self.together() and abs(self.at("leader")[0] - pan) < 0.004, f"both arms at {pan}", 30.0)
        except AssertionError as error:
            processes = (*self.drivers.values(), *([self.teleop] if self.teleop else []))
            lines = [line.text for process in processes for line in process.lines[-8:]]
            where = f"follower {self.at('follower')}, leader {self.at('leader')}"
            raise AssertionError("\n".join([str(error), where, *lines])) from None

    def silent_for(self, role: str, seconds: float) -> bool:
        """Whether nothing was published of an arm for so long."""
        return not self.states[role] or time.monotonic() - self.states[role][-1][0] > seconds


__all__ = ["JOINTS", "Emulator", "So101"]

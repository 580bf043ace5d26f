"""Node `feetech`: the driver of an arm on a serial bus, a follower or a leader of a contract with `bus`."""

from __future__ import annotations

import math
import time
from functools import partial

import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from vgil_ros.assets import load_contract
from vgil_ros.core.contract.bus import ROLES
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.drivers import driven_arm, port_and_file
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.base.status import ERROR, OK, WARN, StatusPublisher
from vgil_ros.nodes.messages.joint_states import joint_state
from vgil_ros.nodes.messages.template import Template
from vgil_ros.robots.feetech.arm import FeetechArm
from vgil_ros.robots.feetech.bus import BusError, Exchange, PortLost
from vgil_ros.robots.feetech.calibration import load_calibration
from vgil_ros.robots.feetech.goals import RETURN_SHARE, GoalKeeper
from vgil_ros.robots.feetech.readings import QUIET_CYCLES, LinkQuality, Reading

STATE_QOS = QoSProfile(depth=20)
GAP_S = 0.2  # without a whole reading: as long as the nodes above take it for a pause too, and come back slowly
RETRY_S = 1.0  # between two tries to find a port that has gone
LOOK_S = 1.0  # between two looks at whether the joints still hold
SPEED_SLACK = 1.5  # of the contract's velocity: the limits above come first
RANGE_SLACK = 0.05  # rad that a calibrated range may lack
AT_REST = 0.2  # rad from the sleep pose: there the arm lies, and needs no torque
PUSHING = 0x08 | 0x20  # error bits that end when a joint no longer pushes
FAULT_QUIET_S = 1.0  # a fault that comes and goes does not flood the log


class Feetech(VgilNode):
    """Publishes what the servos measure; a follower's joints go where they are commanded, and hold while in doubt."""

    def __init__(self) -> None:
        super().__init__("feetech")
        self.contract, _ = load_contract(self.declare("robot", "so101", doc=ROBOT_DOC))
        doc = "follower: it holds and follows commands; leader: it is moved by hand"
        self.role = self.declare("role", "follower", choices=tuple(ROLES), doc=doc)
        name = self.declare("arm", "", doc="the contract's arm; empty: its first with a bus")
        self.spec = driven_arm(self.contract, name)
        port = self.declare("port", "", doc="the serial port; empty: the contract's")
        file = self.declare("calibration", "", doc="a file in LeRobot's format; empty: the contract's")
        doc = "write the calibration file into the servos, where they hold another"
        write = self.declare("write_calibration", False, doc=doc)
        self._rate = self.declare("rate", 100.0, low=10.0, high=250.0, doc="of the joint states and goals, Hz")
        stale_ms = self.declare("stale_ms", 250.0, low=20.0, high=5000.0, doc="a command older than this is none, ms")
        doc = "how long a servo may take to answer; a slow USB hub needs more, ms"
        self._reply_s = self.declare("reply_ms", 20.0, low=2.0, high=200.0, doc=doc) / 1e3
        doc = "a follower's torque at the end: rest: off where it lies in its sleep pose, else on; hold: on; off"
        self._at_end = self.declare("at_end", "rest", choices=("rest", "hold", "off"), doc=doc)
        self.follower = self.role == "follower"
        self.arm = self._make_arm(port, file)
        limits = self.spec.limits
        velocity, units = np.array(limits.velocity), self.arm.units
        speeds = (velocity * SPEED_SLACK, velocity * RETURN_SHARE)
        self.keeper = GoalKeeper(units.lower, units.upper, *speeds, round(stale_ms * 1e6))
        self.quality = LinkQuality()
        self._command: tuple[np.ndarray, int] | None = None  # the newest, not yet taken; when it came (monotonic)
        self._reading: Reading | None = None
        self._pushing = np.zeros(len(self.arm.joints), bool)
        self._rest = 0.0  # when the port is tried again, or torque looked at (time.monotonic)
        self._last_s = self._last_whole_s = -math.inf
        self._faults: dict[str, float] = {}  # of the line, by joint, and when they were last seen
        self._published = 0
        self.refuse_unknown_parameters()  # before anything is written into a servo
        self._bring_up(write_calibration=write)
        self._add_topics()
        self.control_timer(1.0 / self._rate, self._step)
        self.background_timer(1.0, self._publish_status)

    def _make_arm(self, port: str, file: str) -> FeetechArm:
        bus, otherwise = self.spec.bus, ", or the parameters port and calibration"
        port, file = port_and_file(
            self.contract, self.spec, ROLES[self.role], port=port, file=file, otherwise=otherwise
        )
        where = f"robot '{self.contract.name}', arm '{self.spec.name}'"
        if self.follower and self.spec.command.type != "joint_state":
            raise VgilError(f"{where}: command.type is '{self.spec.command.type}'; allowed: joint_state")
        if not self.follower and self.spec.master is None:
            raise VgilError(f"{where}: it has no master; allowed: role follower")
        gripper, closed = self.spec.gripper, {}
        if gripper is not None:
            closed = {gripper.joint: (gripper.puppet_range if self.follower else gripper.master_range)[0]}
        motors = load_calibration(file, self.spec.joints)
        return FeetechArm(
            port, bus.baud if bus else 1_000_000, motors, closed, follower=self.follower, reply_s=self._reply_s
        )

    def _bring_up(self, *, write_calibration: bool) -> None:
        """Before anything is published; a fault ends the node."""
        try:
            self.arm.open()
            for words in self.arm.bring_up(write_calibration=write_calibration):
                self.log(f"{self.arm.port}: {words}")
            if self.follower:
                self.keeper.begin(self.arm.goals())
        except BusError:
            self.arm.close()
            raise
        self._look_at_ranges()
        does = "holds where it is, and follows commands" if self.follower else "is moved by hand"
        self.log(f"{self.role} '{self.spec.name}' on {self.arm.port}: {len(self.arm.ids)} servos; it {does}")

    def _look_at_ranges(self) -> None:
        gripper, limits = self.spec.gripper, self.spec.limits
        lower, upper = list(limits.lower), list(limits.upper)
        if gripper is not None:
            at = self.spec.joints.index(gripper.joint)
            ends = gripper.puppet_range if self.follower else gripper.master_range
            lower[at], upper[at] = min(ends), max(ends)
        narrow = self.arm.narrower(lower, upper, RANGE_SLACK)
        if self.follower and narrow:
            words = "its calibrated range is narrower than the contract's limits, commands beyond it are clipped: "
            words += f"{'; '.join(narrow)}; set the contract's limits and puppet_range"
            self.log(f"{self.arm.port}: {words}", severity="warning")
        elif gripper is not None and (trigger := [one for one in narrow if one.startswith(gripper.joint)]):
            words = f"{trigger[0]}: the puppet's gripper will not open wholly; set the contract's gripper.master_range"
            self.log(f"{self.arm.port}: {words}", severity="warning")

    def _add_topics(self) -> None:
        at = self.spec.puppet if self.follower else self.spec.master
        assert at is not None
        joints = list(self.arm.joints)
        self._template = Template(partial(joint_state, joints), 3 * len(joints))
        self._states_out = self.create_publisher(JointState, at.topic, STATE_QOS)
        self.status = StatusPublisher(self, "~/status", f"{self.contract.name}/{self.spec.name}/{self.role}")
        if self.follower:
            self.create_subscription(JointState, self.spec.command.topic, self._on_command, STATE_QOS)
            self.create_service(SetBool, "~/torque", self._on_torque)

    def _on_command(self, message: JointState) -> None:
        try:
            self._command = _positions(message, self.arm.joints), time.monotonic_ns()
        except VgilError as error:
            self.warn_once("command", f"{self.spec.command.topic}: command refused: {error}")
        else:
            self.clear("command")

    def _on_torque(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """On: from where each joint is. Off: the arm falls where nothing bears it."""
        try:
            if not self.arm.connected:
                raise BusError(f"{self.arm.port}: the port has gone; plug it in first")
            if request.data:
                self.arm.engage()
                self.keeper.begin(self.arm.goals())
                self.arm.limp = ()
                response.message = "every joint holds where it is"
            else:
                self.arm.release()
                self.arm.limp = self.arm.joints
                response.message = "every joint is limp"
            response.success = True
        except BusError as error:
            response.success, response.message = False, str(error)
        self.log(f"torque: {response.message}", severity="info" if response.success else "warning")
        return response

    def _step(self) -> None:
        try:
            if self.arm.connected:
                self._cycle()
                self.clear("bus")
            elif time.monotonic() >= self._rest:
                self._rejoin()
        except PortLost as error:
            self._lose(str(error))
        except BusError as error:
            self.warn_once("bus", str(error))
            self.keeper.hold()

    def _cycle(self) -> None:
        begin = self.now_ns()
        reading, found = self.arm.measure()
        stamp = (begin + self.now_ns()) // 2
        gap = self.quality.row >= QUIET_CYCLES
        self.quality.add(found, whole=reading is not None)
        self._tell_quality(found)
        if reading is None:  # nothing is published in its place, and no goal moves on
            if time.monotonic() - self._last_whole_s > GAP_S:
                self.keeper.hold()
                self._reading = None
            return
        self._reading, self._last_whole_s = reading, time.monotonic()
        if self.follower and (gap or time.monotonic() >= self._rest):
            self._look_at_torque()
        values = np.concatenate((reading.position, reading.velocity, reading.load))
        self._states_out.publish(self._template.filled(values.tolist(), stamp))
        self._published += 1
        self._tell_errors(reading)
        if self.follower:
            self._follow(reading)

    def _follow(self, reading: Reading) -> None:
        now = time.monotonic()
        dt = min(max(now - self._last_s, 0.0), 0.05)
        self._last_s = now
        command, self._command = self._command, None
        pushing = (reading.errors & PUSHING) != 0
        limp = np.array([joint in self.arm.limp for joint in self.arm.joints])
        if reading.errors.any() or limp.any():  # a limp joint that holds again is to hold where it is
            self.keeper.give_way(limp | (pushing & ~self._pushing), reading.position)
            self.keeper.hold()
        elif command is not None:
            self._tell_range(self.keeper.take(*command))
        self._pushing = pushing
        if (goals := self.keeper.next(time.monotonic_ns(), dt)) is not None:
            self.arm.send(goals)

    def _look_at_torque(self) -> None:
        self._rest = time.monotonic() + LOOK_S
        self.arm.look_at_torque()
        if self.arm.limp:
            self.keeper.hold()
            self.warn_about(
                "torque",
                frozenset(self.arm.limp),
                f"{self.arm.port}: {', '.join(self.arm.limp)}: no torque; a servo lost its power, or it was taken off:"
                f" commands are not followed; put the arm where it may stay, then call {self.full_name}/torque with"
                " data: true, or start this node anew",
            )
        else:
            self.clear("torque")

    def _lose(self, words: str) -> None:
        self.warn_once("port", words)
        self.arm.close()
        self.keeper.hold()
        self._reading = self._command = None
        self._rest = time.monotonic() + RETRY_S

    def _rejoin(self) -> None:
        """The port is there again: the same arm, or none."""
        self._rest = time.monotonic() + RETRY_S
        self.arm.open()
        try:
            self.arm.rejoin()
            if self.follower:
                self.keeper.begin(self.arm.goals())
        except BusError as error:
            if str(error) not in self.active_warnings:
                self.forget("port")
            self._lose(str(error))
            return
        self._command = None  # given while nobody could follow it
        self.quality = LinkQuality()
        self.clear("port")
        if self.follower:
            self._look_at_torque()

    def _tell_quality(self, found: Exchange) -> None:
        now = time.monotonic()
        for key, words in self.quality.faults(found, self.arm.bus).items():
            self.warn_once(key, words)
            self._faults[key] = now
        for key in [key for key, last_s in self._faults.items() if now - last_s > FAULT_QUIET_S]:
            del self._faults[key]
            self.clear(key)

    def _tell_errors(self, reading: Reading) -> None:
        words = reading.words(self.arm.joints, self.arm.ids)
        if words:
            holds = "; the arm holds" if self.follower and reading.errors.any() else ""
            about = frozenset(reading.faults(self.arm.joints))
            self.warn_about("health", about, f"{self.arm.port}: {'; '.join(words)}{holds}")
        else:
            self.clear("health")

    def _tell_range(self, beyond: np.ndarray) -> None:
        if not beyond.any():
            self.clear("range")
            return
        lower, upper = self.arm.units.lower, self.arm.units.upper
        ends = [f"{j} {lower[i]:.3f} to {upper[i]:.3f}" for i, j in enumerate(self.arm.joints) if beyond[i]]
        words = f"commands beyond the calibrated range are clipped; allowed: {', '.join(ends)}"
        self.warn_once("range", f"{self.spec.command.topic}: {words}")

    def _publish_status(self) -> None:
        if not self.arm.connected:
            level, state = ERROR, "lost"
        elif self._reading is None:
            level, state = ERROR, "silent"
        elif self.arm.limp:
            level, state = ERROR, "limp"
        elif self._reading.errors.any():
            level, state = ERROR, "holding"
        else:
            level, state = WARN if self.active_warnings else OK, "holding" if self.follower else "moved by hand"
            state = "following" if self.follower and self.keeper.commanded else state
        values: dict[str, object] = {"state": state, "role": self.role, "arm": self.spec.name, "port": self.arm.port}
        values |= {"rate_hz": float(self._published), "lost_share": self.quality.share}
        self._published = 0
        self.status.publish(level, "; ".join(self.active_warnings) or state, values | self._figures())

    def _figures(self) -> dict[str, object]:
        if self._reading is None:
            return {}
        figures: dict[str, object] = {}
        for i, joint in enumerate(self.arm.joints):
            figures[f"temperature_c_{joint}"] = float(self._reading.temperature[i])
            figures[f"voltage_{joint}"] = float(self._reading.voltage[i])
            figures[f"load_{joint}"] = float(self._reading.load[i])
            figures[f"current_a_{joint}"] = float(self._reading.current[i])
            figures[f"error_bits_{joint}"] = int(self._reading.errors[i])
        return figures

    def on_shutdown(self) -> None:
        """A follower keeps its torque, unless it lies in its sleep pose or was told otherwise."""
        if self.follower and self.arm.connected:
            try:
                self._end_torque()
            except BusError as error:
                self.log(f"torque at the end: {error}", severity="warning")
        self.arm.close()

    def _end_torque(self) -> None:
        reading, _ = self.arm.measure()
        if self._at_end == "off" or (self._at_end == "rest" and reading is not None and self._lies(reading.position)):
            self.arm.release()
            self.log(f"{self.arm.port}: torque off")
            return
        if self.arm.limp:
            self.log(f"{self.arm.port}: {', '.join(self.arm.limp)}: no torque at the end", severity="warning")
            return
        words = "the torque stays on, the arm holds where it is; `vgil robot sleep` before the end lets it lie"
        self.log(f"{self.arm.port}: {words}", severity="warning")

    def _lies(self, position: np.ndarray) -> bool:
        """Whether the joints but the gripper are at the sleep pose."""
        if self.spec.sleep is None:
            return False
        gripper = self.spec.gripper.joint if self.spec.gripper else None
        away = np.abs(position - np.array(self.spec.sleep))
        return all(away[i] <= AT_REST for i, joint in enumerate(self.arm.joints) if joint != gripper)


def _positions(message: JointState, joints: tuple[str, ...]) -> np.ndarray:
    """(J,) rad of a command, NaN for joints that it does not name.

    Raises:
        VgilError: for strangers, doubled names, or what is no position.
    """
    names, values = list(message.name), np.array(message.position, np.float64)
    if strangers := sorted(set(names) - set(joints)):
        raise VgilError(f"it names the joints {strangers}; allowed: {list(joints)}")
    if not names or len(values) != len(names) or len(set(names)) != len(names):
        raise VgilError(f"found {len(names)} names and {len(values)} positions; allowed: one position for each name")
    if not np.isfinite(values).all():
        raise VgilError(f"found the positions {values.tolist()}; allowed: finite ones, rad")
    result = np.full(len(joints), np.nan)
    result[[joints.index(name) for name in names]] = values
    return result


def main() -> None:
    """Entry point of the executable `feetech`."""
    run(Feetech)


if __name__ == "__main__":
    main()

"""An arm on a port: opened, brought up, read and told where to be; as a follower it holds, as a leader it is limp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vgil_ros.robots.feetech import bringup
from vgil_ros.robots.feetech.bus import REPLY_S, Bus, BusError, Exchange
from vgil_ros.robots.feetech.calibration import JointUnits, MotorCalibration, joint_units
from vgil_ros.robots.feetech.readings import Reading, take_reading
from vgil_ros.robots.feetech.registers import PRESENT, REGISTERS


class FeetechArm:
    """Servos behind one port.

    Args:
        port, baud: where.
        motors: the calibration of its joints, in their order.
        closed: for grippers, what closed is called, rad.
        follower: whether it holds and follows; a leader is moved by hand.
        reply_s: how long a servo may take to answer.

    Attributes:
        limp: joints of a follower that hold nothing, though they should: their torque went off by itself.
    """

    def __init__(
        self,
        port: str,
        baud: int,
        motors: dict[str, MotorCalibration],
        closed: dict[str, float],
        *,
        follower: bool,
        reply_s: float = REPLY_S,
    ) -> None:
        self.port, self._baud, self.motors, self._follower = port, baud, motors, follower
        self._reply_s = reply_s
        self.joints: tuple[str, ...] = tuple(motors)
        self.ids = [motor.id for motor in motors.values()]
        self.units: JointUnits = joint_units(motors, closed)
        self._grippers = tuple(closed) if follower else ()  # a limp one needs no bound of its force
        self.limp: tuple[str, ...] = ()
        self._bus: Bus | None = None

    @property
    def bus(self) -> Bus:
        """The open port."""
        assert self._bus is not None
        return self._bus

    @property
    def connected(self) -> bool:
        """Whether the port is open."""
        return self._bus is not None

    def open(self) -> None:
        """Open the port.

        Raises:
            PortLost: where it cannot be.
        """
        self._bus = Bus(self.port, self._baud, dict(zip(self.ids, self.joints, strict=True)), self._reply_s)

    def close(self) -> None:
        """Let go of the port; a follower that holds goes on holding."""
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    def bring_up(self, *, write_calibration: bool = False) -> list[str]:
        """Find the servos, set them, and let a follower hold where it is; return what was changed in them.

        Raises:
            BusError: with a line for each fault; then no torque was switched on.
        """
        if faults := bringup.find_faults(self.bus, self.motors, calibrated=not write_calibration):
            raise BusError("\n".join(faults))
        if not self._follower:
            bringup.release(self.bus, self.ids)
        changed = bringup.configure(self.bus, self.motors, self._grippers, write_calibration=write_calibration)
        if self._follower:
            self.engage()
            self.limp = ()
        return changed

    def rejoin(self) -> None:
        """After the port was gone: the same servos, set as before; torque that is off stays off.

        Raises:
            BusError: with a line for each fault.
        """
        if faults := bringup.find_faults(self.bus, self.motors):
            raise BusError("\n".join(faults))
        self.look_at_torque()
        if not self.limp:
            bringup.configure(self.bus, self.motors, self._grippers)

    def engage(self) -> None:
        """Torque on, from where each joint is. `limp` stays until the goals are known: before, none must be sent.

        Raises:
            BusError: where it cannot be; some joints may hold then, a joint without torque stays so.
        """
        if self.limp:  # what has lost its power has lost its settings
            bringup.configure(self.bus, self.motors, self._grippers)
        if faults := bringup.engage(self.bus, self.motors):
            raise BusError("\n".join(faults))

    def release(self) -> None:
        """Torque off: the arm falls where nothing bears it.

        Raises:
            BusError: where a servo does not take it.
        """
        bringup.release(self.bus, self.ids)

    def look_at_torque(self) -> None:
        """See whether a follower's joints hold; one that gives no answer now is looked at the next time."""
        if self._follower:
            holds = bringup.torque_of(self.bus, self.ids)
            holds |= {motor.id: j not in self.limp for j, motor in self.motors.items() if motor.id not in holds}
            self.limp = tuple(joint for joint, motor in self.motors.items() if not holds[motor.id])

    def goals(self) -> np.ndarray:
        """(J,) rad, where the joints are told to be.

        Raises:
            BusError: where a servo does not say.
        """
        ticks = [self.bus.get(servo, REGISTERS["goal_position"]) for servo in self.ids]
        return self.units.radians(np.array(ticks, np.float64))

    def measure(self) -> tuple[Reading | None, Exchange]:
        """Read all joints at once: the reading, None where any is missing, and what came.

        Raises:
            PortLost: where the port has gone.
        """
        found = self.bus.sync_read(self.ids, *PRESENT)
        return take_reading(found, self.ids, self.units), found

    def send(self, goals: np.ndarray) -> None:
        """Tell joints that hold where to be, (J,) rad.

        Raises:
            PortLost: where the port has gone.
        """
        ticks = self.units.ticks(goals)
        held = {s: int(ticks[i]) for i, s in enumerate(self.ids) if self.joints[i] not in self.limp}
        if held:
            self.bus.sync_write(REGISTERS["goal_position"], held)

    def narrower(self, lower: Sequence[float], upper: Sequence[float], slack: float) -> list[str]:
        """Joints whose calibrated range is narrower than limits (J,) rad by more than `slack`, in words."""
        said = []
        for i, joint in enumerate(self.joints):
            low, high = float(self.units.lower[i]), float(self.units.upper[i])
            if low > lower[i] + slack or high < upper[i] - slack:
                said.append(f"{joint} {low:.2f} to {high:.2f} (contract: {lower[i]:g} to {upper[i]:g})")
        return said

"""Where commands begin: where the robot is measured to be, also where that is a little outside its limits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgil_ros.core.safety.joint_limits import JointLimits
from vgil_ros.core.safety.types import Floats, SafetyEvent

MEASURED_BEYOND = 0.1  # rad; where nothing else is said of how far outside its limits an arm may rest


class Entry:
    """Judges where a robot is measured to be before its first command.

    An arm may rest outside its limits: in a cradle, or sagged. Its first command is where it is, for a clip to the
    limits would be a step; the limits of motion then bring it inward slowly. Farther out than the margin is a wrong
    unit or a wrong limit, and nothing is sent.

    Args:
        limits: of the joints.
        margin: (J,) how far outside a joint may be.
        clipped: (J,) bool, joints that begin within their limits wherever they are measured: a gripper, whose feedback
            may be another joint's.
    """

    def __init__(
        self, limits: JointLimits, margin: Floats | None = None, clipped: NDArray[np.bool_] | None = None
    ) -> None:
        count = len(limits.names)
        self._limits = limits
        self._margin = np.full(count, MEASURED_BEYOND) if margin is None else margin
        self._clipped = np.zeros(count, bool) if clipped is None else clipped

    def begin(self, measured: Floats | None) -> Floats | SafetyEvent:
        """Return the positions (J,) to begin from, or why there are none."""
        if measured is None:
            return SafetyEvent("measured", "the joints have not been heard yet")
        finite = np.isfinite(measured)
        if not finite.all():
            joints = self._limits.named(~finite)
            return SafetyEvent("measured", f"measured position is not finite for {', '.join(joints)}", joints)
        inside = np.clip(measured, self._limits.lower, self._limits.upper)
        outside = np.abs(measured - inside) > self._margin
        if outside.any():
            joints = self._limits.named(outside)
            words = []
            for name, at, most in zip(joints, measured[outside], self._margin[outside], strict=True):
                words.append(f"{name} measured more than {most:.3g} beyond the joint limits, at {at:.4g}")
            return SafetyEvent("measured", "; ".join(words), joints)
        begin: Floats = np.where(self._clipped, inside, measured)
        return begin

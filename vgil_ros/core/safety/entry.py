"""Where commands begin: where the robot is measured to be, also where that is a little outside its limits.

Nothing is sent to an arm that is not heard for long, and one that comes back begins from where it is: a driver that has
died and is started again must not find a command to where its arm once was. It may have fallen meanwhile, or been
moved.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vgil_ros.core.safety.joint_limits import JointLimits
from vgil_ros.core.safety.types import Floats, SafetyContext, SafetyEvent

SILENT_NS = 1_000_000_000  # beyond its allowed age; until then what was sent last is sent on, as a hold
FAR = 0.05  # rad; nearer than this to its last command, a joint has stayed there
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


class ArmSilence:
    """Looks at which arms are heard.

    Args:
        joints: (D,) bool, the joints of each stream that tells where an arm is; a gripper, or a joint whose measured
            place is not where it was commanded, is in none.
        max_age_ns: of each such stream.

    Attributes:
        streams: those that have not been heard, or were refused, for so long that their driver may have ended.
    """

    def __init__(self, joints: Mapping[str, NDArray[np.bool_]], max_age_ns: Mapping[str, int]) -> None:
        self._joints = {stream: which for stream, which in joints.items() if stream in max_age_ns}
        self._max_age_ns = dict(max_age_ns)
        self.reset()

    def reset(self) -> None:
        """All were heard so far."""
        self.streams: frozenset[str] = frozenset()
        self._since_ns: dict[str, int] = {}

    def look(self, context: SafetyContext, last: Floats) -> NDArray[np.bool_] | None:
        """Look anew; return the joints (D,) that are back far from where they were commanded, None if there is none."""
        now, before = context.now_ns, self._since_ns
        quiet = [stream for stream in self._joints if self._is_quiet(stream, context)]
        self._since_ns = {stream: min(before.get(stream, now), now) for stream in quiet}
        silent = {stream for stream in quiet if now - self._since_ns[stream] >= SILENT_NS}
        came = self.streams.difference(quiet)
        self.streams = frozenset(silent | self.streams.intersection(quiet))
        if not came or context.measured is None:
            return None
        back = np.logical_or.reduce([self._joints[stream] for stream in came])
        far: NDArray[np.bool_] = back & ~(np.abs(context.measured - last) <= FAR)
        return far if far.any() else None

    def keep(self, joints: NDArray[np.bool_]) -> None:
        """These joints (D,) cannot be begun from yet: their arms count as silent."""
        self.streams |= {stream for stream, which in self._joints.items() if (which & joints).any()}

    def _is_quiet(self, stream: str, context: SafetyContext) -> bool:
        age = context.stream_ages_ns.get(stream)
        return age is None or abs(age) > self._max_age_ns[stream] or stream in context.refused

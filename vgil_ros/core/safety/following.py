"""A joint that does not come after its commands holds the robot, until it is started anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vgil_ros.core.guard.following import FollowingMonitor, not_following_words
from vgil_ros.core.safety.joint_limits import JointLimits
from vgil_ros.core.safety.types import FOLLOWING, Command, Floats, Hold, Pass, SafetyContext, Verdict

SLOWLY = 0.2  # of the velocity limits


class FollowingLimit:
    """Holds once a joint has not followed for too long, and from then on.

    It does not let go by itself: a motor that is switched on again while it is commanded to somewhere far away goes
    there as fast as it can. So the joint that does not follow is commanded to where it was measured, and somebody has
    to look at the robot and start again.

    Args:
        limits: of the joints, for their names.
        monitor: of the same joints.
        after_s: that it waits, for the words.
    """

    name = FOLLOWING

    def __init__(self, limits: JointLimits, monitor: FollowingMonitor, after_s: float) -> None:
        self._limits, self._monitor, self._after_s = limits, monitor, after_s
        self.reset()

    def reset(self) -> None:
        """Start anew: the robot is believed to follow."""
        self._monitor.reset()
        self._hold: Hold | None = None

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold. A tick in which something else holds is not looked at, and excuses nobody from the next."""
        last, _ = context.standing()
        if self._hold is not None:
            return self._towards(self._hold, last, context.period_s)
        measured = context.measured
        if context.holding or measured is None:
            return Pass(command)
        off = self._monitor.update(context.now_ns, last, measured)
        if off.any():
            words = not_following_words(self._limits.names, off, last, measured, self._after_s)
            where = np.where(off, measured, last)
            self._hold = Hold(f"{words}; look at the robot, then start again", self._limits.named(off), where)
            return self._towards(self._hold, last, context.period_s)
        return Pass(command)

    def _towards(self, hold: Hold, last: Floats, period_s: float) -> Hold:
        """The hold of this tick: where the joints are is come to slowly, as the pull on them is let go."""
        assert hold.positions is not None
        step = SLOWLY * self._limits.velocity * period_s
        return replace(hold, positions=last + np.clip(hold.positions - last, -step, step))

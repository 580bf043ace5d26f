"""Joint acceleration limits, with braking before the position limits and before the target."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.safety.joint_limits import SLACK, JointLimits
from vgil_ros.core.safety.types import Changed, Command, Floats, Pass, SafetyContext, Verdict


def braking_velocity(distance: Floats, acceleration: Floats, period_s: float) -> Floats:
    """The largest velocity from which a joint that slows by a dt a tick stops within `distance`, all (D,).

    In units of a dt and a dt^2: moving at s, then s - 1, s - 2, ... takes n s - n (n - 1) / 2 with n = ceil(s); this is
    the inverse. The continuous sqrt(2 a d) is a little too fast for commands that come once a tick.
    """
    ticks_squared = distance / (acceleration * period_s**2)
    count = np.maximum(np.ceil((np.sqrt(1.0 + 8.0 * ticks_squared) - 1.0) / 2.0), 1.0)
    steps = ticks_squared / count + (count - 1.0) / 2.0
    velocity: Floats = steps * acceleration * period_s
    return velocity


class AccelerationLimit:
    """Lets no joint's velocity change by more than acceleration x period from one tick to the next.

    A joint that may not stop at once must brake in time, so the velocity is also held to what still stops before
    [lower, upper]: at a constant period both positions and acceleration are then kept; were the period to change under
    a moving joint, position goes first. A target it has fallen behind is caught up with at the target's own velocity
    plus what can be braked away over the gap: it does not shoot past, but for
    about a dt^2 where the target stops dead. A target within the limits passes untouched.
    """

    name = "acceleration"

    def __init__(self, limits: JointLimits, acceleration: Floats) -> None:
        self._limits = limits
        self._acceleration = acceleration
        self.reset()

    def reset(self) -> None:
        """Forget the target of the tick before."""
        self._target: Floats | None = None

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Changed. While holding where the robot stands: slow down to a stop."""
        last, velocity = context.standing()
        period, change = context.period_s, self._acceleration * context.period_s
        if context.holding and np.array_equal(command.positions, last):
            self._target = None
            wanted = np.zeros_like(last)
        else:
            wanted = self._follow(command.positions, last, period)
        fastest = self._braking(np.maximum(self._limits.upper - last, 0.0), period)
        slowest = -self._braking(np.maximum(last - self._limits.lower, 0.0), period)
        chosen = np.clip(np.clip(wanted, velocity - change, velocity + change), slowest, fastest)
        lower, upper = np.minimum(self._limits.lower, last), np.maximum(self._limits.upper, last)  # a clip is no step
        reached = np.clip(last + chosen * period, lower, upper)
        beyond = np.abs(reached - command.positions)
        allowed = Command(reached, command.base)
        if beyond.max(initial=0.0) <= SLACK:
            return Pass(allowed)
        joints = self._limits.named(beyond > SLACK)
        return Changed(allowed, f"{', '.join(joints)} beyond the acceleration limit", joints)

    def _follow(self, target: Floats, last: Floats, period: float) -> Floats:
        """The target's velocity, plus what closes the gap to where the target was and can be braked away in it."""
        before = last if self._target is None else self._target
        self._target = target
        gap = before - last
        wanted: Floats = (target - before) / period + np.sign(gap) * self._braking(np.abs(gap), period)
        return wanted

    def _braking(self, distance: Floats, period: float) -> Floats:
        return braking_velocity(distance, self._acceleration, period)

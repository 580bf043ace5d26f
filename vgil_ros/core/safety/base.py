"""The base's linear and angular velocity."""

from __future__ import annotations

import math

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety.joint_limits import SLACK
from vgil_ros.core.safety.types import Changed, Command, Pass, SafetyContext, Verdict


class BaseLimit:
    """Clips the base to +-linear m/s and +-angular rad/s; a value that is not finite stops the whole base."""

    name = "base"

    def __init__(self, linear: float, angular: float) -> None:
        for key, value in (("linear", linear), ("angular", angular)):
            if not 0.0 <= value < math.inf:
                raise VgilError(f"base limits: {key} is {value}, it must be finite and not below zero")
        self._most, self._bounds = np.array([linear, angular]), (linear, angular)

    def reset(self) -> None:
        """Nothing is remembered."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Changed."""
        if command.base is None:
            return Pass(command)
        if all(abs(value) <= most for value, most in zip(command.base.tolist(), self._bounds, strict=True)):
            return Pass(command)
        if not np.isfinite(command.base).all():
            return Changed(Command(command.positions, np.zeros(2)), "base velocity is not finite, stopped")
        within = np.clip(command.base, -self._most, self._most)
        allowed = Command(command.positions, within)
        if np.abs(within - command.base).max() <= SLACK:
            return Pass(allowed)
        linear, angular = command.base
        return Changed(allowed, f"base velocity {linear:.3g} m/s, {angular:.3g} rad/s beyond its limits")

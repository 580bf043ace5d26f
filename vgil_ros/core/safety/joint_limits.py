"""The limits of the joints, checked when made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety.types import Floats, readonly

SLACK = 1e-9  # what rounding may add: less than this beyond a limit is taken off without a word


@dataclass(frozen=True, eq=False)
class JointLimits:
    """Position limits rad, velocity rad/s and, if known, acceleration rad/s^2, each (D,); names for the messages."""

    lower: Floats
    upper: Floats
    velocity: Floats
    acceleration: Floats | None
    names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        lower: ArrayLike,
        upper: ArrayLike,
        velocity: ArrayLike,
        acceleration: ArrayLike | None = None,
        names: Sequence[str] | None = None,
    ) -> JointLimits:
        """From anything array-like; joints without names are called joint_0, joint_1, ..."""
        low = readonly(lower)
        named = tuple(names) if names is not None else tuple(f"joint_{index}" for index in range(low.size))
        return cls(
            low, readonly(upper), readonly(velocity), None if acceleration is None else readonly(acceleration), named
        )

    def __post_init__(self) -> None:
        given = {"lower": self.lower, "upper": self.upper, "velocity": self.velocity}
        if self.acceleration is not None:
            given["acceleration"] = self.acceleration
        for key, values in given.items():
            if values.shape != (len(self.names),):
                raise VgilError(f"limits: {key} has shape {values.shape}, expected ({len(self.names)},), one a joint")
            self._refuse(key, values, ~np.isfinite(values), "must be finite")
            if key in ("velocity", "acceleration"):
                self._refuse(key, values, values <= 0, "must be above zero")
        self._refuse("lower", self.lower, self.lower > self.upper, "must not be above upper")

    def _refuse(self, key: str, values: Floats, wrong: NDArray[np.bool_], rule: str) -> None:
        if wrong.any():
            joint = int(np.argmax(wrong))
            raise VgilError(f"limits: {key} of {self.names[joint]} is {values[joint]}, it {rule}")

    def named(self, which: NDArray[np.bool_]) -> tuple[str, ...]:
        """The names of the joints where `which` (D,) is true."""
        return tuple(self.names[index] for index in np.flatnonzero(which))

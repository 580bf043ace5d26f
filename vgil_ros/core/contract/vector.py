"""A further stream of a few numbers: a force, a pose, tactile cells. Recorded as `/observations/NAME`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import (
    Count,
    JointName,
    Name,
    Number,
    StampPolicy,
    TopicName,
    arrival_offset_ms,
    no_duplicates,
)

SIZES = {"wrench": 6, "pose": 7, "imu": 10, "twist": 6, "point": 3, "vector3": 3}  # of what has a fixed one
QUATERNIONS = {"pose": (3,), "imu": (0,)}  # where one (x, y, z, w) begins
UNSTAMPED = ("float64_multi_array", "float32_multi_array")
TAKEN = ("qpos", "qvel", "effort", "base_vel", "images", "images_depth", "base")  # an episode's own names


class Vector(StrictModel):
    """A topic of numbers, and how they are brought to a tick.

    Attributes:
        size: how many; of arrays it must be given, of the rest it may.
        joints: with `joint_state`, whose positions they are, matched by name.
        interpolate: linearly, and a pose's or IMU's orientation on the shorter way; else the nearest is taken.
    """

    name: Name
    topic: TopicName
    type: Literal[
        "wrench",
        "pose",
        "imu",
        "twist",
        "point",
        "vector3",
        "joint_state",
        "float64_multi_array",
        "float32_multi_array",
    ]
    size: Count | None = Field(default=None, ge=1, le=1024)
    joints: tuple[JointName, ...] | None = Field(default=None, min_length=1, max_length=1024)
    latency_ms: Number = Field(default=0.0, ge=0, le=5000)
    tolerance_ms: Number | None = Field(default=None, gt=0)
    stamp: StampPolicy = "header"
    interpolate: bool = True

    @property
    def width(self) -> int:
        """How many numbers it has."""
        return self.size or SIZES.get(self.type) or len(self.joints or ())

    @property
    def meaning(self) -> str:
        """What its numbers are, in words: two of the same words mean the same, column by column."""
        return self.type if self.joints is None else f"{self.type} of {', '.join(self.joints)}"

    @property
    def quaternions(self) -> tuple[int, ...]:
        """Where in it quaternions begin."""
        return QUATERNIONS.get(self.type, ())

    @model_validator(mode="after")
    def _consistent(self) -> Vector:
        if self.name in TAKEN:
            raise ValueError(f"name is '{self.name}', which an episode has for its own; allowed: none of {list(TAKEN)}")
        if (self.joints is not None) != (self.type == "joint_state"):
            found = "joints are given" if self.joints is not None else "joints is missing"
            raise ValueError(f"{found} and type is '{self.type}'; allowed: joints with joint_state, and there always")
        no_duplicates("joints", self.joints or ())
        fixed = SIZES.get(self.type, len(self.joints) if self.joints else None)
        if fixed is None and self.size is None:
            raise ValueError(f"size is missing; type '{self.type}' may have any, so it must be given")
        if fixed is not None and self.size not in (None, fixed):
            raise ValueError(f"size is {self.size}; allowed: {fixed}, as type '{self.type}' has here")
        if self.type in UNSTAMPED and arrival_offset_ms(self.stamp) is None:
            raise ValueError(
                f"stamp is '{self.stamp}' and type '{self.type}', whose messages have none; allowed: arrival, or"
                " arrival - MILLISECONDS"
            )
        return self

"""The contract's `guard` and `following`: which readings are none, and when a joint does not follow."""

from __future__ import annotations

from pydantic import Field

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import Number


class Guard(StrictModel):
    """What a joint's reading may be (see `core.guard.reading_guard`).

    Attributes:
        margin: how far beyond its limits a puppet's joint may read, rad (m); never more than the joint's own range.
        master_margin: the same of a master's joint, whose own limits may be wider than its puppet's.
        speed: the fastest that a joint may read to move, in velocity limits.
        settle_s: how long readings after a jump must agree before they are believed, s.
        off: streams ("left/master") that are believed whatever they read.
    """

    margin: Number = Field(default=0.5, gt=0, le=10)
    master_margin: Number = Field(default=1.0, gt=0, le=10)
    speed: Number = Field(default=3.0, ge=1, le=100)
    settle_s: Number = Field(default=0.5, ge=0.3, le=10)
    off: tuple[str, ...] = ()


class Following(StrictModel):
    """When a joint counts as not coming after its commands (see `core.guard.following`).

    Attributes:
        max_error: how far its measured position may be from where it was commanded, rad (m); a joint of a short range
            may be less far from it.
        after_s: for how long it may be farther, s.
        off: arms that are not watched.
    """

    max_error: Number = Field(default=0.3, gt=0, le=10)
    after_s: Number = Field(default=1.0, ge=0.2, le=60)
    off: tuple[str, ...] = ()

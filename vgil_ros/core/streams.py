"""The streams of a robot: what is listened to, in which order, and how each is brought to a tick."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, IntFlag

from vgil_ros.core.contract import Contract


class Kind(str, Enum):
    """What a stream carries; it decides how it is brought to a tick."""

    JOINTS = "joints"  # payload (3, J) float64: position, velocity, effort; interpolated
    BASE = "base"  # payload (2,) float64: m/s, rad/s; interpolated
    IMAGE = "image"  # payload Frame; nearest
    DEPTH = "depth"  # payload Frame; nearest

    @property
    def interpolated(self) -> bool:
        """Whether values between two samples follow from them."""
        return self is Kind.JOINTS or self is Kind.BASE


class Flag(IntFlag):
    """How a stream's value came to a tick (`/sync/flags`)."""

    EXACT = 0  # a sample stamped with the tick itself
    INTERPOLATED = 1  # between two samples
    NEAREST = 2  # the nearest sample within tolerance
    HELD = 4  # nothing within tolerance: the last value, repeated
    LATEST = 8  # whatever came last (method `latest`)


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream.

    Attributes:
        name: "left/puppet", "left/master", a camera's name, or "base".
        kind: what it carries.
        topic: where it comes from.
        tolerance_ns: how far from a tick a sample may be.
        latency_ns: taken off each stamp.
        frozen_ns: how long the same content may repeat under new stamps (images only).
    """

    name: str
    kind: Kind
    topic: str
    tolerance_ns: int
    latency_ns: int = 0
    frozen_ns: int | None = None


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)


def streams_of(contract: Contract, *, masters: bool = True) -> tuple[StreamSpec, ...]:
    """Return the streams of a robot: each arm's puppet and master, the cameras, the base.

    Args:
        contract: the robot.
        masters: False leaves the masters out, as when a policy drives.
    """
    default = _ns(contract.sync.tolerance_ms)
    streams: list[StreamSpec] = []
    for arm in contract.arms:
        streams.append(StreamSpec(f"{arm.name}/puppet", Kind.JOINTS, arm.puppet.topic, default))
        if masters and arm.master:
            streams.append(StreamSpec(f"{arm.name}/master", Kind.JOINTS, arm.master.topic, default))
    for camera in contract.cameras:
        tolerance = default if camera.tolerance_ms is None else _ns(camera.tolerance_ms)
        kind = Kind.DEPTH if camera.type == "depth" else Kind.IMAGE
        frozen = _ns(contract.sync.frozen_ms)
        streams.append(StreamSpec(camera.name, kind, camera.topic, tolerance, _ns(camera.latency_ms), frozen))
    if contract.base:
        streams.append(StreamSpec("base", Kind.BASE, contract.base.odom.topic, default, _ns(contract.base.latency_ms)))
    return tuple(streams)


def topics_of(contract: Contract) -> tuple[str, ...]:
    """Every topic that a contract names, each once: of the streams, the commands and the joystick."""
    topics = [spec.topic for spec in streams_of(contract)] + [arm.command.topic for arm in contract.arms]
    topics += [contract.base.command.topic] if contract.base else []
    topics += [contract.joystick.topic] if contract.joystick else []
    return tuple(dict.fromkeys(topics))


def policy_streams(contract: Contract, cameras: Collection[str]) -> tuple[StreamSpec, ...]:
    """What a policy is shown: the streams without masters, and of the cameras those that it uses."""
    images = (Kind.IMAGE, Kind.DEPTH)
    return tuple(s for s in streams_of(contract, masters=False) if s.kind not in images or s.name in cameras)

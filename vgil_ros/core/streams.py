"""The streams of a robot: what is listened to, in which order, and how each is brought to a tick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum, IntFlag

from vgil_ros.core.contract import Camera, Contract, SensorTopic, Vector
from vgil_ros.core.contract.rules import arrival_offset_ms


class Kind(str, Enum):
    """What a stream carries; it decides how it is brought to a tick."""

    JOINTS = "joints"  # payload (3, J) float64: position, velocity, effort; interpolated
    VECTOR = "vector"  # payload (n,) float64; interpolated, unless its spec says otherwise
    BASE = "base"  # payload (2,) float64: m/s, rad/s; interpolated
    IMAGE = "image"  # payload Frame; nearest
    DEPTH = "depth"  # payload Frame; nearest

    @property
    def interpolated(self) -> bool:
        """Whether values between two samples follow from them."""
        return self in (Kind.JOINTS, Kind.VECTOR, Kind.BASE)


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
        name: "left/puppet", "left/master", a camera's or vector's name, or "base".
        kind: what it carries.
        topic: where it comes from.
        tolerance_ns: how far from a tick a sample may be.
        latency_ns: taken off each stamp.
        frozen_ns: how long the same content may repeat under new stamps (images only); None for as long as it likes.
        nearest: take the nearest sample, though values between two would follow from them.
        quaternions: of a vector, where (x, y, z, w) begins: turned on the shorter way.
        arrival_offset_ns: the stamp is the arrival less this, whatever the header says; None takes the header's.
    """

    name: str
    kind: Kind
    topic: str
    tolerance_ns: int
    latency_ns: int = 0
    frozen_ns: int | None = None
    arrival_offset_ns: int | None = None
    nearest: bool = False
    quaternions: tuple[int, ...] = ()


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)


def streams_of(contract: Contract, *, masters: bool = True) -> tuple[StreamSpec, ...]:
    """Return the streams of a robot: each arm's puppet and master, the cameras, the vectors, the base.

    Args:
        contract: the robot.
        masters: False leaves the masters out, as when a policy drives.
    """
    default = _ns(contract.sync.tolerance_ms)
    streams: list[StreamSpec] = []

    def joints(name: str, at: SensorTopic) -> None:
        streams.append(StreamSpec(name, Kind.JOINTS, at.topic, default, arrival_offset_ns=_arrival(at.stamp)))

    for arm in contract.arms:
        joints(f"{arm.name}/puppet", arm.puppet)
        if masters and arm.master:
            joints(f"{arm.name}/master", arm.master)
    streams += [_camera_stream(contract, camera) for camera in contract.cameras]
    streams += [_vector_stream(contract, vector) for vector in contract.vectors]
    if base := contract.base:
        latency, arrival = _ns(base.latency_ms), _arrival(base.odom.stamp)
        streams.append(StreamSpec("base", Kind.BASE, base.odom.topic, default, latency, arrival_offset_ns=arrival))
    return tuple(streams)


def shared_topics(contract: Contract) -> frozenset[str]:
    """The topics whose messages hold the joints of several arms, of puppets and masters, or of a vector beside them."""
    return frozenset(topic for topic, count in readers_of(contract).items() if count > 1)


def readers_of(contract: Contract) -> Counter[str]:
    """How many streams each topic has: on one that is shared, each may have a driver of its own."""
    return Counter(spec.topic for spec in streams_of(contract))


def commands_of(contract: Contract) -> tuple[tuple[str, str], ...]:
    """(name, topic) of each command that a node of ours may give: none for an arm whose driver follows its master."""
    return tuple((name, topic) for name, topic, _ in _commands_of(contract, by_a_master=False))


def actions_of(contract: Contract) -> frozenset[str]:
    """The names among the command topics that are actions'."""
    return frozenset(topic for _, topic, action in _commands_of(contract, by_a_master=True) if action)


def _commands_of(contract: Contract, *, by_a_master: bool) -> Iterator[tuple[str, str, bool]]:
    """(name, topic, whether that is an action) of each command, with those of puppets that follow a master or not."""
    for arm in contract.arms:
        if arm.driver_follows_master and not by_a_master:
            continue
        yield f"{arm.name}/command", arm.command.topic, arm.command.is_action
        if arm.gripper and (apart := arm.gripper.command):
            yield f"{arm.name}/gripper_command", apart.topic, apart.is_action
    if contract.base:
        yield "base/command", contract.base.command.topic, False


def topics_of(contract: Contract) -> tuple[str, ...]:
    """Every topic that a contract names, each once: of the streams, the commands and the joystick."""
    topics = [spec.topic for spec in streams_of(contract)]
    topics += [topic for _, topic, _ in _commands_of(contract, by_a_master=True)]
    topics += [contract.joystick.topic] if contract.joystick else []
    return tuple(dict.fromkeys(topics))


def _camera_stream(contract: Contract, camera: Camera) -> StreamSpec:
    sync = contract.sync
    tolerance = sync.tolerance_ms if camera.tolerance_ms is None else camera.tolerance_ms
    frozen = sync.frozen_ms if camera.frozen_ms is None else camera.frozen_ms
    return StreamSpec(
        camera.name,
        Kind.DEPTH if camera.is_depth else Kind.IMAGE,
        camera.topic,
        _ns(tolerance),
        _ns(camera.latency_ms),
        None if isinstance(frozen, str) else _ns(frozen),
        _arrival(camera.stamp),
    )


def _vector_stream(contract: Contract, vector: Vector) -> StreamSpec:
    tolerance = contract.sync.tolerance_ms if vector.tolerance_ms is None else vector.tolerance_ms
    return StreamSpec(
        vector.name,
        Kind.VECTOR,
        vector.topic,
        _ns(tolerance),
        _ns(vector.latency_ms),
        arrival_offset_ns=_arrival(vector.stamp),
        nearest=not vector.interpolate,
        quaternions=vector.quaternions,
    )


def _arrival(stamp: str) -> int | None:
    offset_ms = arrival_offset_ms(stamp)
    return None if offset_ms is None else _ns(offset_ms)


def policy_streams(
    contract: Contract, cameras: Collection[str], vectors: Collection[str] = ()
) -> tuple[StreamSpec, ...]:
    """What a policy is shown: the streams without masters, and of cameras and vectors those that it uses."""
    chosen = {Kind.IMAGE: cameras, Kind.DEPTH: cameras, Kind.VECTOR: vectors}
    return tuple(s for s in streams_of(contract, masters=False) if s.kind not in chosen or s.name in chosen[s.kind])

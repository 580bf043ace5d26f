"""The robot contract: the one description of a robot that recorder, teleop, policy, simulator and tools share.

YAML goes in, frozen values come out. Whatever is wrong is said before any node starts: the file, the key, what was
found and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from vgil_ros.core.config import StrictModel, parse_yaml, validate
from vgil_ros.core.contract.arm import Arm
from vgil_ros.core.contract.bus import no_shared_ports
from vgil_ros.core.contract.camera import Camera
from vgil_ros.core.contract.driver import InterbotixDriver, ServiceCall
from vgil_ros.core.contract.rules import (
    Count,
    MillisecondsOrOff,
    Name,
    Number,
    TopicName,
    arrival_offset_ms,
    no_duplicates,
    no_shared_joints,
    no_shared_topics,
)
from vgil_ros.core.contract.topics import SensorTopic, TopicRef
from vgil_ros.core.contract.vector import Vector
from vgil_ros.core.contract.webcam import no_shared_devices
from vgil_ros.core.errors import ContractError
from vgil_ros.core.guard.settings import Following, Guard


class BaseLimits(StrictModel):
    """Largest speed of the base: m/s and rad/s."""

    linear: Number = Field(gt=0)
    angular: Number = Field(gt=0)


class Base(StrictModel):
    """A mobile base: measured by nav_msgs/Odometry, commanded by geometry_msgs/Twist."""

    odom: SensorTopic
    command: TopicRef
    limits: BaseLimits
    latency_ms: Number = Field(default=0.0, ge=0, le=5000)


class Sync(StrictModel):
    """How streams are brought to a tick, and what happens where one is missing (see `core.sync`)."""

    method: str = "clock"
    tolerance_ms: Number = Field(default=20.0, gt=0)
    max_wait_ms: Number = Field(default=60.0, ge=0)
    on_miss: Literal["hold", "drop", "abort"] = "hold"
    max_hold: Count = Field(default=5, ge=0)
    frozen_ms: MillisecondsOrOff = 200.0


class Joystick(StrictModel):
    """sensor_msgs/Joy buttons (by index) that work the recorder; `takeover`: take over from a policy, and hand back."""

    topic: TopicName = "/joy"
    start: Count | None = Field(default=None, ge=0)
    discard: Count | None = Field(default=None, ge=0)
    redo: Count | None = Field(default=None, ge=0)
    success: Count | None = Field(default=None, ge=0)
    failure: Count | None = Field(default=None, ge=0)
    unsure: Count | None = Field(default=None, ge=0)
    takeover: Count | None = Field(default=None, ge=0)


class EndMarker(StrictModel):
    """An extra last dimension: 0, and 1 on the `rows` last rows (VGIL's single-arm data)."""

    rows: Count = Field(default=5, ge=1)


class Contract(StrictModel):
    """A whole robot. Arms, cameras and joints keep the order of the file: it is the order in qpos and action."""

    name: Name
    rate_hz: Number = Field(ge=0.1, le=1000)
    arms: tuple[Arm, ...] = Field(min_length=1, max_length=16)
    cameras: tuple[Camera, ...] = Field(default=(), max_length=32)
    vectors: tuple[Vector, ...] = Field(default=(), max_length=32)
    base: Base | None = None
    sync: Sync = Sync()
    guard: Guard = Guard()
    following: Following = Following()
    joystick: Joystick | None = None
    end_marker: EndMarker | None = None
    driver: InterbotixDriver | None = None
    enable: tuple[ServiceCall, ...] = Field(default=(), max_length=64)
    disable: tuple[ServiceCall, ...] = Field(default=(), max_length=64)

    @property
    def period_ns(self) -> int:
        """Length of a tick in nanoseconds."""
        return round(1e9 / self.rate_hz)

    @model_validator(mode="after")
    def _consistent(self) -> Contract:
        no_duplicates("arms", [arm.name for arm in self.arms])
        no_duplicates("cameras", [camera.name for camera in self.cameras])
        no_shared_devices([(camera.name, camera.device) for camera in self.cameras])
        if self.base and "base" in [camera.name for camera in self.cameras]:
            raise ValueError("cameras: found the name 'base', which the base's stream has; allowed: any other")
        no_duplicates("cameras and vectors", [c.name for c in self.cameras] + [v.name for v in self.vectors])
        names = [arm.name for arm in self.arms]
        for i, camera in enumerate(self.cameras):
            if camera.sim and camera.sim.arm is not None and camera.sim.arm not in names:
                raise ValueError(f"cameras[{i}].sim.arm is '{camera.sim.arm}'; allowed: one of {names}")
        no_shared_topics(self._topics())
        no_shared_joints(self._joint_topics())
        no_shared_ports(arm.bus for arm in self.arms)
        if self.driver:
            self._check_interbotix()
        self._check_latencies()
        unknown = [name for name in self.guard.off if name not in self._joint_streams()]
        if unknown:
            raise ValueError(f"guard.off has {unknown}; allowed: {self._joint_streams()}")
        if unknown := [name for name in self.following.off if name not in names]:
            raise ValueError(f"following.off has {unknown}; allowed: {names}")
        methods = ["clock", "min_stamp", "latest", *(f"camera:{c.name}" for c in self.cameras if not c.is_depth)]
        if self.sync.method not in methods:
            raise ValueError(f"sync.method is '{self.sync.method}'; allowed: {methods}")
        return self

    def with_jpeg_order(self, order: str) -> Contract:
        """The contract with another `jpeg_order` of the cameras that send JPEG; as it is with "contract"."""
        if order == "contract":
            return self
        cameras = tuple(
            camera.model_copy(update={"jpeg_order": order}) if camera.type == "compressed" else camera
            for camera in self.cameras
        )
        return self.model_copy(update={"cameras": cameras})

    def _check_interbotix(self) -> None:
        """Its services lie beside its topics, so those must have the names that it gives them."""
        for i, arm in enumerate(self.arms):
            found = [(f"arms[{i}].command", arm.command.topic, "commands/joint_group")]
            found += [(f"arms[{i}].master", arm.master.topic, "joint_states")] if arm.master else []
            for key, topic, ending in found:
                if not topic.endswith(f"/{ending}"):
                    raise ValueError(f"{key}.topic is '{topic}'; allowed with driver interbotix_xs: NAME/{ending}")
            if arm.command.type != "interbotix_group":
                kind = arm.command.type
                raise ValueError(
                    f"arms[{i}].command.type is '{kind}'; allowed with driver interbotix_xs: interbotix_group"
                )

    def _joint_streams(self) -> list[str]:
        kinds = ((arm.name, kind) for arm in self.arms for kind in ("puppet", "master"))
        return [f"{name}/{kind}" for name, kind in kinds]

    def _topics(self) -> Iterator[tuple[str, str]]:
        """Each (key, topic), of joint states that several arms share the first; a number has no name, and is shared
        with nobody. A driver that follows its master itself is commanded on the master's topic."""
        seen: set[str] = set()
        numbers = {at.topic for arm in self.arms for at in (arm.puppet, arm.master) if at and at.is_number}
        for key, topic, _ in self._joint_topics():
            if topic not in seen or topic in numbers:
                yield f"{key}.topic", topic
            seen.add(topic)
        followed: set[str] = set()
        for i, arm in enumerate(self.arms):
            if not arm.driver_follows_master or arm.command.topic in followed:
                yield f"arms[{i}].command.topic", arm.command.topic
            else:
                followed.add(arm.command.topic)
            if arm.gripper and arm.gripper.command:
                yield f"arms[{i}].gripper.command.topic", arm.gripper.command.topic
        for i, camera in enumerate(self.cameras):
            yield f"cameras[{i}].topic", camera.topic
        for i, vector in enumerate(self.vectors):
            if vector.type != "joint_state" or vector.topic not in seen - numbers:  # by name, as an arm's are
                yield f"vectors[{i}].topic", vector.topic
        if self.base:
            yield "base.odom.topic", self.base.odom.topic
            yield "base.command.topic", self.base.command.topic
        if self.joystick:
            yield "joystick.topic", self.joystick.topic

    def _joint_topics(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Each (key, topic, names that are read there) of joint states."""
        for i, arm in enumerate(self.arms):
            yield f"arms[{i}].puppet", arm.puppet.topic, tuple(dict.fromkeys(arm.measured_joints + arm.puppet_joints))
            if arm.master:
                yield f"arms[{i}].master", arm.master.topic, arm.master_joints

    def _check_latencies(self) -> None:
        """A sample that is older than the longest wait when it comes could never be used."""
        for key, value in self._latencies():
            if value > self.sync.max_wait_ms:
                raise ValueError(
                    f"{key} is {value}; allowed: up to sync.max_wait_ms, {self.sync.max_wait_ms}: no tick waits longer"
                )

    def _latencies(self) -> Iterator[tuple[str, float]]:
        """Each (key, ms) by which a stream's stamps are known to be before their arrival."""
        for i, arm in enumerate(self.arms):
            yield f"arms[{i}].puppet.stamp", arrival_offset_ms(arm.puppet.stamp) or 0.0
            if arm.master:
                yield f"arms[{i}].master.stamp", arrival_offset_ms(arm.master.stamp) or 0.0
        for i, camera in enumerate(self.cameras):
            yield f"cameras[{i}].latency_ms", camera.latency_ms
            yield f"cameras[{i}].stamp", (arrival_offset_ms(camera.stamp) or 0.0) + camera.latency_ms
        for i, vector in enumerate(self.vectors):
            yield f"vectors[{i}].latency_ms", vector.latency_ms
            yield f"vectors[{i}].stamp", (arrival_offset_ms(vector.stamp) or 0.0) + vector.latency_ms
        if self.base:
            yield "base.latency_ms", self.base.latency_ms
            yield "base.odom.stamp", (arrival_offset_ms(self.base.odom.stamp) or 0.0) + self.base.latency_ms


def parse_contract(text: str, source: str) -> Contract:
    """Return the contract that a YAML text describes.

    Args:
        text: the YAML.
        source: what to call it in errors (its file name).

    Raises:
        ContractError: with one line for each fault.
    """
    return validate(Contract, parse_yaml(text, source, ContractError), source, ContractError)

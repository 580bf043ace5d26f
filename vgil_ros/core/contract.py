"""The robot contract: the one description of a robot that recorder, teleop, policy, simulator and tools share.

YAML goes in, frozen values come out. Whatever is wrong is said before any node starts: the file, the key, what was
found and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from vgil_ros.core.config import StrictModel, parse_yaml, validate
from vgil_ros.core.contract_rules import (
    Count,
    Floats,
    JointName,
    MillisecondsOrOff,
    Name,
    Number,
    Range,
    StampPolicy,
    TopicName,
    Vector3,
    arrival_offset_ms,
    no_duplicates,
    no_shared_topics,
    one_spelling,
    two_values,
)
from vgil_ros.core.errors import ContractError
from vgil_ros.core.guard.settings import Following, Guard

SLOWEST = 1e-6  # rad/s, rad/s^2


class TopicRef(StrictModel):
    """A topic whose message type is fixed by its place in the contract."""

    topic: TopicName


class SensorTopic(TopicRef):
    """A topic that is measured, and where its stamps come from."""

    stamp: StampPolicy = "header"


class CommandTopic(StrictModel):
    """Where an arm takes its commands, and as which message."""

    topic: TopicName
    type: Literal["joint_state", "float64_multi_array", "joint_trajectory", "interbotix_group"]


class Limits(StrictModel):
    """Limits of an arm's joints, in the order of `joints`: rad, rad/s, rad/s^2 (metres for sliding joints)."""

    lower: Floats
    upper: Floats
    velocity: Floats
    acceleration: Floats | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Limits:
        for i, (low, high) in enumerate(zip(self.lower, self.upper, strict=False)):
            if low >= high:
                raise ValueError(f"lower[{i}] = {low} is not below upper[{i}] = {high}")
        for key in ("velocity", "acceleration"):
            for i, value in enumerate(getattr(self, key) or ()):
                if value < SLOWEST:
                    raise ValueError(f"{key}[{i}] = {value}; allowed: above 0, at least {SLOWEST}")
        return self


class GripperFeedback(StrictModel):
    """A joint that measures the gripper better than the commanded one (Interbotix: the finger's travel)."""

    joint: str
    range: Range

    @field_validator("range")
    @classmethod
    def _not_empty(cls, value: Range) -> Range:
        return two_values(value)


class Gripper(StrictModel):
    """The gripper's joint and its ranges (closed, open); qpos and action hold it as 0..1 (closed..open)."""

    joint: str
    puppet_range: Range
    master_range: Range
    feedback: GripperFeedback | None = None

    @model_validator(mode="before")
    @classmethod
    def _aliases(cls, values: object) -> object:
        return one_spelling(values, {"follower_range": "puppet_range", "leader_range": "master_range"})

    @field_validator("puppet_range", "master_range")
    @classmethod
    def _not_empty(cls, value: Range) -> Range:
        return two_values(value)


class Mount(StrictModel):
    """Where an arm's base stands in the fixed frame: metres, and roll-pitch-yaw in rad."""

    xyz: Vector3 = (0.0, 0.0, 0.0)
    rpy: Vector3 = (0.0, 0.0, 0.0)


class Arm(StrictModel):
    """A puppet arm, the master that leads it, and how the puppet is commanded."""

    name: Name
    puppet: SensorTopic
    master: SensorTopic | None = None
    command: CommandTopic
    joints: tuple[JointName, ...] = Field(min_length=1, max_length=64)
    limits: Limits
    home: Floats
    start: Floats | None = None
    sleep: Floats | None = None
    gripper: Gripper | None = None
    urdf: str | None = None
    mount: Mount = Mount()

    @model_validator(mode="before")
    @classmethod
    def _aliases(cls, values: object) -> object:
        return one_spelling(values, {"follower": "puppet", "leader": "master"})

    @property
    def driver_follows_master(self) -> bool:
        """Whether commands go where the master's positions do: the puppet's driver listens to its master itself."""
        return self.master is not None and self.master.topic == self.command.topic

    @model_validator(mode="after")
    def _consistent(self) -> Arm:
        count = len(self.joints)
        no_duplicates("joints", self.joints)
        vectors = {f"limits.{k}": getattr(self.limits, k) for k in ("lower", "upper", "velocity", "acceleration")}
        poses = {key: getattr(self, key) for key in ("home", "start", "sleep")}
        for key, values in (vectors | poses).items():
            if values is not None and len(values) != count:
                raise ValueError(
                    f"{key} has {len(values)} values; allowed: {count}, one for each of {list(self.joints)}"
                )
        for key, pose in poses.items():
            for joint, low, high, at in zip(
                self.joints, self.limits.lower, self.limits.upper, pose or (), strict=False
            ):
                if not low <= at <= high:
                    raise ValueError(f"{key} of joint '{joint}' is {at}; allowed: {low} to {high}, its limits")
        if self.gripper:
            self._check_gripper(self.gripper)
        return self

    def _check_gripper(self, gripper: Gripper) -> None:
        if gripper.joint not in self.joints:
            raise ValueError(f"gripper.joint is '{gripper.joint}'; allowed: one of {list(self.joints)}")
        others = [joint for joint in self.joints if joint != gripper.joint]
        if gripper.feedback and gripper.feedback.joint in others:
            raise ValueError(
                f"gripper.feedback.joint is '{gripper.feedback.joint}', another of the arm's joints; allowed: one that"
                f" is not among {others}"
            )
        at = self.joints.index(gripper.joint)
        low, high = self.limits.lower[at], self.limits.upper[at]
        if not low <= min(gripper.puppet_range) <= max(gripper.puppet_range) <= high:
            raise ValueError(
                f"gripper.puppet_range is {list(gripper.puppet_range)}; allowed: within {low} to {high},"
                f" the limits of '{gripper.joint}'"
            )


class SimulatedView(StrictModel):
    """Where a camera hangs in the simulator: metres in the fixed frame, or that of an arm's gripper link with `arm`.

    `fov`: of the image's height, degrees.
    """

    position: Vector3
    look_at: Vector3
    fov: Number = Field(default=50.0, ge=5, le=170)
    arm: Name | None = None

    @model_validator(mode="after")
    def _looks_somewhere(self) -> SimulatedView:
        if self.position == self.look_at:
            raise ValueError(f"position and look_at are both {list(self.position)}; allowed: two different places")
        return self


class Camera(StrictModel):
    """A camera's topic, image size in pixels, and how far from a tick its frame may be."""

    name: Name
    topic: TopicName
    type: Literal["image", "compressed", "depth", "compressed_depth"] = "image"
    height: Count = Field(ge=8, le=8192)
    width: Count = Field(ge=8, le=8192)
    latency_ms: Number = Field(default=0.0, ge=0, le=5000)
    tolerance_ms: Number | None = Field(default=None, gt=0)
    frozen_ms: MillisecondsOrOff | None = None
    stamp: StampPolicy = "header"
    jpeg_order: Literal["camera", "peers"] = "camera"
    sim: SimulatedView | None = None

    @property
    def is_depth(self) -> bool:
        """Whether its images are distances and no colours."""
        return self.type in ("depth", "compressed_depth")

    @model_validator(mode="after")
    def _consistent(self) -> Camera:
        if self.jpeg_order == "peers" and self.type != "compressed":
            raise ValueError(f"jpeg_order is 'peers' and type '{self.type}'; allowed: with type 'compressed' alone")
        return self


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
    """sensor_msgs/Joy buttons (by index) that work the recorder."""

    topic: TopicName = "/joy"
    start: Count | None = Field(default=None, ge=0)
    discard: Count | None = Field(default=None, ge=0)
    redo: Count | None = Field(default=None, ge=0)


class EndMarker(StrictModel):
    """An extra last dimension: 0, and 1 on the `rows` last rows (VGIL's single-arm data)."""

    rows: Count = Field(default=5, ge=1)


class Contract(StrictModel):
    """A whole robot. Arms, cameras and joints keep the order of the file: it is the order in qpos and action."""

    name: Name
    rate_hz: Number = Field(ge=0.1, le=1000)
    arms: tuple[Arm, ...] = Field(min_length=1, max_length=16)
    cameras: tuple[Camera, ...] = Field(default=(), max_length=32)
    base: Base | None = None
    sync: Sync = Sync()
    guard: Guard = Guard()
    following: Following = Following()
    joystick: Joystick | None = None
    end_marker: EndMarker | None = None

    @property
    def period_ns(self) -> int:
        """Length of a tick in nanoseconds."""
        return round(1e9 / self.rate_hz)

    @model_validator(mode="after")
    def _consistent(self) -> Contract:
        no_duplicates("arms", [arm.name for arm in self.arms])
        no_duplicates("cameras", [camera.name for camera in self.cameras])
        if self.base and "base" in [camera.name for camera in self.cameras]:
            raise ValueError("cameras: found the name 'base', which the base's stream has; allowed: any other")
        names = [arm.name for arm in self.arms]
        for i, camera in enumerate(self.cameras):
            if camera.sim and camera.sim.arm is not None and camera.sim.arm not in names:
                raise ValueError(f"cameras[{i}].sim.arm is '{camera.sim.arm}'; allowed: one of {names}")
        no_shared_topics(self._topics())
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

    def _joint_streams(self) -> list[str]:
        kinds = ((arm.name, kind) for arm in self.arms for kind in ("puppet", "master"))
        return [f"{name}/{kind}" for name, kind in kinds]

    def _topics(self) -> Iterator[tuple[str, str]]:
        """Each (key, topic). A driver that follows its master itself is commanded on the master's topic."""
        for i, arm in enumerate(self.arms):
            yield f"arms[{i}].puppet.topic", arm.puppet.topic
            if arm.master:
                yield f"arms[{i}].master.topic", arm.master.topic
            if not arm.driver_follows_master:
                yield f"arms[{i}].command.topic", arm.command.topic
        for i, camera in enumerate(self.cameras):
            yield f"cameras[{i}].topic", camera.topic
        if self.base:
            yield "base.odom.topic", self.base.odom.topic
            yield "base.command.topic", self.base.command.topic
        if self.joystick:
            yield "joystick.topic", self.joystick.topic

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

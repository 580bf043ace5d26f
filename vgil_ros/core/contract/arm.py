"""An arm in the contract: its topics, joints, limits, poses, gripper and mount."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.bus import ROLES, SerialBus, check_bus, check_served
from vgil_ros.core.contract.commands import OF_ONE_JOINT, CommandTopic, GripperCommand
from vgil_ros.core.contract.rules import (
    Floats,
    JointName,
    Name,
    Range,
    Vector3,
    no_duplicates,
    one_spelling,
    two_values,
)
from vgil_ros.core.contract.topics import JointTopic

SLOWEST = 1e-6  # rad/s, rad/s^2


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
    command: GripperCommand | None = None

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
    puppet: JointTopic
    master: JointTopic | None = None
    command: CommandTopic
    joints: tuple[JointName, ...] = Field(min_length=1, max_length=64)
    limits: Limits
    home: Floats
    start: Floats | None = None
    sleep: Floats | None = None
    gripper: Gripper | None = None
    bus: SerialBus | None = None
    urdf: str | None = None
    mount: Mount = Mount()

    @model_validator(mode="before")
    @classmethod
    def _aliases(cls, values: object) -> object:
        return one_spelling(values, ROLES)

    @property
    def driver_follows_master(self) -> bool:
        """Whether commands go where the master's positions do: the puppet's driver listens to its master itself."""
        return self.master is not None and self.master.topic == self.command.topic

    @property
    def puppet_joints(self) -> tuple[str, ...]:
        """The joints' names as the puppet's driver has them."""
        return self.puppet.joints or self.joints

    @property
    def measured_joints(self) -> tuple[str, ...]:
        """The joints that the puppet's states are read from: what measures the gripper stands in its place."""
        feedback = self.gripper.feedback.joint if self.gripper and self.gripper.feedback else None
        names = zip(self.joints, self.puppet_joints, strict=True)
        return tuple(feedback if feedback and self.gripper and joint == self.gripper.joint else n for joint, n in names)

    @property
    def master_joints(self) -> tuple[str, ...]:
        """The joints' names as the master's driver has them."""
        return (self.master.joints if self.master else None) or self.joints

    @property
    def command_joints(self) -> tuple[str, ...]:
        """The joints' names in commands: the puppet's, or the master's where commands go where its positions do."""
        return self.master_joints if self.driver_follows_master else self.puppet_joints

    @property
    def own_columns(self) -> tuple[int, ...]:
        """Columns of the joints that the arm's own command holds: all but a gripper that is commanded apart."""
        apart = self.gripper.joint if self.gripper and self.gripper.command else None
        return tuple(i for i, joint in enumerate(self.joints) if joint != apart)

    @property
    def own_joints(self) -> tuple[str, ...]:
        """Names in the arm's own command, in its order."""
        return tuple(self.command_joints[i] for i in self.own_columns)

    @model_validator(mode="after")
    def _consistent(self) -> Arm:
        count = len(self.joints)
        no_duplicates("joints", self.joints)
        for key, names in (("puppet", self.puppet.joints), ("master", self.master.joints if self.master else None)):
            if names is not None and len(names) != count:
                raise ValueError(
                    f"{key}.joints has {len(names)} names; allowed: {count}, one for each of {list(self.joints)}"
                )
        for key, topic in (("puppet", self.puppet), ("master", self.master)):
            if topic is not None and topic.is_number and count > 1:
                raise ValueError(
                    f"{key}.type is '{topic.type}', the position of one joint, and the arm has {count}; allowed:"
                    " joint_state"
                )
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
        self._check_command()
        check_bus(self.bus, self.command.type, has_master=self.master is not None)
        sides = {"puppet": self.puppet_joints, "master": self.master_joints}
        check_served(self.bus, self.joints, sides, self.gripper)
        return self

    def _check_command(self) -> None:
        kind, own = self.command.type, [self.joints[i] for i in self.own_columns]
        if not own:
            raise ValueError("gripper.command takes the arm's only joint; allowed: command alone, of a type for it")
        if kind in OF_ONE_JOINT and len(own) > 1:
            raise ValueError(f"command.type is '{kind}', which commands one joint; allowed: one, not {own}")
        if kind == "interbotix_group" and self.gripper and self.gripper.command:
            raise ValueError(
                "gripper.command and command.type 'interbotix_group', which commands the gripper apart by itself;"
                " allowed: one of them"
            )

    def _check_gripper(self, gripper: Gripper) -> None:
        if gripper.joint not in self.joints:
            raise ValueError(f"gripper.joint is '{gripper.joint}'; allowed: one of {list(self.joints)}")
        names = zip(self.joints, self.puppet_joints, strict=True)
        others = [driver for joint, driver in names if joint != gripper.joint]
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

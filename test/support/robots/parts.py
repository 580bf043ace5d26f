"""What a driver is made of, in words of its own: its joints, what it says on which topic, and what it listens to.

Nothing here is read from a contract: what a contract says is held against this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Body:
    """A set of joints. A leader's swing about where they rest, a follower's go where they are sent.

    Attributes:
        name: of the body.
        rest: where each joint is at first, in the driver's units.
        swing: how far each goes to either side, where it is led; by joint. Empty for a follower.
        derived: joints that are measured beside others: (other, its value, this one's value there), twice.
    """

    name: str
    rest: Mapping[str, float]
    swing: Mapping[str, float] = field(default_factory=dict)
    derived: Mapping[str, tuple[str, tuple[float, float], tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class States:
    """sensor_msgs/JointState of a body, its joints in the order of the wire; or std_msgs/Float32 of one joint."""

    topic: str
    body: str
    joints: tuple[str, ...]
    hz: float = 100.0
    depth: int = 10
    kind: str = "joint_state"


@dataclass(frozen=True)
class Commands:
    """What moves a body.

    Attributes:
        topic: of the messages, or the action's name.
        kind: trajectory, array, by_name, by_position, float32, interbotix, gripper_command or parallel.
        body: which moves.
        joints: in the driver's order.
        low, high: of a gripper's joint, or of what float32 may say.
        factor: of a float32's value.
    """

    topic: str
    kind: str
    body: str
    joints: tuple[str, ...]
    low: float = -10.0
    high: float = 10.0
    factor: float = 1.0
    depth: int = 10


@dataclass(frozen=True)
class Driver:
    """A robot with all its drivers; `cameras` are (topic, type), `base` is (odometry, commands)."""

    bodies: tuple[Body, ...]
    states: tuple[States, ...]
    commands: tuple[Commands, ...]
    cameras: tuple[tuple[str, str], ...]
    base: tuple[str, str] | None = None


def follower(name: str, rest: Mapping[str, float], **options: Mapping[str, object]) -> Body:
    """A body that is commanded."""
    return Body(name, rest, **options)  # type: ignore[arg-type]


def leader(name: str, rest: Mapping[str, float], swing: float = 0.12, **swings: float) -> Body:
    """A body that a person moves: each joint by `swing` to either side, or by its own."""
    return Body(name, rest, {joint: swings.get(joint, swing) for joint in rest})


def realsense(*names: str) -> tuple[tuple[str, str], ...]:
    """Colour topics of realsense2_camera with `camera_namespace:=cameras camera_name:=NAME`."""
    return tuple((f"/cameras/{name}/color/image_raw", "image") for name in names)

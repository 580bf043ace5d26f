"""The page's link to a robot: what it knows of the robot, and what it can ask of it. A node implements it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vgil_ros.core.contract import Contract

OK, WARN, ERROR, STALE = range(4)  # levels of a status, as in diagnostic_msgs/DiagnosticStatus

SKEW = "skew_p99_ms_"


@dataclass(frozen=True)
class NodeStatus:
    """A node's last status.

    Attributes:
        level: OK, WARN, ERROR or STALE.
        message: in words.
        values: its figures, by key (docs/reference/status.md).
        age_s: seconds since it came.
    """

    level: int
    message: str
    values: Mapping[str, str]
    age_s: float

    def number(self, key: str) -> float | None:
        """A figure, None where it has none."""
        try:
            return float(self.values[key])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, eq=False)
class ArmView:
    """An arm as last heard; positions in the contract's units and order of joints, None where none came.

    Attributes:
        measured: (J,) of the puppet.
        master: (J,) of the leader.
        command: (J,) as last sent to the puppet.
        age_s: of `measured`.
    """

    measured: np.ndarray | None = None
    master: np.ndarray | None = None
    command: np.ndarray | None = None
    age_s: float | None = None


@dataclass(frozen=True, eq=False)
class RobotView:
    """What is known of the robot at one moment.

    Attributes:
        statuses: by node's name ("recorder", "policy", "teleop", ...), those heard in the last 30 s.
        arms: by the contract's names.
        chunk: (H, J) coming commands of all arms, in the contract's order and units; None where none came lately.
        success: what the robot's success topic said last.
        services: names (without namespace) that are offered now: "recorder/start", ...
    """

    statuses: Mapping[str, NodeStatus] = field(default_factory=dict)
    arms: Mapping[str, ArmView] = field(default_factory=dict)
    chunk: np.ndarray | None = None
    success: bool | None = None
    services: frozenset[str] = frozenset()


def speaker(view: RobotView) -> NodeStatus | None:
    """The status that tells of the streams: the recorder's, or the policy's."""
    for name in ("recorder", "policy"):
        if name in view.statuses:
            return view.statuses[name]
    return None


def skews(view: RobotView) -> dict[str, float]:
    """p99 of the skew (ms) of each stream."""
    status = speaker(view)
    if status is None:
        return {}
    found = ((key, status.number(key)) for key in status.values if key.startswith(SKEW))
    return {key.removeprefix(SKEW): value for key, value in found if value is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered."""

    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class PolicyOrder:
    """A policy that the page is to start, by the parameters of its node.

    Attributes:
        checkpoint: a folder, a name in models/, or ws://HOST:PORT.
        task: its instruction.
        execution: how chunks are played; "checkpoint": as that says.
        device: where it runs.
        dry_run: compute and show, send nothing.
        rollouts: folder that rollouts are recorded to; "" for none.
    """

    checkpoint: str
    task: str = ""
    execution: str = "checkpoint"
    device: str = "cpu"
    dry_run: bool = True
    rollouts: str = ""


@dataclass(frozen=True)
class PolicyRun:
    """The policy node that the page started last.

    Attributes:
        order: as it was asked for.
        alive: its process runs.
        ending: it was asked to end.
        exit_code: None while it runs; minus the signal that ended it.
        lines: the last that it printed.
        began_s: when it was started, time.monotonic.
    """

    order: PolicyOrder
    alive: bool
    ending: bool
    exit_code: int | None
    lines: tuple[str, ...]
    began_s: float


class RobotLink(Protocol):
    """A robot, as the page needs it. Its methods are called in the page's event loop and never wait."""

    contract: Contract
    robot: str  # the contract, by name or path

    def view(self) -> RobotView:
        """What is known just now."""

    def call(self, service: str) -> Awaitable[Answer]:
        """Call a std_srvs/Trigger, named without namespace: "recorder/start"."""

    def estop(self, on: bool) -> Awaitable[Answer]:
        """Set the policy's e-stop and stop whatever else moves the robot, or release the e-stop."""

    def set_task(self, task: str) -> None:
        """Tell the policy a new instruction."""

    def policy_run(self) -> PolicyRun | None:
        """The policy node that the page started last; None where it started none."""

    def start_policy(self, order: PolicyOrder) -> Awaitable[Answer]:
        """Start a policy node, which loads its checkpoint and moves nothing; refused while one is there."""

    def end_policy(self) -> Awaitable[Answer]:
        """End the policy node that the page started; what it moves is held."""

    def say(self, words: Mapping[str, str]) -> Awaitable[Answer]:
        """Tell the recorder what its next episodes are of: task, operator, object, scene, note."""

    def lead(self, arm: str, twist: np.ndarray, gripper: float | None, frame: str) -> None:
        """Move a leader: twist (6,) m/s and rad/s in the frame "base" or "tool", gripper opening 0..1 or None.

        It holds for the leader's dead-man time (250 ms); what is to go on is said again.
        """

    def reset(self, seed: int | None) -> Awaitable[Answer]:
        """Reset a simulator's scene; `seed`: which scene, None: the next one."""

    def watch(self, camera: str, on: bool) -> None:
        """Somebody looks at a camera from now on, or nobody any more."""

"""What a preflight finds, in words: what was found, what is allowed, what to do; and what is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vgil_ros.core.layout import Layout
from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.reference import DataReference
from vgil_ros.robots.robot_check import Verdict

GRAVITY = (Verdict.NO_GO, Verdict.LOOK, Verdict.GO)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what kind of fault it would be.
        about: a camera, a joint, a stream, or "" for the whole.
        verdict: what it means for a start.
        found: what was found. allowed: what would be well. advice: what to do; both empty where it goes.
    """

    check: str
    about: str
    verdict: Verdict
    found: str
    allowed: str = ""
    advice: str = ""

    def __str__(self) -> str:
        head = f"{self.check}{f' of {self.about}' if self.about else ''}"
        return f"{head}: found {self.found}" + (f"; allowed: {self.allowed}" if self.allowed else "")


@dataclass(frozen=True)
class StreamSeen:
    """A stream of the contract as it came: messages a second, and why it cannot be used (None where it can)."""

    rate_hz: float
    wrong: str | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of a robot that does not move yet, live or in an episode's first rows.

    Attributes:
        source: in words, where from.
        qpos: (T, D) float64, as a policy takes it; T is 0 where none came.
        images: (K, H, W, 3) uint8 RGB by camera; cameras of which none came are not there.
        observations: some whole ones, as the policy is given them.
        streams: what came of each, where it was listened to.
        fps: new images a second by camera, where that is known.
    """

    source: str
    qpos: np.ndarray
    images: Mapping[str, np.ndarray]
    observations: Sequence[RobotObservation] = ()
    streams: Mapping[str, StreamSeen] = field(default_factory=dict)
    fps: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Latency:
    """How long inferences took, in seconds: median and longest of so many."""

    median_s: float
    longest_s: float
    count: int


@dataclass(frozen=True, eq=False)
class Subject:
    """The policy that is to move a robot, and what it answered.

    Attributes:
        config: the policy's. layout: the robot's.
        mismatches: between both, in words. unchecked: what the checkpoint does not tell.
        scales: the normaliser's buffers of "qpos" and "action" by name ("mean", "std", "min", "max"), (D,) each.
        latency: of its inference; None where it was not run.
        chunks: (K, H, A) answers to `Seen.observations`; None where there were none.
        watchdog_s: how long it may be silent before the robot is held.
    """

    config: PolicyConfig
    layout: Layout
    mismatches: Sequence[str] = ()
    unchecked: Sequence[str] = ()
    scales: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    latency: Latency | None = None
    chunks: np.ndarray | None = None
    watchdog_s: float = 0.2


@dataclass(frozen=True, eq=False)
class Case:
    """All that is judged: the policy, what its training data were like, what was seen; None: it is not known."""

    subject: Subject
    reference: DataReference | None
    seen: Seen | None


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """The gravest of them."""
    return next(verdict for verdict in GRAVITY if verdict is Verdict.GO or any(f.verdict is verdict for f in findings))

"""Comparison of a teacher and its student. Both are run on the same observations and the same noise, and each is held
against what its own description promises and against the other, stage by stage in the order in which things happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vgil_ros.policies.diagnostics.stages import STAGES, Pass, Side, faults_of, faults_of_pair
from vgil_ros.policies.diagnostics.straightness import straightness
from vgil_ros.policies.diagnostics.trace import trace
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.flow_matching.policy import FlowPolicy
from vgil_ros.policies.observation import Observation

SAME = ("type", "state_dim", "action_dim", "chunk_size", "padded_dim", "task_dim", "camera_names", "joint_names")


@dataclass(frozen=True)
class Fault:
    """A stage in which one of the two does otherwise than it should, or both otherwise than each other."""

    stage: str
    who: str
    words: str


@dataclass(frozen=True)
class Comparison:
    """What came out.

    Attributes:
        faults: in the order of the stages; empty where all is well.
        notes: differences that are none's fault, such as the number of steps.
        straightness: of the teacher's and the student's path, 0 is straight; None where a path could not be followed.
        l1_per_joint: (A,) mean difference of their actions, robot units; None where one gave no chunk.
        l1_of_noise: the same between two chunks of the teacher from different noise, for scale.
    """

    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    straightness: dict[str, float | None]
    l1_per_joint: np.ndarray | None
    l1_of_noise: float | None

    @property
    def first(self) -> Fault | None:
        """The first stage at which they part."""
        return self.faults[0] if self.faults else None


def compare(teacher: FlowPolicy, student: FlowPolicy, observations: Sequence[Observation], seed: int = 0) -> Comparison:
    """Run both on each observation, with the same noise, and say where they part. Modes are left as they are.

    Args:
        observations: each with a batch axis, in robot units.

    Raises:
        PolicyError: they do not take the same observations or make other chunks, or there is no observation.
    """
    _check_alike(teacher, student)
    if not observations:
        raise PolicyError("observations: found none, allowed is one or more")
    sides = {name: _side(name, policy, observations, seed) for name, policy in _named(teacher, student)}
    ours, theirs = sides["teacher"], sides["student"]
    faults = [Fault(stage, name, words) for name, side in sides.items() for stage, words in faults_of(side).items()]
    for stage, words in faults_of_pair(ours, theirs).items():
        if not any(fault.stage == stage for fault in faults):
            faults.append(Fault(stage, "both", words))
    faults.sort(key=lambda fault: STAGES.index(fault.stage))
    return Comparison(
        faults=tuple(faults),
        notes=_notes(teacher, student),
        straightness={name: straightness(policy, observations, seed) for name, policy in _named(teacher, student)},
        l1_per_joint=_l1(ours, theirs),
        l1_of_noise=_l1_of_noise(teacher, observations, ours),
    )


def make_noise(policy: FlowPolicy, batch: int, seed: int) -> Tensor:
    """(B, H, padded_dim) float32 on the policy's device, independent of how the policy draws its own."""
    shape = (batch, policy.config.chunk_size, policy.config.padded_dim)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(policy.device)


def _named(teacher: FlowPolicy, student: FlowPolicy) -> tuple[tuple[str, FlowPolicy], ...]:
    return ("teacher", teacher), ("student", student)


def _side(name: str, policy: FlowPolicy, observations: Sequence[Observation], seed: int) -> Side:
    passes = []
    for number, observation in enumerate(observations):
        noise = make_noise(policy, len(observation["qpos"]), seed + number)
        passes.append(Pass(observation, noise, trace(policy, observation, noise)))
    again = trace(policy, observations[0], passes[0].noise)
    policy.reset()
    drawn = trace(policy, observations[0], None)
    return Side(name, policy, tuple(passes), again, drawn)


def _check_alike(teacher: FlowPolicy, student: FlowPolicy) -> None:
    for name in SAME:
        ours, theirs = getattr(teacher.config, name, None), getattr(student.config, name, None)
        if ours != theirs:
            raise PolicyError(f"{name}: the teacher's is {ours}, the student's {theirs}; only alike ones compare")


def _notes(teacher: FlowPolicy, student: FlowPolicy) -> tuple[str, ...]:
    notes = []
    for name in ("steps", "solver"):
        ours, theirs = getattr(teacher.config, name), getattr(student.config, name)
        if ours != theirs:
            notes.append(f"{name}: teacher {ours}, student {theirs}")
    return tuple(notes)


def _l1(ours: Side, theirs: Side) -> np.ndarray | None:
    pairs = [(one.trace.chunk, other.trace.chunk) for one, other in zip(ours.passes, theirs.passes, strict=True)]
    gaps = [(a - b).abs().mean(dim=(0, 1)) for a, b in pairs if a is not None and b is not None and a.shape == b.shape]
    return torch.stack(gaps).mean(dim=0).cpu().numpy() if gaps else None


def _l1_of_noise(teacher: FlowPolicy, observations: Sequence[Observation], ours: Side) -> float | None:
    first, other = ours.passes[0], make_noise(teacher, len(observations[0]["qpos"]), -1)
    chunk = trace(teacher, first.observation, other).chunk
    if chunk is None or first.trace.chunk is None:
        return None
    return float((chunk - first.trace.chunk).abs().mean())

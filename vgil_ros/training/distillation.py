"""Reflow: a student learns the straight line between noise and what a teacher makes of that noise (Liu et al. 2022).

Chains are made by calling it again: a teacher's student of 10 steps, its student of 4, its student of 1. Each begins
with its teacher's weights and normaliser and says in policy.json where it came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from vgil_ros.policies import load_policy
from vgil_ros.policies.base import Policy
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.flow_matching import FlowMatchingConfig, FlowMatchingPolicy, TeacherNote
from vgil_ros.policies.flow_matching.flow import time_grid
from vgil_ros.policies.flow_matching.path import draw_times
from vgil_ros.training.build import DERIVED
from vgil_ros.training.config import DistillationConfig, TrainConfig
from vgil_ros.training.data.dataset import Batch
from vgil_ros.training.errors import TrainingError

FREE = ("steps", "solver", "dropout", "seed")  # what a student may have otherwise than its teacher
DATA = ("state_dim", "action_dim", "cameras", "joint_names", "rate_hz")
GRID_SHARE = 0.5  # of the times: those at which the student will be asked


class Reflow:
    """Gives each batch the noise and the endpoint of a teacher, and times that suit the student."""

    def __init__(self, teacher: FlowMatchingPolicy, steps: int) -> None:
        """Take a teacher, which from now on neither learns nor drops anything, and the student's number of steps."""
        self.teacher = teacher.eval().requires_grad_(False)
        self._grid = time_grid(steps)[:-1]

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Batch:
        """Add "noise", "endpoint" (B, H, padded_dim) and "time" (B,), drawn by torch's own generator.

        The teacher sees the pictures that the student sees, in float32, through the code that runs on the robot.
        """
        config, device = self.teacher.config, self.teacher.device
        shape = (len(batch["qpos"]), config.chunk_size, config.padded_dim)
        noise = torch.randn(shape, device=device, dtype=torch.float32)
        return {**batch, "noise": noise, "endpoint": self.endpoint(batch, noise), "time": self.times(shape[0], device)}

    @torch.no_grad()
    def endpoint(self, batch: Batch, noise: Tensor) -> Tensor:
        """What the teacher makes of `noise`, in the network's units, (B, H, padded_dim)."""
        return self.teacher.endpoint(self.teacher.velocity(self.teacher.encode(batch)), noise)

    def times(self, count: int, device: torch.device) -> Tensor:
        """(count,): half on the student's own grid, half as in any training, so that the field is known in between."""
        grid = torch.tensor(self._grid, device=device, dtype=torch.float32)
        own = grid[torch.randint(len(grid), (count,), device=device)]
        return torch.where(torch.rand(count, device=device) < GRID_SHARE, own, draw_times(count, device))


def load_teacher(settings: DistillationConfig) -> FlowMatchingPolicy:
    """Load a teacher.

    Raises:
        TrainingError: it is no flow matching policy.
        CheckpointError: it cannot be read.
    """
    teacher = load_policy(settings.teacher.expanduser())
    if not isinstance(teacher, FlowMatchingPolicy):
        raise TrainingError(f"{settings.teacher}: is a policy of type {teacher.config.type!r}, allowed: flow_matching")
    return teacher


def student_settings(config: TrainConfig, teacher: FlowMatchingPolicy, say: Callable[[str], None]) -> TrainConfig:
    """Give the configuration of a student: its sizes and cameras are the teacher's, `FREE` is its own.

    Where the configuration says otherwise of a size, `say` tells that it gave way.
    """
    assert config.distillation is not None
    name, ours = config.distillation.teacher.name, teacher.config
    sizes = {k: v for k, v in ours.model_dump(mode="json").items() if k not in (*DERIVED, *FREE, "weights", "teachers")}
    wanted = config.policy
    gone = [f"{k} {sizes[k]} (not {v})" for k, v in wanted.items() if k in sizes and v != sizes[k]]
    if gone:
        say(f"note: from the teacher: {', '.join(gone)}")
    note = TeacherNote(name=name, weights=fingerprint_of(teacher), steps=ours.steps, solver=ours.solver)
    unknown = {k: v for k, v in wanted.items() if k not in sizes}  # its own, and what will be refused
    policy = {**sizes, **unknown, "teachers": [*ours.teachers, note]}
    data = config.data.model_copy(update={"cameras": config.data.cameras or ours.camera_names or None})
    return config.model_copy(update={"policy": policy, "data": data, "backbone_weights": None})


def make_student(teacher: FlowMatchingPolicy, config: PolicyConfig) -> FlowMatchingPolicy:
    """Make a student with the teacher's weights and normaliser.

    Args:
        config: what `student_settings` and the episodes led to.

    Raises:
        TrainingError: the episodes are of another robot than the teacher's.
    """
    for key in DATA:
        found, allowed = getattr(config, key), getattr(teacher.config, key)
        if found != allowed:
            raise TrainingError(f"{key}: the episodes have {found}, the teacher was trained with {allowed}")
    assert isinstance(config, FlowMatchingConfig)
    student = FlowMatchingPolicy(config)
    student.load_state_dict(teacher.state_dict())
    student.require_normalizer()
    return student


def fingerprint_of(policy: Policy) -> str:
    """Of a policy's weights and normaliser."""
    digest = hashlib.sha256()
    for key, value in sorted(policy.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]

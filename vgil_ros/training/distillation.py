"""Reflow: a student learns the straight line between noise and what a teacher makes of that noise (Liu et al. 2022).

Chains are made by calling it again: a teacher's student of 10 steps, its student of 4, its student of 1. Each begins
with its teacher's weights and normaliser and says in policy.json where it came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from vgil_ros.policies import load_policy
from vgil_ros.policies.base import Policy
from vgil_ros.policies.config import PolicyConfig, VectorSpec
from vgil_ros.policies.flow_matching import FlowConfig, FlowPolicy, TeacherNote
from vgil_ros.policies.flow_matching.flow import draw_times, time_grid
from vgil_ros.policies.observation import Observation
from vgil_ros.training.build import DERIVED
from vgil_ros.training.checkpoints import writing
from vgil_ros.training.config import DistillationConfig, TrainConfig
from vgil_ros.training.data.dataset import Batch, EpisodeDataset, map_tensors
from vgil_ros.training.data.kept_rows import differences, make_files, read_note, rows_note, write_note
from vgil_ros.training.errors import TrainingError

FREE = ("steps", "solver", "dropout", "seed", "draws")  # what a student may have otherwise than its teacher
OWN = ("execution",)  # the same, where it says so; otherwise as its teacher
DATA = ("state_dim", "action_dim", "cameras", "joint_names", "rate_hz")
UNSEEN = (
    "fingerprint",
    "software",
    "weights",
    "source",
    "assumed",
    "teachers",
    "joint_names",
    "rate_hz",
    "task",
)  # notes
GRID_SHARE = 0.5  # of the times: those at which the student will be asked, where they are several


class Reflow:
    """Gives each batch the noise and the endpoint of a teacher, and times that suit the student."""

    def __init__(self, teacher: FlowPolicy, steps: int, draws: int = 1) -> None:
        """Take a teacher, which from now on neither learns nor drops anything, and the student's number of steps.

        `draws`: noises for each observation.
        """
        self.teacher, self.draws = teacher.eval().requires_grad_(False), draws
        self._grid = time_grid(steps)[:-1]
        self._own = 1.0 if steps == 1 else GRID_SHARE

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Batch:
        """Add "noise", "endpoint" (B draws, H, padded_dim) and "time" (B draws,), drawn by torch's own generator.

        The teacher sees the images that the student sees, in float32, through the code that runs on the robot.
        """
        config, device = self.teacher.config, self.teacher.device
        frozen = batch.get("frozen") or self.teacher.frozen(cast("Observation", batch))
        if frozen is not None:  # the student's is the same
            batch = {**batch, "frozen": frozen}
        shape = (len(batch["qpos"]) * self.draws, config.chunk_size, config.padded_dim)
        noise = torch.randn(shape, device=device, dtype=torch.float32)
        return {**batch, "noise": noise, "endpoint": self.endpoint(batch, noise), "time": self.times(shape[0], device)}

    @torch.no_grad()
    def endpoint(self, batch: Batch, noise: Tensor) -> Tensor:
        """What the teacher makes of `noise`, one or more for each observation, in the network's units; of its shape."""
        prefix = self.teacher.encode(cast("Observation", batch))
        if (draws := len(noise) // len(batch["qpos"])) > 1:
            prefix = prefix.repeated(draws)
        return self.teacher.endpoint(self.teacher.velocity(prefix), noise)

    def times(self, count: int, device: torch.device) -> Tensor:
        """(count,): half on the student's own grid, half as in any training, so that the field is known in between.

        All of them where noise begins for a student of one step, which is asked nowhere else.
        """
        grid = torch.tensor(self._grid, device=device, dtype=torch.float32)
        own = grid[torch.randint(len(grid), (count,), device=device)]
        return torch.where(torch.rand(count, device=device) < self._own, own, draw_times(count, device))


def load_teacher(settings: DistillationConfig) -> FlowPolicy:
    """Load a teacher.

    Raises:
        TrainingError: it is no policy that flows.
        CheckpointError: it cannot be read.
    """
    teacher = load_policy(settings.teacher.expanduser())
    if not isinstance(teacher, FlowPolicy):
        raise TrainingError(
            f"{settings.teacher}: is a policy of type {teacher.config.type!r}, allowed: flow_matching, smolvla"
        )
    return teacher


def student_settings(config: TrainConfig, teacher: FlowPolicy, log: Callable[[str], None]) -> TrainConfig:
    """Give the configuration of a student: its sizes, cameras and vectors are the teacher's, `FREE` is its own.

    What stands in `OWN` is the teacher's where the configuration does not name it.

    Where the configuration says otherwise of a size, `log` tells that it gave way.
    """
    assert config.distillation is not None
    name, ours = config.distillation.teacher.name, teacher.config
    sizes = {k: v for k, v in ours.model_dump(mode="json").items() if k not in (*DERIVED, *FREE, "weights", "teachers")}
    wanted = config.policy
    gone = [f"{k} {sizes[k]} (not {v})" for k, v in wanted.items() if k in sizes and k not in OWN and v != sizes[k]]
    if gone:
        log(f"note: from the teacher: {', '.join(gone)}")
    note = TeacherNote(name=name, weights=fingerprint_of(teacher), steps=ours.steps, solver=ours.solver)
    own = {k: v for k, v in wanted.items() if k in OWN or k not in sizes}  # and what will be refused
    policy = {**sizes, **own, "teachers": [*ours.teachers, note]}
    chosen = {"cameras": config.data.cameras or ours.camera_names or None}
    data = config.data.model_copy(update={**chosen, "vectors": config.data.vectors or ours.vector_names})
    return config.model_copy(update={"policy": policy, "data": data, "backbone_weights": None})


def make_student(teacher: FlowPolicy, config: PolicyConfig, *, field_only: bool = False) -> FlowPolicy:
    """Make a student with the teacher's weights and normaliser.

    Args:
        config: what `student_settings` and the episodes led to.
        field_only: it sees as its teacher does, for good.

    Raises:
        TrainingError: the episodes are of another robot than the teacher's.
    """
    for key in DATA:
        value, allowed = getattr(config, key), getattr(teacher.config, key)
        if value != allowed:
            raise TrainingError(f"{key}: the episodes have {value}, the teacher was trained with {allowed}")
    ours, theirs = config.vectors, teacher.config.vectors
    if len(ours) != len(theirs) or not all(own.fits(other) for own, other in zip(ours, theirs, strict=True)):
        raise TrainingError(f"vectors: taken are {_named(ours)}; the teacher was trained with {_named(theirs)}")
    assert isinstance(config, FlowConfig)
    student = type(teacher)(config)
    student.set_files(teacher.files)
    for name, parameter in list(student.named_parameters()):
        if not parameter.requires_grad:  # it never changes: one for both
            owner, _, own = name.rpartition(".")
            setattr(student.get_submodule(owner), own, teacher.get_parameter(name))
    student.load_state_dict(teacher.state_dict())
    student.require_normalizer()
    if field_only:
        student.model.prefix.requires_grad_(False)
    return student


def _named(vectors: tuple[VectorSpec, ...]) -> str:
    return ", ".join(f"{v.name} ({v.meaning or f'{v.size} numbers'})" for v in vectors) or "none"


def fingerprint_of(policy: Policy) -> str:
    """Of a policy's weights and normaliser."""
    digest = hashlib.sha256()
    for key, value in sorted(policy.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


NOTE, ENDPOINTS = "pairs.json", "endpoints.npy"
ROWS_AT_ONCE = 16
Progress = Callable[[Iterable[range]], Iterable[range]]


class PairCache:
    """Pairs of noise and endpoint, `draws` of them for each row. Noise follows from row and draw and is not stored.

    The folder names what it was made from: the teacher's weights, steps, solver and other settings, the episodes, and
    where the teacher is told it the tasks of their rows. Pairs of something else are refused, not overwritten.
    """

    def __init__(self, folder: Path, dataset: EpisodeDataset, reflow: Reflow, draws: int) -> None:
        """Take an existing folder, or one to be made by `build`.

        Raises:
            TrainingError: the folder holds other pairs.
        """
        self.folder, self._dataset, self._reflow, self._draws = folder, dataset, reflow, draws
        self._endpoints: np.ndarray | None = None
        note = folder / NOTE
        self._wanted = _describe(dataset, reflow, draws)
        if note.exists():
            stored = read_note(note)
            if words := differences(stored, self._wanted):
                raise TrainingError(
                    f"{folder}: holds pairs of something else: {words}; take another distillation.cache"
                )

    @property
    def complete(self) -> bool:
        """Whether nothing needs to be made: the note is written last."""
        return (self.folder / NOTE).exists()

    def build(self, progress: Progress = iter) -> None:
        """Run the teacher over every row, in order.

        Raises:
            TrainingError: no room on the disk, or it cannot be written.
        """
        config, rows = self._reflow.teacher.config, len(self._dataset)
        shape = (rows, self._draws, config.chunk_size, config.padded_dim)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            make_files({self.folder / ENDPOINTS: (shape, np.dtype(np.float32))})
            out = np.load(self.folder / ENDPOINTS, mmap_mode="r+")
            for part in progress([range(i, min(i + ROWS_AT_ONCE, rows)) for i in range(0, rows, ROWS_AT_ONCE)]):
                batch = _to(self._dataset.batch(list(part)), self._reflow.teacher.device)
                for draw in range(self._draws):
                    noise = self._noise((row, draw) for row in part).to(self._reflow.teacher.device)
                    out[part.start : part.stop, draw] = self._reflow.endpoint(batch, noise).cpu().numpy()
            out.flush()
            write_note(self.folder / NOTE, self._wanted)

    def __call__(self, batch: Batch) -> Batch:
        """Add "noise", "endpoint" and "time" to a batch of the data set's rows; see `Reflow`."""
        if self._endpoints is None:
            self._endpoints = np.load(self.folder / ENDPOINTS, mmap_mode="r")
        rows, device = batch["index"].tolist(), batch["qpos"].device
        draws = torch.randint(self._draws, (len(rows),)).tolist()
        noise = self._noise(zip(rows, draws, strict=True))
        endpoint = torch.from_numpy(self._endpoints[rows, draws])
        times = self._reflow.times(len(rows), device)
        return {**batch, "noise": noise.to(device), "endpoint": endpoint.to(device), "time": times}

    def _noise(self, places: Iterable[tuple[int, int]] | Iterator[tuple[int, int]]) -> Tensor:
        """(B, H, padded_dim) float32, one for each (row, draw)."""
        config = self._reflow.teacher.config
        return torch.stack(
            [
                torch.randn(
                    config.chunk_size,
                    config.padded_dim,
                    generator=torch.Generator().manual_seed(row * self._draws + draw),
                    dtype=torch.float32,
                )
                for row, draw in places
            ]
        )


def _describe(dataset: EpisodeDataset, reflow: Reflow, draws: int) -> dict[str, Any]:
    """What pairs depend on."""
    config = reflow.teacher.config
    return {
        "teacher": fingerprint_of(reflow.teacher),
        "steps": config.steps,
        "solver": config.solver,
        "settings": _settings_of(reflow.teacher),
        **rows_note(dataset, config.task, told=config.needs_task or config.task is not None),
        "cameras": list(config.camera_names),
        "draws": draws,
    }


def _settings_of(teacher: FlowPolicy) -> str:
    """Of what stands beside a teacher's weights, as far as it changes what the teacher answers."""
    left_out = {*FREE, *OWN, *UNSEEN}
    digest = hashlib.sha256(teacher.config.model_dump_json(exclude=left_out).encode())
    for name, content in sorted(teacher.files.items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()[:32]


def _to(batch: Batch, device: torch.device) -> Batch:
    return map_tensors(batch, lambda tensor: tensor.to(device))

"""What a teacher makes of every row of a data set, kept on disk: made once, read by every later epoch and run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vgil_ros.training.checkpoints import need_room, writing
from vgil_ros.training.data.dataset import Batch, EpisodeDataset, map_tensors
from vgil_ros.training.distillation import Reflow, fingerprint_of
from vgil_ros.training.errors import TrainingError

NOTE, ENDPOINTS = "pairs.json", "endpoints.npy"
ROWS_AT_ONCE = 16
Progress = Callable[[Iterable[range]], Iterable[range]]


class PairCache:
    """Pairs of noise and endpoint, `draws` of them for each row. Noise follows from row and draw and is not stored.

    The folder names what it was made from: the teacher's weights, steps and solver, and the episodes. Pairs of another
    teacher are refused, not overwritten.
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
            found = json.loads(note.read_text(encoding="utf-8"))
            wrong = [key for key in self._wanted if found.get(key) != self._wanted[key]]
            if wrong:
                words = ", ".join(f"{key} {found.get(key)} (not {self._wanted[key]})" for key in wrong)
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
            need_room(self.folder, int(np.prod(shape)) * 4)
            out = np.lib.format.open_memmap(self.folder / ENDPOINTS, mode="w+", dtype=np.float32, shape=shape)
            for part in progress([range(i, min(i + ROWS_AT_ONCE, rows)) for i in range(0, rows, ROWS_AT_ONCE)]):
                batch = _to(self._dataset.batch(list(part)), self._reflow.teacher.device)
                for draw in range(self._draws):
                    noise = self._noise((row, draw) for row in part).to(self._reflow.teacher.device)
                    out[part.start : part.stop, draw] = self._reflow.endpoint(batch, noise).cpu().numpy()
            out.flush()
            (self.folder / NOTE).write_text(json.dumps(self._wanted, indent=2) + "\n", encoding="utf-8")

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
    episodes = hashlib.sha256("\n".join(episode.digest for episode in dataset.episodes).encode())
    return {
        "teacher": fingerprint_of(reflow.teacher),
        "steps": config.steps,
        "solver": config.solver,
        "episodes": episodes.hexdigest()[:32],
        "cameras": list(config.camera_names),
        "rows": len(dataset),
        "draws": draws,
    }


def _to(batch: Batch, device: torch.device) -> Batch:
    return map_tensors(batch, lambda tensor: tensor.to(device))

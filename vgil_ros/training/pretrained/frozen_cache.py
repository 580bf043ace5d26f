"""What a policy's frozen part makes of each row of a data set, kept on disk: computed once, whatever the steps.

Filled as rows come. Numbers lie there in half precision. For plain images alone: augmented ones never come back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from vgil_ros.policies.base import Policy
from vgil_ros.policies.flow_matching import FlowPolicy
from vgil_ros.policies.observation import Observation
from vgil_ros.training.checkpoints import writing
from vgil_ros.training.data.dataset import Batch, EpisodeDataset, map_tensors
from vgil_ros.training.data.kept_rows import differences, make_files, read_note, rows_note, write_note
from vgil_ros.training.errors import TrainingError

NOTE, DONE = "frozen.json", "done.npy"


class FrozenCache:
    """Adds "frozen" to a batch of a data set's rows; see `FlowPolicy.frozen`.

    The folder names what it was made from: the frozen weights and the settings beside them, the image scaling, the
    tokenizer, the episodes and the tasks of their rows. What was made from something else is refused, not overwritten.
    """

    def __init__(self, folder: Path, dataset: EpisodeDataset, policy: Policy) -> None:
        """Open or make the folder.

        Raises:
            TrainingError: the policy has no frozen part, the folder holds something else, or there is no room.
        """
        self.folder, self._policy = folder, policy
        example = _frozen(policy, map_tensors(dataset.batch([0]), lambda tensor: tensor.to(policy.device)))
        wanted = _describe(dataset, policy, example)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / NOTE).exists():
                _require_same(folder, read_note(folder / NOTE), wanted)
            else:
                make_files(
                    {
                        _file(folder, name): ((len(dataset), *p.shape[1:]), _stored(p).dtype)
                        for name, p in example.items()
                    }
                )
                np.save(folder / DONE, np.zeros(len(dataset), bool))
                write_note(folder / NOTE, wanted)
            self._parts = {name: np.load(_file(folder, name), mmap_mode="r+") for name in example}
            self._done = np.load(folder / DONE, mmap_mode="r+")

    def __call__(self, batch: Batch) -> Batch:
        """See the class.

        Raises:
            TrainingError: a number is too large for half precision.
        """
        rows = batch["index"].tolist()
        new = [place for place, row in enumerate(rows) if not self._done[row]]
        if new:
            self._fill([rows[place] for place in new], _frozen(self._policy, _chosen(batch, new)))
        device = batch["qpos"].device
        kept = {name: torch.from_numpy(part[rows]).to(device) for name, part in self._parts.items()}
        return {**batch, "frozen": {name: _full(part) for name, part in kept.items()}}

    def _fill(self, rows: list[int], made: Mapping[str, Tensor]) -> None:
        with writing(self.folder):
            for name, part in made.items():
                stored = _stored(part)
                if not np.isfinite(stored).all():
                    raise TrainingError(f"{self.folder}: {name} is not finite in half precision; leave the cache out")
                self._parts[name][rows] = stored
                self._parts[name].flush()  # before it counts as done: after a power cut a row may not be half there
            self._done[rows] = True


def _frozen(policy: Policy, batch: Batch) -> Mapping[str, Tensor]:
    made = None
    if isinstance(policy, FlowPolicy):
        with torch.no_grad():
            made = policy.frozen(cast("Observation", batch), fixed=True)
    if made is None:
        raise TrainingError(
            f"frozen_cache: policy type {policy.config.type!r} has no part that never learns; allowed: smolvla"
        )
    return made


def _require_same(folder: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    if words := differences(stored, wanted):
        raise TrainingError(f"{folder}: was made from something else: {words}; take another frozen_cache")


def _describe(dataset: EpisodeDataset, policy: Policy, example: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the numbers depend on."""
    weights = hashlib.sha256()
    kept: dict[str, Tensor] = {name: value for name, value in policy.named_parameters() if not value.requires_grad}
    kept |= {name: value for name, value in policy.normalizer.named_buffers() if name.startswith("image_")}
    for name, value in sorted(kept.items()):
        weights.update(name.encode())
        weights.update(value.detach().cpu().contiguous().numpy().tobytes())
    for name, content in sorted(policy.files.items()):
        weights.update(name.encode() + content)
    assert isinstance(policy, FlowPolicy)
    return {
        "weights": weights.hexdigest()[:32],
        **policy.frozen_settings(),
        **rows_note(dataset, policy.config.task, told=True),
        "cameras": list(policy.config.camera_names),
        "shapes": {name: list(part.shape[1:]) for name, part in example.items()},
    }


def _chosen(batch: Batch, places: list[int]) -> Batch:
    def chosen(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: chosen(inner) for key, inner in value.items()}
        return value[places] if isinstance(value, Tensor) else [value[place] for place in places]

    return {key: chosen(batch[key]) for key in ("qpos", "images", "task")}


def _stored(part: Tensor) -> np.ndarray:
    return (part.to(torch.float16) if part.is_floating_point() else part).cpu().numpy()


def _full(part: Tensor) -> Tensor:
    return part.to(torch.float32) if part.is_floating_point() else part


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"

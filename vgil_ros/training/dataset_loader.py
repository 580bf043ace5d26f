"""Batches from worker processes, on the device ahead of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from vgil_ros.core.errors import VgilError
from vgil_ros.training.data.dataset import Batch, EpisodeDataset, map_tensors

PREFETCH = 4  # batches that each worker is ahead


class Loader:
    """Batches of a data set in the order of `batches`, made by `workers` processes and brought to a device."""

    def __init__(
        self, dataset: EpisodeDataset, batches: Iterable[list[int]], workers: int, device: torch.device
    ) -> None:
        """Plan; workers start with the first iteration and are kept for later ones."""
        self._device = device
        more: dict[str, Any] = {}
        if workers:
            # fork: what is decoded is shared through memory made before it
            more = {"prefetch_factor": PREFETCH, "persistent_workers": True, "multiprocessing_context": "fork"}
        self._loader: DataLoader = DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            worker_init_fn=_start_worker if workers else None,
            **more,
        )

    def __iter__(self) -> Iterator[Batch]:
        """Give batches on the device.

        Raises:
            VgilError: what a worker met, in its own words.
        """
        for batch in self._loader:
            if isinstance(batch, VgilError):
                raise batch
            yield map_tensors(batch, lambda tensor: tensor.to(self._device, non_blocking=True))


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)

"""Sampling of the rows of each batch: a function of seed and step alone, so that a resumed run needs no state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from vgil_ros.training.errors import TrainingError


class Sampling:
    """Shuffled epochs over groups of rows, mixed by weight.

    An epoch is as long as all rows together. Without weights each row comes once in it; with them, a group gets its
    share of the epoch, its rows shuffled and each as often as any other but for one.
    """

    def __init__(self, groups: Sequence[np.ndarray], weights: Sequence[float] | None, seed: int) -> None:
        """Take groups of row indices, one for each folder.

        Raises:
            TrainingError: a group with a weight has no row.
        """
        self._groups = [np.asarray(group, np.int64) for group in groups]
        sizes = np.array([len(group) for group in self._groups])
        shares = sizes / sizes.sum() if weights is None else np.array(weights) / np.sum(weights)
        empty = [i for i, (size, share) in enumerate(zip(sizes, shares, strict=True)) if share > 0 and size == 0]
        if empty:
            raise TrainingError(f"folder number {empty[0]} has no row to train from; allowed: at least one")
        self.length = int(sizes.sum())
        ends = np.rint(np.cumsum(shares) * self.length).astype(int)
        self._counts = np.diff(ends, prepend=0)
        self._seed = seed
        self._order = lru_cache(maxsize=2)(self._make_order)

    def batch(self, step: int, size: int) -> np.ndarray:
        """(size,) row indices of the batch of a step, counted from 0; batches go on over the end of an epoch."""
        places = np.arange(step * size, (step + 1) * size)
        epochs = places // self.length
        return np.concatenate(
            [self._order(int(epoch))[places[epochs == epoch] % self.length] for epoch in np.unique(epochs)]
        )

    def _make_order(self, epoch: int) -> np.ndarray:
        random = np.random.default_rng([self._seed, epoch])
        chosen = []
        for group, count in zip(self._groups, self._counts, strict=True):
            rounds = -(-count // len(group)) if count else 0
            chosen += [np.concatenate([random.permutation(group) for _ in range(rounds)])[:count]] if rounds else []
        return random.permutation(np.concatenate(chosen))


class ProcessBatches:
    """The batches of one process, from a step on: its part of each global batch. For torch's `batch_sampler`."""

    def __init__(self, sampling: Sampling, size: int, first: int, last: int, rank: int = 0, processes: int = 1) -> None:
        """Plan steps first to last - 1 of global batches of `size` rows, which `processes` divides."""
        self._sampling, self._size, self._steps = sampling, size, range(first, last)
        self._part = slice(rank * size // processes, (rank + 1) * size // processes)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            yield self._sampling.batch(step, self._size)[self._part].tolist()


def split_episodes(folders: Sequence[int], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split episodes into (training, validation), folder by folder.

    Args:
        folders: number of the folder of each episode.
        fraction: of each folder's episodes that goes to validation, rounded; where that is none at all but the fraction
            is above 0, one episode of the largest folder. No folder gives away its last one.
    """
    random = np.random.default_rng([seed, len(folders)])
    members = {number: [i for i, own in enumerate(folders) if own == number] for number in sorted(set(folders))}
    counts = {number: min(round(fraction * len(own)), len(own) - 1) for number, own in members.items()}
    if fraction > 0 and not any(counts.values()):
        largest = max(members, key=lambda number: len(members[number]))
        counts[largest] = min(1, len(members[largest]) - 1)
    validation: set[int] = set()
    for number, own in members.items():
        validation |= set(random.permutation(own)[: counts[number]].tolist())
    return [i for i in range(len(folders)) if i not in validation], sorted(validation)

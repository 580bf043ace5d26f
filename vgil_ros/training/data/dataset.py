"""Episodes as training samples: any row at random, without reading the rest of its episode."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from vgil_ros.core.errors import VgilError
from vgil_ros.core.history import past_rows
from vgil_ros.training.data.corrections import chunk_limits, human_rows, moving_rows
from vgil_ros.training.data.episode_stats import EpisodeStats
from vgil_ros.training.data.flow_cache import FlowCache
from vgil_ros.training.data.image_cache import DecodedImages, EpisodeFileCache, read_image
from vgil_ros.training.errors import TrainingError

Batch = dict[str, Any]


@dataclass(frozen=True)
class SampleSpec:
    """What a sample holds.

    Attributes:
        cameras: in the policy's order.
        chunk_size: actions from a row on (H).
        base: whether the base's two velocities join the action.
        vectors: further vectors that stand behind qpos.
        obs_offsets: what of the past comes along; see `PolicyConfig.obs_offsets`.
    """

    cameras: tuple[str, ...]
    chunk_size: int
    base: bool = False
    obs_offsets: tuple[int, ...] = ()
    vectors: tuple[str, ...] = ()


LEFT_OUT = "left_out"  # in a batch: what was not read, in words
TRIES = 16  # rows in a row with an image that cannot be read, after which the file is no good


class _UnreadableImage(Exception):
    """An image that cannot be read; its words name the file, the camera and the row."""


class EpisodeDataset(Dataset[Batch]):
    """Every row of every episode is a sample; `__getitems__` makes whole batches in place.

    A batch is {"qpos": (B, D) float32, the vectors behind it, "images": {camera: (B, H, W, 3) uint8 RGB}, "action": (B,
    chunk, A) float32 in robot units, "is_pad": (B, chunk) bool, "task": list of B texts, "index": (B,) rows of this
    set}, and with `obs_offsets` (N) "past": {"qpos": (B, N, D), "images": {camera: (B, N, H, W, 3)}, "action": (B, N,
    A), "known": (B, N) bool}: rows of the same episode, found by their stamps as a robot finds them; where there is
    none, the row itself, not known. With `flows`, "past" holds "flow": {camera: (B, N, h, w, 2) float16 px} in place of
    the images. Actions beyond the end, or beyond a place where rows are missing, repeat the last one and are marked in
    `is_pad`. A row with an image that cannot be read gives its place to the next one of its episode; "left_out" says
    so.
    """

    def __init__(
        self,
        episodes: Sequence[EpisodeStats],
        spec: SampleSpec,
        decoded: DecodedImages | None = None,
        flows: FlowCache | None = None,
        only_human: bool = False,
        skip_still: bool = False,
    ) -> None:
        """Take episodes that agree with each other (`dataset_check`).

        Args:
            only_human: of rollouts take what a person gave alone: chunks end with it, and `usable` leaves the rest out.
            skip_still: `usable` leaves out the rows before an episode's first motion.
        """
        self.episodes, self.spec = tuple(episodes), spec
        self.ends = np.cumsum([episode.rows for episode in episodes])
        self._episode_files = EpisodeFileCache(
            [episode.path for episode in episodes], base=spec.base, vectors=spec.vectors
        )
        self._decoded, self._flows = decoded, flows
        self._limits = [chunk_limits(episode) for episode in episodes] if only_human else None
        rows = [human_rows(episode) if only_human else np.ones(episode.rows, bool) for episode in episodes]
        if skip_still:
            rows = [one & moving_rows(episode) for one, episode in zip(rows, episodes, strict=True)]
        self._wanted = np.concatenate(rows) if len(self) else np.empty(0, bool)
        self.usable = np.flatnonzero(self._wanted)

    def __len__(self) -> int:
        """Rows of all episodes."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def rows_of(self, number: int) -> np.ndarray:
        """Indices of the rows of an episode."""
        return np.arange(self.ends[number] - self.episodes[number].rows, self.ends[number])

    def usable_of(self, number: int) -> np.ndarray:
        """Those of them in which a chunk may begin."""
        rows = self.rows_of(number)
        usable: np.ndarray = rows[self._wanted[rows]]
        return usable

    def locate(self, index: int) -> tuple[int, int]:
        """(episode's place, row in it) of a sample."""
        if not 0 <= index < len(self):
            raise TrainingError(f"sample {index} is none; allowed: 0 to {len(self) - 1}")
        number = int(np.searchsorted(self.ends, index, side="right"))
        return number, int(index - (self.ends[number] - self.episodes[number].rows))

    def __getitem__(self, index: int) -> Batch:
        """A batch of one."""
        return self.batch([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch | VgilError:
        """A batch; what goes wrong is given back, as torch would bury its words in a worker's traceback."""
        try:
            return self.batch(indices)
        except VgilError as error:
            return error

    def batch(self, indices: Sequence[int]) -> Batch:
        """Give the samples of `indices` as one batch; see the class.

        Raises:
            EpisodeError, TrainingError: a file or image cannot be read.
        """
        batch = self._allocate(len(indices))
        views = _views(batch)
        left_out: list[str] = []
        taken = [self._fill_readable(views, place, index, left_out) for place, index in enumerate(indices)]
        places = [self.locate(index) for index in taken]
        batch["task"] = [self.episodes[number].task_at(row) for number, row in places]
        batch["index"] = torch.tensor(taken)
        if left_out:
            batch[LEFT_OUT] = left_out
        return batch

    def _fill_readable(self, views: Batch, place: int, index: int, left_out: list[str]) -> int:
        """Fill a place with a sample, or with the next one of its episode whose images can be read; gives which."""
        number, row = self.locate(index)
        rows, words = self.episodes[number].rows, ""
        ring = ((row + step) % rows for step in range(rows))
        wanted = (here for here in ring if here == row or self._wanted[index + here - row])
        for here in itertools.islice(wanted, TRIES):
            try:
                self._fill(views, place, number, here)
            except _UnreadableImage as error:
                words = words or str(error)
                continue
            if words:
                left_out.append(f"{words}; left out")
            return index + here - row
        raise TrainingError(
            f"{words}, nor can the rows behind it be read; move the file away, and go on without it by "
            "`vgil train --resume RUN --skip-bad`"
        )

    def _allocate(self, count: int) -> Batch:
        spec, first = self.spec, self.episodes[0]
        width, state = len(first.action.mean) + (2 if spec.base else 0), len(first.state(spec.vectors).mean)
        images = {name: (first.cameras[name].height, first.cameras[name].width, 3) for name in spec.cameras}
        batch: Batch = {
            "qpos": _empty((count, state), torch.float32),
            "action": _empty((count, spec.chunk_size, width), torch.float32),
            "is_pad": _empty((count, spec.chunk_size), torch.bool),
        }
        batch["images"] = {name: _empty((count, *shape), torch.uint8) for name, shape in images.items()}
        if spec.obs_offsets:
            lead = (count, len(spec.obs_offsets))
            batch["past"] = {
                "qpos": _empty((*lead, state), torch.float32),
                "action": _empty((*lead, width), torch.float32),
                "known": _empty(lead, torch.bool),
            }
            if self._flows is None:
                past = {name: _empty((*lead, *shape), torch.uint8) for name, shape in images.items()}
                batch["past"]["images"] = past
            else:
                sizes = {name: self._flows.size(first.path, name) for name in spec.cameras}
                batch["past"]["flow"] = {n: _empty((*lead, *size, 2), torch.float16) for n, size in sizes.items()}
        return batch

    def _fill(self, views: Batch, place: int, number: int, row: int) -> None:
        episode = self._episode_files.get(number)
        views["qpos"][place] = episode.qpos[row]
        rows = np.arange(row, row + self.spec.chunk_size)
        last = min(int(episode.ends[row]), self.episodes[number].rows) - 1
        if self._limits is not None:
            last = min(last, int(self._limits[number][row]) - 1)
        views["action"][place] = episode.action[np.minimum(rows, last)]
        views["is_pad"][place] = rows > last
        for name in self.spec.cameras:
            self._image(number, name, row, views["images"][name][place])
        for n, past_row in enumerate(past_rows(row, self.spec.obs_offsets, episode.stamp_ns, episode.period_ns)):
            past, source = views["past"], row if past_row is None else past_row
            past["known"][place, n] = past_row is not None
            past["qpos"][place, n], past["action"][place, n] = episode.qpos[source], episode.action[source]
            for name in self.spec.cameras if self._flows is None else ():
                self._image(number, name, source, past["images"][name][place, n])
        if self._flows is not None:
            for name in self.spec.cameras:
                self._flows.read(self.episodes[number].path, name, row, views["past"]["flow"][name][place])

    def _image(self, number: int, camera: str, row: int, out: np.ndarray) -> None:
        if self._decoded is not None and self._decoded.load((number, camera), row, out):
            return
        reader = self._episode_files.get(number).reader
        try:
            read_image(reader, camera, row, out)
        except VgilError as error:
            raise _UnreadableImage(str(error)) from error
        if self._decoded is not None:
            self._decoded.keep((number, camera), row, out)

    def close(self) -> None:
        """Close the files that this process has open."""
        self._episode_files.close()


def map_tensors(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Give a batch whose tensors are changed; texts stay."""
    out: Batch = {}
    for key, value in batch.items():
        if isinstance(value, dict):
            out[key] = map_tensors(value, change)
        else:
            out[key] = change(value) if isinstance(value, Tensor) else value
    return out


def _views(batch: Batch) -> Batch:
    """NumPy views on the same memory."""
    return {k: _views(v) if isinstance(v, dict) else v.numpy() for k, v in batch.items()}


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """In a worker, in shared memory: the batch crosses to the trainer without a copy."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    count = int(np.prod(shape))
    storage = torch.UntypedStorage._new_shared(count * dtype.itemsize)
    result: Tensor = torch.tensor([], dtype=dtype).set_(storage, 0, shape)  # type: ignore[call-overload]
    return result


PREFETCH = 4  # batches that each worker is ahead


class Loader:
    """Batches of a data set in the order of `batches`, made by `workers` processes and brought to a device."""

    def __init__(
        self,
        dataset: EpisodeDataset,
        batches: Iterable[list[int]],
        workers: int,
        device: torch.device,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Plan; workers start with the first iteration and are kept for later ones. `log` is told what is left out."""
        self._device, self._log = device, log
        self._said: set[str] = set()
        more: dict[str, Any] = {}
        if workers:
            # fork: what is decoded is shared through memory made before it
            more = {"prefetch_factor": PREFETCH, "persistent_workers": True, "multiprocessing_context": "fork"}
        self._loader: DataLoader[Batch] = DataLoader(
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
            for words in batch.pop(LEFT_OUT, ()):
                if words not in self._said:
                    self._said.add(words)
                    self._log(words)
            yield map_tensors(batch, lambda tensor: tensor.to(self._device, non_blocking=True))


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's, which ends its workers in order
    cv2.setNumThreads(0)
    torch.set_num_threads(1)

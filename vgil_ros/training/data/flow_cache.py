"""Optical flow of recorded episodes: computed once, kept on disk, read by the workers that load.

What is kept is the flow of the images as they were recorded. Augmentation then moves and turns it with them
(`augmentation`), which costs next to nothing; flow of augmented images would have to be computed anew at every step.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import resource
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from vgil_ros.assets import cache_dir
from vgil_ros.core.history import past_rows, row_stamps
from vgil_ros.datasets.source import open_episode, state_of
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.view import Episode
from vgil_ros.parallel import InProcess, Work, executor
from vgil_ros.policies.optical_flow import FlowField, field_size
from vgil_ros.training.data.episode_facts import period_of
from vgil_ros.training.data.episode_stats import EpisodeStats

VERSION = 1  # of what is kept; raise it when its meaning changes
PAIRS = 16  # computed at once
BYTES = 2 * 2  # two float16 numbers

Key = tuple[Path, str]  # (episode, camera)


class FlowCache:
    """Flow by episode, camera and row: (N, h, w, 2) float16 px for each, one for each of the policy's past ticks."""

    def __init__(self, files: Mapping[Key, Path], obs_offsets: tuple[int, ...]) -> None:
        self._files, self.obs_offsets = dict(files), obs_offsets
        self._open: OrderedDict[Key, np.ndarray] = OrderedDict()  # each holds a file open
        self._most = max(8, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    def size(self, episode: Path, camera: str) -> tuple[int, int]:
        """(h, w) of a camera's flow."""
        height, width = self._get((episode, camera)).shape[2:4]
        return int(height), int(width)

    def read(self, episode: Path, camera: str, row: int, out: np.ndarray) -> None:
        """Copy the flow of a row into `out`, (N, h, w, 2) float16; zero where the past is unknown."""
        np.copyto(out, self._get((episode, camera))[row])

    def _get(self, key: Key) -> np.ndarray:
        if key not in self._open:
            self._open[key] = np.load(self._files[key], mmap_mode="r")
            if len(self._open) > self._most:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return self._open[key]


def flow_dir() -> Path:
    """Where flow is kept: beside the statistics of episodes."""
    return cache_dir("flow")


def make_flow_cache(
    episodes: Sequence[EpisodeStats],
    cameras: Sequence[str],
    obs_offsets: tuple[int, ...],
    field: FlowField,
    *,
    limit: int,
    log: Callable[[str], None] = lambda _: None,
    progress: bool = False,
    workers: int = 1,
    ray: str | None = None,
) -> FlowCache | None:
    """Compute what is not kept yet, and give the whole; several processes may do so at once and share the work.

    Args:
        workers: processes that compute; this one alone writes what they did.
        ray: the address of a Ray cluster that computes, whose machines have the episodes under the same paths.
        field: computes the flow, on its device.
        limit: bytes; with more than that, or a disk without room for it, None is given and nothing kept: flow is then
            computed in every step, from the augmented images.

    Raises:
        EpisodeError: an image cannot be read.
    """
    folder, mark = flow_dir(), field.fingerprint()
    files = {(e.path, c): folder / f"{_name(e, c, obs_offsets, mark)}.npy" for e in episodes for c in cameras}
    todo = [(e, c) for e in episodes for c in cameras if not files[e.path, c].is_file()]
    if reason := _too_much(episodes, cameras, todo, len(obs_offsets), field.settings.shrink, limit):
        log(f"note: flow is not kept but computed in every step: {reason}")
        return None
    turn = os.getpid() % max(len(todo), 1)  # processes begin in different places
    wanted = (one for one in todo[turn:] + todo[:turn] if not files[one[0].path, one[1]].is_file())
    if not todo:
        return FlowCache(files, obs_offsets)
    with executor(None if ray is not None and workers == 1 else workers, ray) as pool:
        sent = field if isinstance(pool, InProcess) else copy.deepcopy(field).cpu()
        work = FlowWork(obs_offsets, sent, str(field.device), Path() if ray is None else Path.cwd())
        with closing(pool.map(work, wanted)) as outcomes:
            for outcome in tqdm(outcomes, "flow", len(todo), unit="video", delay=2, leave=False, disable=not progress):
                episode, camera = outcome.item
                _write(files[episode.path, camera], outcome.result())
    return FlowCache(files, obs_offsets)


@dataclass(frozen=True)
class FlowWork(Work["tuple[EpisodeStats, str]", np.ndarray]):
    """Computes the flow of one camera of an episode; files are named from `folder`, which is empty on this machine."""

    obs_offsets: tuple[int, ...]
    field: FlowField
    device: str
    folder: Path

    @property
    def gpus(self) -> int:
        """See `Work.gpus`."""
        return int(self.device.startswith("cuda"))

    @contextmanager
    def open(self) -> Iterator[Callable[[tuple[EpisodeStats, str]], np.ndarray]]:
        """See `Work.open`."""
        field = self.field.to(self.device)

        def compute(item: tuple[EpisodeStats, str]) -> np.ndarray:
            here = item[0].model_copy(update={"path": self.folder / item[0].path})
            return compute_flow(here, item[1], self.obs_offsets, field)

        yield compute

    def name(self, item: tuple[EpisodeStats, str]) -> str:
        """See `Work.name`."""
        return f"{item[0].path}: flow of {item[1]}"


@torch.no_grad()
def compute_flow(stats: EpisodeStats, camera: str, obs_offsets: tuple[int, ...], field: FlowField) -> np.ndarray:
    """(T, N, h, w, 2) float16 px of one camera of an episode; zero where an image is unknown or cannot be read."""
    size = field_size(stats.cameras[camera].height, stats.cameras[camera].width, field.settings.shrink)
    out = np.zeros((stats.rows, len(obs_offsets), *size, 2), np.float16)
    with open_episode(stats.path) as episode:
        look = lru_cache(max(obs_offsets) + PAIRS + 2)(lambda row: _readable(episode, camera, row))
        period, stamps = period_of(episode.rate_hz), row_stamps(episode.stamp_ns, stats.rows)
        pairs = [
            (row, place, before)
            for row in range(stats.rows)
            for place, before in enumerate(past_rows(row, obs_offsets, stamps, period))
            if before is not None
        ]
        for first in range(0, len(pairs), PAIRS):
            some = [p for p in pairs[first : first + PAIRS] if look(p[0]) is not None and look(p[2]) is not None]
            if not some:
                continue
            previous, current = (
                torch.from_numpy(np.stack([_known(look(pair[which])) for pair in some])).to(field.device)
                for which in (2, 0)
            )
            flow = field(previous, current).permute(0, 2, 3, 1).half().cpu().numpy()
            for (row, place, _), one in zip(some, flow, strict=True):
                out[row, place] = one
    return out


def _readable(episode: Episode, camera: str, row: int) -> np.ndarray | None:
    try:
        return episode.image(camera, row)
    except EpisodeError:
        return None  # training leaves the row out, and says so


def _known(image: np.ndarray | None) -> np.ndarray:
    assert image is not None
    return image


def _name(episode: EpisodeStats, camera: str, obs_offsets: tuple[int, ...], mark: str) -> str:
    """Of everything that the flow depends on: the file, the camera, the distance, the method."""
    parts = [VERSION, episode.digest, *state_of(episode.path), camera, obs_offsets, mark]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def _too_much(
    episodes: Sequence[EpisodeStats],
    cameras: Sequence[str],
    todo: Sequence[tuple[EpisodeStats, str]],
    past: int,
    shrink: int,
    limit: int,
) -> str | None:
    """Why the cache cannot be, or None."""

    def needs(episode: EpisodeStats, camera: str) -> int:
        stats = episode.cameras[camera]
        height, width = field_size(stats.height, stats.width, shrink)
        return episode.rows * past * height * width * BYTES

    whole = sum(needs(episode, camera) for episode in episodes for camera in cameras)
    if whole > limit:
        return f"it would take {whole / 2**30:.2f} GiB, data.flow_cache_gib allows {limit / 2**30:.2f}"
    new = sum(needs(episode, camera) for episode, camera in todo)
    try:
        flow_dir().mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(flow_dir()).free
    except OSError as error:
        return f"{flow_dir()} cannot be written ({error})"
    return f"{flow_dir()} has {free / 2**30:.1f} GiB free, {new / 2**30:.1f} are needed" if 1.1 * new > free else None


def _write(path: Path, values: np.ndarray) -> None:
    """Write a file that is either whole or not there."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, values)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise

"""Images for a batch: read straight into its memory, each JPEG decoded once where memory allows."""

from __future__ import annotations

import mmap
import os
import resource
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgil_ros.core.history import row_stamps
from vgil_ros.datasets.source import open_episode
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.view import Episode
from vgil_ros.training.data.episode_facts import chunk_ends, period_of
from vgil_ros.training.data.episode_stats import EpisodeStats, aligned_actions, check_rows, states
from vgil_ros.training.errors import TrainingError

MOST_FILES = 512  # open HDF5 files of a process
MOST_DECODERS = 64  # tables and decoders of videos: each takes some MB
Key = tuple[int, str]  # (episode's place in the data set, camera)


class DecodedImages:
    """Decoded JPEGs, shared by the workers that are forked after it is made.

    Memory is anonymous: it is only taken as images come, and gone with the processes, however they end. Once it is
    given out, further images are decoded each time.
    """

    def __init__(self, episodes: Sequence[EpisodeStats], cameras: Sequence[str], limit: int) -> None:
        """Plan which images will be kept; `limit` in bytes."""
        self._starts: dict[Key, tuple[int, int, int]] = {}  # -> place of the first byte, of the first mark, rows kept
        room, place, marks = limit, 0, 0
        for number, episode in enumerate(episodes):
            for camera in cameras:
                stats = episode.cameras[camera]
                size = stats.height * stats.width * 3
                rows = min(episode.rows, (room - place) // size) if stats.jpeg else 0
                if rows > 0:
                    self._starts[number, camera] = place, marks, rows
                    place, marks = place + rows * size, marks + rows
        self.size = place
        self._pixels = np.frombuffer(mmap.mmap(-1, max(place, 1)), np.uint8)
        self._known = np.frombuffer(mmap.mmap(-1, max(marks, 1)), np.uint8)

    def load(self, key: Key, row: int, out: np.ndarray) -> bool:
        """Copy an image into `out` (H, W, 3), if it is known."""
        start = self._starts.get(key)
        if start is None or row >= start[2] or not self._known[start[1] + row]:
            return False
        place = start[0] + row * out.size
        np.copyto(out, self._pixels[place : place + out.size].reshape(out.shape))
        return True

    def keep(self, key: Key, row: int, image: np.ndarray) -> None:
        """Keep an image, if it has a place. Two workers may write the same one at once: it is the same bytes."""
        start = self._starts.get(key)
        if start is None or row >= start[2]:
            return
        place = start[0] + row * image.size
        self._pixels[place : place + image.size] = image.ravel()
        self._known[start[1] + row] = 1  # after the pixels: a reader that sees it sees them


def available_memory() -> int:
    """Bytes that the machine could still give."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def read_image(episode: Episode, camera: str, row: int, out: np.ndarray) -> None:
    """Read an image into `out`, (H, W, 3) uint8.

    Raises:
        EpisodeError: it cannot be read or decoded.
        TrainingError: it has another size than the episode's others.
    """
    if isinstance(episode, EpisodeReader) and not episode.is_jpeg(camera):
        try:
            episode.file[episode.place(camera)].read_direct(out, np.s_[row])
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise EpisodeError(f"{episode.path}: {camera} row {row} cannot be read ({error})") from error
        return
    image = episode.image(camera, row)
    if image.shape != out.shape:
        raise TrainingError(f"{episode.path}: {camera} row {row} is {image.shape}; the others are {out.shape}")
    np.copyto(out, image)


@dataclass(frozen=True)
class OpenEpisode:
    """An open file with its small arrays.

    Attributes:
        qpos: (T, D), the vectors that are asked for behind it, and action: (T, A), aligned; float32.
        stamp_ns: (T,) int64 and period_ns: from tick to tick; None where the file does not tell them of each row.
        ends: (T,) the row at which a chunk from each row has to end; see `chunk_ends`.
    """

    reader: Episode
    qpos: np.ndarray
    action: np.ndarray
    stamp_ns: np.ndarray | None
    period_ns: int | None
    ends: np.ndarray


class EpisodeFileCache:
    """Opens each episode once in each process and keeps it open as long as the process' limit on files allows.

    An episode of a LeRobotDataset holds a table and a decoder for each camera: fewer of them are kept.
    """

    def __init__(self, paths: Sequence[Path], *, base: bool, vectors: Sequence[str] = ()) -> None:
        self._paths, self._base, self._vectors = tuple(paths), base, tuple(vectors)
        self._open: OrderedDict[int, OpenEpisode] = OrderedDict()
        self._ends: dict[int, np.ndarray] = {}  # of each episode, also while it is not open
        self._process = os.getpid()
        self._limit = max(8, min(MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))

    def get(self, number: int) -> OpenEpisode:
        """Give an open episode by its place.

        Raises:
            EpisodeError: it can no longer be read.
            TrainingError: its numbers are not finite.
        """
        if self._process != os.getpid():  # a fork: HDF5's handles are the parent's, and not closed here
            self._parents, self._open, self._process = self._open, OrderedDict(), os.getpid()
        episode = self._open.get(number)
        if episode is None:
            episode = self._open[number] = self._read(number)
            while len(self._open) > 1 and self._too_many():
                self._open.popitem(last=False)[1].reader.close()
        self._open.move_to_end(number)
        return episode

    def _too_many(self) -> bool:
        files = sum(isinstance(one.reader, EpisodeReader) for one in self._open.values())
        others = (one.reader for one in self._open.values() if not isinstance(one.reader, EpisodeReader))
        decoders = sum(1 + len(reader.camera_names) for reader in others)
        return files + decoders > self._limit or decoders > MOST_DECODERS

    def _read(self, number: int) -> OpenEpisode:
        path = self._paths[number]
        reader = open_episode(path)
        try:
            action = aligned_actions(reader, base=self._base)
            check_rows(path, "action", action)
            stamps, period = row_stamps(reader.stamp_ns, reader.rows), period_of(reader.rate_hz)
            if number not in self._ends:
                self._ends[number] = chunk_ends(stamps, period, reader.rows)
            return OpenEpisode(
                reader=reader,
                qpos=states(reader, self._vectors),
                action=action.astype(np.float32),
                stamp_ns=stamps,
                period_ns=period,
                ends=self._ends[number],
            )
        except BaseException:
            reader.close()
            raise

    def close(self) -> None:
        """Close the files of this process."""
        if self._process == os.getpid():
            for one in self._open.values():
                one.reader.close()
        self._open.clear()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": OrderedDict(), "_process": -1}

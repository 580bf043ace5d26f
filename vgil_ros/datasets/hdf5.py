"""Folders of HDF5 episodes, in any layout that `EpisodeReader` knows: read, and written in ours or a peer's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.pieces import Piece, names_in_set, place
from vgil_ros.episodes import naming
from vgil_ros.episodes.convert import Target, convert
from vgil_ros.episodes.layouts import Layout
from vgil_ros.episodes.meta import DEFAULT_QUALITY
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.view import Episode

FILE = "episode.hdf5"


class Hdf5Folder:
    """The saved episodes of a folder, or one file.

    Raises:
        DatasetError: where there is none.
    """

    kind = "hdf5"

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        self.path, self._layout = path, layout
        self._files = [path] if path.is_file() else naming.episodes_in(path)
        if not self._files:
            raise DatasetError(f"{path}: no episode (*.hdf5) in this folder")

    def names(self) -> list[str]:
        """Names of the files without their ending."""
        return [file.stem for file in self._files]

    def state(self, number: int) -> list[int]:
        """Size and time of change of a file."""
        stat = self._files[number].stat()
        return [stat.st_size, stat.st_mtime_ns]

    def open(self, number: int) -> Episode:
        """Open the episode at a place of `names`.

        Raises:
            EpisodeError: it cannot be read.
        """
        return EpisodeReader(self._files[number], layout=self._layout)


class Hdf5Sink:
    """One file an episode.

    Args:
        target: a layout of `episodes.convert`.
        raw: keep pixels as they are, in ours; the peers' layouts say themselves what they store.
        rate_hz: for ours, where the source does not store it.
    """

    def __init__(self, target: str, *, raw: bool, quality: int | None, rate_hz: float | None) -> None:
        self._target, self._raw, self._rate = cast(Target, target), raw, rate_hz
        self._quality = DEFAULT_QUALITY if quality is None else quality

    def make(self, episode: Episode, folder: Path) -> dict[str, Any]:
        """Write the file of an episode."""
        convert(
            episode,
            folder / FILE,
            self._target,
            rate_hz=self._rate,
            quality=self._quality,
            storage="raw" if self._raw else "jpeg",
        )
        return {}

    def open_piece(self, folder: Path, facts: Mapping[str, Any]) -> Episode:
        """Open the file; which of the peers' layouts it is in is known here."""
        return EpisodeReader(folder / FILE, layout=self._target)

    def assemble(self, pieces: Sequence[Piece], out: Path) -> list[str]:
        """Each file under its episode's own name, or by number where that is no name for one of ours."""
        names = names_in_set(pieces)
        for piece, name in zip(pieces, names, strict=True):
            place(piece.folder / FILE, out / f"{name}.hdf5")
        return names

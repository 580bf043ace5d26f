"""The check before an episode gets its name: is the file whole? Milliseconds, whatever its length."""

from __future__ import annotations

from pathlib import Path

from vgil_ros.core.frame import is_whole_image
from vgil_ros.episodes import h5
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reading.columns import COLUMNS
from vgil_ros.episodes.reading.structure import Structure


def quick_check(path: Path, rows: int) -> None:
    """Reopen a closed file and hold it against the rows that went in.

    Raises:
        EpisodeError: where a dataset has another length, or the first or last JPEG is not whole.
    """
    file, structure = h5.open_surveyed(path)
    with file:
        for name, length in lengths(structure).items():
            if length != rows:
                raise EpisodeError(f"{path}: {name} has {length} rows; {rows} were recorded")
        for name, stored in structure.children("observations/images").items():
            for row in (0, rows - 1) if stored is not None and len(stored.shape) == 2 else ():
                if not is_whole_image(file[f"observations/images/{name}"][row].tobytes()):
                    raise EpisodeError(f"{path}: {name}: the JPEG of row {row} is not whole")


def lengths(structure: Structure) -> dict[str, int]:
    """Return T of every dataset that has one row a tick, by its path; what else lies in a file may be of any length."""
    return {
        name: stored.shape[1] if name == "compress_len" and len(stored.shape) == 2 else stored.shape[0]
        for name, stored in structure.datasets.items()
        if stored.shape and has_rows(name)
    }


def has_rows(name: str) -> bool:
    """Whether a dataset has one row a tick, by its path."""
    return name in COLUMNS or name.startswith(("observations/", "sync/", "timesteps/"))

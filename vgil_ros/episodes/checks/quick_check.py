"""The check before an episode gets its name: is the file whole? Milliseconds, whatever its length."""

from __future__ import annotations

from pathlib import Path

import h5py

from vgil_ros.episodes import h5
from vgil_ros.episodes.errors import EpisodeError

START, END = b"\xff\xd8", b"\xff\xd9"


def quick_check(path: Path, rows: int) -> None:
    """Reopen a closed file and hold it against the rows that went in.

    Raises:
        EpisodeError: where a dataset has another length, or the first or last JPEG is not whole.
    """
    with h5.open_episode(path) as file:
        for name, length in lengths(file).items():
            if length != rows:
                raise EpisodeError(f"{path}: {name} has {length} rows; {rows} were recorded")
        for name, dataset in file.get("observations/images", {}).items():
            for row in (0, rows - 1) if dataset.ndim == 2 else ():
                data = dataset[row].tobytes().rstrip(b"\0")
                if not (data.startswith(START) and data.endswith(END)):
                    raise EpisodeError(f"{path}: {name}: the JPEG of row {row} is not whole")


def lengths(file: h5py.File) -> dict[str, int]:
    """Return T of every dataset that has rows, by its path."""
    counts: dict[str, int] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("final_observation/"):
            counts[name] = item.shape[1] if name == "compress_len" else item.shape[0]

    file.visititems(visit)
    return counts

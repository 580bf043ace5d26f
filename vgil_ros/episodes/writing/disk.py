"""Free disk space for an episode."""

from __future__ import annotations

import shutil
from pathlib import Path

from vgil_ros.episodes.errors import DiskFull

MIB = 1 << 20
DEFAULT_MIN_FREE = 1024 * MIB  # to start
STOP_FREE = 64 * MIB  # to go on: enough to finish a file properly


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written in a folder."""
    return shutil.disk_usage(folder).free


def need_free(folder: Path, needed: int) -> None:
    """Refuse to start where there is too little room.

    Raises:
        DiskFull: naming the folder, what is free and what is needed.
    """
    free = free_bytes(folder)
    if free < needed:
        raise DiskFull(f"{folder}: {free / MIB:.0f} MiB free; {needed / MIB:.0f} MiB are needed to start an episode")

"""Where episodes go: whether a folder can be written, and room on its disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from vgil_ros.episodes.errors import DiskFull

MIB = 1 << 20
DEFAULT_MIN_FREE = 1024 * MIB  # to start
STOP_FREE = 64 * MIB  # to go on: enough to finish a file properly
TRIED = 4096  # bytes that are written to see whether any can be


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written in a folder."""
    return shutil.disk_usage(folder).free


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest above it that exists."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    return folder


def need_free(folder: Path, needed: int) -> None:
    """Refuse to start where there is too little room.

    Raises:
        DiskFull: naming the folder, what is free and what is needed.
    """
    if (words := too_little_room(folder, needed)) is not None:
        raise DiskFull(words)


def too_little_room(folder: Path, needed: int) -> str | None:
    """Say what is free and what is needed, in bytes, to start; None where it is enough.

    Raises:
        OSError: where the disk does not tell.
    """
    free = free_bytes(existing(folder))
    if free >= needed:
        return None
    return f"{folder}: {_mib(free)} MiB free; {_mib(needed)} MiB are needed to start an episode"


def unusable(folder: Path, needed: int, *, try_it: bool) -> str | None:
    """Say why no episode can be started in a folder, or None.

    Args:
        folder: it need not exist.
        needed: bytes that are to be free.
        try_it: make the folder and write to it; else only its permissions are asked for, which root and network
            folders answer too kindly.
    """
    at = existing(folder)
    try:
        if not at.is_dir():
            return f"{folder}: {at} is no folder; allowed: a folder one may write"
        if not os.access(at, os.W_OK | os.X_OK):
            return f"{folder}: {at} cannot be written; allowed: a folder one may write"
        words = too_little_room(at, needed)
        if words is None and try_it:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(TRIED))
                file.flush()
        return words
    except OSError as error:
        return f"{folder}: cannot be written ({error.strerror}); allowed: a folder one may write"


def _mib(size: int) -> str:
    return f"{size / MIB:.0f}" if size >= 10 * MIB else f"{size / MIB:.1f}"

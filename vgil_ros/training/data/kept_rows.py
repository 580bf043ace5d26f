"""What is kept on disk for each row of a data set, ahead of a training: files of one entry a row, and whose rows.

A file's room on the disk is taken when it is made. One that merely says how long it will be finds the disk full later,
and the kernel ends whoever writes into its mapping (SIGBUS) without a word.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.config import load_json
from vgil_ros.core.files import write_whole
from vgil_ros.training.checkpoints import NO_ROOM
from vgil_ros.training.data.dataset import EpisodeDataset
from vgil_ros.training.errors import TrainingError


def rows_note(dataset: EpisodeDataset, task: str | None, *, told: bool) -> dict[str, Any]:
    """Which rows what is kept belongs to, for the note beside it.

    Args:
        task: what stands in for a row's own where it has none, as in the policy's configuration.
        told: whether what is kept depends on the task; an episode's digest does not hold it.
    """
    note: dict[str, Any] = {
        "episodes": _digest("\n".join(episode.digest for episode in dataset.episodes)),
        "rows": len(dataset),
    }
    if told:
        runs = [episode.tasks or ((0, episode.task or ""),) for episode in dataset.episodes]
        note["tasks"] = _digest(json.dumps([[(row, words or task or "") for row, words in run] for run in runs]))
    return note


def read_note(path: Path) -> dict[str, Any]:
    """What `write_note` wrote.

    Raises:
        TrainingError: it cannot be read.
    """
    note = load_json(path, TrainingError)
    if not isinstance(note, dict):
        raise TrainingError(f"{path}: holds a {type(note).__name__}; allowed: a map. Move the folder away")
    return note


def write_note(path: Path, note: Mapping[str, Any]) -> None:
    """Write a note whole or not at all: that it is there says that what it speaks of is complete."""
    write_whole(path, json.dumps(note, indent=2) + "\n")


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What of a note is not as it is wanted, in words; "" where all is."""
    wrong = [key for key in wanted if stored.get(key) != wanted[key]]
    return ", ".join(f"{key} {stored.get(key, 'not noted')} (not {wanted[key]})" for key in wrong)


def make_files(arrays: Mapping[Path, tuple[tuple[int, ...], np.dtype]]) -> None:
    """Make files of zeros by their shapes and types, in one folder that is there.

    Raises:
        TrainingError: there is no room for all of them; none is left then.
        OSError: they cannot be written for another reason.
    """
    folder = next(iter(arrays)).parent
    for path in arrays:
        path.unlink(missing_ok=True)  # what an attempt that was broken off has left
    needed = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in arrays.values())
    try:
        if shutil.disk_usage(folder).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for path, (shape, dtype) in arrays.items():
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        for path in arrays:
            path.unlink(missing_ok=True)
        if error.errno not in NO_ROOM:
            raise
        raise TrainingError(
            f"{folder}: no room for what is to be kept of each row: {needed >> 20} MiB are needed, "
            f"{shutil.disk_usage(folder).free >> 20} MiB are free ({error.strerror}); allowed: as much room, or a "
            "training without this folder"
        ) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]

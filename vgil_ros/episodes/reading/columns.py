"""The small datasets of an episode that are read by their meaning: how many dimensions each has, and of which kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reading.structure import Stored, Structure

MOST_COLUMNS = 256  # joints, or streams
MOST_VALUES = 1024  # of a further vector
NUMBERS, WHOLE = "biuf", "iuf"  # kinds of numpy's types; peers store whole numbers as floats
# who acted in a row of a rollout that a human could take over (`core.control.takeover`), and what both wanted
ACTING = ("intervention", "actor", "policy_action", "human_action")
TASKS = "timesteps/task_index"  # into the attribute `tasks`; only where the task changed
COLUMNS: dict[str, tuple[str, str]] = {
    "observations/qpos": ("(T, D)", NUMBERS),
    "observations/qvel": ("(T, D)", NUMBERS),
    "observations/effort": ("(T, D)", NUMBERS),
    "observations/base_vel": ("(T, 2)", NUMBERS),
    "action": ("(T, D)", NUMBERS),
    "base_action": ("(T, 2)", NUMBERS),
    "intervention": ("(T,)", WHOLE),
    "actor": ("(T,)", WHOLE),
    "policy_action": ("(T, D)", NUMBERS),
    "human_action": ("(T, D)", NUMBERS),
    "compress_len": ("(cameras, T)", WHOLE),
    "sync/stamp_ns": ("(T,)", "iu"),
    "sync/skew_ns": ("(T, S)", "iu"),
    "sync/flags": ("(T, S)", "iu"),
    "sync/arrival_ns": ("(T, S)", "iu"),
    "timesteps/step_type": ("(T,)", "iu"),
    "timesteps/reward": ("(T,)", NUMBERS),
    "timesteps/discount": ("(T,)", NUMBERS),
    TASKS: ("(T,)", "iu"),
}


def check_column(path: Path, name: str, stored: Stored) -> None:
    """Hold a dataset against what its name says it is.

    Raises:
        EpisodeError: for other dimensions, no columns, or values that are no numbers.
    """
    shape, kinds = COLUMNS[name]
    words = shape.strip("(,)").replace(" ", "").split(",")
    fits = len(stored.shape) == len(words) and stored.dtype.kind in kinds
    fits = fits and all(size > 0 for size in stored.shape[1:])
    if words[-1] in ("D", "S") and len(stored.shape) == 2 and stored.shape[1] > MOST_COLUMNS:
        raise EpisodeError(f"{path}: {name} has {stored.shape[1]} columns; allowed: up to {MOST_COLUMNS}")
    if "2" in words:
        fits = fits and stored.shape[1:] == (2,)
    if name == "compress_len":
        fits = fits and stored.shape[0] > 0
    if not fits:
        kind = "whole numbers" if kinds == "iu" else "numbers"
        raise EpisodeError(f"{path}: {name} is {stored}; allowed: {shape} {kind}")


def find_vectors(structure: Structure, attributes: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Return the further vectors that a file names, each (T, n) numbers in `observations`.

    Raises:
        EpisodeError: for one that is not there, or is something else.
    """
    names = tuple(map(str, np.atleast_1d(attributes.get("vector_names", ()))))
    for name in names:
        place = f"observations/{name}"
        stored = structure.datasets.get(place)
        if stored is None:
            raise EpisodeError(f"{path}: lacks {place}, which its attribute vector_names names")
        fits = len(stored.shape) == 2 and stored.dtype.kind in NUMBERS and stored.shape[1] > 0
        if not fits or stored.shape[1] > MOST_VALUES:
            raise EpisodeError(f"{path}: {place} is {stored}; allowed: (T, n) numbers, n up to {MOST_VALUES}")
        if reason := structure.disbelief(place):
            raise EpisodeError(f"{path}: {place} {reason}")
    return names

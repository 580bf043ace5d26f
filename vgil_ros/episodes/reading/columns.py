"""The small datasets of an episode that are read by their meaning: how many dimensions each has, and of which kind."""

from __future__ import annotations

from pathlib import Path

from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reading.structure import Stored

MOST_COLUMNS = 256  # joints, or streams
NUMBERS, WHOLE = "biuf", "iuf"  # kinds of numpy's types; peers store whole numbers as floats
COLUMNS: dict[str, tuple[str, str]] = {
    "observations/qpos": ("(T, D)", NUMBERS),
    "observations/qvel": ("(T, D)", NUMBERS),
    "observations/effort": ("(T, D)", NUMBERS),
    "observations/base_vel": ("(T, 2)", NUMBERS),
    "action": ("(T, D)", NUMBERS),
    "base_action": ("(T, 2)", NUMBERS),
    "compress_len": ("(cameras, T)", WHOLE),
    "sync/stamp_ns": ("(T,)", "iu"),
    "sync/skew_ns": ("(T, S)", "iu"),
    "sync/flags": ("(T, S)", "iu"),
    "sync/arrival_ns": ("(T, S)", "iu"),
    "timesteps/step_type": ("(T,)", "iu"),
    "timesteps/reward": ("(T,)", NUMBERS),
    "timesteps/discount": ("(T,)", NUMBERS),
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

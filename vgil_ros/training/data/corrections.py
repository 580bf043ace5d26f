"""Which rows a person gave, of rollouts that one could take over, and how often each is drawn (`data.corrections`).

And which come before an episode's first motion (`data.still_starts`).

Source: Kelly et al., "HG-DAgger" (arXiv:1810.02890), which adds the human's rows alone to the demonstrations; Mandlekar
et al., "Human-in-the-Loop Imitation Learning using Remote Teleoperation" (arXiv:2012.06733), which weighs them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vgil_ros.training.config import Corrections
from vgil_ros.training.data.episode_stats import EpisodeStats
from vgil_ros.training.errors import TrainingError


def human_rows(stats: EpisodeStats) -> np.ndarray:
    """(T,) bool: rows whose action a person gave, in a demonstration or as a correction."""
    return np.ones(stats.rows, bool) if stats.facts.corrected is None else correction_rows(stats)


def correction_rows(stats: EpisodeStats) -> np.ndarray:
    """(T,) bool: rows in which a person corrected a policy."""
    rows = np.zeros(stats.rows, bool)
    for first, last in stats.facts.corrected or ():
        rows[first : last + 1] = True
    return rows


def moving_rows(stats: EpisodeStats) -> np.ndarray:
    """(T,) bool: rows from an episode's first motion on."""
    return np.arange(stats.rows) >= stats.facts.still


def chunk_limits(stats: EpisodeStats) -> np.ndarray:
    """(T,) for each row the first later one that a person did not give; the next one, where it is not a person's."""
    human = human_rows(stats)
    ends = np.arange(1, stats.rows + 1)
    for row in range(stats.rows - 2, -1, -1):
        if human[row] and human[row + 1]:
            ends[row] = ends[row + 1]
    return ends


def drawn_groups(
    groups: Sequence[np.ndarray],
    weights: Sequence[float] | None,
    corrections: Corrections,
    human: np.ndarray,
    corrected: np.ndarray,
) -> tuple[list[np.ndarray], list[float] | None]:
    """Return the groups of rows that `Sampling` mixes, and their weights, so that each row comes as often as is asked.

    Args:
        groups: rows of each folder.
        weights: of the folders; None: by rows.
        corrections: "all": every row alike; "only": rows that a person gave alone; a number: a correction comes that
            many times as often as another row of its folder, whose share of all samples stays.
        human, corrected: (N,) bool over all rows; see `human_rows`, `correction_rows`.

    Raises:
        TrainingError: corrections are asked for and there is none.
    """
    if corrections == "all":
        return list(groups), None if weights is None else list(weights)
    if not corrected.any():
        raise TrainingError(
            f"data.corrections is {corrections}: no row of these episodes is a correction; allowed: all, or "
            "episodes of a policy that a human took over from (takeover:=true)"
        )
    if corrections == "only":
        return [rows[human[rows]] for rows in groups], None if weights is None else list(weights)
    split: list[np.ndarray] = []
    shares: list[float] = []
    for number, rows in enumerate(groups):
        mine, others = rows[corrected[rows]], rows[~corrected[rows]]
        whole = len(rows) if weights is None else weights[number]
        counts = np.array([len(mine) * float(corrections), len(others)])
        split += [mine, others]
        shares += (whole * counts / max(counts.sum(), 1e-12)).tolist()
    return split, shares

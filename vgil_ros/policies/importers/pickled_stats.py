"""The statistics that act and act-plus-plus pickle beside a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.safe_pickle import load_numpy_pickle


def read_statistics(
    path: Path, wanted: Mapping[str, tuple[str, ...]], dims: Mapping[str, int]
) -> dict[str, dict[str, np.ndarray]]:
    """Read statistics such as `qpos_mean` without running the pickle.

    Args:
        wanted: kinds by vector, such as {"qpos": ("mean", "std")}; dims: width of each vector.

    Returns:
        Arrays (dim,) by vector and kind.

    Raises:
        CheckpointError: the file or a statistic is missing, or has another shape.
    """
    if not path.exists():
        raise CheckpointError(f"statistics {path} do not exist: without them actions have no units")
    statistics = load_numpy_pickle(path)
    missing = [f"{name}_{kind}" for name, kinds in wanted.items() for kind in kinds]
    missing = [name for name in missing if name not in statistics]
    if missing:
        raise CheckpointError(f"{path}: missing {', '.join(missing)}, found {sorted(statistics)}")
    found = {
        name: {kind: np.atleast_1d(statistics[f"{name}_{kind}"]) for kind in kinds} for name, kinds in wanted.items()
    }
    for name, kinds in found.items():
        for kind, value in kinds.items():
            if value.shape != (dims[name],):
                raise CheckpointError(
                    f"statistics: {name}_{kind} has shape {value.shape}, the weights need {(dims[name],)}"
                )
    return found

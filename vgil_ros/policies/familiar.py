"""What is usual in a policy's training data, in a file of its checkpoint: `familiar.safetensors`, some hundred KB."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vgil_ros.core.control.doubt import NEIGHBOUR, Familiar
from vgil_ros.policies.errors import PolicyError

FILE = "familiar.safetensors"
ABOUT = "familiar"
ARRAYS = ("points", "scale", "action_scale")
HOW = ("draws", "gap_s")  # how disagreement was measured; older files do not tell


def save_familiar(folder: Path, familiar: Familiar) -> Path:
    """Write the file into a checkpoint's folder.

    Raises:
        PolicyError: it cannot be written.
    """
    about = {name: getattr(familiar, name) for name in ("novelty", "disagreement", *HOW)}
    arrays = {name: np.ascontiguousarray(getattr(familiar, name), np.float32) for name in ARRAYS}
    try:
        save_file(arrays, folder / FILE, {ABOUT: json.dumps(about)})
    except (OSError, SafetensorError) as error:
        raise PolicyError(f"{folder / FILE}: cannot be written ({error}); allowed: a folder one may write") from error
    return folder / FILE


def load_familiar(folder: Path, joints: int | None = None) -> Familiar | None:
    """Read the file of a checkpoint's folder; None where there is none.

    Args:
        joints: D, of the robot that is to be looked at.

    Raises:
        PolicyError: it is damaged, or holds something else, or is of another robot.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as file:
            found = {name: file.get_tensor(name) for name in ARRAYS}
            about = json.loads((file.metadata() or {})[ABOUT])
        usual, draws, gap_s = about["disagreement"], about.get("draws"), about.get("gap_s")
        found_familiar = Familiar(
            **found,
            novelty=float(about["novelty"]),
            disagreement=None if usual is None else float(usual),
            draws=None if draws is None else int(draws),
            gap_s=None if gap_s is None else float(gap_s),
        )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise PolicyError(f"{path}: cannot be read ({error}); make it anew: vgil checkpoint familiar") from error
    _check(path, found_familiar)
    if joints is not None and len(found_familiar.scale) != 2 * joints:
        raise PolicyError(f"{path}: is of {len(found_familiar.scale) // 2} joints; allowed: {joints}, the robot's")
    return found_familiar


def _check(path: Path, familiar: Familiar) -> None:
    points, usual = familiar.points, familiar.novelty
    sound = points.ndim == 2 and len(points) >= NEIGHBOUR and points.shape[1:] == familiar.scale.shape
    sound = sound and familiar.action_scale.ndim == 1
    sound = sound and all(np.isfinite(getattr(familiar, name)).all() for name in ARRAYS)
    if not (sound and (familiar.scale > 0).all() and (familiar.action_scale > 0).all() and usual > 0):
        raise PolicyError(
            f"{path}: found {points.shape} points with a usual distance of {usual}; allowed: finite ones, at least "
            f"{NEIGHBOUR}, and a distance above 0"
        )

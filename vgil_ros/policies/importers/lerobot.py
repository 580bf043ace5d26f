"""A policy as LeRobot saves it: a folder with config.json and model.safetensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.lerobot_act import import_act_folder
from vgil_ros.policies.importers.lerobot_diffusion import import_diffusion_folder
from vgil_ros.policies.importers.lerobot_folder import LerobotFolder, read_config, read_folder
from vgil_ros.policies.importers.state import Imported

_KINDS: dict[str, Callable[[LerobotFolder, dict[str, object]], Imported]] = {
    "act": import_act_folder,
    "diffusion": import_diffusion_folder,
}


def import_lerobot(folder: Path, joint_names: Sequence[str] = (), rate_hz: float | None = None) -> Imported:
    """Read a LeRobot folder, with processor files or with the statistics in the weights.

    Raises:
        CheckpointError: another policy type, options that are not supported, anything missing, unknown or mismatched.
    """
    values = read_config(folder)
    # folders from before 0.1 do not say; diffusion alone has a horizon
    kind = values.get("type", "diffusion" if "horizon" in values else "act")
    if kind not in _KINDS:
        raise CheckpointError(f"{folder}: policy type {kind!r}, allowed are {sorted(_KINDS)}")
    return _KINDS[kind](read_folder(folder, values), {"joint_names": tuple(joint_names), "rate_hz": rate_hz})

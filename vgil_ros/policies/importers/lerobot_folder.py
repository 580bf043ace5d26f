"""What the folders of all LeRobot's policies have in common: features, files, and how they are scaled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from vgil_ros.policies.config import CameraSpec
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers import lerobot_stats as scale
from vgil_ros.policies.normalizer import Normalizer

_CAMERA = "observation.images."


@dataclass(frozen=True)
class Features:
    """What goes in and out.

    Attributes:
        cameras: feature -> camera, in the folder's order. modes: feature -> MEAN_STD, ...
    """

    cameras: dict[str, CameraSpec]
    state_dim: int
    action_dim: int
    modes: dict[str, str]


@dataclass(frozen=True, eq=False)
class LerobotFolder:
    """A folder that was read.

    Attributes:
        values: config.json. state: the weights alone. old: the statistics lay among the weights.
    """

    where: str
    values: dict[str, Any]
    features: Features
    state: dict[str, Tensor]
    normalizer: Normalizer
    old: bool

    @property
    def source_format(self) -> str:
        """How the format is called in reports."""
        return "lerobot" + (" (statistics in the weights)" if self.old else "")

    def need(self, names: list[str]) -> None:
        """Raise CheckpointError unless config.json has all of `names`."""
        missing = [name for name in names if name not in self.values]
        if missing:
            raise CheckpointError(f"{self.where}: config.json lacks {', '.join(missing)}")

    def only(self, allowed: dict[str, object]) -> None:
        """Raise CheckpointError where a setting has another value than the one that is supported."""
        for key, value in allowed.items():
            if self.values.get(key, value) != value:
                raise CheckpointError(f"{self.where}: {key} = {self.values[key]}, allowed is {value}")


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json.

    Raises:
        CheckpointError: it cannot be read.
    """
    return _read_json(folder / "config.json")


def read_folder(folder: Path, values: dict[str, Any]) -> LerobotFolder:
    """Read the rest of a folder whose config.json is `values`.

    Raises:
        CheckpointError: anything missing or unknown among features, weights and statistics.
    """
    where = str(folder)
    features = _features(values, where)
    state = _read_weights(folder / "model.safetensors")
    old = any(key.startswith("normalize_inputs.") for key in state)
    names = [*features.cameras, scale.STATE, scale.ACTION]
    scaling = scale.from_weights(state, names, features.modes) if old else scale.from_processors(folder, features.modes)
    dims = features.state_dim, features.action_dim
    normalizer = scale.make_normalizer(scaling, list(features.cameras), *dims, where)
    return LerobotFolder(where, values, features, state, normalizer, old)


def _features(values: dict[str, Any], where: str) -> Features:
    """Read the features in LeRobot's present form (input_features) or its first one (input_shapes)."""
    mapping = values.get("normalization_mapping", {})
    if "input_features" in values:
        table = {**values["input_features"], **values.get("output_features", {})}
        shapes = {name: tuple(feature["shape"]) for name, feature in table.items()}
        modes = {name: str(mapping.get(feature["type"], "missing")) for name, feature in table.items()}
    else:
        shapes = {k: tuple(v) for k, v in {**values.get("input_shapes", {}), **values.get("output_shapes", {})}.items()}
        said = {**values.get("input_normalization_modes", {}), **values.get("output_normalization_modes", {})}
        modes = {name: str(said.get(name, "missing")).upper() for name in shapes}
    cameras = {name: _camera(name, shape, where) for name, shape in shapes.items() if _is_camera(name)}
    unknown = [name for name in shapes if name not in (*cameras, scale.STATE, scale.ACTION)]
    if unknown:
        raise CheckpointError(f"{where}: features {unknown} are not supported, allowed are pictures, state and action")
    for name in (scale.STATE, scale.ACTION):
        if name not in shapes or len(shapes[name]) != 1:
            raise CheckpointError(f"{where}: feature {name} (D,) is missing, found {shapes}")
    if not cameras:
        raise CheckpointError(f"{where}: no camera among the features {sorted(shapes)}")
    return Features(cameras, shapes[scale.STATE][0], shapes[scale.ACTION][0], modes)


def _is_camera(name: str) -> bool:
    return name.startswith(_CAMERA) or name == "observation.image"


def _camera(feature: str, shape: tuple[int, ...], where: str) -> CameraSpec:
    if len(shape) != 3 or shape[0] != 3:
        raise CheckpointError(f"{where}: feature {feature} has shape {shape}, allowed is (3, H, W)")
    name = feature.removeprefix(_CAMERA) if feature.startswith(_CAMERA) else "image"
    return CameraSpec(name=name, height=shape[1], width=shape[2])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: found a {type(values).__name__}, allowed is an object")
    return values


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception as error:  # FileNotFoundError or SafetensorError
        raise CheckpointError(f"{path} cannot be read: {error}") from error

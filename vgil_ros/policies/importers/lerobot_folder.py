"""Checkpoint folders of LeRobot, whatever the policy: features, files, and how they are scaled."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file
from torch import Tensor

from vgil_ros.core.config import validate
from vgil_ros.policies.config import (
    CameraSpec,
    ImageNormalization,
    Normalization,
    PolicyConfig,
    VectorNormalization,
)
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.foreign_file import require_weights_file
from vgil_ros.policies.normalizer import Normalizer

Values = TypeVar("Values", np.ndarray, Tensor)
Stats = dict[str, dict[str, np.ndarray]]  # feature -> statistic -> values
EPS = 1e-8
STATE, ACTION = "observation.state", "action"
_HARMLESS = {"rename_observations_processor", "to_batch_processor", "device_processor"}
_STATISTICS = ("normalize_inputs.", "unnormalize_outputs.", "normalize_targets.")
_KINDS = {"MEAN_STD": ("mean", "std"), "MIN_MAX": ("min", "max"), "IDENTITY": ()}


@dataclass(frozen=True)
class Scaling:
    """How a folder scales: statistics on the way in, on the way out, eps, and the mode of each feature."""

    inputs: Stats
    outputs: Stats
    eps: float
    modes: Mapping[str, str]


def from_processors(folder: Path, modes: Mapping[str, str], known: Collection[str] = ()) -> Scaling:
    """Read `policy_preprocessor.json` and `policy_postprocessor.json` with their state files.

    Args:
        known: further steps of the first whose effect the importer sees to.
    """
    inputs, eps_in = _read_step(folder, "policy_preprocessor.json", "normalizer_processor", known)
    outputs, eps_out = _read_step(folder, "policy_postprocessor.json", "unnormalizer_processor")
    if eps_in != eps_out:
        raise CheckpointError(f"{folder}: eps is {eps_in} on the way in and {eps_out} on the way out")
    return Scaling(inputs, outputs, eps_in, modes)


def from_weights(state: dict[str, Tensor], features: list[str], modes: Mapping[str, str]) -> Scaling:
    """Take the statistics of an older folder out of its weights; their keys are removed from `state`."""
    inputs: Stats = {}
    outputs: Stats = {}
    by_buffer = {"buffer_" + name.replace(".", "_"): name for name in features}
    for key in [k for k in state if k.startswith(_STATISTICS)]:
        part, buffer, kind = [*key.split("."), "", ""][:3]
        if buffer not in by_buffer:
            raise CheckpointError(f"statistics of an unknown feature in the weights: {key}")
        value = state.pop(key).numpy()
        if part != "normalize_targets":  # the same numbers as unnormalize_outputs, for training
            (inputs if part == "normalize_inputs" else outputs).setdefault(by_buffer[buffer], {})[kind] = value
    return Scaling(inputs, outputs, EPS, modes)


def make_normalizer(scaling: Scaling, cameras: list[str], state_dim: int, action_dim: int, where: str) -> Normalizer:
    """Build the normaliser; `cameras` are feature names.

    Raises:
        CheckpointError: statistics are missing, not finite or of another size. LeRobot would pass such a feature
            through unscaled, which no robot should see.
    """
    qpos = _vector(scaling.inputs, STATE, scaling.modes[STATE], state_dim, where)
    action = _vector(scaling.outputs, ACTION, scaling.modes[ACTION], action_dim, where)
    images = [_image(scaling, name, where) for name in cameras]
    spec = Normalization(
        qpos=VectorNormalization.model_validate({"mode": _mode(scaling.modes[STATE]), "eps": scaling.eps}),
        action=VectorNormalization.model_validate({"mode": _mode(scaling.modes[ACTION]), "eps": scaling.eps}),
        # eps is in the std already where the mode has one
        images=ImageNormalization(mode="mean_std"),
    )
    mean, std = (np.stack(values) for values in zip(*images, strict=True))
    return Normalizer.from_statistics(spec, qpos, action, len(cameras), mean, std)


def _mode(name: str) -> str:
    return name.lower()


def _vector(stats: Stats, feature: str, mode: str, dim: int, where: str) -> dict[str, np.ndarray]:
    kinds = _known_kinds(mode, feature, where)
    if not kinds:
        return {"mean": np.zeros(dim, np.float32)}  # tells the size; identity keeps no numbers
    return {kind: _values(stats, feature, kind, dim, where) for kind in kinds}


def _image(scaling: Scaling, feature: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(mean, std), (3,) each, of the affine map that the mode stands for."""
    mode = scaling.modes[feature]
    kinds = _known_kinds(mode, feature, where)
    if not kinds:
        return np.zeros(3, np.float32), np.ones(3, np.float32)
    first, second = (_values(scaling.inputs, feature, kind, 3, where) for kind in kinds)
    if mode == "MEAN_STD":
        return first, second + np.float32(scaling.eps)
    span = np.where(second == first, np.float32(scaling.eps), second - first)
    return first + span / 2, span / 2


def _known_kinds(mode: str, feature: str, where: str) -> tuple[str, ...]:
    if mode not in _KINDS:
        raise CheckpointError(f"{where}: {feature} is normalised by {mode}, allowed are {sorted(_KINDS)}")
    return _KINDS[mode]


def _values(stats: Stats, feature: str, kind: str, dim: int, where: str) -> np.ndarray:
    statistics = stats.get(feature, {})
    if kind not in statistics:
        found = sorted(statistics) or f"none of it, but of {sorted(stats)}"
        raise CheckpointError(f"{where}: statistic {feature}.{kind} is missing, found {found}")
    value = np.asarray(statistics[kind], np.float32)
    if value.size != dim or max(value.shape, default=1) != dim:
        raise CheckpointError(f"{where}: statistic {feature}.{kind} has shape {value.shape}, {dim} values are needed")
    if not np.isfinite(value).all():
        raise CheckpointError(f"{where}: statistic {feature}.{kind} is not finite (never set?)")
    return value.reshape(dim)


def _read_step(folder: Path, file: str, wanted: str, known: Collection[str] = ()) -> tuple[Stats, float]:
    """Find the one step that scales, and refuse steps whose effect is not known."""
    path = folder / file
    if not path.exists():
        raise CheckpointError(f"{path} does not exist, and the weights hold no statistics: actions have no units")
    steps, allowed = processor_steps(path), {*_HARMLESS, *known, wanted}
    unknown = [str(s.get("registry_name")) for s in steps if s.get("registry_name") not in allowed]
    if unknown:
        raise CheckpointError(f"{path}: unknown steps {unknown}, allowed are {sorted(allowed)}")
    scaling = [step for step in steps if step["registry_name"] == wanted]
    if len(scaling) != 1 or "state_file" not in scaling[0]:
        raise CheckpointError(f"{path}: needs one step {wanted} with a state_file, found {len(scaling)}")
    state_path = folder / Path(scaling[0]["state_file"]).name
    if not state_path.exists():
        raise CheckpointError(f"{state_path} does not exist: statistics are missing")
    stats: Stats = {}
    for key, value in _loaded(state_path, load_arrays).items():
        feature, _, kind = key.rpartition(".")
        stats.setdefault(feature, {})[kind] = value
    return stats, float(scaling[0].get("config", {}).get("eps", EPS))


_CAMERA = "observation.images."


@dataclass(frozen=True)
class Features:
    """What goes in and out.

    Attributes:
        cameras: feature -> camera, in the folder's order. modes: feature -> MEAN_STD, ...
        unread: measured values of the data set beside the state, which LeRobot lists and its policies do not look at.
    """

    cameras: dict[str, CameraSpec]
    state_dim: int
    action_dim: int
    modes: dict[str, str]
    unread: tuple[str, ...] = ()


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

    def not_read(self) -> tuple[str, ...]:
        """What a report says of features that no network reads."""
        unread = self.features.unread
        return (f"not read, as by LeRobot's network itself: {', '.join(unread)}",) if unread else ()

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


def common_values(folder: LerobotFolder) -> dict[str, object]:
    """Configuration values of every type."""
    features = folder.features
    return {
        "cameras": [camera.model_dump() for camera in features.cameras.values()],
        "state_dim": features.state_dim,
        "action_dim": features.action_dim,
        "normalization": folder.normalizer.spec.model_dump(),
        "source": "lerobot",
    }


def open_loop(values: Mapping[str, Any]) -> dict[str, object] | None:
    """How LeRobot plays a policy of these settings without an ensemble: so many actions of each chunk."""
    steps = values.get("n_action_steps")
    return None if steps is None else {"mode": "open_loop", "inference_period": steps}


def other_names(config: PolicyConfig) -> tuple[str, ...]:
    """Cameras that the folder calls otherwise than the robot that trained it, in words."""
    return tuple(
        f"camera {camera.name} is what was called {camera.source_name} there"
        for camera in config.cameras
        if camera.source_name is not None
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json.

    Raises:
        CheckpointError: it cannot be read.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: holds no config.json, so it is no folder of LeRobot's{_instead(folder)}")
    return read_json(folder / "config.json")


def _instead(folder: Path) -> str:
    """What of a checkpoint lies in or below a folder that is none itself."""
    inner = sorted(path.parent for path in folder.glob("*/config.json")) + sorted(folder.glob("*.ckpt"))
    return f"; name what lies in it: {', '.join(map(str, inner[:4]))}" if inner else ""


def read_folder(
    folder: Path, values: dict[str, Any], known: Collection[str] = (), *, scaled: bool = True
) -> LerobotFolder:
    """Read the rest of a folder whose config.json is `values`.

    Args:
        known: see `from_processors`.
        scaled: whether its statistics are needed; without them nothing is scaled.

    Raises:
        CheckpointError: anything missing or unknown among features, weights and statistics.
    """
    where = str(folder)
    features = _features(values, where, _renamed(folder))
    state = _loaded(folder / "model.safetensors", load_file)
    old = any(key.startswith("normalize_inputs.") for key in state)
    names = [*features.cameras, STATE, ACTION]
    if not scaled:
        state = {key: value for key, value in state.items() if not key.startswith(_STATISTICS)}
        scaling = Scaling({}, {}, EPS, dict.fromkeys(features.modes, "IDENTITY"))
    else:
        scaling = from_weights(state, names, features.modes) if old else from_processors(folder, features.modes, known)
    dims = features.state_dim, features.action_dim
    normalizer = make_normalizer(scaling, list(features.cameras), *dims, where)
    return LerobotFolder(where, values, features, state, normalizer, old)


def _renamed(folder: Path) -> dict[str, str]:
    """What the preprocessor renames, feature as the policy sees it -> as the robot that trained it called it."""
    path = folder / "policy_preprocessor.json"
    if not path.is_file():
        return {}
    names: dict[str, str] = {}
    for step in processor_steps(path):
        if step.get("registry_name") == "rename_observations_processor":
            given = step.get("config", {})
            table = given.get("rename_map", {}) if isinstance(given, dict) else {}
            if not isinstance(table, dict):
                raise CheckpointError(f"{path}: rename_map is {table!r}, allowed are names by names")
            names |= {str(ours): str(theirs) for theirs, ours in table.items()}
    return names


def processor_steps(path: Path) -> list[dict[str, Any]]:
    """The steps of a processor's file.

    Raises:
        CheckpointError: it cannot be read.
    """
    steps = read_json(path).get("steps", [])
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise CheckpointError(f"{path}: steps is {type(steps).__name__}, allowed is a list of objects")
    return steps


def _features(values: dict[str, Any], where: str, renamed: Mapping[str, str]) -> Features:
    """Read the features in LeRobot's present form (input_features) or its first one (input_shapes)."""
    mapping = values.get("normalization_mapping", {})
    unread: tuple[str, ...] = ()
    if "input_features" in values:
        table = {**values["input_features"], **values.get("output_features", {})}
        unread = tuple(name for name, feature in table.items() if feature["type"] == "STATE" and name != STATE)
        table = {name: feature for name, feature in table.items() if name not in unread}
        shapes = {name: tuple(feature["shape"]) for name, feature in table.items()}
        modes = {name: str(mapping.get(feature["type"], "missing")) for name, feature in table.items()}
    else:
        shapes = {k: tuple(v) for k, v in {**values.get("input_shapes", {}), **values.get("output_shapes", {})}.items()}
        named_modes = {**values.get("input_normalization_modes", {}), **values.get("output_normalization_modes", {})}
        modes = {name: str(named_modes.get(name, "missing")).upper() for name in shapes}
    cameras = {
        name: _camera(name, shape, where, renamed.get(name)) for name, shape in shapes.items() if _is_camera(name)
    }
    unknown = [name for name in shapes if name not in (*cameras, STATE, ACTION)]
    if unknown:
        raise CheckpointError(f"{where}: features {unknown} are not supported, allowed are images, state and action")
    for name in (STATE, ACTION):
        if name not in shapes or len(shapes[name]) != 1:
            raise CheckpointError(f"{where}: feature {name} (D,) is missing, found {shapes}")
    if not cameras:
        raise CheckpointError(f"{where}: no camera among the features {sorted(shapes)}")
    return Features(cameras, shapes[STATE][0], shapes[ACTION][0], modes, unread)


def _is_camera(name: str) -> bool:
    return name.startswith(_CAMERA) or name == "observation.image"


def _camera(feature: str, shape: tuple[int, ...], where: str, source: str | None) -> CameraSpec:
    if len(shape) != 3 or shape[0] != 3:
        raise CheckpointError(f"{where}: feature {feature} has shape {shape}, allowed is (3, H, W)")
    name = _camera_name(feature)
    called = None if source is None or _camera_name(source) == name else _camera_name(source)
    values = {"name": name, "height": shape[1], "width": shape[2], "source_name": called}
    return validate(CameraSpec, values, f"{where}: feature {feature}", CheckpointError)


def _camera_name(feature: str) -> str:
    return feature.removeprefix(_CAMERA) if feature.startswith(_CAMERA) else "image"


def read_json(path: Path) -> dict[str, Any]:
    """Read an object.

    Raises:
        CheckpointError: it cannot be read, or is none.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: found a {type(values).__name__}, allowed is an object")
    return values


def _loaded(path: Path, load: Callable[[Path], dict[str, Values]]) -> dict[str, Values]:
    require_weights_file(path)
    try:
        return load(path)
    except Exception as error:  # FileNotFoundError or SafetensorError
        raise CheckpointError(f"{path} cannot be read: {error}") from error

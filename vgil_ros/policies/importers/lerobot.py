"""ACT as LeRobot saves it: a folder with config.json and model.safetensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.config import CameraSpec
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers import lerobot_stats as scale
from vgil_ros.policies.importers.act_original import Imported
from vgil_ros.policies.importers.state import make_config, make_policy, rename

_RULES = {
    "vae_encoder.": "cvae.encoder.",
    "vae_encoder_cls_embed.": "cvae.cls_embed.",
    "vae_encoder_robot_state_input_proj.": "cvae.state_proj.",
    "vae_encoder_action_input_proj.": "cvae.action_proj.",
    "vae_encoder_latent_output_proj.": "cvae.latent_proj.",
    "vae_encoder_pos_enc": "cvae.positions",
    "backbone.": "backbones.0.",
    "encoder.": "encoder.",
    "decoder.": "decoder.",
    "encoder_robot_state_input_proj.": "state_proj.",
    "encoder_latent_input_proj.": "latent_out_proj.",
    "encoder_img_feat_input_proj.": "image_proj.",
    "encoder_1d_feature_pos_embed.": "token_pos.",
    "decoder_pos_embed.": "query_embed.",
    "action_head.": "action_head.",
}
_CAMERA = "observation.images."


@dataclass(frozen=True)
class _Features:
    cameras: dict[str, CameraSpec]  # feature -> camera, in the folder's order
    state_dim: int
    action_dim: int
    modes: dict[str, str]  # feature -> MEAN_STD, ...


def import_lerobot(folder: Path, joint_names: Sequence[str] = (), rate_hz: float | None = None) -> Imported:
    """Read a LeRobot ACT folder, with processor files or with the statistics in the weights.

    Raises:
        CheckpointError: another policy type, options that are not supported, anything missing, unknown or mismatched.
    """
    where = str(folder)
    values = _read_json(folder / "config.json")
    kind = values.get("type", "act")  # folders from before 0.1 do not say
    if kind != "act":
        raise CheckpointError(f"{where}: policy type {kind!r}, allowed is 'act'")
    features = _features(values, where)
    state = _read_weights(folder / "model.safetensors")
    old = any(key.startswith("normalize_inputs.") for key in state)
    names = [*features.cameras, scale.STATE, scale.ACTION]
    scaling = scale.from_weights(state, names, features.modes) if old else scale.from_processors(folder, features.modes)
    dims = features.state_dim, features.action_dim
    normalizer = scale.make_normalizer(scaling, list(features.cameras), *dims, where)
    config = _config(values, features, where).model_copy(
        update={"joint_names": tuple(joint_names), "rate_hz": rate_hz, "normalization": normalizer.spec}
    )
    config = make_config(config.model_dump(), where)
    weights, dropped = _rename(state, where)
    policy = make_policy(config, weights, normalizer, where)
    return Imported(policy, "lerobot" + (" (statistics in the weights)" if old else ""), tuple(dropped), ())


def _features(values: dict[str, Any], where: str) -> _Features:
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
    return _Features(cameras, shapes[scale.STATE][0], shapes[scale.ACTION][0], modes)


def _is_camera(name: str) -> bool:
    return name.startswith(_CAMERA) or name == "observation.image"


def _camera(feature: str, shape: tuple[int, ...], where: str) -> CameraSpec:
    if len(shape) != 3 or shape[0] != 3:
        raise CheckpointError(f"{where}: feature {feature} has shape {shape}, allowed is (3, H, W)")
    name = feature.removeprefix(_CAMERA) if feature.startswith(_CAMERA) else "image"
    return CameraSpec(name=name, height=shape[1], width=shape[2])


def _config(values: dict[str, Any], features: _Features, where: str) -> ActConfig:
    allowed = {"n_obs_steps": 1, "replace_final_stride_with_dilation": False}
    for key, only in allowed.items():
        if values.get(key, only) != only:
            raise CheckpointError(f"{where}: {key} = {values[key]}, allowed is {only}")
    wanted = {
        "chunk_size": "chunk_size",
        "hidden_dim": "dim_model",
        "heads": "n_heads",
        "feedforward_dim": "dim_feedforward",
        "activation": "feedforward_activation",
        "encoder_layers": "n_encoder_layers",
        "decoder_layers": "n_decoder_layers",
        "latent_dim": "latent_dim",
        "backbone": "vision_backbone",
        "pre_norm": "pre_norm",
        "dropout": "dropout",
        "kl_weight": "kl_weight",
    }
    missing = [theirs for theirs in [*wanted.values(), "use_vae"] if theirs not in values]
    if missing:
        raise CheckpointError(f"{where}: config.json lacks {', '.join(missing)}")
    sizes: dict[str, object] = {ours: values[theirs] for ours, theirs in wanted.items()}
    sizes["cvae_layers"] = values.get("n_vae_encoder_layers", 4) if values["use_vae"] else 0
    sizes["cameras"] = [camera.model_dump() for camera in features.cameras.values()]
    sizes |= {
        "state_dim": features.state_dim,
        "action_dim": features.action_dim,
        "pad_head": False,
        "source": "lerobot",
    }
    return make_config(sizes, where)


def _rename(state: dict[str, Tensor], where: str) -> tuple[dict[str, Tensor], list[str]]:
    wrong = [key for key in state if not key.startswith("model.")]
    if wrong:
        raise CheckpointError(f"{where}: unknown keys {', '.join(wrong[:10])}")
    dropped = [key for key in state if key.endswith("num_batches_tracked")]
    inner = {key.removeprefix("model."): value for key, value in state.items() if key not in dropped}
    weights = rename(inner, _RULES, where)
    if "cvae.positions" in weights:
        weights["cvae.positions"] = weights["cvae.positions"].squeeze(0)
    return weights, dropped


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

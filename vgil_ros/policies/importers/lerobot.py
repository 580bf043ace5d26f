"""A policy as LeRobot saves it: a folder with config.json and model.safetensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vgil_ros.policies.act.policy import ActPolicy
from vgil_ros.policies.base import Policy
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.diffusion.policy import DiffusionPolicy
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.lerobot_folder import (
    LerobotFolder,
    common_values,
    open_loop,
    other_names,
    read_config,
    read_folder,
)
from vgil_ros.policies.importers.lerobot_smolvla import SMOLVLA, import_smolvla
from vgil_ros.policies.importers.state import (
    SEQUENTIAL_RESNET,
    Imported,
    fill_policy,
    make_config,
    rename,
    without_prefix,
)
from vgil_ros.policies.importers.unet_keys import LEROBOT, unet_rules

Renamed = tuple[dict[str, Tensor], list[str]]  # tensors under our names; keys that were left out

_ACT_RULES = {
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


_MOMENTUM = "temporal_ensemble_momentum"  # of LeRobot's first releases
_ACT_SETTINGS = {
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


def _act_sizes(folder: LerobotFolder) -> dict[str, object]:
    folder.only({"n_obs_steps": 1, "replace_final_stride_with_dilation": False})
    folder.need([*_ACT_SETTINGS.values(), "use_vae"])
    values = folder.values
    cvae_layers = values.get("n_vae_encoder_layers", 4) if values["use_vae"] else 0
    played = {"execution": _act_execution(values)}
    return {**_renamed_values(folder, _ACT_SETTINGS), "cvae_layers": cvae_layers, "pad_head": False, **played}


def _act_execution(values: Mapping[str, Any]) -> dict[str, object] | None:
    """How LeRobot plays it: an ensemble where a coefficient is given, else so many actions of each chunk.

    None where a momentum is given: its moving average weighs a moment's predictions as no execution here does.
    """
    coefficient = values.get("temporal_ensemble_coeff")
    if coefficient is not None:
        return {"mode": "temporal_ensemble", "ensemble_coefficient": coefficient}
    return open_loop(values) if values.get(_MOMENTUM) is None else None


def _unlike_there(values: Mapping[str, Any]) -> tuple[str, ...]:
    """That chunks are not played as the folder says, in words."""
    if values.get("temporal_ensemble_coeff") is not None or values.get(_MOMENTUM) is None:
        return ()
    words = f"execution as usual: {_MOMENTUM} = {values[_MOMENTUM]} there, a moving average that is not played here"
    return (f"{words}; choose one by --execution",)


def _act_weights(state: dict[str, Tensor], _: PolicyConfig, where: str) -> Renamed:
    dropped = [key for key in state if key.endswith("num_batches_tracked")]
    weights = rename({key: value for key, value in state.items() if key not in dropped}, _ACT_RULES, where)
    if "cvae.positions" in weights:
        weights["cvae.positions"] = weights["cvae.positions"].squeeze(0)
    return weights, dropped


_DIFFUSION_SETTINGS = {
    "n_obs_steps": "n_obs_steps",
    "horizon": "horizon",
    "n_action_steps": "n_action_steps",
    "backbone": "vision_backbone",
    "crop": "crop_shape",
    "random_crop": "crop_is_random",
    "keypoints": "spatial_softmax_num_keypoints",
    "down_dims": "down_dims",
    "kernel_size": "kernel_size",
    "n_groups": "n_groups",
    "step_embed_dim": "diffusion_step_embed_dim",
    "film_scale": "use_film_scale_modulation",
    "scheduler": "noise_scheduler_type",
    "train_steps": "num_train_timesteps",
    "inference_steps": "num_inference_steps",
    "beta_schedule": "beta_schedule",
    "beta_start": "beta_start",
    "beta_end": "beta_end",
    "prediction_type": "prediction_type",
    "clip_sample": "clip_sample",
    "clip_sample_range": "clip_sample_range",
    "mask_padding": "do_mask_loss_for_padding",
}


def _diffusion_sizes(folder: LerobotFolder) -> dict[str, object]:
    folder.need([*_DIFFUSION_SETTINGS.values(), "use_group_norm"])
    values = folder.values
    return {
        **_renamed_values(folder, _DIFFUSION_SETTINGS),
        "resize": values.get("resize_shape"),
        # batch norm is in eval mode on a robot: its statistics no longer change
        "backbone_norm": "group" if values["use_group_norm"] else "frozen",
        "shared_encoder": not values.get("use_separate_rgb_encoder_per_camera", False),
        "execution": open_loop(values),
    }


def _diffusion_weights(state: dict[str, Tensor], config: PolicyConfig, where: str) -> Renamed:
    assert isinstance(config, DiffusionConfig)
    rules = unet_rules("unet.", len(config.down_dims), LEROBOT)
    for index in range(1 if config.shared_encoder else len(config.cameras)):
        theirs, ours = "rgb_encoder." if config.shared_encoder else f"rgb_encoder.{index}.", f"encoders.{index}."
        rules |= {f"{theirs}backbone.{place}.": f"{ours}backbone.{name}." for place, name in SEQUENTIAL_RESNET.items()}
        rules |= {f"{theirs}pool.nets.": f"{ours}pool.maps.", f"{theirs}out.": f"{ours}out."}
    # the grid of the spatial softmax is computed here, and frozen batch norm does not count batches
    dropped = [key for key in state if key.endswith((".pool.pos_grid", "num_batches_tracked"))]
    return rename({key: value for key, value in state.items() if key not in dropped}, rules, where), dropped


def _renamed_values(folder: LerobotFolder, settings: Mapping[str, str]) -> dict[str, object]:
    return {ours: folder.values[theirs] for ours, theirs in settings.items()}


@dataclass(frozen=True)
class _Kind:
    """How one of LeRobot's policy types becomes one of ours.

    Attributes:
        prefix: before every key of its weights.
        sizes: configuration values out of a folder. weights: the tensors, their prefix gone, under our names, and the
            keys that are left out.
    """

    policy: type[Policy]
    prefix: str
    sizes: Callable[[LerobotFolder], dict[str, object]]
    weights: Callable[[dict[str, Tensor], PolicyConfig, str], Renamed]


_KINDS = {
    "act": _Kind(ActPolicy, "model.", _act_sizes, _act_weights),
    "diffusion": _Kind(DiffusionPolicy, "diffusion.", _diffusion_sizes, _diffusion_weights),
}


def import_lerobot(
    source: Path, robot: Mapping[str, object], vlm: Path | None = None, *, scaled: bool = True
) -> Imported:
    """Read a LeRobot folder, with processor files or with the statistics in the weights.

    Args:
        robot: of the robot, as configuration values.
        vlm: of a SmolVLA: the folder of its vision-language model.
        scaled: of a SmolVLA: whether its statistics are needed; see `import_smolvla`.

    Raises:
        CheckpointError: another policy type, options that are not supported, anything missing, unknown or mismatched.
    """
    values = read_config(source)
    # folders from before 0.1 do not say; diffusion alone has a horizon
    name = values.get("type", "diffusion" if "horizon" in values else "act")
    if name == SMOLVLA:
        return import_smolvla(source, values, robot, vlm, scaled=scaled)
    if name not in _KINDS:
        raise CheckpointError(f"{source}: policy type {name!r}, allowed are {sorted([*_KINDS, SMOLVLA])}")
    if vlm is not None or not scaled:
        raise CheckpointError(
            f"{source}: policy type {name!r}; a vision-language model, or no statistics, are allowed of {SMOLVLA} alone"
        )
    kind, folder = _KINDS[name], read_folder(source, values)
    config = make_config(
        kind.policy.config_class, {**common_values(folder), **kind.sizes(folder), **robot}, folder.where
    )
    weights, dropped = kind.weights(without_prefix(folder.state, kind.prefix, folder.where), config, folder.where)
    policy = fill_policy(kind.policy(config), weights, folder.normalizer, folder.where)
    words = (*other_names(config), *folder.not_read(), *_unlike_there(values))
    return Imported(policy, folder.source_format, tuple(kind.prefix + key for key in dropped), words)

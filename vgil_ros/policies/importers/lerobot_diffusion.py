"""Diffusion Policy as LeRobot saves it."""

from __future__ import annotations

from torch import Tensor

from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.diffusion.policy import DiffusionPolicy
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.lerobot_folder import LerobotFolder
from vgil_ros.policies.importers.state import SEQUENTIAL_RESNET, Imported, fill_policy, make_config, rename
from vgil_ros.policies.importers.unet_keys import LEROBOT, unet_rules

_SETTINGS = {
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


def import_diffusion_folder(folder: LerobotFolder, facts: dict[str, object]) -> Imported:
    """Make a diffusion policy.

    Args:
        facts: what a folder does not tell and the caller does, as configuration values.

    Raises:
        CheckpointError: options that are not supported, anything missing, unknown or mismatched.
    """
    config = make_config(DiffusionConfig, {**_sizes(folder), **facts}, folder.where)
    weights, dropped = _rename(folder.state, config, folder.where)
    policy = fill_policy(DiffusionPolicy(config), weights, folder.normalizer, folder.where)
    return Imported(policy, folder.source_format, tuple(dropped), ())


def _sizes(folder: LerobotFolder) -> dict[str, object]:
    folder.need([*_SETTINGS.values(), "use_group_norm"])
    values, features = folder.values, folder.features
    sizes: dict[str, object] = {ours: values[theirs] for ours, theirs in _SETTINGS.items()}
    return sizes | {
        "resize": values.get("resize_shape"),
        # batch norm is in eval mode on a robot: its statistics no longer change
        "backbone_norm": "group" if values["use_group_norm"] else "frozen",
        "shared_encoder": not values.get("use_separate_rgb_encoder_per_camera", False),
        "cameras": [camera.model_dump() for camera in features.cameras.values()],
        "state_dim": features.state_dim,
        "action_dim": features.action_dim,
        "normalization": folder.normalizer.spec.model_dump(),
        "source": "lerobot",
    }


def _rename(state: dict[str, Tensor], config: DiffusionConfig, where: str) -> tuple[dict[str, Tensor], list[str]]:
    """Give the weights under our names, and the keys that were left out."""
    wrong = [key for key in state if not key.startswith("diffusion.")]
    if wrong:
        raise CheckpointError(
            f"{where}: unknown keys {', '.join(wrong[:10])}: those of diffusion begin with 'diffusion.'"
        )
    rules = unet_rules("unet.", len(config.down_dims), LEROBOT)
    for index in range(1 if config.shared_encoder else len(config.cameras)):
        theirs, ours = "rgb_encoder." if config.shared_encoder else f"rgb_encoder.{index}.", f"encoders.{index}."
        rules |= {f"{theirs}backbone.{place}.": f"{ours}backbone.{name}." for place, name in SEQUENTIAL_RESNET.items()}
        rules |= {f"{theirs}pool.nets.": f"{ours}pool.maps.", f"{theirs}out.": f"{ours}out."}
    # the grid of the spatial softmax is computed here, and frozen batch norm does not count batches
    dropped = [key for key in state if key.endswith((".pool.pos_grid", "num_batches_tracked"))]
    return rename(
        {k.removeprefix("diffusion."): v for k, v in state.items() if k not in dropped}, rules, where
    ), dropped

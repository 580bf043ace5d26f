"""ACT as LeRobot saves it."""

from __future__ import annotations

from torch import Tensor

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.act.policy import ActPolicy
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.lerobot_folder import LerobotFolder
from vgil_ros.policies.importers.state import Imported, fill_policy, make_config, rename

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


def import_act_folder(folder: LerobotFolder, facts: dict[str, object]) -> Imported:
    """Make an ACT policy.

    Args:
        facts: what a folder does not tell and the caller does, as configuration values.

    Raises:
        CheckpointError: options that are not supported, anything missing, unknown or mismatched.
    """
    config = make_config(ActConfig, {**_sizes(folder), **facts}, folder.where)
    weights, dropped = _rename(folder.state, folder.where)
    policy = fill_policy(ActPolicy(config), weights, folder.normalizer, folder.where)
    return Imported(policy, folder.source_format, tuple(dropped), ())


def _sizes(folder: LerobotFolder) -> dict[str, object]:
    folder.only({"n_obs_steps": 1, "replace_final_stride_with_dilation": False})
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
    folder.need([*wanted.values(), "use_vae"])
    values, features = folder.values, folder.features
    sizes: dict[str, object] = {ours: values[theirs] for ours, theirs in wanted.items()}
    sizes["cvae_layers"] = values.get("n_vae_encoder_layers", 4) if values["use_vae"] else 0
    sizes["cameras"] = [camera.model_dump() for camera in features.cameras.values()]
    sizes |= {
        "state_dim": features.state_dim,
        "action_dim": features.action_dim,
        "pad_head": False,
        "source": "lerobot",
        "normalization": folder.normalizer.spec.model_dump(),
    }
    return sizes


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

"""ACT as tonyzhaozh/act, act-plus-plus and Cobot Magic save it: a state dict, and pickled statistics beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.act.policy import ActPolicy
from vgil_ros.policies.config import CameraSpec, Normalization
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.safe_pickle import read_statistics
from vgil_ros.policies.importers.state import (
    Imported,
    as_state_dict,
    count,
    fill_policy,
    make_config,
    named_weights,
    need,
    rename,
    which_resnet,
    without_prefix,
    without_wrappers,
)
from vgil_ros.policies.normalizer import Normalizer

STATS_FILE = "dataset_stats.pkl"
_PREFIX = "model."
_RULES = {
    "transformer.encoder.": "encoder.",
    "transformer.decoder.": "decoder.",
    "encoder.": "cvae.encoder.",
    "cls_embed.": "cvae.cls_embed.",
    "encoder_action_proj.": "cvae.action_proj.",
    "encoder_joint_proj.": "cvae.state_proj.",
    "latent_proj.": "cvae.latent_proj.",
    "pos_table": "cvae.positions",
    "latent_out_proj.": "latent_out_proj.",
    "input_proj_robot_state.": "state_proj.",
    "input_proj.": "image_proj.",
    "additional_pos_embed.": "token_pos.",
    "query_embed.": "query_embed.",
    "action_head.": "action_head.",
    "is_pad_head.": "pad_head.",
}
# What act-plus-plus's `no_encoder` leaves behind: parts of the CVAE encoder without the encoder itself.
_CVAE_REST = ("cls_embed.", "encoder_action_proj.", "encoder_joint_proj.", "latent_proj.", "pos_table")


def import_act(
    path: Path,
    content: object,
    cameras: Sequence[CameraSpec],
    stats: Path | None = None,
    heads: int = 8,
    robot: Mapping[str, object] | None = None,
) -> Imported:
    """Make an ACT policy of a `.ckpt` file and its statistics.

    Args:
        path: of the file; content: what is in it. cameras: in the order of training, which the file does not tell.
        stats: the pickled statistics; `dataset_stats.pkl` beside `path` by default.
        heads: attention heads, which the file does not tell either.
        robot: of the robot, as configuration values.

    Raises:
        CheckpointError: anything missing, unknown or mismatched, or a pickle that would run code.
    """
    where = str(path)
    raw = as_state_dict(content, where)
    state, source_format, dropped = _tidy(raw, where)
    if not cameras:
        raise CheckpointError(f"{where}: cameras and their order are not stored in it: name them")
    config = _infer(state, cameras, heads, where).model_copy(update={"source": source_format, **(robot or {})})
    config = make_config(ActConfig, config.model_dump(), where)
    weights = _rename(state, config, where)
    normalizer = _normalizer(stats if stats is not None else path.parent / STATS_FILE, config)
    assumed = (f"heads = {heads}", f"cameras = {', '.join(config.camera_names)}", "images: RGB, ImageNet mean and std")
    return Imported(fill_policy(ActPolicy(config), weights, normalizer, where), source_format, tuple(dropped), assumed)


def _tidy(raw: dict[str, Tensor], where: str) -> tuple[dict[str, Tensor], str, list[str]]:
    """Strip the prefix, leave out what is never used, bring the variants to one form; say which variant it was."""
    state = without_prefix(named_weights(without_wrappers(raw), _PREFIX), _PREFIX, where)
    _refuse_relatives(state, where)
    # Only decoder layer 0 reaches the output; frozen batch norm does not count batches.
    unused = [
        k for k in state if re.match(r"transformer\.decoder\.layers\.[1-9]", k) or k.endswith("num_batches_tracked")
    ]
    if not any(key.startswith("encoder.layers.") for key in state):
        unused += [key for key in state if key.startswith(_CVAE_REST)]
    for key in unused:
        del state[key]
    source_format = "act"
    if "latent_pos.weight" in state or "robot_state_pos.weight" in state:
        source_format = "cobot_magic"
        latent, proprio = (need(state, f"{name}_pos.weight", where) for name in ("latent", "robot_state"))
        del state["latent_pos.weight"], state["robot_state_pos.weight"]
        state["additional_pos_embed.weight"] = torch.cat([latent, proprio])
    elif count(state, r"backbones\.(\d+)\.") > 1:
        source_format = "act-plus-plus"
    return state, source_format, [_PREFIX + key for key in unused]


def _refuse_relatives(state: dict[str, Tensor], where: str) -> None:
    if any(key.startswith("depth_backbones.") for key in state):
        raise CheckpointError(f"{where}: has depth_backbones: depth images are not supported, only colour cameras")
    if "latent_proj.weight" in state and "latent_out_proj.weight" in state:
        out, back = state["latent_proj.weight"].shape[0], state["latent_out_proj.weight"].shape[1]
        if out != 2 * back:
            raise CheckpointError(
                f"{where}: latent_proj gives {out} and latent_out_proj takes {back}: a VQ latent is not supported"
            )


def _infer(state: dict[str, Tensor], cameras: Sequence[CameraSpec], heads: int, where: str) -> ActConfig:
    backbones = count(state, r"backbones\.(\d+)\.")
    if backbones not in (1, len(cameras)):
        raise CheckpointError(f"{where}: holds {backbones} backbones, {len(cameras)} cameras named")
    body = "backbones.0.0.body."
    hidden = need(state, "action_head.weight", where).shape[1]
    # One backbone for one camera is the same model either way; call it shared.
    values = {
        "cameras": [camera.model_dump() for camera in cameras],
        "state_dim": need(state, "input_proj_robot_state.weight", where).shape[1],
        "action_dim": state["action_head.weight"].shape[0],
        "chunk_size": need(state, "query_embed.weight", where).shape[0],
        "hidden_dim": hidden,
        "heads": heads,
        "feedforward_dim": need(state, "transformer.decoder.layers.0.linear1.weight", where).shape[0],
        "encoder_layers": count(state, r"transformer\.encoder\.layers\.(\d+)\."),
        "cvae_layers": count(state, r"encoder\.layers\.(\d+)\."),
        "latent_dim": need(state, "latent_out_proj.weight", where).shape[1],
        "backbone": which_resnet((k.removeprefix(body) for k in state if k.startswith(body)), where),
        "shared_backbone": backbones == 1,
        "positions": "learned" if "backbones.0.1.row_embed.weight" in state else "sine",
        "pre_norm": "transformer.encoder.norm.weight" in state,
        "pad_head": "is_pad_head.weight" in state,
    }
    return make_config(ActConfig, values, where)


def _rename(state: dict[str, Tensor], config: ActConfig, where: str) -> dict[str, Tensor]:
    rules = dict(_RULES)
    for index in range(1 if config.shared_backbone else len(config.cameras)):
        rules[f"backbones.{index}.0.body."] = f"backbones.{index}."
        rules[f"backbones.{index}.1."] = f"positions.{index}."
    weights = rename(state, rules, where)
    if "cvae.positions" in weights:
        weights["cvae.positions"] = weights["cvae.positions"].squeeze(0)
    return weights


def _normalizer(stats: Path, config: ActConfig) -> Normalizer:
    wanted = {"qpos": ("mean", "std"), "action": ("mean", "std")}
    statistics = read_statistics(stats, wanted, {"qpos": config.state_dim, "action": config.action_dim})
    return Normalizer.from_statistics(Normalization(), statistics["qpos"], statistics["action"], len(config.cameras))

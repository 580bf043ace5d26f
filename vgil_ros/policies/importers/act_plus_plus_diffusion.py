"""The diffusion policy of act-plus-plus: {"nets": ..., "ema": ...}, and pickled statistics beside it.

Each camera has a ResNet-18 with group norm, a spatial softmax of 32 keypoints and a linear layer; one observation;
pixels in [0, 1], of which the middle 95 % is taken and scaled back to the camera's size; state by mean and std, actions
by least and largest to [-1, 1]; DDIM over 50 steps. These stand in its code, not in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vgil_ros.policies.config import CameraSpec, ImageNormalization, Normalization, VectorNormalization
from vgil_ros.policies.diffusion.config import DiffusionConfig, Size
from vgil_ros.policies.diffusion.policy import DiffusionPolicy
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.safe_pickle import read_statistics
from vgil_ros.policies.importers.state import (
    SEQUENTIAL_RESNET,
    Imported,
    as_state_dict,
    count,
    fill_policy,
    make_config,
    named_weights,
    need,
    rename,
    without_prefix,
    without_wrappers,
)
from vgil_ros.policies.importers.unet_keys import ORIGINAL, infer_unet, state_first, unet_rules
from vgil_ros.policies.normalizer import Normalizer

PARTS = {"nets", "ema"}
STRIDE = 32  # of the ResNet
_PREFIX = "policy."
_UNET = "noise_pred_net."
_KEPT = 0.95
_SCHEDULER = {"scheduler": "DDIM", "train_steps": 50, "inference_steps": 10, "beta_schedule": "squaredcos_cap_v2"}


def is_diffusion(content: object) -> bool:
    """Whether what was read is such a checkpoint."""
    return isinstance(content, dict) and set(content) == PARTS


def import_act_plus_plus_diffusion(
    path: Path,
    content: Mapping[str, object],
    cameras: Sequence[CameraSpec],
    stats: Path | None,
    horizon: int | None,
    robot: Mapping[str, object],
) -> Imported:
    """Make a diffusion policy, with the running mean of the weights where there is one.

    Args:
        path: of the file; content: what is in it. cameras: in the order of training, which the file does not tell.
        stats: the pickled statistics. horizon: actions of a chunk, which the file does not tell either.
        robot: of the robot, as configuration values.

    Raises:
        CheckpointError: anything missing, unknown or mismatched.
    """
    where = str(path)
    missing = [word for word, value in (("cameras and their order", cameras), ("horizon", horizon)) if not value]
    if missing:
        raise CheckpointError(f"{where}: {', '.join(missing)} are not stored in it: name them")
    part = "nets" if content["ema"] is None else "ema"
    named = named_weights(without_wrappers(as_state_dict(content[part], where)), _PREFIX)
    state = without_prefix(named, _PREFIX, f"{where}, {part}")
    held = count(state, r"backbones\.(\d+)\.")
    if held != len(cameras):
        raise CheckpointError(f"{where}: holds {held} backbones, {len(cameras)} cameras named")
    specs, guessed = _sized(state, cameras, where)
    config = _config(state, specs, horizon, where, robot)
    weights, dropped = _renamed(state, config, where)
    normalizer = _normalizer(stats if stats is not None else path.parent / "dataset_stats.pkl", config)
    policy = fill_policy(DiffusionPolicy(config), weights, normalizer, where)
    assumed = (
        f"weights: {part}",
        f"cameras = {', '.join(config.camera_names)}{guessed}",
        f"horizon = {horizon}, n_groups = {config.n_groups}",
        f"DDIM with {config.steps} of {config.train_steps} steps; pixels in [0, 1], the middle 95 %",
    )
    return Imported(policy, "act-plus-plus diffusion", tuple(_PREFIX + key for key in dropped), assumed)


def _sized(state: Mapping[str, Tensor], cameras: Sequence[CameraSpec], where: str) -> tuple[list[CameraSpec], str]:
    """Cameras with their image sizes; where they are not told, the one that the keypoints' grid fits."""
    specs, guessed = [], False
    for index, camera in enumerate(cameras):
        x = need(state, f"pools.{index}.pos_x", where).flatten()
        width = _period(x)
        grid = (len(x) // width, width)
        if camera.height is None or camera.width is None:
            guessed = True
            specs.append(CameraSpec(name=camera.name, height=grid[0] * STRIDE, width=grid[1] * STRIDE))
            continue
        size = (-(-camera.height // STRIDE), -(-camera.width // STRIDE))
        if size != grid:
            raise CheckpointError(
                f"{where}: camera {camera.name!r} of {camera.height} x {camera.width} gives a map of {size}, "
                f"its keypoints were trained on {grid}"
            )
        specs.append(camera)
    if len({(spec.height, spec.width) for spec in specs}) > 1:
        raise CheckpointError(f"{where}: images of all cameras must have one size, found {specs}")
    sizes = f" of {specs[0].height} x {specs[0].width}" if guessed else ""
    return specs, sizes


def _period(x: Tensor) -> int:
    """After how many values a row of the grid begins anew."""
    again = (x[1:] == x[0]).nonzero()
    return int(again[0]) + 1 if len(again) else len(x)


def _config(
    state: Mapping[str, Tensor],
    cameras: Sequence[CameraSpec],
    horizon: int | None,
    where: str,
    robot: Mapping[str, object],
) -> DiffusionConfig:
    unet = infer_unet(state, _UNET, ORIGINAL, where)
    keypoints = need(state, "pools.0.nets.weight", where).shape[0]
    image_dim = sum(need(state, f"linears.{index}.weight", where).shape[0] for index in range(len(cameras)))
    size = (cameras[0].height or 0, cameras[0].width or 0)
    values: dict[str, object] = {
        **unet.settings(),
        **_SCHEDULER,
        "state_dim": unet.condition_dim - image_dim,
        "cameras": [camera.model_dump() for camera in cameras],
        "n_obs_steps": 1,
        "horizon": horizon,
        "backbone_norm": "frozen" if "backbones.0.nets.1.running_mean" in state else "group",
        "shared_encoder": False,
        "keypoints": keypoints,
        "feature_relu": False,
        "crop": _middle(size, where),
        "resize": size,
        "resize_first": False,
        "normalization": NORMALIZATION.model_dump(),
        "source": "act-plus-plus diffusion",
    }
    return make_config(DiffusionConfig, {**values, **robot}, where)


NORMALIZATION = Normalization(
    qpos=VectorNormalization(mode="mean_std"),
    action=VectorNormalization(mode="min_max"),
    images=ImageNormalization(mode="unit"),
)


def _middle(size: Size, where: str) -> Size:
    """The size of the middle 95 % as act-plus-plus cuts it; it must lie where a centre crop of that size lies."""
    cut = []
    for have in size:
        first, last = int(have * (1 - _KEPT) / 2), int(have * (1 + _KEPT) / 2)
        if first != round((have - (last - first)) / 2):
            raise CheckpointError(f"{where}: images of {size}: their middle 95 % is not in the middle to the pixel")
        cut.append(last - first)
    return cut[0], cut[1]


def _renamed(state: Mapping[str, Tensor], config: DiffusionConfig, where: str) -> tuple[dict[str, Tensor], list[str]]:
    rules = unet_rules(_UNET, len(config.down_dims), ORIGINAL)
    for index in range(len(config.cameras)):
        ours = f"encoders.{index}."
        rules |= {f"backbones.{index}.nets.{p}.": f"{ours}backbone.{n}." for p, n in SEQUENTIAL_RESNET.items()}
        rules |= {f"pools.{index}.nets.": f"{ours}pool.maps.", f"linears.{index}.": f"{ours}out."}
    # the grid is computed here, frozen batch norm does not count batches, and the temperature goes into the maps
    computed = (".pos_x", ".pos_y", ".temperature", ".num_batches_tracked")
    dropped = [key for key in state if key.endswith(computed)]
    weights = rename({key: value for key, value in state.items() if key not in dropped}, rules, where)
    for index in range(len(config.cameras)):
        temperature = state.get(f"pools.{index}.temperature", torch.ones(1))
        for name in (f"encoders.{index}.pool.maps.weight", f"encoders.{index}.pool.maps.bias"):
            if name in weights:
                weights[name] = weights[name] / temperature
    before = [2 * config.keypoints] * len(config.cameras)
    state_first(weights, config.step_embed_dim, config.n_obs_steps, before, config.state_dim)
    return weights, dropped


def _normalizer(stats: Path, config: DiffusionConfig) -> Normalizer:
    wanted = {"qpos": ("mean", "std"), "action": ("min", "max")}
    statistics = read_statistics(stats, wanted, {"qpos": config.state_dim, "action": config.action_dim})
    return Normalizer.from_statistics(
        config.normalization, statistics["qpos"], statistics["action"], len(config.cameras)
    )

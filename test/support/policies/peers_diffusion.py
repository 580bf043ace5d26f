"""Write diffusion checkpoints as act-plus-plus and Diffusion Policy do, from a policy of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from support.policies import peers
from support.policies.contract import fitted
from vgil_ros.policies.diffusion import DiffusionConfig, DiffusionPolicy

State = dict[str, torch.Tensor]
PLACES = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
CAMERAS = ["cam_high", "cam_low"]
SMALL = {"down_dims": [16, 32], "n_groups": 8, "step_embed_dim": 16, "state_dim": 5, "shared_encoder": False}
_BLOCK = {
    "conv1": "blocks.0.block.0",
    "norm1": "blocks.0.block.1",
    "conv2": "blocks.1.block.0",
    "norm2": "blocks.1.block.1",
    "film": "cond_encoder.1",
    "skip": "residual_conv",
}
_WHOLE = {
    "embed.linear1": "diffusion_step_encoder.1",
    "embed.linear2": "diffusion_step_encoder.3",
    "last_conv": "final_conv.0.block.0",
    "last_norm": "final_conv.0.block.1",
    "head": "final_conv.1",
}


def made(cameras: list[dict[str, Any]], **values: Any) -> DiffusionPolicy:
    torch.manual_seed(0)
    config = DiffusionConfig.model_validate({**SMALL, "cameras": cameras, "action_dim": 7, **values})
    policy = fitted(DiffusionPolicy(config)).eval()
    assert isinstance(policy, DiffusionPolicy)
    return policy


def act_plus_plus() -> DiffusionPolicy:
    return made(
        [{"name": name, "height": 160, "width": 320} for name in CAMERAS],
        n_obs_steps=1,
        horizon=8,
        train_steps=50,
        crop=[152, 304],
        resize=[160, 320],
        resize_first=False,
        feature_relu=False,
        normalization={"qpos": {"mode": "mean_std"}, "action": {"mode": "min_max"}, "images": {"mode": "unit"}},
    )


def unet(policy: DiffusionPolicy, prefix: str) -> State:
    """The U-Net under the names of Diffusion Policy and robomimic, told images first, then the state."""
    out = {}
    for key, value in policy.model.unet.state_dict().items():
        name, _, kind = key.rpartition(".")
        if name.endswith("film"):
            value = value if kind == "bias" else _state_last(policy, value)
        out[f"{prefix}{_theirs(name)}.{kind}"] = value.clone()
    return out


def _theirs(name: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    if match := re.fullmatch(r"(down|up)\.(\d)\.resample", name):
        return f"{match[1]}_modules.{match[2]}.2.conv"
    if match := re.fullmatch(r"(down|up)\.(\d)\.block(\d)\.(\w+)", name):
        return f"{match[1]}_modules.{match[2]}.{int(match[3]) - 1}.{_BLOCK[match[4]]}"
    match = re.fullmatch(r"mid\.(\d)\.(\w+)", name)
    assert match is not None, name
    return f"mid_modules.{match[1]}.{_BLOCK[match[2]]}"


def _state_last(policy: DiffusionPolicy, weight: torch.Tensor) -> torch.Tensor:
    config, embed = policy.config, policy.config.step_embed_dim
    parts = [weight[:, :embed]]
    for step in weight[:, embed:].chunk(config.n_obs_steps, dim=1):
        parts += [step[:, config.state_dim :], step[:, : config.state_dim]]
    return torch.cat(parts, dim=1)


def encoders_of(policy: DiffusionPolicy) -> list[Any]:
    """The image encoders, camera by camera."""
    return list(policy.model.encoders)


def write_act_plus_plus(folder: Path, policy: DiffusionPolicy, grid: tuple[int, int], *, ema: bool = True) -> Path:
    """{"nets", "ema"} with the weights in the part that counts and noise in the other, and pickled statistics."""
    state = unet(policy, "policy.noise_pred_net.")
    y, x = np.meshgrid(np.linspace(-1, 1, grid[0]), np.linspace(-1, 1, grid[1]), indexing="ij")
    for index, encoder in enumerate(encoders_of(policy)):
        for key, value in encoder.backbone.state_dict().items():
            first, _, rest = key.partition(".")
            state[f"policy.backbones.{index}.nets.{PLACES[first]}.{rest}"] = value.clone()
        for kind in ("weight", "bias"):
            state[f"policy.pools.{index}.nets.{kind}"] = getattr(encoder.pool.maps, kind).detach().clone()
            state[f"policy.linears.{index}.{kind}"] = getattr(encoder.out, kind).detach().clone()
        state[f"policy.pools.{index}.temperature"] = torch.ones(1)
        for name, values in (("pos_x", x), ("pos_y", y)):
            state[f"policy.pools.{index}.{name}"] = torch.from_numpy(values.reshape(1, -1)).float()
    folder.mkdir(parents=True, exist_ok=True)
    noise = {key: torch.randn_like(value) for key, value in state.items()}
    torch.save({"nets": noise, "ema": state} if ema else {"nets": state, "ema": None}, folder / "policy_best.ckpt")
    scale = policy.normalizer
    stats: dict[str, Any] = {
        "qpos_mean": scale.qpos.mean.numpy(),
        "qpos_std": scale.qpos.std.numpy(),
        "action_min": scale.action.min.numpy(),
        "action_max": scale.action.max.numpy(),
        "action_mean": scale.action.min.numpy(),
        "action_std": scale.action.max.numpy(),
    }
    (folder / "dataset_stats.pkl").write_bytes(peers.pickle_as(stats, 2))
    return folder / "policy_best.ckpt"


def diffusion_policy_state(policy: DiffusionPolicy, cameras: list[str], vectors: dict[str, int]) -> State:
    """The state dict of Diffusion Policy's image policy; `vectors` are the parts of qpos in their order."""
    state = unet(policy, "model.")
    for name, encoder in zip(cameras, encoders_of(policy), strict=True):
        for key, value in encoder.backbone.state_dict().items():
            state[f"obs_encoder.key_model_map.{name}.{key}"] = value.clone()
        state |= _scale(name, torch.tensor([2.0]), torch.tensor([-1.0]))
    for module in ("", "obs_encoder.", "mask_generator."):
        state[f"{module}_dummy_variable"] = torch.empty(0)
    first = 0
    for name, width in vectors.items():
        state |= _limits(name, policy.normalizer.qpos, slice(first, first + width))
        first += width
    return state | _limits("action", policy.normalizer.action, slice(None))


def _limits(name: str, part: Any, which: slice) -> State:
    scale = 2 / (part.max[which] - part.min[which])
    return _scale(name, scale, -1 - scale * part.min[which])


def _scale(name: str, scale: torch.Tensor, offset: torch.Tensor) -> State:
    stats = {f"input_stats.{kind}": torch.zeros_like(scale) for kind in ("min", "max", "mean", "std")}
    return {f"normalizer.params_dict.{name}.{key}": v for key, v in {"scale": scale, "offset": offset, **stats}.items()}

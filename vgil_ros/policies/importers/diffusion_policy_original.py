"""Diffusion Policy's own `.ckpt` (real-stanford): weights and normaliser out of its state dicts, the rest from a YAML.

The file also holds the configuration and more as pickled objects, which are never opened. What is read is the image
policy with a convolutional U-Net under a global condition (`DiffusionUnetImagePolicy`): a ResNet for each camera, or
one for all, with the mean of its map as feature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vgil_ros.core.config import load_yaml
from vgil_ros.policies.config import CameraSpec, ImageNormalization, Normalization, VectorNormalization
from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.diffusion.policy import DiffusionPolicy
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.inert_pickle import StoredTensor, TensorArchive
from vgil_ros.policies.importers.state import Imported, fill_policy, make_config, need, rename, which_resnet
from vgil_ros.policies.importers.unet_keys import ORIGINAL, infer_unet, state_first, unet_rules
from vgil_ros.policies.normalizer import IMAGENET_MEAN, IMAGENET_STD, Normalizer

_DEPTH = 8  # a reference that leads to a reference ...


class ForeignYaml:
    """Values by dotted name."""

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            CheckpointError: it cannot be read, or is no mapping.
        """
        self.path = path
        self._tree = load_yaml(path, CheckpointError)
        if not isinstance(self._tree, dict):
            raise CheckpointError(f"{path}: found a {type(self._tree).__name__}, allowed is a mapping")

    def get(self, name: str, default: object = None) -> Any:
        """Give the value called `name`, or `default` where there is none."""
        try:
            return self._at(name, 0)
        except KeyError:
            return default

    def need(self, name: str) -> Any:
        """Give the value called `name`.

        Raises:
            CheckpointError: there is none.
        """
        try:
            return self._at(name, 0)
        except KeyError:
            raise CheckpointError(f"{self.path}: {name} is missing") from None

    def _at(self, name: str, depth: int) -> Any:
        value: Any = self._tree
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise KeyError(name)
            value = self._filled(value[part], depth)
        return value

    def _filled(self, value: Any, depth: int) -> Any:
        asked = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
        if asked is not None:
            if depth >= _DEPTH:
                raise CheckpointError(f"{self.path}: {value} leads in a circle")
            return self._at(asked[1], depth + 1)
        if isinstance(value, str) and "${" in value:
            raise CheckpointError(f"{self.path}: {value!r} would have to be computed: write the value there")
        return value


_KIND = "DiffusionUnetImagePolicy"
_UNET, _NETS, _SCALES = "model.", "obs_encoder.key_model_map.", "normalizer.params_dict."
_SCHEDULER = {
    "train_steps": "num_train_timesteps",
    "beta_schedule": "beta_schedule",
    "beta_start": "beta_start",
    "beta_end": "beta_end",
    "prediction_type": "prediction_type",
    "clip_sample": "clip_sample",
}


def import_diffusion_policy(
    path: Path, config_file: Path, cameras: Sequence[str] | None, robot: Mapping[str, object]
) -> Imported:
    """Make a diffusion policy, with the running mean of the weights where there is one.

    Args:
        path: the `.ckpt`; config_file: its configuration as YAML (`.hydra/config.yaml` of its run).
        cameras: must be those of the file, in its order, where given.
        robot: of the robot, as configuration values.

    Raises:
        CheckpointError: anything missing, unknown, mismatched or not supported.
    """
    where, yaml_config = str(path), ForeignYaml(config_file)
    target = str(yaml_config.need("policy._target_"))
    if not target.endswith("." + _KIND):
        raise CheckpointError(f"{config_file}: policy._target_ {target!r} is not supported, allowed is {_KIND}")
    part, state = _read(path)
    dropped = [key for key in state if key.endswith(("_dummy_variable", "num_batches_tracked"))]
    state = {key: value for key, value in state.items() if key not in dropped}
    names, vectors = _observed(yaml_config)
    if cameras is not None and list(cameras) != names:
        raise CheckpointError(f"{where}: its cameras are {names}, named were {list(cameras)}")
    scales, weights = _parted(state)
    normalizer = _normalizer(scales, names, vectors, imagenet=_flag(yaml_config, "imagenet_norm"), where=where)
    values = _values(weights, yaml_config, names, len(normalizer.qpos.min), where)
    values["normalization"] = normalizer.spec.model_dump()
    config = make_config(DiffusionConfig, {**values, **robot}, where)
    renamed = _renamed(weights, config, where)
    policy = fill_policy(DiffusionPolicy(config), renamed, normalizer, where)
    state_names = ", ".join(vectors)
    assumed = (f"weights: {part}", f"qpos is {state_names}", "images resized as torchvision did before 0.17")
    return Imported(policy, "diffusion_policy", tuple(dropped), assumed)


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Which state dict was taken, and its tensors."""
    archive = TensorArchive(path)
    try:
        content = archive.content
        dicts = content.get("state_dicts") if isinstance(content, dict) else None
        if not isinstance(dicts, dict) or not {"ema_model", "model"} & set(dicts):
            keys = sorted(map(str, dicts if isinstance(dicts, dict) else content if isinstance(content, dict) else ()))
            raise CheckpointError(f"{path}: found {keys[:8]}, allowed are state_dicts with model or ema_model")
        part = "ema_model" if "ema_model" in dicts else "model"
        stored = dicts[part]
        if not isinstance(stored, dict) or not all(isinstance(value, StoredTensor) for value in stored.values()):
            raise CheckpointError(f"{path}: {part} is not a state dict of tensors")
        return part, {str(key): archive.tensor(value) for key, value in stored.items()}
    finally:
        archive.close()


def _observed(yaml_config: ForeignYaml) -> tuple[list[str], list[str]]:
    """Names of cameras and of vectors, both sorted, as the encoder takes them."""
    names = yaml_config.need("shape_meta.obs")
    kinds = {name: yaml_config.get(f"shape_meta.obs.{name}.type", "low_dim") for name in names}
    unknown = sorted({str(kind) for kind in kinds.values()} - {"rgb", "low_dim"})
    if unknown:
        raise CheckpointError(
            f"{yaml_config.path}: observations of type {unknown} are not supported, allowed: rgb, low_dim"
        )
    return sorted(n for n, k in kinds.items() if k == "rgb"), sorted(n for n, k in kinds.items() if k == "low_dim")


def _parted(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Scales by name ("action.scale"), and the rest. What the scales were computed from is left away."""
    scales = {key.removeprefix(_SCALES): value for key, value in state.items() if key.startswith(_SCALES)}
    kept = {key: value for key, value in scales.items() if ".input_stats." not in key}
    return kept, {key: value for key, value in state.items() if not key.startswith(_SCALES)}


def _normalizer(
    scales: Mapping[str, Tensor], cameras: Sequence[str], vectors: Sequence[str], *, imagenet: bool, where: str
) -> Normalizer:
    """x scale + offset, as the range that it brings to [-1, 1]; for images, ImageNet's mean and std follow it."""
    qpos = [_range(scales, name, where) for name in vectors]
    if not qpos:
        raise CheckpointError(f"{where}: no low_dim observation: a policy without state is not supported")
    low, high = (np.concatenate(ends) for ends in zip(*qpos, strict=True))
    action = _range(scales, "action", where)
    images = []
    for name in cameras:
        least, most = (np.broadcast_to(end, 3) for end in _range(scales, name, where))
        half = (most - least) / 2
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if imagenet else ((0.0,) * 3, (1.0,) * 3)
        images.append((least + half + half * np.array(mean), half * np.array(std)))
    ranged = VectorNormalization(mode="min_max")
    spec = Normalization(qpos=ranged, action=ranged, images=ImageNormalization(mode="mean_std"))
    known = [*vectors, "action", *cameras]
    unknown = [key for key in scales if key.rpartition(".")[0] not in known]
    if unknown:
        raise CheckpointError(f"{where}: the normaliser knows {', '.join(unknown[:10])}, allowed are {known}")
    return Normalizer.from_statistics(
        spec,
        {"min": low, "max": high},
        dict(zip(("min", "max"), action, strict=True)),
        len(cameras),
        np.stack([mean for mean, _ in images]) if images else None,
        np.stack([std for _, std in images]) if images else None,
    )


def _range(scales: Mapping[str, Tensor], name: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(least, largest) that go to -1 and 1."""
    scale, offset = (need(scales, f"{name}.{kind}", where).double().flatten().numpy() for kind in ("scale", "offset"))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise CheckpointError(f"{where}: the scale of {name} is not above zero")
    return (-1 - offset) / scale, (1 - offset) / scale


def _flag(yaml_config: ForeignYaml, name: str) -> bool:
    return bool(yaml_config.get(f"policy.obs_encoder.{name}", False))


def _values(
    state: Mapping[str, Tensor], yaml_config: ForeignYaml, names: Sequence[str], state_dim: int, where: str
) -> dict[str, object]:
    unet = infer_unet(state, _UNET, ORIGINAL, where)
    shared = _flag(yaml_config, "share_rgb_model")
    net = f"{_NETS}{'rgb' if shared or not names else names[0]}."
    crop, resize = (yaml_config.get(f"policy.obs_encoder.{name}_shape") for name in ("crop", "resize"))
    scheduler = str(yaml_config.need("policy.noise_scheduler._target_")).rpartition(".")[2]
    latency = yaml_config.get("n_latency_steps", 0)
    if latency:
        raise CheckpointError(f"{yaml_config.path}: n_latency_steps = {latency}, allowed is 0")
    sized = {name: yaml_config.need(f"shape_meta.obs.{name}.shape") for name in names}
    return {
        **unet.settings(),
        **{ours: yaml_config.need(f"policy.noise_scheduler.{theirs}") for ours, theirs in _SCHEDULER.items()},
        "scheduler": scheduler.removesuffix("Scheduler"),
        "set_alpha_to_one": yaml_config.get("policy.noise_scheduler.set_alpha_to_one", True),
        "steps_offset": yaml_config.get("policy.noise_scheduler.steps_offset", 0),
        "inference_steps": yaml_config.get("policy.num_inference_steps"),
        "state_dim": state_dim,
        "cameras": [CameraSpec(name=n, height=s[1], width=s[2]).model_dump() for n, s in sized.items()],
        "n_obs_steps": yaml_config.need("n_obs_steps"),
        "horizon": yaml_config.need("horizon"),
        "n_action_steps": yaml_config.get("n_action_steps"),
        "n_groups": yaml_config.get("policy.n_groups", 8),
        "backbone": which_resnet((k.removeprefix(net) for k in state if k.startswith(net)), where),
        "backbone_norm": "frozen" if f"{net}bn1.running_mean" in state else "group",
        "pooling": "average",
        "shared_encoder": shared,
        "resize": resize,
        "resize_antialias": False,
        # without random_crop the original's crop is overwritten before it is used
        "crop": crop if yaml_config.get("policy.obs_encoder.random_crop", True) else None,
        "source": "diffusion_policy",
    }


def _renamed(state: Mapping[str, Tensor], config: DiffusionConfig, where: str) -> dict[str, Tensor]:
    rules = unet_rules(_UNET, len(config.down_dims), ORIGINAL)
    nets = ["rgb"] if config.shared_encoder else config.camera_names
    rules |= {f"{_NETS}{name}.": f"encoders.{index}.backbone." for index, name in enumerate(nets)}
    weights = rename(state, rules, where)
    width = _feature_width(weights)
    before = [width] * len(config.cameras)
    state_first(weights, config.step_embed_dim, config.n_obs_steps, before, config.state_dim)
    return weights


def _feature_width(weights: Mapping[str, Tensor]) -> int:
    """Channels of the backbone's last block."""
    last = [key for key in weights if re.fullmatch(r"encoders\.0\.backbone\.layer4\.\d+\.conv\d\.weight", key)]
    return int(weights[max(last)].shape[0]) if last else 0

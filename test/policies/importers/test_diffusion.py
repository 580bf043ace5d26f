"""Diffusion checkpoints of act-plus-plus and Diffusion Policy: the same chunk comes out, and what is refused."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from support.policies import peers, peers_diffusion
from support.policies.peers_diffusion import CAMERAS, act_plus_plus, made
from torchvision.transforms import functional as V

from vgil_ros.policies import CheckpointError, load_policy
from vgil_ros.policies.diffusion import DiffusionPolicy
from vgil_ros.policies.importers import import_checkpoint
from vgil_ros.policies.normalizer import IMAGENET_MEAN, IMAGENET_STD


def observation(policy: DiffusionPolicy, steps: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    config = policy.config

    def seen(*lead: int) -> dict[str, Any]:
        images = {
            c.name: random.integers(0, 256, (*lead, c.height or 0, c.width or 0, 3), dtype=np.uint8)
            for c in config.cameras
        }
        return {"qpos": random.normal(size=(*lead, config.state_dim)).astype(np.float32), "images": images}

    noise = torch.from_numpy(random.normal(size=(1, config.horizon, config.action_dim)).astype(np.float32))
    past = {"past": {**seen(1, steps - 1), "known": np.ones((1, steps - 1), bool)}} if steps > 1 else {}
    return {**seen(1), **past, "noise": noise}


def assert_agree(found: DiffusionPolicy, wanted: DiffusionPolicy, steps: int) -> None:
    one = observation(wanted, steps)
    with torch.no_grad():
        torch.testing.assert_close(found.condition(one), wanted.condition(one), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.predict_chunk(one), wanted.predict_chunk(one), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("ema", "sized"), [(True, True), (False, False)])
def test_act_plus_plus(tmp_path: Path, ema: bool, sized: bool) -> None:
    theirs = act_plus_plus()
    ckpt = peers_diffusion.write_act_plus_plus(tmp_path / "peer", theirs, (5, 10), ema=ema)
    sizes = dict.fromkeys(CAMERAS, (160, 320)) if sized else {}
    report = import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS, horizon=8, image_sizes=sizes)
    ours = load_policy(report.directory)
    assert isinstance(ours, DiffusionPolicy)
    assert (report.source_format, report.assumed[0]) == (
        "act-plus-plus diffusion",
        "weights: ema" if ema else "weights: nets",
    )
    assert ("of 160 x 320" in report.assumed[1]) == (not sized)
    assert_agree(ours, theirs, 1)
    # its own way with images: in [0, 1], the middle 95 %, back to the camera's size
    image = observation(theirs, 1)["images"]["cam_high"]
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2) / 255
    expected = V.resize(pixels[..., 4:156, 8:312], [160, 320], antialias=True)
    found = ours.model.scaled(torch.from_numpy(image)[:, None], ours.normalizer, 0)[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


BOTH: dict[str, Any] = {"cameras": CAMERAS, "horizon": 8}  # what the file does not tell
BIAS = "policy.noise_pred_net.mid_modules.0.blocks.0.block.0.bias"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("cameras and their order, horizon are not stored", {}),
        ("horizon are not stored", {"cameras": CAMERAS}),
        ("holds 2 backbones, 1 cameras named", {**BOTH, "cameras": CAMERAS[:1]}),
        (
            r"gives a map of \(15, 20\), its keypoints were trained on \(5, 10\)",
            {**BOTH, "image_sizes": {"cam_high": (480, 640)}},
        ),
        ("not a multiple of 2", {**BOTH, "horizon": 7}),
        (r"statistics .* do not exist", {**BOTH, "stats": Path("none.pkl")}),
    ],
)
def test_act_plus_plus_that_is_told_wrong_things(tmp_path: Path, words: str, given: dict[str, Any]) -> None:
    ckpt = peers_diffusion.write_act_plus_plus(tmp_path / "peer", act_plus_plus(), (5, 10))
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(ckpt, tmp_path / "ours", **given)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("words", "change"),
    [
        (r"missing: unet\.mid\.0\.conv1\.bias", lambda s: {k: v for k, v in s.items() if k != BIAS}),
        (r"unknown keys vq\.weight", lambda s: {**s, "policy.vq.weight": torch.zeros(1)}),
        (r"unknown keys other\.weight", lambda s: {**s, "other.weight": torch.zeros(1)}),
        (r"unet\.mid\.0\.conv1\.bias has shape \(1,\)", lambda s: {**s, BIAS: torch.zeros(1)}),
    ],
)
def test_act_plus_plus_with_wrong_weights(tmp_path: Path, words: str, change: Callable[[Any], Any]) -> None:
    ckpt = peers_diffusion.write_act_plus_plus(tmp_path / "peer", act_plus_plus(), (5, 10))
    content = torch.load(ckpt, weights_only=True)
    torch.save({**content, "ema": change(content["ema"])}, ckpt)
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(ckpt, tmp_path / "ours", **BOTH)
    assert not (tmp_path / "ours").exists()


YAML = """
horizon: 8
n_obs_steps: 2
n_action_steps: 4
n_latency_steps: 0
shape_meta: ${task.shape_meta}
task:
  image_shape: [3, 48, 64]
  shape_meta:
    obs:
      camera_1: {shape: "${task.image_shape}", type: rgb}
      camera_0: {shape: "${task.image_shape}", type: rgb}
      robot: {shape: [4], type: low_dim}
      gripper: {shape: [1]}
    action: {shape: [7]}
policy:
  _target_: diffusion_policy.policy.diffusion_unet_image_policy.DiffusionUnetImagePolicy
  horizon: ${horizon}
  n_action_steps: ${eval:'${n_action_steps}+${n_latency_steps}'}
  num_inference_steps: 5
  n_groups: 8
  noise_scheduler:
    _target_: diffusers.schedulers.scheduling_ddim.DDIMScheduler
    num_train_timesteps: 20
    beta_start: 0.0001
    beta_end: 0.02
    beta_schedule: squaredcos_cap_v2
    clip_sample: true
    set_alpha_to_one: true
    steps_offset: 0
    prediction_type: epsilon
  obs_encoder: {resize_shape: [40, 52], crop_shape: [36, 48], random_crop: true, imagenet_norm: true}
"""


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._path,)


def diffusion_policy() -> DiffusionPolicy:
    mean, std = (np.array(values) for values in (IMAGENET_MEAN, IMAGENET_STD))
    policy = made(
        [{"name": name, "height": 48, "width": 64} for name in ("camera_0", "camera_1")],
        n_obs_steps=2,
        horizon=8,
        train_steps=20,
        inference_steps=5,
        resize=[40, 52],
        crop=[36, 48],
        resize_antialias=False,
        pooling="average",
        normalization={"qpos": {"mode": "min_max"}, "action": {"mode": "min_max"}, "images": {"mode": "unit"}},
    )
    policy.normalizer.image_mean.copy_(torch.from_numpy((mean + 1) / 2).float())
    policy.normalizer.image_std.copy_(torch.from_numpy(std / 2).float())
    return policy


def write_diffusion_policy(folder: Path, state: dict[str, torch.Tensor], part: str = "ema_model") -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    payload = {
        "cfg": Trap(folder / "sprung"),
        "state_dicts": {
            "model": OrderedDict((key, torch.zeros_like(value)) for key, value in state.items()),
            part: OrderedDict(state),
            "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 1)}]},
        },
        "pickles": {"global_step": b"\x80\x04K\x05."},
    }
    torch.save(payload, folder / "latest.ckpt")
    (folder / "config.yaml").write_text(YAML)
    return folder / "latest.ckpt", folder / "config.yaml"


def theirs_state(policy: DiffusionPolicy) -> dict[str, torch.Tensor]:
    return peers_diffusion.diffusion_policy_state(policy, ["camera_0", "camera_1"], {"gripper": 1, "robot": 4})


def test_diffusion_policys_own(tmp_path: Path) -> None:
    theirs = diffusion_policy()
    ckpt, config = write_diffusion_policy(tmp_path / "peer", theirs_state(theirs))
    report = import_checkpoint(ckpt, tmp_path / "ours", config=config)
    assert not (tmp_path / "peer" / "sprung").exists(), "nothing in the file was run"
    ours = load_policy(report.directory)
    assert isinstance(ours, DiffusionPolicy)
    assert "weights: ema_model" in report.assumed
    assert "qpos is gripper, robot" in report.assumed
    assert (ours.config.n_action_steps, ours.config.chunk_size) == (4, 7)
    assert_agree(ours, theirs, 2)
    # its own way with images: to [-1, 1], resized, cropped, then ImageNet's mean and std as if they were in [0, 1]
    image = observation(theirs, 2)["images"]["camera_0"]
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2) / 255 * 2 - 1
    small = torch.nn.functional.interpolate(pixels, (40, 52), mode="bilinear", align_corners=False)
    expected = V.normalize(V.center_crop(small, [36, 48]), list(IMAGENET_MEAN), list(IMAGENET_STD))
    found = ours.model.scaled(torch.from_numpy(image)[:, None], ours.normalizer, 0)[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def assert_refused(folder: Path, ckpt: Path, words: str, **given: Any) -> None:
    """The file is refused with these words, nothing is written, and nothing in it was run."""
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(ckpt, folder / "ours", **given)
    assert not (folder / "ours").exists()
    assert not (folder / "peer" / "sprung").exists()


def test_diffusion_policys_own_without_its_configuration(tmp_path: Path) -> None:
    ckpt, _ = write_diffusion_policy(tmp_path / "peer", theirs_state(diffusion_policy()))
    assert_refused(tmp_path, ckpt, "name the YAML of its configuration", cameras=CAMERAS)


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        ("horizon is missing", "\nhorizon: 8", "\n"),
        ("num_train_timesteps is missing", "num_train_timesteps: 20", "other: 20"),
        (
            "DiffusionUnetHybridImagePolicy' is not supported",
            "DiffusionUnetImagePolicy",
            "DiffusionUnetHybridImagePolicy",
        ),
        ("n_latency_steps = 1, allowed is 0", "n_latency_steps: 0", "n_latency_steps: 1"),
        ("would have to be computed", "\nhorizon: 8", "\nhorizon: ${eval:'4+4'}"),
        ("leads in a circle", "\nhorizon: 8", "\nhorizon: ${horizon}"),
        (r"of type \['depth'\] are not supported", "gripper: {shape: [1]}", "gripper: {shape: [1], type: depth}"),
        (r"missing key gripper2\.scale", "gripper:", "gripper2:"),
        ("policy._target_ is missing", "_target_: diffusion_policy", "target: diffusion_policy"),
        ("scheduler: found", "DDIMScheduler", "PNDMScheduler"),
    ],
)
def test_diffusion_policys_own_with_a_wrong_configuration(tmp_path: Path, words: str, old: str, new: str) -> None:
    ckpt, config = write_diffusion_policy(tmp_path / "peer", theirs_state(diffusion_policy()))
    assert old in YAML
    config.write_text(YAML.replace(old, new))
    assert_refused(tmp_path, ckpt, words, config=config)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        (r"unknown keys model\.surprise", lambda s: {**s, "model.surprise": torch.zeros(1)}),
        (
            r"normaliser knows lidar\.scale",
            lambda s: {**s, "normalizer.params_dict.lidar.scale": torch.ones(1)},
        ),
        (
            r"missing: unet\.head\.bias",
            lambda s: {k: v for k, v in s.items() if k != "model.final_conv.1.bias"},
        ),
        (
            "scale of action is not above zero",
            lambda s: {**s, "normalizer.params_dict.action.scale": torch.zeros(7)},
        ),
    ],
)
def test_diffusion_policys_own_with_wrong_weights(tmp_path: Path, words: str, change: Callable[[Any], Any]) -> None:
    ckpt, config = write_diffusion_policy(tmp_path / "peer", change(theirs_state(diffusion_policy())))
    assert_refused(tmp_path, ckpt, words, config=config)


def test_diffusion_policys_own_cut_short(tmp_path: Path) -> None:
    ckpt, config = write_diffusion_policy(tmp_path / "peer", theirs_state(diffusion_policy()))
    ckpt.write_bytes(ckpt.read_bytes()[:1000])
    assert_refused(tmp_path, ckpt, "is a damaged archive", config=config)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("horizon", 15, "not a multiple of 2"),
        ("down_dims", [32, 48], r"has shape \(64,"),
        ("use_group_norm", False, r"missing: encoders\.0\.backbone\.bn1\.running_mean"),
        ("noise_scheduler_type", "DPM", "scheduler: found 'DPM'; allowed"),
        ("use_separate_rgb_encoder_per_camera", True, r"unknown keys rgb_encoder\.backbone"),
        ("normalization_mapping", {"VISUAL": "MEAN_STD", "STATE": "MIN_MAX", "ACTION": "IDENTITY"}, "clip_sample cuts"),
    ],
)
def test_lerobot_settings_that_do_not_fit(tmp_path: Path, key: str, value: Any, words: str) -> None:
    folder = peers.write_lerobot(tmp_path / "peer", "diffusion_lerobot")
    path = folder / "config.json"
    values = peers.json.loads(path.read_text())
    path.write_text(peers.json.dumps({**values, key: value}))
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_lerobot_statistics_that_are_missing(tmp_path: Path) -> None:
    folder = peers.write_lerobot(tmp_path / "peer", "diffusion_lerobot")
    file = folder / "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
    save_file({key: value for key, value in load_file(file).items() if key != "action.min"}, file)
    with pytest.raises(CheckpointError, match=r"statistic action\.min is missing"):
        import_checkpoint(folder, tmp_path / "ours")

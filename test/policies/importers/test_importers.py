"""Variants of the peers' formats, and everything that an importer must refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from support.policies import peers

from vgil_ros.policies import CheckpointError, load_policy
from vgil_ros.policies.act import ActConfig
from vgil_ros.policies.importers import import_checkpoint

CAMERAS = ["cam_high", "cam_left_wrist"]
State = dict[str, torch.Tensor]
PREPROCESSOR = "policy_preprocessor_step_3_normalizer_processor.safetensors"
POSTPROCESSOR = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"


def original() -> State:
    return {key: torch.from_numpy(value) for key, value in peers.weights("act_original").items()}


def one_backbone_each(state: State) -> State:
    first = "model.backbones.0."
    second = {"model.backbones.1." + k.removeprefix(first): v for k, v in state.items() if k.startswith(first)}
    return {**state, **second}


def cobot_magic(state: State) -> State:
    """No padding head, a backbone for each camera, positions of latent and state under names of their own."""
    state = one_backbone_each({k: v for k, v in state.items() if not k.startswith("model.is_pad_head")})
    both = state.pop("model.additional_pos_embed.weight")
    return {**state, "model.latent_pos.weight": both[:1].clone(), "model.robot_state_pos.weight": both[1:].clone()}


def without_encoder(state: State) -> State:
    """act-plus-plus's `no_encoder`: the CVAE encoder is gone, its neighbours are left."""
    return one_backbone_each({k: v for k, v in state.items() if not k.startswith("model.encoder.")})


def cobot_without_kl(state: State) -> State:
    parts = ("encoder.", "cls_embed.", "encoder_action_proj.", "encoder_joint_proj.", "latent_proj.", "pos_table")
    return cobot_magic({k: v for k, v in state.items() if not k.removeprefix("model.").startswith(parts)})


@pytest.mark.parametrize(
    ("variant", "name", "cvae"),
    [
        (one_backbone_each, "act-plus-plus", 2),
        (cobot_magic, "cobot_magic", 2),
        (without_encoder, "act-plus-plus", 0),
        (cobot_without_kl, "cobot_magic", 0),
    ],
)
def test_variants_give_the_original_actions(tmp_path: Path, variant: Any, name: str, cvae: int) -> None:
    ckpt = peers.write_ckpt(tmp_path / "peer", variant(original()), peers.original_stats(), numpy_major=1)
    sizes = dict.fromkeys(CAMERAS, (96, 128))
    joints = [f"left/{i}" for i in range(14)]
    report = import_checkpoint(
        ckpt, tmp_path / "ours", cameras=CAMERAS, image_sizes=sizes, joint_names=joints, rate_hz=50
    )
    assert report.source_format == name
    assert isinstance(report.config, ActConfig)
    assert report.config.cvae_layers == cvae
    assert report.config.pad_head == (name != "cobot_magic")
    assert not report.config.shared_backbone
    policy = load_policy(report.directory)
    assert (policy.config.rate_hz, list(policy.config.joint_names)) == (50, joints)
    found = policy.predict_chunk(peers.observation("act_original")).numpy()
    assert np.abs(found - peers.arrays("act_original")["action"]).max() < 1e-4


def test_each_camera_gets_its_own_backbone(tmp_path: Path) -> None:
    state = one_backbone_each(original())
    state["model.backbones.1.0.body.conv1.weight"] = state["model.backbones.1.0.body.conv1.weight"] * 0.3
    ckpt = peers.write_ckpt(tmp_path / "peer", state, peers.original_stats())
    chunks = []
    for order in (CAMERAS, CAMERAS[::-1]):
        policy = load_policy(import_checkpoint(ckpt, tmp_path / order[0], cameras=order).directory)
        chunks.append(policy.predict_chunk(peers.observation("act_original")))
    assert not torch.allclose(chunks[0], chunks[1], atol=1e-3)


def drop(key: str) -> Any:
    return lambda state: {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("model.action_head.weight"), "missing key action_head.weight"),
        (drop("model.transformer.encoder.layers.1.norm2.bias"), r"missing: encoder\.layers\.1\.norm2\.bias"),
        (drop("model.backbones.0.0.body.bn1.running_var"), r"missing: backbones\.0\.bn1\.running_var"),
        (lambda s: {**s, "model.flow_proj.weight": torch.zeros(1)}, r"unknown keys flow_proj\.weight"),
        (lambda s: {**s, "optimizer": torch.zeros(1)}, "unknown keys optimizer"),
        (lambda s: {**s, "model.depth_backbones.0.conv1.weight": torch.zeros(1)}, "depth images are not supported"),
        (lambda s: {**s, "model.latent_out_proj.weight": torch.zeros(64, 64)}, "VQ latent is not supported"),
        (lambda s: {**s, "model.action_head.bias": torch.zeros(3)}, r"action_head\.bias has shape \(3,\)"),
        (drop("model.backbones.0.0.body.layer4.1.conv1.weight"), "backbone with blocks"),
        (lambda s: [s], "allowed is a state dict"),
        (lambda s: {"ema": s, "epoch": 3}, r"found \['ema', 'epoch'\], .*under one of \['model'"),
    ],
)
def test_wrong_weights_are_refused(tmp_path: Path, change: Any, words: str) -> None:
    ckpt = peers.write_ckpt(tmp_path / "peer", change(original()), peers.original_stats())
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("action_std"), r"missing action_std, found \['action_mean'"),
        (lambda s: {**s, "qpos_mean": s["qpos_mean"][:7]}, r"qpos_mean has shape \(7,\), the weights need \(14,\)"),
        (lambda s: {**s, "action_std": s["action_std"] * 0}, "not above zero at index"),
        (lambda s: {**s, "action_mean": s["action_mean"] * np.nan}, "mean is not set or not finite"),
    ],
)
def test_wrong_statistics_are_refused(tmp_path: Path, change: Any, words: str) -> None:
    ckpt = peers.write_ckpt(tmp_path / "peer", original(), change(peers.original_stats()))
    with pytest.raises(Exception, match=words):
        import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS)
    assert not (tmp_path / "ours").exists()


def test_what_the_file_cannot_tell_is_asked_for(tmp_path: Path) -> None:
    ckpt = peers.write_original(tmp_path / "peer")
    with pytest.raises(CheckpointError, match="cameras and their order are not stored"):
        import_checkpoint(ckpt, tmp_path / "ours")
    with pytest.raises(CheckpointError, match="not divisible by heads 7"):
        import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS, heads=7)
    with pytest.raises(CheckpointError, match="1 joint_names for state_dim 14"):
        import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS, joint_names=["a"])
    with pytest.raises(CheckpointError, match="does not exist"):
        import_checkpoint(tmp_path / "nothing.ckpt", tmp_path / "ours", cameras=CAMERAS)
    two = peers.write_ckpt(tmp_path / "two", one_backbone_each(original()), peers.original_stats())
    with pytest.raises(CheckpointError, match="holds 2 backbones, 3 cameras named"):
        import_checkpoint(two, tmp_path / "ours", cameras=[*CAMERAS, "cam_low"])
    (ckpt.parent / "dataset_stats.pkl").rename(tmp_path / "elsewhere.pkl")
    with pytest.raises(CheckpointError, match=r"dataset_stats\.pkl do not exist"):
        import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS)
    import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS, stats=tmp_path / "elsewhere.pkl")


def edit_json(path: Path, change: Any) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("type", "tdmpc", r"policy type 'tdmpc', allowed are \['act', 'diffusion', 'smolvla'\]"),
        ("type", "diffusion", "config.json lacks horizon"),
        ("n_obs_steps", 2, "n_obs_steps = 2, allowed is 1"),
        ("replace_final_stride_with_dilation", True, "replace_final_stride_with_dilation"),
        ("feedforward_activation", "glu", "activation"),
        ("normalization_mapping", {"VISUAL": "MEAN_STD", "STATE": "QUANTILES", "ACTION": "MEAN_STD"}, "QUANTILES"),
        ("normalization_mapping", {"VISUAL": "MEAN_STD", "ACTION": "MEAN_STD"}, "normalised by missing"),
        ("chunk_size", 13, r"query_embed\.weight has shape"),
        ("n_decoder_layers", 2, r"missing: decoder\.layers\.1"),
        ("use_vae", False, r"unknown: cvae\."),
        ("input_features", {"observation.environment_state": {"type": "ENV", "shape": [3]}}, "not supported"),
    ],
)
def test_lerobot_settings_that_do_not_fit(tmp_path: Path, key: str, value: Any, words: str) -> None:
    folder = peers.write_lerobot(tmp_path / "peer")
    edit_json(folder / "config.json", lambda values: values.update({key: value}))
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_what_lerobot_lists_and_does_not_look_at_is_left_out_in_words(tmp_path: Path) -> None:
    """LeRobot takes each `observation.*` of a data set into the features, as of one converted by `vgil dataset`."""
    folder = peers.write_lerobot(tmp_path / "peer")
    more = {name: {"type": "STATE", "shape": [5]} for name in ("observation.velocity", "observation.sync.skew_ms")}
    edit_json(folder / "config.json", lambda values: values["input_features"].update(more))
    stats = load_file(folder / PREPROCESSOR)
    for name in more:
        stats |= {f"{name}.mean": np.zeros(5, np.float32), f"{name}.std": np.ones(5, np.float32)}
    save_file(stats, folder / PREPROCESSOR)
    report = import_checkpoint(folder, tmp_path / "ours")
    assert any("not read" in words and all(name in words for name in more) for words in report.assumed)
    found = load_policy(report.directory).predict_chunk(peers.observation("act_lerobot")).numpy()
    assert np.abs(found - peers.arrays("act_lerobot")["action"]).max() < 1e-4


@pytest.mark.parametrize(
    ("file", "key"),
    [
        (PREPROCESSOR, "observation.state.std"),
        (PREPROCESSOR, "observation.images.cam_left_wrist.mean"),
        (POSTPROCESSOR, "action.mean"),
    ],
)
def test_lerobot_statistics_that_are_missing(tmp_path: Path, file: str, key: str) -> None:
    folder = peers.write_lerobot(tmp_path / "peer")
    stats = load_file(folder / file)
    whole = stats.pop(key)
    save_file(stats, folder / file)
    with pytest.raises(CheckpointError, match=f"statistic {key} is missing"):
        import_checkpoint(folder, tmp_path / "ours")
    save_file({**stats, key: np.full_like(whole, np.inf)}, folder / file)
    with pytest.raises(CheckpointError, match=f"statistic {key} is not finite"):
        import_checkpoint(folder, tmp_path / "ours")
    save_file({**stats, key: whole[:2].copy()}, folder / file)
    with pytest.raises(CheckpointError, match=f"statistic {key} has shape"):
        import_checkpoint(folder, tmp_path / "ours")
    (folder / file).unlink()
    with pytest.raises(CheckpointError, match="does not exist: statistics are missing"):
        import_checkpoint(folder, tmp_path / "ours")


def test_lerobot_processors_that_are_missing_or_unknown(tmp_path: Path) -> None:
    folder = peers.write_lerobot(tmp_path / "peer")
    with pytest.raises(CheckpointError, match="its cameras are"):
        import_checkpoint(folder, tmp_path / "ours", cameras=CAMERAS[::-1])
    edit_json(folder / "policy_preprocessor.json", lambda v: v["steps"].append({"registry_name": "crop_processor"}))
    with pytest.raises(CheckpointError, match=r"unknown steps \['crop_processor'\]"):
        import_checkpoint(folder, tmp_path / "ours")
    (folder / "policy_preprocessor.json").unlink()
    with pytest.raises(CheckpointError, match="actions have no units"):
        import_checkpoint(folder, tmp_path / "ours")


def test_how_lerobot_plays_is_kept(tmp_path: Path) -> None:
    for name, values, expected in (
        ("steps", {"n_action_steps": 5, "temporal_ensemble_coeff": None}, ("open_loop", 5, None)),
        ("ensemble", {"n_action_steps": 1, "temporal_ensemble_coeff": 0.05}, ("temporal_ensemble", None, 0.05)),
    ):
        folder = peers.write_lerobot(tmp_path / name)
        edit_json(folder / "config.json", lambda config, values=values: config.update(values))
        kept = load_policy(import_checkpoint(folder, tmp_path / f"our_{name}").directory).config.execution
        assert kept is not None
        assert (kept.mode, kept.inference_period, kept.ensemble_coefficient) == expected


def test_a_moving_average_of_lerobots_first_releases_is_played_as_usual_and_said(tmp_path: Path) -> None:
    folder = peers.write_lerobot(tmp_path / "peer")
    edit_json(folder / "config.json", lambda v: v.pop("temporal_ensemble_coeff", None))
    edit_json(folder / "config.json", lambda v: v.update(n_action_steps=1, temporal_ensemble_momentum=0.9))
    report = import_checkpoint(folder, tmp_path / "ours")
    assert load_policy(report.directory).config.execution is None
    assert any("temporal_ensemble_momentum = 0.9 there, a moving average" in word for word in report.assumed)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "is a Git LFS pointer"),
        (b"\x20\0\0\0\0\0\0\0{", "cannot be read"),
    ],
)
def test_lerobot_statistics_that_are_damaged(tmp_path: Path, content: bytes, words: str) -> None:
    folder = peers.write_lerobot(tmp_path / "peer")
    (folder / PREPROCESSOR).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{PREPROCESSOR} {words}"):
        import_checkpoint(folder, tmp_path / "ours")


def test_lerobot_cameras_that_were_renamed_keep_their_first_name(tmp_path: Path) -> None:
    folder = peers.write_lerobot(tmp_path / "peer")
    renamed = {"observation.images.front": "observation.images.cam_high"}

    def rename(values: dict[str, Any]) -> None:
        values["steps"] = [
            {"registry_name": "rename_observations_processor", "config": {"rename_map": renamed}},
            *(s for s in values["steps"] if s["registry_name"] != "rename_observations_processor"),
        ]

    edit_json(folder / "policy_preprocessor.json", rename)
    report = import_checkpoint(folder, tmp_path / "ours")
    assert "camera cam_high is what was called front there" in report.assumed
    cameras = load_policy(report.directory).config.cameras
    assert [(c.name, c.source_name) for c in cameras] == [("cam_high", "front"), ("cam_left_wrist", None)]


def wrapped(prefix: str) -> Any:
    return lambda state: {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize(
    "change",
    [
        wrapped("module."),
        wrapped("_orig_mod."),
        lambda s: {key.removeprefix("model."): value for key, value in s.items()},
        lambda s: {key.replace("model.", "model.module.", 1): value for key, value in s.items()},
        lambda s: {key.replace("model.", "model._orig_mod.", 1): value for key, value in s.items()},
        lambda s: {"state_dict": s, "epoch": 10},
        lambda s: {"model": s, "optimizer": {}, "epoch": 10},
        lambda s: {"epoch": 5, "model_state_dict": s, "optimizer_state_dict": {"state": {}, "param_groups": []}},
    ],
)
def test_what_training_puts_around_weights_is_taken_off(tmp_path: Path, change: Any) -> None:
    plain = peers.write_ckpt(tmp_path / "plain", original(), peers.original_stats())
    ckpt = peers.write_ckpt(tmp_path / "peer", change(original()), peers.original_stats())
    ours, theirs = (
        load_policy(import_checkpoint(path, tmp_path / f"ours_{path.parent.name}", cameras=CAMERAS).directory)
        for path in (ckpt, plain)
    )
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in ours.state_dict().items())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n", "Git LFS pointer.*git lfs pull"),
        (b"<!DOCTYPE html><html>Not found</html>", "is a web page"),
        (b"PK\x03\x04 cut short", "is a damaged archive"),
        (b"junk", "cannot be read as weights alone|refused"),
    ],
)
@pytest.mark.parametrize("file", ["policy_best.ckpt", "dataset_stats.pkl", "model.safetensors", "policy.json"])
def test_what_is_no_file_of_weights_is_called_what_it_is(tmp_path: Path, content: bytes, words: str, file: str) -> None:
    ckpt = peers.write_ckpt(tmp_path / "peer", original(), peers.original_stats())
    made = import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS).directory
    binary = content.startswith((b"PK", b"junk"))
    if file in ("model.safetensors", "policy.json"):
        (made / file).write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{file}.* (cannot be read|not readable|is)" if binary else words):
            load_policy(made)
        return
    target = next(path for path in ckpt.parent.iterdir() if path.name == file or (path == ckpt and "ckpt" in file))
    target.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read|refused|damaged" if binary else words) as caught:
        import_checkpoint(ckpt, tmp_path / "again", cameras=CAMERAS)
    assert "weights_only" not in str(caught.value)


def test_a_folder_that_is_none_names_what_lies_in_it(tmp_path: Path) -> None:
    ckpt = peers.write_original(tmp_path / "peer")
    with pytest.raises(CheckpointError, match=rf"holds no config\.json.*name what lies in it: .*{ckpt.name}"):
        import_checkpoint(ckpt.parent, tmp_path / "ours")
    peers.write_lerobot(tmp_path / "last" / "pretrained_model")
    with pytest.raises(CheckpointError, match=r"name what lies in it: .*pretrained_model"):
        import_checkpoint(tmp_path / "last", tmp_path / "ours")
    with pytest.raises(CheckpointError, match="another project's is made into one by `vgil checkpoint import`"):
        load_policy(ckpt.parent)


def test_statistics_with_more_in_them_and_in_other_shapes(tmp_path: Path) -> None:
    stats = peers.original_stats()
    odd: dict[str, Any] = {
        key: np.asarray(value)[None] if key == "qpos_mean" else value for key, value in stats.items()
    }
    odd |= {"action_std": np.asarray(stats["action_std"]).tolist(), "dataset_path": "/data", "folder": Path("/data")}
    ours, theirs = (
        load_policy(
            import_checkpoint(
                peers.write_ckpt(tmp_path / name, original(), content), tmp_path / f"ours_{name}", cameras=CAMERAS
            ).directory
        )
        for name, content in (("odd", odd), ("plain", stats))
    )
    for key, value in ours.normalizer.state_dict().items():
        torch.testing.assert_close(value, theirs.normalizer.state_dict()[key])


def test_lerobot_other_scalings(tmp_path: Path) -> None:
    """min/max to [-1, 1] and identity give what their formulas say."""
    folder = peers.write_lerobot(tmp_path / "peer")
    modes = {"VISUAL": "IDENTITY", "STATE": "MIN_MAX", "ACTION": "MIN_MAX"}
    edit_json(folder / "config.json", lambda values: values.update(normalization_mapping=modes))
    low, high = np.linspace(-2, -1, 14, dtype=np.float32), np.linspace(1, 3, 14, dtype=np.float32)
    for file, feature in ((PREPROCESSOR, "observation.state"), (POSTPROCESSOR, "action")):
        stats = {**load_file(folder / file), f"{feature}.min": low, f"{feature}.max": high}
        save_file(stats, folder / file)
    policy = load_policy(import_checkpoint(folder, tmp_path / "ours").directory)
    x = np.random.default_rng(0).uniform(-2, 3, (5, 14)).astype(np.float32)
    normalised = policy.normalizer.qpos(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(normalised, 2 * (x - low) / (high - low) - 1, atol=1e-5)
    back = policy.normalizer.action.inverse(torch.from_numpy(normalised)).numpy()
    np.testing.assert_allclose(back, x, atol=1e-5)
    image = torch.randint(0, 256, (1, 4, 4, 3), dtype=torch.uint8)
    expected = image.permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(policy.normalizer.normalize_images(image, 0), expected)

"""What LeRobot 0.4 computed comes out again, from folders as it saves them; what cannot be is refused in words.

`scripts/make_smolvla_golden.py` made the golden files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.policies.smolvla import GOLDEN, VARIANTS, VLM, case, edit, observation, with_step, write_peer
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'vgil_ros[vla]'")

from vgil_ros.cli.checkpoint.commands import app
from vgil_ros.policies import CheckpointError, load_policy
from vgil_ros.policies.compatibility import RobotProfile, compare_with_contract
from vgil_ros.policies.importers import import_checkpoint
from vgil_ros.policies.smolvla import SmolVlaPolicy

TOLERANCE = 1e-5
ROUNDED = 0.05  # where LeRobot computes the vision-language model in bfloat16, we in float32


@pytest.mark.parametrize("variant", VARIANTS)
def test_lerobots_answers_come_out(tmp_path: Path, variant: str) -> None:
    """One by one and as a batch, from a kept prefix and from one that is encoded anew at every step."""
    report = import_checkpoint(write_peer(tmp_path / "peer", variant), tmp_path / "ours", vlm=VLM)
    policy = load_policy(report.directory)
    assert isinstance(policy, SmolVlaPolicy)
    seen, wanted = observation(), case()
    tolerance = ROUNDED if variant == "bfloat16" else TOLERANCE
    together = policy.predict_chunk(seen).numpy()
    for kind in ("single", "batch", "uncached"):
        np.testing.assert_allclose(together, wanted[f"{variant}.{kind}"], atol=tolerance, rtol=0, err_msg=kind)
    for row in (0, 1):
        images = {name: image[row : row + 1] for name, image in seen["images"].items()}
        one = {"qpos": seen["qpos"][row : row + 1], "images": images, "task": seen["task"][row]}
        chunk = policy.predict_chunk({**one, "noise": seen["noise"][row : row + 1]}).numpy()
        np.testing.assert_allclose(chunk[0], wanted[f"{variant}.single"][row], atol=tolerance, rtol=0)

    def anew(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return policy.model.field(x, t, policy.encode(seen))

    with torch.no_grad():
        uncached = policy.to_robot_units(policy.endpoint(anew, torch.from_numpy(seen["noise"]))).numpy()
    np.testing.assert_allclose(uncached, wanted[f"{variant}.uncached"], atol=tolerance, rtol=0)


def test_golden_answers_tell_faults_apart() -> None:
    """Two observations, and the variants, differ by far more than is tolerated; the two that must not, do not."""
    wanted = case()
    plain = wanted["plain.single"]
    assert np.abs(plain[0] - plain[1]).max() > 0.3
    for name in VARIANTS:
        gap = np.abs(wanted[f"{name}.single"] - plain).max()
        assert (gap > 0.1) == (name not in ("plain", "empty_cameras")), name


def test_what_was_imported_is_told(tmp_path: Path) -> None:
    empty = {"type": "VISUAL", "shape": [3, 480, 640]}
    peer = write_peer(tmp_path / "peer", "empty_cameras")
    edit(peer / "config.json", lambda values: _with_feature(values, "observation.images.empty_camera_0", empty))
    report = import_checkpoint(peer, tmp_path / "ours", vlm=VLM, rate_hz=30)
    config = report.config
    assert (config.camera_names, config.rate_hz, config.needs_task) == (("top", "wrist"), 30, True)
    assert config.execution is not None
    assert (config.execution.mode, config.execution.inference_period) == ("open_loop", 4)
    assert any("patches one place too low" in words for words in report.assumed)
    assert {key.rpartition(".")[0].rpartition("vlm.")[2] for key in report.dropped} == {
        "lm_head", "model.text_model.norm"
    }  # fmt: skip
    assert sorted(path.name for path in report.directory.iterdir()) == [
        "model.safetensors", "policy.json", "tokenizer.json"
    ]  # fmt: skip


def _with_feature(values: dict[str, Any], name: str, feature: Any) -> dict[str, Any]:
    values["input_features"][name] = feature
    return values


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_state_dim": 20}, "max_state_dim = 20, allowed is max_action_dim, 16"),
        ({"resize_imgs_with_padding": [64, 64]}, r"resize_imgs_with_padding = \[64, 64\], allowed is \[32, 32\]"),
        ({"resize_imgs_with_padding": None}, "resize_imgs_with_padding = None"),
        ({"num_vlm_layers": 4}, "num_vlm_layers = 4, allowed are the model's 3 or fewer"),
        ({"num_vlm_layers": 3}, r"missing: prefix\.vlm\.layers\.2"),
        ({"num_expert_layers": 1}, "num_expert_layers = 1, allowed is num_vlm_layers, 2"),
        ({"n_obs_steps": 2}, "n_obs_steps = 2, allowed is 1"),
        ({"use_peft": True}, "use_peft = True, allowed is False"),
        ({"self_attn_every_n_layers": 1}, r"mismatched: field\.layers\.1\.self_attn\.k_proj\.weight"),
        ({"normalization_mapping": {}}, "normalised by missing"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(write_peer(tmp_path / "peer", **changes), tmp_path / "ours", vlm=VLM)
    assert not (tmp_path / "ours").exists()


def test_statistics_under_another_name_are_refused(tmp_path: Path) -> None:
    """LeRobot passes such a feature through unscaled, without a word (its issue 4415)."""
    peer = write_peer(tmp_path / "peer")
    path = peer / "policy_preprocessor_step_5_normalizer_processor.safetensors"
    save_file({key.replace("observation.", "so100.buffer."): value for key, value in load_file(path).items()}, path)
    words = (
        r"statistic observation\.state\.mean is missing, found none of it, but of \['action', 'so100\.buffer\.state'\]"
    )
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(peer, tmp_path / "ours", vlm=VLM)
    path.unlink()
    with pytest.raises(CheckpointError, match="does not exist: statistics are missing"):
        import_checkpoint(peer, tmp_path / "ours", vlm=VLM)


def test_without_statistics_it_is_for_a_training_alone(tmp_path: Path) -> None:
    """The published base model has none of a robot."""
    peer = write_peer(tmp_path / "peer")
    (peer / "policy_preprocessor_step_5_normalizer_processor.safetensors").unlink()
    report = import_checkpoint(peer, tmp_path / "ours", vlm=VLM, scaled=False)
    robot = RobotProfile("any", {"top": (24, 40), "wrist": (32, 32)}, (), 14, 14, None, 30.0)
    assert compare_with_contract(report.config, robot) == [
        "statistics: it was imported without any, so its actions have no units; it is for `vgil train initial=` alone"
    ]
    scaled = import_checkpoint(write_peer(tmp_path / "whole"), tmp_path / "scaled", vlm=VLM)
    assert not compare_with_contract(scaled.config, robot)
    ours, theirs = load_policy(report.directory).state_dict(), load_policy(scaled.directory).state_dict()
    assert all(torch.equal(ours[key], value) for key, value in theirs.items() if not key.startswith("normalizer."))


def test_a_missing_file_of_the_vlm_is_named(tmp_path: Path) -> None:
    peer = write_peer(tmp_path / "peer")
    with pytest.raises(CheckpointError, match=r"vision-language model \(vlm\) are needed: name the folder .*--vlm DIR"):
        import_checkpoint(peer, tmp_path / "ours")
    vlm = tmp_path / "vlm"
    vlm.mkdir()
    with pytest.raises(CheckpointError, match=r"vlm/config\.json cannot be read"):
        import_checkpoint(peer, tmp_path / "ours", vlm=vlm)
    (vlm / "config.json").write_bytes((VLM / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"vlm/tokenizer\.json cannot be read \(No such file"):
        import_checkpoint(peer, tmp_path / "ours", vlm=vlm)
    (vlm / "tokenizer.json").write_bytes((VLM / "tokenizer.json").read_bytes())
    edit(vlm / "config.json", lambda values: {**values, "model_type": "llava"})
    with pytest.raises(CheckpointError, match="model_type = 'llava', allowed is 'smolvlm'"):
        import_checkpoint(peer, tmp_path / "ours", vlm=vlm)
    config = json.loads((VLM / "config.json").read_text())
    config["text_config"]["vocab_size"] = 299
    (vlm / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"mismatched: prefix\.vlm\.embed_tokens"):
        import_checkpoint(peer, tmp_path / "ours", vlm=vlm)


def test_processors_that_make_other_tokens_are_refused(tmp_path: Path) -> None:
    peer = write_peer(tmp_path / "peer")
    path = peer / "policy_preprocessor.json"
    edit(path, lambda values: with_step(values, 3, truncation=False))
    with pytest.raises(CheckpointError, match=r"tokenizer_processor is .* allowed: truncation"):
        import_checkpoint(peer, tmp_path / "ours", vlm=VLM)
    edit(path, lambda values: {**values, "steps": [s for i, s in enumerate(values["steps"]) if i != 2]})
    with pytest.raises(CheckpointError, match="lacks smolvla_new_line_processor"):
        import_checkpoint(peer, tmp_path / "ours", vlm=VLM)


def test_the_golden_folder_is_small() -> None:
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < 200_000


def test_the_command_tells_what_it_took(tmp_path: Path) -> None:
    peer, out = write_peer(tmp_path / "peer"), tmp_path / "ours"
    run = CliRunner().invoke(app, ["import", str(peer), "--out", str(out), "--vlm", str(VLM), "--rate-hz", "30"])
    assert run.exit_code == 0, run.output
    assert "sizes and tokenizer are those of" in " ".join(run.output.split())
    assert "type        smolvla" in CliRunner().invoke(app, ["show", str(out)]).output
    refused = CliRunner().invoke(app, ["import", str(peer), "--out", str(tmp_path / "other")])
    assert isinstance(refused.exception, CheckpointError)

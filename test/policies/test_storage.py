"""Weights stored in half the bytes come back as float32, rounded once; the normaliser is not touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from contract import fitted
from safetensors.torch import load_file, save_file
from test_act import small

from vgil_ros.policies import CheckpointError, Policy, load_policy
from vgil_ros.policies.act import ActPolicy
from vgil_ros.policies.storage import CONFIG_FILE, WEIGHTS_FILE

ROUNDING = {"bf16": (torch.bfloat16, 2.0**-8), "fp16": (torch.float16, 2.0**-11)}
SMALLEST = 2.0**-24  # below it fp16 has nothing


@pytest.fixture(scope="module")
def policy() -> Policy:
    torch.manual_seed(0)
    return fitted(ActPolicy(small(backbone="mobilenet_v3_small"))).eval()


@pytest.mark.parametrize("storage", ["bf16", "fp16"])
def test_it_comes_back_within_one_rounding(policy: Policy, storage: str, tmp_path: Path) -> None:
    kind, step = ROUNDING[storage]
    loaded = load_policy(policy.save(tmp_path / "half", weight_dtype=storage))
    assert loaded.config.weights == storage
    names = dict(policy.named_parameters())
    for key, value in policy.state_dict().items():
        found = loaded.state_dict()[key]
        assert found.dtype == value.dtype
        if key in names:
            assert torch.equal(found, value.to(kind).to(torch.float32))
            assert bool(((found - value).abs() <= step * value.abs() + SMALLEST).all()), key
        else:
            assert torch.equal(found, value), f"{key} is no weight"
    whole = policy.save(tmp_path / "whole")
    sizes = [(folder / WEIGHTS_FILE).stat().st_size for folder in (tmp_path / "half", whole)]
    assert sizes[0] < 0.6 * sizes[1]


def test_stored_again_it_stays_what_it_is(policy: Policy, tmp_path: Path) -> None:
    once = load_policy(policy.save(tmp_path / "once", weight_dtype="bf16"))
    again = load_policy(once.save(tmp_path / "again", weight_dtype="bf16"))
    whole = load_policy(once.save(tmp_path / "whole"))
    assert whole.config.weights == "fp32"
    for key, value in once.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
        assert torch.equal(whole.state_dict()[key], value)


@pytest.mark.parametrize("claimed", ["fp32", "fp16"])
def test_what_policy_json_does_not_say_is_refused(policy: Policy, claimed: str, tmp_path: Path) -> None:
    folder = policy.save(tmp_path / "half", weight_dtype="bf16")
    text = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(text | {"weights": claimed}))
    with pytest.raises(CheckpointError, match=r"is torch\.bfloat16, allowed"):
        load_policy(folder)


def test_whole_weights_in_a_file_of_halves_are_refused(policy: Policy, tmp_path: Path) -> None:
    folder = policy.save(tmp_path / "half", weight_dtype="bf16")
    weights = load_file(folder / WEIGHTS_FILE)
    key = next(k for k, v in weights.items() if v.dtype == torch.bfloat16)
    save_file(weights | {key: weights[key].float()}, folder / WEIGHTS_FILE)
    with pytest.raises(CheckpointError, match=r"is torch\.float32, allowed torch\.bfloat16"):
        load_policy(folder)


def test_a_weight_too_large_for_it_is_named(policy: Policy, tmp_path: Path) -> None:
    large = load_policy(policy.save(tmp_path / "whole"))
    with torch.no_grad():
        next(p for n, p in large.named_parameters() if n.endswith("action_head.bias"))[0] = 1e6
    with pytest.raises(CheckpointError, match=r"action_head\.bias goes up to 1e\+06, which fp16 does not hold"):
        large.save(tmp_path / "half", weight_dtype="fp16")
    with pytest.raises(CheckpointError, match="allowed:"):
        large.save(tmp_path / "half", weight_dtype="int8")  # type: ignore[arg-type]
    assert not (tmp_path / "half").exists()

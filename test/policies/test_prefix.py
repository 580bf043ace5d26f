"""The part "prefix" of an observation: checked in words, exact on the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vgil_ros.policies import PolicyError
from vgil_ros.policies.action_prefix import PrefixTensors, example_prefix, prepare_prefix
from vgil_ros.policies.config import PolicyConfig, VectorNormalization
from vgil_ros.policies.normalizer import VectorNormalizer

CONFIG = PolicyConfig(type="made up", state_dim=3, action_dim=2, chunk_size=4, cameras=())
CPU = torch.device("cpu")


def observation(**changes: Any) -> dict[str, Any]:
    part = {"action": np.ones((1, 4, 2), np.float32), "weight": np.array([[1, 1, 0.5, 0]], np.float32), **changes}
    return {"qpos": np.zeros((1, 3), np.float32), "prefix": part}


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (r"prefix action: found shape \(1, 3, 2\), allowed is \(1, 4, 2\)", {"action": np.zeros((1, 3, 2))}),
        (r"prefix weight: found shape \(4,\), allowed is \(1, 4\)", {"weight": np.zeros(4)}),
        (r"prefix weight: found 0 to 1\.5, allowed is 0 to 1", {"weight": np.array([[1.5, 1, 0.5, 0]])}),
        ("prefix weight: found nan", {"weight": np.full((1, 4), np.nan)}),
        ("a row with a weight above 0 is not finite", {"action": np.full((1, 4, 2), np.inf)}),
        (r"found \['action', 'tick', 'weight'\], allowed is exactly", {"tick": 3}),
    ],
)
def test_it_is_checked_in_words(words: str, changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=words):
        prepare_prefix(CONFIG, observation(**changes), CPU)


def test_a_part_that_is_missing_is_named() -> None:
    with pytest.raises(PolicyError, match=r"prefix: found \['weight'\]"):
        prepare_prefix(CONFIG, {"qpos": np.zeros((1, 3)), "prefix": {"weight": np.zeros((1, 4))}}, CPU)


def test_what_is_free_need_not_be_a_number() -> None:
    action = np.ones((1, 4, 2), np.float32)
    action[0, 3] = np.nan
    found = prepare_prefix(CONFIG, observation(action=action), CPU)
    assert found is not None
    assert bool(found)
    assert torch.isfinite(found.action).all()
    assert found.fixed.flatten().tolist() == [True, True, False, False]
    assert prepare_prefix(CONFIG, {"qpos": np.zeros((1, 3))}, CPU) is None
    assert not PrefixTensors(found.action, 0 * found.weight)


@pytest.mark.parametrize("mode", ["mean_std", "min_max", "identity"])
def test_its_own_units_lead_back_to_the_same_action(mode: str) -> None:
    normalizer = VectorNormalizer(2, VectorNormalization(mode=mode, eps=1e-2))
    for name, value in (("mean", [1.0, -2.0]), ("std", [0.1, 3.0]), ("min", [0.0, 0.0]), ("max", [2.0, 5.0])):
        if hasattr(normalizer, name):
            setattr(normalizer, name, torch.tensor(value))
    found = prepare_prefix(CONFIG, observation(), CPU)
    assert found is not None
    torch.testing.assert_close(normalizer.inverse(found.normalised(normalizer).action), found.action)


def test_padding_places_it_in_the_networks_array() -> None:
    found = prepare_prefix(CONFIG, observation(), CPU)
    assert found is not None
    wide = found.padded(horizon=8, width=5, first=1)
    assert wide.action.shape == (1, 8, 5)
    assert torch.equal(wide.action[:, 1:5, :2], found.action)
    assert float(wide.action.sum()) == float(found.action.sum())
    assert wide.weight.flatten().tolist() == [0, 1, 1, 0.5, 0, 0, 0, 0]


def test_keep_is_exact() -> None:
    found = prepare_prefix(CONFIG, observation(), CPU)
    assert found is not None
    kept = found.keep(torch.full((1, 4, 2), 7.0))
    assert kept[0, :, 0].tolist() == [1, 1, 7, 7]


def test_the_example_passes_its_own_check() -> None:
    example = example_prefix(CONFIG)
    part = {"action": example["action"][None], "weight": example["weight"][None]}
    found = prepare_prefix(CONFIG, {"qpos": np.zeros((1, 3), np.float32), "prefix": part}, CPU)
    assert found is not None
    assert found.fixed.sum() == 2

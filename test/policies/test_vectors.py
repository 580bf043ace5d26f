"""Policies that take further vectors: they stand behind qpos, wherever an observation has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from support import checkpoints, contracts

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.policies import load_policy
from vgil_ros.policies.base import Policy
from vgil_ros.policies.compatibility import compare_with_robot
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.preparation import batched, with_state

WRENCH = {"name": "wrench", "topic": "/wrench", "type": "wrench"}
FORCE = {"name": "force", "topic": "/force", "type": "vector3"}
VECTORS = [{"name": "wrench", "size": 6}, {"name": "force", "size": 3}]


@pytest.fixture(scope="module", params=["act", "diffusion"])
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = tmp_path_factory.mktemp("vectors")
    contract = contracts.write(contracts.small_robot(vectors=[FORCE, WRENCH]), folder / "robot.yaml")
    return load_policy(checkpoints.make(contract, folder / "made", kind=request.param, vectors=VECTORS))


def seen(policy: Policy, shift: float = 0.0) -> dict[str, Any]:
    """As a node gives it: vectors apart, and in the order of nothing in particular."""
    example: dict[str, Any] = dict(policy.example_observation({"cam_a": (48, 64)}))
    for part in (example, *([example["past"]] if "past" in example else [])):
        lead = part["qpos"].shape[:-1]
        part["qpos"] = np.zeros((*lead, 3), np.float32)
        part["vectors"] = {"force": np.full((*lead, 3), 0.2), "wrench": np.full((*lead, 6), 0.1 + shift)}
    return example


def test_a_checkpoint_keeps_which_it_takes(policy: Policy) -> None:
    assert policy.config.vector_names == ("wrench", "force")
    assert (policy.config.qpos_dim, policy.config.state_dim) == (3, 12)


def test_apart_or_behind_qpos_is_the_same_chunk_and_what_is_felt_matters(policy: Policy) -> None:
    chunks = []
    for observation in (seen(policy), with_state(policy.config, seen(policy)), seen(policy, shift=1.0)):
        policy.reset(0)
        chunks.append(policy.predict_chunk(batched(observation)))  # type: ignore[arg-type]
    assert torch.equal(chunks[0], chunks[1])
    assert not torch.allclose(chunks[0], chunks[2])
    state = with_state(policy.config, seen(policy))["qpos"]
    assert state.tolist() == pytest.approx([0, 0, 0, *[0.1] * 6, *[0.2] * 3])


def test_the_runtime_gives_the_same(policy: Policy) -> None:
    runtime = InferenceRuntime(policy, "cpu")
    assert runtime.warm_up(seen(policy)).max_difference < 1e-4  # type: ignore[arg-type]
    policy.reset(0)
    plain = policy.predict_chunk(batched(seen(policy)))[0].numpy()  # type: ignore[arg-type]
    policy.reset(0)
    assert np.allclose(runtime(seen(policy)), plain, atol=1e-4)  # type: ignore[arg-type]


def test_one_that_is_missing_or_of_another_size_is_named(policy: Policy) -> None:
    observation = seen(policy)
    del observation["vectors"]["force"]
    with pytest.raises(
        PolicyError, match=r"vectors: missing \['force'\]; allowed: all that the policy takes, \['wrench', 'force'\]"
    ):
        policy.predict_chunk(batched(observation))  # type: ignore[arg-type]
    del observation["vectors"]
    with pytest.raises(PolicyError, match=r"vectors: missing \['wrench', 'force'\]"):
        policy.predict_chunk(batched(observation))  # type: ignore[arg-type]
    observation = seen(policy)
    observation["vectors"]["wrench"] = np.zeros(5)
    with pytest.raises(PolicyError, match=r"wrench: found shape"):
        policy.predict_chunk(batched(observation))  # type: ignore[arg-type]


def test_the_robot_must_have_them(policy: Policy, tmp_path: Path) -> None:
    tactile = {"name": "force", "topic": "/f", "type": "float32_multi_array", "size": 4, "stamp": "arrival"}
    contract = contracts.write(contracts.small_robot(vectors=[tactile]), tmp_path / "other.yaml")
    wrong = compare_with_robot(policy, Layout(load_contract(str(contract))[0]))
    assert "vector wrench: not on robot small, which has ['force']" in wrong
    assert "vector force: the policy takes 3 numbers, robot small gives 4" in wrong
    assert not [words for words in wrong if words.startswith("qpos")]

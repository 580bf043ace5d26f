"""RAFT-small as a method: frozen, both pictures alike, any size, never with random weights, which travel along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import test_flow_act
import torch
from contract import fitted
from test_flow_act import SAME_SIZE, tiny
from torchvision.models.optical_flow import raft_small

from vgil_ros.policies import PolicyError, load_policy
from vgil_ros.policies.flow_act import FlowActPolicy
from vgil_ros.policies.optical_flow import FlowField, FlowSettings
from vgil_ros.policies.optical_flow.raft import RaftSmall, cached_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones, in torchvision's form."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("raft") / "raft_small.pth"
    torch.save(raft_small(weights=None).state_dict(), file)
    return file


@pytest.mark.parametrize("size", [(48, 64), (129, 50)])
def test_any_size_and_both_pictures_alike(weights: Path, size: tuple[int, int]) -> None:
    method = RaftSmall()
    method.fill(weights)
    height, width = size
    picture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8))
    seen: list[torch.Tensor] = []
    method.net.register_forward_pre_hook(lambda _, pair: seen.extend(pair))
    flow = method(picture, picture)
    assert flow.shape == (1, 2, height, width)
    assert not flow.requires_grad
    assert torch.equal(seen[0], seen[1]), "the same picture twice is the same input twice"
    assert -1 <= float(seen[0].min()) < -0.9
    assert 0.9 < float(seen[0].max()) <= 1
    assert all(side % 8 == 0 and side >= 128 for side in seen[0].shape[2:])


def test_it_stays_frozen_in_training(weights: Path) -> None:
    policy = fitted(FlowActPolicy(tiny(flow_method="raft_small", cameras=SAME_SIZE[:1])))
    policy.flow.fill(str(weights))
    policy.train()
    assert policy.model.training
    assert not any(part.training for part in policy.flow.method.modules())
    policy.compute_loss(test_flow_act.TestConcat().batch(policy, 1)).loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in policy.flow.parameters())


def test_its_weights_are_in_the_checkpoint(weights: Path, tmp_path: Path) -> None:
    """A robot needs no file but the checkpoint."""
    policy = fitted(FlowActPolicy(tiny(flow_method="raft_small", cameras=SAME_SIZE[:1]))).eval()
    policy.flow.fill(str(weights))
    loaded = load_policy(policy.save(tmp_path / "checkpoint"))
    observation = test_flow_act.TestConcat().observation(policy, 1)
    with torch.no_grad():
        assert torch.equal(loaded.predict_chunk(observation), policy.predict_chunk(observation))


def test_nothing_runs_or_is_saved_with_weights_that_are_not_set(tmp_path: Path) -> None:
    policy = fitted(FlowActPolicy(tiny(flow_method="raft_small", cameras=SAME_SIZE[:1]))).eval()
    with pytest.raises(PolicyError, match="weights of RAFT-small are not set"):
        policy.predict_chunk(test_flow_act.TestConcat().observation(policy, 1))
    with pytest.raises(PolicyError, match="flow"):
        policy.save(tmp_path / "checkpoint")


def test_wrong_and_missing_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert cached_weights().is_relative_to(tmp_path)
    with pytest.raises(PolicyError, match=r"no file .*checkpoints.*take flow_method dis"):
        RaftSmall().fill()
    other = tmp_path / "other.pth"
    torch.save({"surprise": torch.zeros(1)}, other)
    with pytest.raises(PolicyError, match="not the weights of torchvision's RAFT-small"):
        RaftSmall().fill(other)
    other.write_bytes(b"no")
    with pytest.raises(PolicyError, match="not the weights"):
        RaftSmall().fill(other)


def test_the_fingerprint_knows_method_and_weights(weights: Path) -> None:
    dis, raft = FlowField(FlowSettings()), FlowField(FlowSettings(method="raft_small"))
    raft.fill(str(weights))
    first = raft.fingerprint()
    assert dis.fingerprint() == FlowField(FlowSettings()).fingerprint() != first
    next(raft.parameters()).data.add_(1.0)
    assert raft.fingerprint() != first

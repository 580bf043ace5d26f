"""RAFT-small as a method: frozen, both images alike, any size, never with random weights, which travel along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_flow_act
import torch
from contract import fitted, mapped
from test_flow_act import SAME_SIZE, tiny
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models.optical_flow import raft_small

from vgil_ros.policies import PolicyError, load_policy
from vgil_ros.policies.flow_act import FlowActPolicy
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.optical_flow import FlowField, FlowSettings
from vgil_ros.policies.optical_flow.raft import RaftSmall, cached_weights
from vgil_ros.policies.registry import make_inference_module


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones, in torchvision's form."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("raft") / "raft_small.pth"
    torch.save(raft_small(weights=None).state_dict(), file)
    return file


@pytest.mark.parametrize("size", [(48, 64), (129, 50)])
def test_any_size_and_both_images_alike(weights: Path, size: tuple[int, int]) -> None:
    method = RaftSmall()
    method.fill(weights)
    height, width = size
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8))
    seen: list[torch.Tensor] = []
    method.net.feature_encoder.register_forward_pre_hook(lambda _, given: seen.extend(given[0].chunk(2)))
    flow = method(image, image)
    assert flow.shape == (1, 2, height, width)
    assert not flow.requires_grad
    assert torch.equal(seen[0], seen[1]), "the same image twice is the same input twice"
    assert -1 <= float(seen[0].min()) < -0.9
    assert 0.9 < float(seen[0].max()) <= 1
    assert all(side % 8 == 0 and side >= 128 for side in seen[0].shape[2:])


def test_it_is_torchvisions_own_flow(weights: Path) -> None:
    method = RaftSmall()
    method.fill(weights)
    random = np.random.default_rng(0)
    images = [torch.from_numpy(random.integers(0, 256, (2, 128, 136, 3), dtype=np.uint8)) for _ in range(2)]
    with torch.no_grad():
        wanted = method.net(*(one.permute(0, 3, 1, 2) / 127.5 - 1 for one in images))[-1]
    found = method(*images)
    assert wanted.abs().max() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


class _AsAGraph(TorchDispatchMode):
    """Fails where a value is brought to the host, which a CUDA graph cannot hold."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default), func
        return func(*args, **(kwargs or {}))


def test_flow_and_network_can_be_recorded_together(weights: Path) -> None:
    """No value is looked at, nothing is made on another device than the images', and the past comes by buffers."""
    policy = fitted(FlowActPolicy(tiny(flow_method="raft_small", cameras=SAME_SIZE[:1]))).eval()
    policy.flow.fill(str(weights))
    fast = make_inference_module(policy, torch.float32)
    batched = test_flow_act.TestConcat().observation(policy, 1)
    seen = mapped(batched, lambda array: array[0])
    without = {key: value for key, value in seen.items() if key != "past"}
    qpos, images = torch.from_numpy(seen["qpos"]), [torch.from_numpy(image) for image in seen["images"].values()]
    plain = {key: value for key, value in batched.items() if key != "past"}
    with torch.inference_mode():
        for observation, whole in ((seen, batched), (without, plain), (seen, batched)):
            fast.load(observation)
            found = fast(qpos, images)
            torch.testing.assert_close(found, policy.predict_chunk(whole)[0], atol=1e-4, rtol=1e-4)
        with torch.device("meta"), _AsAGraph():  # what is made anywhere but where it is said could not be used
            again = fast(qpos, images)
    assert torch.equal(found, again)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_one_graph_on_cuda_gives_the_plain_policys_chunk(weights: Path) -> None:
    policy = fitted(FlowActPolicy(tiny(flow_method="raft_small", cameras=SAME_SIZE))).eval()
    policy.flow.fill(str(weights))
    batched = test_flow_act.TestConcat().observation(policy, 1)
    without = {key: value for key, value in batched.items() if key != "past"}
    wanted = [policy.predict_chunk(one)[0].numpy() for one in (batched, without, batched)]
    runtime = InferenceRuntime(policy, "cuda")
    runtime.warm_up()
    for one, chunk in zip((batched, without, batched), wanted, strict=True):
        np.testing.assert_allclose(runtime(mapped(one, lambda array: array[0])), chunk, atol=1e-2, rtol=1e-2)


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

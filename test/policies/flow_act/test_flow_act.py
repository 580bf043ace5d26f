"""ACT with flow: the shared contract, that motion alone can be learned, and the faults that such policies have had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from support.policies.contract import PolicyWithPast, fitted, mapped
from support.policies.flow_act import SAME_SIZE, TINY, tiny

from vgil_ros.policies import Policy, PolicyError
from vgil_ros.policies.act import ActConfig, ActPolicy
from vgil_ros.policies.flow_act import FlowActPolicy
from vgil_ros.policies.optical_flow import FlowField, FlowSettings


class TestConcat(PolicyWithPast):
    def make_policy(self) -> Policy:
        return FlowActPolicy(tiny())


class TestGateOnOtherSizes(PolicyWithPast):
    """Nothing of the published sizes: odd images, learned positions, a backbone each, full flow, a wider action."""

    def make_policy(self) -> Policy:
        cameras = [{"name": "top", "height": 50, "width": 70}, {"name": "wrist", "height": 40, "width": 72}]
        changes = {"fusion": "gate", "flow_shrink": 1, "flow_gap_ticks": 3, "rate_hz": None, "action_dim": 7}
        return FlowActPolicy(tiny(cameras=cameras, positions="learned", shared_backbone=False, **changes))


def textured(random: np.random.Generator, height: int = 48, width: int = 64) -> np.ndarray:
    """(H, W, 3) uint8 with something to follow everywhere; it can be rolled round."""
    coarse = random.integers(0, 256, (height // 4, width // 4, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((4, 4, 1), np.uint8))


def moved(count: int, seed: int, shift: int = 3) -> dict[str, Any]:
    """A batch in which only the image before tells the action: all rows show the same now, and came from a side."""
    random = np.random.default_rng(seed)
    signs = random.permutation(np.repeat([-1, 1], count // 2))
    now = {name: textured(np.random.default_rng(i)) for i, name in enumerate(("top", "wrist"))}
    images = {name: np.repeat(image[None], count, 0) for name, image in now.items()}
    before = {name: np.stack([np.roll(p, -shift * s, axis=1) for s in signs])[:, None] for name, p in now.items()}
    return {
        "qpos": np.zeros((count, 3), np.float32),
        "images": images,
        "past": {"qpos": np.zeros((count, 1, 3), np.float32), "images": before, "known": np.ones((count, 1), bool)},
        "action": np.broadcast_to(signs[:, None, None], (count, 5, 3)).astype(np.float32).copy(),
        "is_pad": np.zeros((count, 5), bool),
    }


def learned(policy: Policy, steps: int) -> float:
    """L1 on a batch of its own after training on such batches, in robot units."""
    parameters = [p for p in policy.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    policy.train()
    for step in range(steps):
        loss = policy.compute_loss(moved(8, step)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    fresh = moved(8, 1_000_000)
    chunk = policy.eval().predict_chunk(fresh)
    return float(np.abs(chunk.numpy() - fresh["action"]).mean())


@pytest.mark.parametrize("fusion", ["concat", "attention", "gate"])
def test_what_only_motion_tells_is_learned(fusion: str) -> None:
    torch.manual_seed(0)
    policy = fitted(FlowActPolicy(tiny(fusion=fusion, cvae_layers=0, dropout=0.0, cameras=SAME_SIZE)))
    assert learned(policy, 60) < 0.3


def test_what_only_motion_tells_cannot_be_learned_without_flow() -> None:
    torch.manual_seed(0)
    values = {k: v for k, v in TINY.items() if k != "flow_channels"}
    changes = {"type": "act", "cvae_layers": 0, "dropout": 0.0, "cameras": SAME_SIZE}
    config = ActConfig.model_validate({**values, **changes})
    assert learned(fitted(ActPolicy(config)), 40) > 0.9  # 1 is chance


# ---- faults of the field, one test each


def test_both_images_of_a_pair_are_treated_alike() -> None:
    """Fault: the previous image was not normalised as the current one. The same image twice is no motion, however
    images are normalised; and images reach the method as the camera gave them."""
    for images in ("imagenet", "min_max", "unit"):
        config = tiny(normalization={"images": {"mode": images}}, cameras=SAME_SIZE)
        policy = fitted(FlowActPolicy(config)).eval()
        observation = moved(2, 0)
        observation["past"]["images"] = {name: p[:, None].copy() for name, p in observation["images"].items()}
        frames = [torch.from_numpy(observation["images"][name]) for name in ("top", "wrist")]
        assert all(not flow.any() for flow in policy.flows(observation, frames))
        seen: list[torch.Tensor] = []
        policy.flow.method.register_forward_pre_hook(lambda _, pair, seen=seen: seen.extend(pair))
        policy.flows(observation, frames)
        assert all(one.dtype == torch.uint8 for one in seen)
        assert torch.equal(seen[0], frames[0])


def test_the_last_batch_is_not_the_past() -> None:
    """Fault: in training, "previous" was the last batch. Nothing of a batch reaches the next one."""
    torch.manual_seed(0)
    policy = fitted(FlowActPolicy(tiny(dropout=0.0))).eval()
    first, second = TestConcat().batch(policy, 3), TestConcat().batch(policy, 2)
    torch.manual_seed(1)
    alone = policy.compute_loss(second).loss.detach()
    policy.compute_loss(first)
    policy.predict_chunk(first)
    torch.manual_seed(1)
    assert torch.equal(policy.compute_loss(second).loss.detach(), alone)


@pytest.mark.parametrize(
    ("batch", "changes"),
    [
        (1, {"chunk_size": 1, "state_dim": 2, "action_dim": 1, "cameras": [{"name": "only"}]}),
        (3, {"chunk_size": 7, "state_dim": 14, "action_dim": 16}),
        (2, {"hidden_dim": 64, "flow_channels": (4, 5, 6), "flow_shrink": 3, "fusion": "attention"}),
    ],
)
def test_no_shape_is_written_into_the_code(batch: int, changes: dict[str, Any]) -> None:
    """Fault: batch 8, chunk 100, 16 dims and a grid of 15x20 were."""
    policy = fitted(FlowActPolicy(tiny(**changes)))
    config = policy.config
    for height, width in ((48, 64), (37, 95), (130, 10)):
        cameras = {c.name: (c.height or height, c.width or width) for c in config.cameras}
        random = np.random.default_rng(0)
        images = {n: random.integers(0, 256, (batch, *s, 3), dtype=np.uint8) for n, s in cameras.items()}
        observation: dict[str, Any] = {"qpos": np.zeros((batch, config.state_dim), np.float32), "images": images}
        observation["past"] = TestConcat().past(observation, 1)
        action = np.zeros((batch, config.chunk_size, config.action_dim), np.float32)
        loss = policy.compute_loss({**observation, "action": action, "is_pad": np.zeros(action.shape[:2], bool)}).loss
        assert torch.isfinite(loss)
        assert policy.predict_chunk(observation).shape == action.shape
        if config.cameras[0].height is not None:
            break


@pytest.mark.parametrize("positions", ["sine", "learned"])
def test_positions_are_the_images_with_and_without_flow(positions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: without flow its position was missing and the average over positions failed."""
    policy = fitted(FlowActPolicy(tiny(positions=positions))).eval()
    found: list[torch.Tensor] = []
    decode = policy.model.decode

    def noted(q: torch.Tensor, tokens: torch.Tensor, pos: torch.Tensor, *rest: Any) -> Any:
        found.append(pos)
        return decode(q, tokens, pos)

    monkeypatch.setattr(policy.model, "decode", noted)
    observation = TestConcat().observation(policy)
    with torch.no_grad():
        policy.predict_chunk(observation)
        policy.predict_chunk({key: value for key, value in observation.items() if key != "past"})
    assert torch.equal(found[0], found[1])
    images = [torch.zeros(1, 3, 64, 96), torch.zeros(1, 3, 48, 64)]
    assert torch.equal(found[0], policy.model.encode_images(images)[1])


def test_without_a_past_it_is_the_same_model_with_zero_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: without a previous image, the model silently became another: the flow's layers were left out."""
    policy = fitted(FlowActPolicy(tiny())).eval()
    runs: list[torch.Tensor] = []
    policy.model.flow_backbone.register_forward_pre_hook(lambda _, flow: runs.append(flow[0]))
    observation = TestConcat().observation(policy)
    still = {**observation, "past": {**observation["past"]}}
    still["past"]["images"] = {name: image[:, None] for name, image in observation["images"].items()}
    with torch.no_grad():
        without = policy.predict_chunk({key: value for key, value in observation.items() if key != "past"})
        assert len(runs) == 2  # cameras
        assert not any(flow.any() for flow in runs)
        assert torch.equal(policy.predict_chunk(still), without)
        bias = policy.model.flow_backbone[0].bias
        assert isinstance(bias, torch.Tensor)
        bias += 1.0  # what the flow's layers hold counts without a past too
        changed = policy.predict_chunk({key: value for key, value in observation.items() if key != "past"})
    assert not torch.allclose(changed, without, atol=1e-4)


@pytest.mark.parametrize("shrink", [1, 9])
def test_it_trains_in_bf16_whatever_the_two_grids(shrink: int) -> None:
    policy = fitted(FlowActPolicy(tiny(backbone="small", flow_shrink=shrink)))
    with torch.autocast("cpu", torch.bfloat16):
        loss = policy.compute_loss(TestConcat().batch(policy)).loss
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in policy.model.flow_backbone.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert any(bool(g.any()) for g in gradients if g is not None)


# ---- the flow itself, flow from a cache, configuration


@pytest.mark.parametrize(("right", "down"), [(3, 0), (-2, 0), (0, 4), (2, -3)])
def test_flow_is_pixels_to_the_right_and_down_since_then(right: int, down: int) -> None:
    now = textured(np.random.default_rng(0), 96, 128)
    before = np.roll(now, (-down, -right), axis=(0, 1))
    field = FlowField(FlowSettings())
    flow = field(torch.from_numpy(before)[None], torch.from_numpy(now)[None])
    assert flow.shape == (1, 2, 24, 32)
    inside = flow[0, :, 3:-3, 3:-3].median(-1).values.median(-1).values
    np.testing.assert_allclose(inside, [right, down], atol=0.15)


def test_flow_lies_where_the_thing_is_now() -> None:
    """A patch went to the right; its flow is where it is now, and none is left where it was."""
    random, patch = np.random.default_rng(0), textured(np.random.default_rng(1), 96, 96)
    ground = textured(random, 192, 256)
    before, now = ground.copy(), ground.copy()
    before[48:144, 80:176], now[48:144, 86:182] = patch, patch
    flow = FlowField(FlowSettings(shrink=1))(torch.from_numpy(before)[None], torch.from_numpy(now)[None])[0]
    assert abs(float(flow[0, 60:132, 98:170].median()) - 6) < 0.5
    assert abs(float(flow[0, :, :60].median())) < 0.1
    moving = (flow[0, 60:132] > 3).float().mean(0)  # share of each column
    middle = float((moving * torch.arange(256)).sum() / moving.sum())
    assert abs(middle - 134) < 3  # 128 where it was


def test_flow_is_clamped_and_scaled() -> None:
    now = textured(np.random.default_rng(0), 96, 128)
    before = np.roll(now, -6, axis=1)
    for limit, wanted in ((2.0, 2.0), (40.0, 6.0)):
        flow = FlowField(FlowSettings(max_flow=limit))(torch.from_numpy(before)[None], torch.from_numpy(now)[None])
        assert flow.abs().max() <= limit
        assert abs(float(flow[0, 0, 4:-4, 4:-4].median()) - wanted) < 0.2
    policy = fitted(FlowActPolicy(tiny(max_flow=2.0))).eval()
    seen: list[torch.Tensor] = []
    policy.model.flow_backbone.register_forward_pre_hook(lambda _, flow: seen.append(flow[0]))
    policy.predict_chunk(TestConcat().observation(policy))
    assert all(0.5 < flow.abs().max() <= 1 for flow in seen)


def test_flow_takes_no_gradient_and_does_not_depend_on_threads() -> None:
    import cv2

    policy = fitted(FlowActPolicy(tiny()))
    assert not list(policy.flow.parameters())
    pair = [torch.from_numpy(textured(np.random.default_rng(i), 240, 320))[None] for i in range(2)]
    threads = cv2.getNumThreads()
    found = []
    for count in (1, 4):
        cv2.setNumThreads(count)
        found.append(policy.flow(*pair))
    cv2.setNumThreads(threads)
    assert torch.equal(found[0], found[1])


def test_flow_that_is_given_is_taken_as_if_computed() -> None:
    policy = fitted(FlowActPolicy(tiny())).eval()
    observation = TestConcat().observation(policy)
    images = [torch.from_numpy(observation["images"][name]) for name in ("top", "wrist")]
    flows = policy.flows(observation, images)
    assert all(flow.abs().max() > 1 for flow in flows)
    stored = {
        name: flow.permute(0, 2, 3, 1)[:, None].half().numpy()
        for name, flow in zip(("top", "wrist"), flows, strict=True)
    }
    given = {**observation, "past": {"flow": stored, "known": observation["past"]["known"]}}
    with torch.no_grad():
        assert torch.equal(policy.predict_chunk(given), policy.predict_chunk(observation))
        given["past"]["known"] = np.zeros((2, 1), bool)
        without = policy.predict_chunk({key: value for key, value in observation.items() if key != "past"})
        assert torch.equal(policy.predict_chunk(given), without)
    given["past"]["flow"] = mapped(stored, lambda flow: flow[:, :, 1:])
    with pytest.raises(PolicyError, match=r"past flow of top: found shape .2, 1, 15, 24, 2., allowed is .2, 1, 16"):
        policy.predict_chunk(given)


def test_the_gap_is_a_time(tmp_path: Path) -> None:
    assert tiny().obs_offsets == (5,)
    assert tiny(rate_hz=30.0).obs_offsets == (3,)
    assert tiny(rate_hz=5.0, flow_gap_s=0.01).obs_offsets == (1,)
    assert tiny(rate_hz=None, flow_gap_ticks=2).obs_offsets == (2,)
    with pytest.raises(ValidationError, match="give flow_gap_ticks"):
        tiny(rate_hz=None)
    with pytest.raises(ValidationError, match="flow_channels"):
        tiny(flow_channels=(0, 1, 2))

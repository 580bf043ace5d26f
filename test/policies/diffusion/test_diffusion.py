"""Diffusion: the shared contract in two shapes, and what is diffusion's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from support.policies.contract import PolicyWithPast, fitted, mapped

from vgil_ros.policies import Policy, PolicyError
from vgil_ros.policies.diffusion import DiffusionConfig, DiffusionPolicy
from vgil_ros.policies.diffusion.model import SpatialSoftmax, crop, random_places
from vgil_ros.policies.inference.runtime import InferenceRuntime


def small(**changes: Any) -> DiffusionConfig:
    values: dict[str, Any] = {
        "state_dim": 5,
        "action_dim": 5,
        "n_obs_steps": 2,
        "horizon": 8,
        "cameras": [{"name": "top", "height": 64, "width": 96}, {"name": "wrist", "height": 64, "width": 96}],
        "backbone": "small",
        "crop": [56, 88],
        "keypoints": 8,
        "down_dims": [32, 64],
        "step_embed_dim": 16,
        "train_steps": 20,
        "inference_steps": 4,
    }
    return DiffusionConfig.model_validate({**values, **changes})


class DiffusionContract(PolicyWithPast):
    def batch(self, policy: Policy, batch: int = 2) -> dict[str, Any]:
        """Training looks at the actions of the past, too."""
        out = super().batch(policy, batch)
        shape = (batch, len(policy.config.obs_offsets), policy.config.action_dim)
        out["past"]["action"] = np.random.default_rng(3).normal(size=shape).astype(np.float32)
        return out


class TestFewSteps(DiffusionContract):
    """DDIM. The actions themselves are predicted, which a few steps of training suffice for."""

    def make_policy(self) -> Policy:
        return DiffusionPolicy(small(prediction_type="sample"))


class TestOneEncoderEachAndRandomSteps(DiffusionContract):
    """DDPM, three observations, an action wider than the state, cameras of two sizes, a mean instead of keypoints."""

    def make_policy(self) -> Policy:
        return DiffusionPolicy(
            small(
                action_dim=7,
                n_obs_steps=3,
                cameras=[{"name": "top", "height": 64, "width": 64}, {"name": "wrist", "height": 40, "width": 72}],
                shared_encoder=False,
                resize=[40, 48],
                crop=[36, 40],
                pooling="average",
                film_scale=False,
                scheduler="DDPM",
                inference_steps=None,
                prediction_type="sample",
                mask_padding=True,
                normalization={"qpos": {"mode": "mean_std"}, "action": {"mode": "min_max"}, "images": {"mode": "unit"}},
            )
        )


def made(**changes: Any) -> DiffusionPolicy:
    torch.manual_seed(0)
    policy = fitted(DiffusionPolicy(small(**changes))).eval()
    assert isinstance(policy, DiffusionPolicy)
    return policy


CONTRACT = TestFewSteps()


def predict(policy: DiffusionPolicy, observation: dict[str, Any]) -> torch.Tensor:
    return policy.predict_chunk(observation)


def test_the_chunk_begins_now_and_is_all_that_can_be_played() -> None:
    """Row 0 is the action of the present tick: place n_obs_steps - 1 of the horizon."""
    policy = made(n_obs_steps=3, horizon=8)
    assert (policy.config.chunk_size, policy.config.obs_offsets, policy.config.first) == (6, (2, 1), 2)
    observation = CONTRACT.observation(policy)
    noise = torch.randn(2, 8, 5)
    with torch.no_grad():
        whole = policy.sample(policy.network(policy.condition(observation)), noise)
    units = policy.normalizer.action.inverse(whole)
    assert torch.equal(predict(policy, {**observation, "noise": noise}), units[:, 2:])


def test_the_past_is_taken_oldest_first_and_each_step_apart() -> None:
    policy = made(n_obs_steps=3, cameras=[])
    observation: dict[str, Any] = {
        "qpos": np.full((1, 5), 3.0, np.float32),
        "images": {},
        "past": {"qpos": np.array([[[1.0] * 5, [2.0] * 5]], np.float32), "images": {}, "known": np.ones((1, 2), bool)},
    }

    def seen() -> list[float]:
        qpos = policy.condition(observation).view(3, 5)
        return policy.normalizer.qpos.inverse(qpos)[:, 0].tolist()

    assert seen() == pytest.approx([1, 2, 3], abs=1e-5)
    observation["past"]["known"] = np.array([[False, True]])
    assert seen() == pytest.approx([2, 2, 3], abs=1e-5), "the oldest known one is repeated"
    observation["past"]["known"] = np.array([[True, False]])
    assert seen() == pytest.approx([3, 3, 3], abs=1e-5), "nothing is taken from behind a gap"


def test_noise_is_float32_and_can_be_drawn_again() -> None:
    policy = made()
    observation = CONTRACT.observation(policy)
    first, second = predict(policy, observation), predict(policy, observation)
    assert not torch.equal(first, second), "each chunk begins with noise of its own"
    policy.reset()
    assert torch.equal(predict(policy, observation), first)
    with torch.autocast("cpu", torch.bfloat16):
        noise, _ = policy.noise_for(observation, 2)
        assert noise.dtype == torch.float32
        assert predict(policy, observation).dtype == torch.float32
    other = made(seed=1)
    assert not torch.equal(predict(other, observation), first)
    with pytest.raises(PolicyError, match=r"noise: found dtype torch\.float16, allowed is float32"):
        predict(policy, {**observation, "noise": torch.zeros(2, 8, 5, dtype=torch.float16)})
    with pytest.raises(PolicyError, match="noise: found shape"):
        predict(policy, {**observation, "noise": torch.zeros(2, 7, 5)})


def test_actions_stay_within_the_data() -> None:
    """Scaled to [-1, 1] by least and largest, and clipped there: nothing beyond what was demonstrated comes out."""
    policy = made(scheduler="DDPM", inference_steps=20)
    scale = policy.normalizer.action
    assert torch.allclose(scale(scale.min), torch.tensor(-1.0))
    assert torch.allclose(scale(scale.max), torch.tensor(1.0))
    chunk = predict(policy, CONTRACT.observation(policy))
    assert (chunk >= scale.min - 1e-4).all()
    assert (chunk <= scale.max + 1e-4).all()


def test_prefix_actions_come_out_and_the_rest_goes_on_from_them() -> None:
    policy = made()
    observation = CONTRACT.observation(policy)
    free = predict(policy, observation)
    action = torch.full((2, 7, 5), 0.5)
    weight = torch.zeros(2, 7)

    def told(rows: int) -> torch.Tensor:
        policy.reset()
        weight[:, :rows] = 1.0
        return predict(policy, {**observation, "prefix": {"action": action, "weight": weight}})

    torch.testing.assert_close(told(0), free, atol=1e-4, rtol=1e-4)
    chunk = told(3)
    assert torch.equal(chunk[:, :3], action[:, :3])
    assert not torch.allclose(chunk[:, 3:], free[:, 3:], atol=1e-3)


def test_crop_is_random_in_training_and_in_the_middle_otherwise() -> None:
    policy = made(n_obs_steps=3)
    number = torch.arange(64 * 96).view(64, 96) % 251
    same = number.to(torch.uint8)[None, None, :, :, None].expand(16, 3, -1, -1, 3)
    scaled = policy.normalizer.normalize_images(same[:, 0], 0)
    middle = scaled[:, :, 4:60, 4:92]
    torch.testing.assert_close(policy.model.scaled(same, policy.normalizer, 0)[:, 0], middle)
    policy.train()
    cut = policy.model.scaled(same, policy.normalizer, 0)
    assert cut.shape == (16, 3, 3, 56, 88)
    assert torch.equal(cut[:, 0], cut[:, 1]), "what stands still from tick to tick goes on to do so"
    assert len({tuple(one.flatten().tolist()) for one in cut[:, 0, 0, :2, :2]}) > 4, "each sample has its own place"
    policy.eval()
    fixed = made(random_crop=False).train()
    torch.testing.assert_close(fixed.model.scaled(same, fixed.normalizer, 0)[:, 0], middle)


def test_crops_reach_every_corner() -> None:
    torch.manual_seed(0)
    places = random_places(400, (10, 12), (8, 9))
    assert {tuple(place) for place in places.tolist()} == {(top, left) for top in range(3) for left in range(4)}
    image = torch.arange(120).view(1, 1, 10, 12)
    assert crop(image, (8, 9), torch.tensor([[2, 3]]))[0, 0, 0, 0] == 2 * 12 + 3
    assert crop(image, (8, 9), None)[0, 0, 0, 0] == 1 * 12 + round(1.5)


def test_several_draws_are_the_loss_of_observations_that_come_as_often() -> None:
    once, often = made(random_crop=False).train(), made(random_crop=False, draws=3).train()
    often.load_state_dict(once.state_dict())
    batch = CONTRACT.batch(once)
    encoded: list[int] = []
    often.model.encoders[0].register_forward_pre_hook(lambda _, arguments: encoded.append(len(arguments[0])))
    torch.manual_seed(5)
    loss = often.compute_loss(batch).loss
    torch.manual_seed(5)
    torch.testing.assert_close(loss, once.compute_loss(mapped(batch, lambda each: np.repeat(each, 3, axis=0))).loss)
    assert encoded == [len(batch["qpos"]) * 2] * 2, "both cameras' two observations, once each"


@pytest.mark.parametrize("norm", ["group", "frozen"])
def test_nothing_is_kept_of_a_batch(norm: str) -> None:
    """A running mean of the weights and batch statistics of other weights do not go together: there are none."""
    policy = made(backbone="resnet18", backbone_norm=norm, cameras=[{"name": "top", "height": 64, "width": 96}]).train()
    before = {name: buffer.clone() for name, buffer in policy.named_buffers()}
    batch = CONTRACT.batch(policy, 3)
    policy.compute_loss(batch).loss.backward()
    for name, buffer in policy.named_buffers():
        assert torch.equal(buffer, before[name]), name
    policy.model.config = policy.config.model_copy(update={"random_crop": False})
    alone = {key: value[:1] for key, value in batch.items() if key == "qpos"}
    alone["images"] = {"top": batch["images"]["top"][:1]}
    together = policy.condition({key: batch[key] for key in ("qpos", "images")})
    torch.testing.assert_close(policy.condition(alone)[0], together[0], atol=1e-4, rtol=1e-4)


def test_spatial_softmax_finds_the_bright_spot() -> None:
    pool = SpatialSoftmax(1, 1)
    with torch.no_grad():
        pool.maps.weight.fill_(1.0)
        assert pool.maps.bias is not None
        pool.maps.bias.fill_(0.3)
    feature = torch.zeros(2, 1, 5, 9)
    feature[0, 0, 1, 6] = 50.0  # row 1 of 5, column 6 of 9
    torch.testing.assert_close(pool(feature), torch.tensor([[0.5, -0.5], [0.0, 0.0]]))


def test_the_inference_module_keeps_nothing_of_the_call_before() -> None:
    """With a past, with half of one, without one, and back: each chunk is the plain policy's."""
    policy = made(n_obs_steps=3, scheduler="DDPM", inference_steps=3)
    first = CONTRACT.observation(policy, 1)
    half = {**CONTRACT.observation(policy, 1, seed=5)}
    half["past"] = {**half["past"], "known": np.array([[False, True]])}
    without = {key: value for key, value in CONTRACT.observation(policy, 1, seed=6).items() if key != "past"}
    runtime = InferenceRuntime(policy, repeatable=True)
    for observation in (first, half, without, first):
        noise = torch.randn(1, 8, 5)
        policy.reset()
        wanted = predict(policy, {**observation, "noise": noise})[0].numpy()
        policy.reset()
        found = runtime({**mapped(observation, lambda array: array[0]), "noise": noise[0].numpy()})
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-4)
    wrong = mapped(first, lambda array: array[0])
    wrong["past"]["images"] = {name: image[:, :-1] for name, image in wrong["past"]["images"].items()}
    with pytest.raises(PolicyError, match="past image of top: found shape"):
        runtime(wrong)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chunk_size": 8}, "is not horizon - n_obs_steps"),
        ({"n_action_steps": 8}, "more than the chunk's 7 actions"),
        ({"horizon": 7}, "not a multiple of 2"),
        ({"n_obs_steps": 9}, "is not horizon"),
        ({"inference_steps": 21}, "more than train_steps"),
        ({"down_dims": [32, 60]}, r"\[60\] are not divisible by n_groups"),
        ({"down_dims": [12, 24], "n_groups": 4}, "down_dims begins with 12; allowed: a multiple of 8"),
        ({"kernel_size": 4}, "is even"),
        ({"normalization": {"action": {"mode": "mean_std"}}}, "'min_max' is"),
        ({"crop": [70, 88]}, "larger than the image of camera 'top'"),
        ({"resize": [40, 40], "crop": [30, 48]}, "larger than the image"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        small(**changes)


def test_a_step_beyond_training_is_refused() -> None:
    with pytest.raises(PolicyError, match="steps_offset 1 puts a step at 20, allowed are 0 to 19"):
        DiffusionPolicy(small(cameras=[], steps_offset=1, inference_steps=20))

"""Flow matching: the shared contract, and what is its own: padding, noise, the kept prefix, tasks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from support.policies.contract import PolicyContract, fitted, mapped
from support.policies.flow_matching import look, small
from support.policies.recordable import assert_recordable

from vgil_ros.policies import Policy, PolicyError
from vgil_ros.policies.flow_matching import FlowMatchingPolicy
from vgil_ros.policies.flow_matching.task import embed_text
from vgil_ros.policies.inference.runtime import InferenceRuntime


def made(**changes: Any) -> FlowMatchingPolicy:
    torch.manual_seed(0)
    policy = fitted(FlowMatchingPolicy(small(**changes))).eval()
    assert isinstance(policy, FlowMatchingPolicy)
    return policy


class TestEuler(PolicyContract):
    overfit_steps = 60

    def make_policy(self) -> Policy:
        return FlowMatchingPolicy(small(dropout=0.0))


class TestHeunAndBase(PolicyContract):
    """An action wider than the state, cameras of several sizes with a backbone each, a task, no encoder layer."""

    overfit_steps = 60
    test_loads_where_ros_and_hdf5_are_absent = None  # type: ignore[assignment]  # once is enough

    def make_policy(self) -> Policy:
        cameras = [{"name": "top", "height": 64, "width": 64}, {"name": "wrist", "height": 40, "width": 72}]
        config = small(
            action_dim=7,
            cameras=cameras,
            shared_backbone=False,
            solver="heun",
            encoder_layers=0,
            action_layers=1,
            activation="relu",
            task_dim=4,
            task="lift the cube",
            padded_dim=7,
            normalization={"qpos": {"mode": "min_max"}, "action": {"mode": "unit"}, "images": {"mode": "min_max"}},
        )
        return FlowMatchingPolicy(config)


def test_padding_is_taken_off_and_does_not_matter_outside() -> None:
    policy = made()
    observation = look(policy)
    seen: list[torch.Tensor] = []
    policy.model.prefix.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    policy.predict_chunk(observation)
    state = seen[0]
    assert state.shape == (2, 8)
    assert torch.equal(state[:, 5:], torch.zeros(2, 3))
    action = torch.randn(2, 6, 5)
    inside = policy.to_network_units(action)
    assert inside.shape == (2, 6, 8)
    torch.testing.assert_close(policy.to_robot_units(inside), action)


def test_the_observation_is_encoded_once_and_the_kept_prefix_changes_nothing() -> None:
    policy = made(solver="heun", steps=4)
    observation, calls = look(policy), {"backbone": 0, "prefix": 0, "field": 0}

    def count(name: str) -> Any:
        return lambda *_: calls.update({name: calls[name] + 1})

    for name, module in (
        ("backbone", policy.model.prefix.backbones[0]),
        ("prefix", policy.model.prefix),
        ("field", policy.model.field),
    ):
        module.register_forward_hook(count(name))
    with torch.no_grad():
        kept = policy.predict_chunk(observation)
        assert calls == {"backbone": 2, "prefix": 1, "field": 8}  # two cameras; two evaluations in each step

        def anew(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return policy.model.field(x, t, policy.encode(observation))

        policy.reset()
        noise = policy.noise_for(observation, 2)
        again = policy.to_robot_units(policy.endpoint(anew, noise))
    assert calls == {"backbone": 18, "prefix": 9, "field": 16}
    assert torch.equal(kept, again)


def test_a_chunk_can_be_made_again() -> None:
    policy = made()
    observation = look(policy)
    with torch.no_grad():
        first, second = policy.predict_chunk(observation), policy.predict_chunk(observation)
        assert not torch.equal(first, second)
        policy.reset()
        assert torch.equal(policy.predict_chunk(observation), first)
        assert torch.equal(policy.predict_chunk(observation), second)
        noise = np.random.default_rng(0).normal(size=(2, 6, 8)).astype(np.float32)
        given = {**observation, "noise": noise}
        assert torch.equal(policy.predict_chunk(given), policy.predict_chunk(given))
        policy.noise.reset(5)
        assert not torch.equal(policy.predict_chunk(observation), first)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros((2, 6, 8), np.float16), "dtype torch.float16, allowed is float32"),
        (np.zeros((2, 6, 5), np.float32), r"noise: found shape \(2, 6, 5\), allowed is \(2, 6, 8\)"),
    ],
)
def test_other_noise_is_refused(wrong: np.ndarray, words: str) -> None:
    policy = made()
    with pytest.raises(PolicyError, match=words):
        policy.predict_chunk({**look(policy), "noise": wrong})


def test_several_draws_are_the_loss_of_observations_that_come_as_often() -> None:
    once, often = made(dropout=0.0).train(), made(dropout=0.0, draws=3).train()
    often.load_state_dict(once.state_dict())
    batch = PolicyContract().batch(once)
    encoded: list[int] = []
    often.model.prefix.register_forward_pre_hook(lambda _, arguments: encoded.append(len(arguments[0])))
    torch.manual_seed(5)
    loss = often.compute_loss(batch).loss
    torch.manual_seed(5)
    torch.testing.assert_close(loss, once.compute_loss(mapped(batch, lambda each: np.repeat(each, 3, axis=0))).loss)
    assert encoded == [len(batch["qpos"])], "each observation is encoded once"
    noise = torch.zeros(len(batch["qpos"]), once.config.chunk_size, once.config.padded_dim)
    given = {**batch, "noise": noise, "time": torch.full((len(noise),), 0.5)}
    torch.testing.assert_close(often.compute_loss(given).loss, once.compute_loss(given).loss)


def test_training_draws_float32_noise_under_autocast() -> None:
    policy = made()
    seen: list[torch.Tensor] = []
    policy.model.field.register_forward_pre_hook(lambda _, arguments: seen.extend(arguments[:2]))
    with torch.autocast("cpu", torch.bfloat16):
        policy.compute_loss(PolicyContract().batch(policy))
    assert [one.dtype for one in seen] == [torch.float32] * 2


def test_a_task_is_read_from_wherever_it_is_given() -> None:
    policy = made(task_dim=16)
    observation = look(policy)
    with pytest.raises(PolicyError, match="neither 'task_embedding' nor 'task'"):
        policy.predict_chunk(observation)
    with pytest.raises(PolicyError, match="found 1 texts"):
        policy.predict_chunk({**observation, "task": ["lift"]})

    def chunk(**more: Any) -> torch.Tensor:
        policy.reset()
        return policy.predict_chunk({**observation, **more})

    lift, insert = chunk(task="lift the cube"), chunk(task=["insert the peg"] * 2)
    assert not torch.equal(lift, insert)
    vector = np.stack([embed_text("lift the cube", 16)] * 2)
    assert torch.equal(chunk(task_embedding=vector), lift)
    policy.config = policy.config.model_copy(update={"task": "insert the peg"})
    assert torch.equal(chunk(), insert)
    assert torch.equal(chunk(task=["", "insert the peg"]), insert), "an empty text is no task, as on a robot"
    assert torch.equal(chunk(task=""), insert)
    loss = policy.compute_loss({**PolicyContract().batch(policy), "task": ["lift the cube", ""]})
    assert torch.isfinite(loss.loss)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"solver": "heun", "steps": 2, "encoder_layers": 0, "activation": "relu", "task_dim": 4, "task": "lift"},
        {"cameras": [{"name": "top", "height": 40, "width": 64}, {"name": "wrist", "height": 32, "width": 32}],
         "shared_backbone": False, "backbone": "resnet18", "backbone_norm": "frozen", "steps": 1},
        {"cameras": [], "padded_dim": 5},
    ],
    ids=["euler", "heun and task", "backbones apart", "no camera"],
)  # fmt: skip
def test_the_runtime_gives_what_the_policy_gives(changes: dict[str, Any]) -> None:
    policy = made(**changes)
    plain = copy.deepcopy(policy)
    runtime = InferenceRuntime(policy, repeatable=True)
    report = runtime.warm_up()
    assert report.max_difference < 1e-4
    runtime.reset()
    for seed in (3, 4):  # the second draws other noise
        seen = PolicyContract().observation(plain, 1, seed)
        expected = plain.predict_chunk(seen)[0].numpy()
        one = {"qpos": seen["qpos"][0], "images": {name: image[0] for name, image in seen["images"].items()}}
        np.testing.assert_allclose(runtime(one), expected, atol=1e-4)
    noise = np.ones((6, plain.config.padded_dim), np.float32)
    expected = plain.predict_chunk({**seen, "noise": noise[None]})[0].numpy()
    np.testing.assert_allclose(runtime({**one, "noise": noise}), expected, atol=1e-4)
    if plain.config.task_dim:
        given = runtime({**one, "noise": noise, "task_embedding": np.ones(4, np.float32)})
        assert not np.allclose(given, expected, atol=1e-3)
        np.testing.assert_allclose(runtime({**one, "noise": noise, "task": "lift"}), expected, atol=1e-4)


def test_prefix_actions_come_out_as_they_are() -> None:
    policy = made()
    runtime = InferenceRuntime(policy, repeatable=True)
    runtime.warm_up()
    seen = PolicyContract().observation(policy, 1)
    one = {"qpos": seen["qpos"][0], "images": {name: image[0] for name, image in seen["images"].items()}}
    weight = np.array([1, 1, 0.5, 0, 0, 0], np.float32)
    action = np.full((6, 5), 0.3, np.float32)
    runtime.reset()
    free = runtime(one)
    runtime.reset()
    kept = runtime({**one, "prefix": {"action": action, "weight": weight}})
    np.testing.assert_array_equal(kept[:2], action[:2])
    assert np.isfinite(kept).all()
    assert not np.allclose(kept[2], free[2], atol=1e-4), "what follows agrees with them"


def test_texts_that_share_words_are_nearer() -> None:
    lift, fast, other = (embed_text(t, 64) for t in ("lift the cube", "Lift the cube fast!", "open a drawer"))
    assert np.linalg.norm(lift) == pytest.approx(1.0)
    assert lift @ fast > 0.5 > abs(lift @ other)
    assert not np.array_equal(embed_text("cube on plate", 64), embed_text("plate on cube", 64))
    assert not embed_text("", 64).any()


def test_a_policy_without_cameras_acts_on_its_state() -> None:
    policy = made(cameras=[])
    qpos = np.zeros((1, 5), np.float32)
    chunk = policy.predict_chunk({"qpos": qpos, "images": {}})
    assert chunk.shape == (1, 6, 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"padded_dim": 4}, "padded_dim 4 is below 5"),
        ({"heads": 5}, "not divisible by heads"),
        ({"task": "lift"}, "task_dim 0 means that no task is told"),
        ({"solver": "leap"}, "euler"),
        ({"steps": 0}, "greater than 0"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        small(**changes)


def test_a_tiny_set_is_learnt_by_heart() -> None:
    """Four states, four chunks: ten steps from any noise end at each one's own actions."""
    policy = made(dropout=0.0, cameras=[], steps=10, hidden_dim=64, feedforward_dim=128)
    batch = PolicyContract().batch(policy, 4)
    many: dict[str, Any] = {
        key: np.tile(batch[key], (8, *[1] * (batch[key].ndim - 1))) for key in ("qpos", "action", "is_pad")
    }
    many = {**many, "images": {}, "is_pad": np.zeros_like(many["is_pad"])}
    optimiser = torch.optim.AdamW(policy.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 250)
    policy.train()
    for _ in range(250):
        optimiser.zero_grad()
        policy.compute_loss(many).loss.backward()
        optimiser.step()
        schedule.step()
    found = policy.eval().predict_chunk(batch)
    wrong = policy.normalizer.action(found) - policy.normalizer.action(torch.from_numpy(batch["action"]))
    assert float(wrong.abs().mean()) < 0.08


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_the_fast_loop_can_be_recorded(solver: str) -> None:
    """No value is looked at, and the same buffers give the same result: what a CUDA graph needs."""
    policy = made(solver=solver, task_dim=4, task="lift")
    assert_recordable(policy)

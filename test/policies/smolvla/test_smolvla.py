"""SmolVLA: the shared contract, and what is its own: the frozen prefix, tasks, causal actions, ALOHA's grippers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from support.policies.contract import PolicyContract
from support.policies.smolvla import made, small, with_tokenizer

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'vgil_ros[vla]'")

from support.policies.recordable import assert_recordable

from vgil_ros.policies import CheckpointError, Policy, PolicyError, load_policy
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.smolvla import SmolVlaPolicy
from vgil_ros.policies.smolvla.language import TOKENIZER_FILE


class TestContract(PolicyContract):
    overfit_steps = 150
    overfit_ratio = 0.65

    def make_policy(self) -> Policy:
        return with_tokenizer(SmolVlaPolicy(small()))


class TestAlohaAndImageTokens(PolicyContract):
    """Two arms in pi0's units, tokens around each image, actions that attend to each other in every layer."""

    # once is enough
    test_loads_where_ros_and_hdf5_are_absent = test_loss_falls_on_one_batch = None  # type: ignore[assignment]

    def make_policy(self) -> Policy:
        config = small(
            state_dim=14,
            action_dim=14,
            padded_dim=14,
            adapt_to_pi_aloha=True,
            image_start=(4, 5),
            image_end=(4,),
            empty_cameras=1,
            self_attention_every=1,
            solver="heun",
        )
        return with_tokenizer(SmolVlaPolicy(config))


def look(policy: Policy, batch: int = 2, seed: int = 1) -> dict[str, Any]:
    return PolicyContract().observation(policy, batch, seed)


def test_the_observation_is_encoded_once_and_the_kept_prefix_changes_nothing() -> None:
    policy = made(steps=4)
    observation, calls = look(policy), {"tower": 0, "prefix": 0, "field": 0}

    def count(name: str) -> Any:
        return lambda *_: calls.update({name: calls[name] + 1})

    model = policy.model
    for name, module in (("tower", model.prefix.vlm.connector), ("prefix", model.prefix), ("field", model.field)):
        module.register_forward_hook(count(name))
    kept = policy.predict_chunk(observation)
    assert calls == {"tower": 2, "prefix": 1, "field": 4}

    def anew(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return policy.model.field(x, t, policy.encode(observation))

    policy.reset()
    with torch.no_grad():
        again = policy.to_robot_units(policy.endpoint(anew, policy.noise_for(observation, 2)))
    assert torch.equal(kept, again)


def test_the_vlm_never_learns_and_the_rest_does() -> None:
    policy = made()
    policy.compute_loss(PolicyContract().batch(policy)).loss.backward()
    for name, parameter in policy.named_parameters():
        assert (parameter.grad is None) == (".vlm." in name), name
        assert parameter.requires_grad != (".vlm." in name)


def test_images_and_words_do_not_see_the_state() -> None:
    policy = made()
    observation = look(policy)
    first = policy.encode(observation)
    other = policy.encode({**observation, "qpos": observation["qpos"] + 1.0})
    for ours, theirs in zip((*first.keys, *first.values), (*other.keys, *other.values), strict=True):
        assert torch.equal(ours[:, :-1], theirs[:, :-1])
        assert not torch.allclose(ours[:, -1], theirs[:, -1])


def test_a_task_is_read_and_one_that_is_shorter_changes_nothing_for_the_longer() -> None:
    policy = made(task=None)
    observation = look(policy)
    assert policy.config.needs_task
    with pytest.raises(PolicyError, match="holds no 'task'; allowed is a text"):
        policy.predict_chunk(observation)
    with pytest.raises(PolicyError, match="found 1 texts"):
        policy.predict_chunk({**observation, "task": ["lift"]})

    def chunk(texts: list[str]) -> torch.Tensor:
        policy.reset()
        return policy.predict_chunk({**observation, "task": texts})

    alike = chunk(["insert the peg into the socket"] * 2)
    mixed = chunk(["insert the peg into the socket", "pick up"])
    torch.testing.assert_close(mixed[0], alike[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(mixed[1], alike[1], atol=1e-3)
    assert torch.equal(chunk(["pick up\n"] * 2), chunk(["pick up"] * 2)), "a line break is added where there is none"
    policy.config = policy.config.model_copy(update={"task": "pick up"})
    assert torch.equal(chunk([""] * 2), chunk(["pick up"] * 2)), "an empty text is no task, as on a robot"


def test_an_action_does_not_see_later_ones() -> None:
    policy = made()
    prefix = policy.encode(look(policy))
    x, t = torch.randn(2, 6, 8), torch.full((2,), 0.5)
    with torch.no_grad():
        whole = policy.model.field(x, t, prefix)
        x[:, 4:] = 0.0
        other = policy.model.field(x, t, prefix)
    assert torch.equal(whole[:, :4], other[:, :4])
    assert not torch.allclose(whole[:, 5], other[:, 5])


@pytest.mark.parametrize("changes", [{}, {"steps": 1, "self_attention_every": 0}], ids=["interleaved", "cross alone"])
def test_the_runtime_gives_what_the_policy_gives(changes: dict[str, Any]) -> None:
    policy = made(task=None, **changes)
    runtime = InferenceRuntime(policy, repeatable=True)
    assert runtime.warm_up().max_difference < 1e-4
    runtime.reset()
    seen = {**look(policy, 1, 3), "task": "insert the peg", "noise": np.ones((1, 6, 8), np.float32)}
    expected = policy.predict_chunk(seen)[0].numpy()
    one = {"qpos": seen["qpos"][0], "images": {name: image[0] for name, image in seen["images"].items()}}
    found = runtime({**one, "task": "insert the peg", "noise": seen["noise"][0]})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(runtime({**one, "task": "open", "noise": seen["noise"][0]}), expected, atol=1e-3)
    weight = np.array([1, 1, 0.5, 0, 0, 0], np.float32)
    kept = runtime({**one, "task": "open", "prefix": {"action": np.full((6, 5), 0.3, np.float32), "weight": weight}})
    np.testing.assert_array_equal(kept[:2], np.full((2, 5), 0.3, np.float32))
    assert np.isfinite(kept).all()


def test_bfloat16_is_near_float32() -> None:
    policy = made()
    runtime = InferenceRuntime(policy, precision="bf16", repeatable=True)
    report = runtime.warm_up()
    assert 0.0 < report.max_difference < 0.5
    assert policy.model.prefix.state_proj.weight.dtype == torch.float32, "the policy's own weights stay"


@pytest.mark.parametrize("aloha", [False, True])
def test_the_loop_can_be_recorded(aloha: bool) -> None:
    more = {"state_dim": 14, "action_dim": 14, "padded_dim": 16, "image_start": (4, 5), "image_end": (4,)}
    policy = made(adapt_to_pi_aloha=aloha, **(more if aloha else {}))
    assert_recordable(policy)


def test_prefix_actions_come_out_as_they_are_in_pi0s_units() -> None:
    policy = made(state_dim=14, action_dim=14, padded_dim=16, adapt_to_pi_aloha=True)
    action = torch.randn(2, 6, 14)
    torch.testing.assert_close(policy.to_robot_units(policy.to_network_units(action)), action, atol=1e-5, rtol=1e-5)
    weight = torch.tensor([[1.0, 1.0, 0.5, 0.0, 0.0, 0.0]] * 2)
    policy.reset()
    chunk = policy.predict_chunk({**look(policy), "prefix": {"action": action, "weight": weight}})
    assert torch.equal(chunk[:, :2], action[:, :2])


def test_a_checkpoint_without_its_tokenizer_is_refused(tmp_path: Any) -> None:
    policy = made()
    folder = policy.save(tmp_path / "checkpoint")
    assert (folder / TOKENIZER_FILE).read_bytes() == policy.files[TOKENIZER_FILE]
    (folder / "notes.txt").write_text("kept")
    policy.save(folder)
    assert {path.name for path in folder.iterdir()} == {
        "policy.json", "model.safetensors", TOKENIZER_FILE, "notes.txt"
    }  # fmt: skip
    (folder / TOKENIZER_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read"):
        load_policy(folder)
    (folder / TOKENIZER_FILE).write_text("{}")
    with pytest.raises(PolicyError, match="found no tokenizer"):
        load_policy(folder)
    bare = SmolVlaPolicy(small())
    bare.set_normalizer(policy.normalizer)
    with pytest.raises(PolicyError, match=r"tokenizer\.json is not set"):
        bare.predict_chunk(look(bare))
    with pytest.raises(PolicyError, match=r"tokenizer\.json is not set"):
        bare.save(tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"padded_dim": 4}, "padded_dim 4 is below 5"),
        ({"cameras": []}, "cameras: found none"),
        ({"scale_factor": 3}, "4 patches a side; allowed: a multiple of scale_factor 3"),
        ({"adapt_to_pi_aloha": True}, "allowed: 14 or more"),
        ({"text": {"heads": 4, "kv_heads": 3}}, "allowed: a multiple of kv_heads 3"),
        ({"vision": {"image_size": 30, "patch_size": 4}}, "allowed: a multiple of patch_size 4"),
        ({"text": {"layers": 1000}}, "less than or equal to 256"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        small(**changes)

"""The test that every policy must pass. A policy earns it with one factory method."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vgil_ros.policies import CheckpointError, Policy, PolicyError, load_policy
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.storage import CONFIG_FILE, WEIGHTS_FILE
from vgil_ros.training.data.episode_stats import Moments, make_normalizer

ROWS = 40
P = TypeVar("P", bound=Policy)


def fitted(policy: P, seed: int = 0) -> P:
    """Give `policy` a normaliser from made-up data, the way training makes it."""
    random, config = np.random.default_rng(seed), policy.config
    qpos, action = random.normal(size=(ROWS, config.state_dim)), random.normal(0.5, 2, (ROWS, config.action_dim))
    images = {name: Moments.of(random.random((ROWS, 3))) for name in config.camera_names}
    policy.set_normalizer(
        make_normalizer(config.normalization, Moments.of(qpos), Moments.of(action), images, config.camera_names)
    )
    return policy


def mapped(observation: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Change every array of an observation, however deep."""
    return {k: mapped(v, change) if isinstance(v, Mapping) else change(v) for k, v in observation.items()}


Change = Callable[[dict[str, Any]], dict[str, Any]]
ChangeWeights = Callable[[dict[str, torch.Tensor], str], dict[str, torch.Tensor]]


def without(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def first_image(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Change the image of the first camera."""

    def changed(part: dict[str, Any]) -> dict[str, Any]:
        name, image = next(iter(part["images"].items()))
        return {**part, "images": {**part["images"], name: change(image)}}

    return changed


def no_first_image(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "images": without(part["images"], next(iter(part["images"])))}


def one_camera_more(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "images": {**part["images"], "surprise": next(iter(part["images"].values()))}}


# In words KEY is a weight of two axes or more, CAMERA the first camera.
WRONG_WEIGHTS: list[tuple[str, ChangeWeights]] = [
    ("missing: KEY", lambda weights, key: without(weights, key)),
    (r"unknown: model\.surprise", lambda weights, key: {**weights, "model.surprise": torch.zeros(1)}),
    ("mismatched: KEY has shape", lambda weights, key: {**weights, key: weights[key][:1, :1].clone()}),
    (r"mismatched: KEY is torch\.float64", lambda weights, key: {**weights, key: weights[key].double()}),
    ("not finite.*KEY", lambda weights, key: {**weights, key: torch.full_like(weights[key], float("nan"))}),
]
WRONG_CONFIGURATIONS: list[tuple[str, Change]] = [
    ("surprise: unknown key[;,] allowed", lambda values: {**values, "surprise": 1}),
    ("state_dim: missing", lambda values: without(values, "state_dim")),
    ("chunk_size", lambda values: {**values, "chunk_size": 0}),
    ("'none such' is unknown", lambda values: {**values, "type": "none such"}),
    (r"normalization\.qpos\.mode", lambda values: {**values, "normalization": {"qpos": {"mode": "guess"}}}),
]
WRONG_OBSERVATIONS: list[tuple[str, Change]] = [
    (r"missing \['CAMERA'\]", no_first_image),
    (r"unknown \['surprise'\]", one_camera_more),
    ("image of CAMERA: found shape", first_image(lambda image: image[:, :-1])),
    ("image of CAMERA: found dtype float32", first_image(lambda image: image.astype(np.float32))),
    ("qpos: found shape", lambda observation: {**observation, "qpos": observation["qpos"][:, :-1]}),
    ("'qpos' missing", lambda observation: without(observation, "qpos")),
]
WRONG_BATCHES: list[tuple[str, Change]] = [
    ("action: found shape", lambda batch: {**batch, "action": batch["action"][:, :-1]}),
    ("is_pad: found shape", lambda batch: {**batch, "is_pad": batch["is_pad"][:, :-1]}),
    ("is_pad: found dtype", lambda batch: {**batch, "is_pad": batch["is_pad"].astype(np.float32)}),
]
WRONG_PASTS: list[tuple[str, Change]] = [
    (r"past: \['known'\] missing", lambda past: without(past, "known")),
    ("past image of CAMERA: found shape", first_image(lambda images: images[:, :, :-1])),
    ("past image of CAMERA: found dtype", first_image(lambda images: images.astype(np.float32))),
    (r"missing \['CAMERA'\]", no_first_image),
    ("past qpos: found shape", lambda past: {**past, "qpos": past["qpos"][..., :-1]}),
    ("past known: found shape", lambda past: {**past, "known": np.ones((2, 9), bool)}),
    ("past known: found dtype", lambda past: {**past, "known": past["known"].astype(np.float32)}),
]


class PolicyContract:
    """Mix in, and give `make_policy`: small, with random weights and without a normaliser."""

    overfit_steps = 40
    overfit_ratio = 0.6

    def make_policy(self) -> Policy:
        raise NotImplementedError

    @pytest.fixture
    def policy(self) -> Policy:
        torch.manual_seed(0)
        return fitted(self.make_policy()).eval()

    def observation(self, policy: Policy, batch: int = 2, seed: int = 1) -> dict[str, Any]:
        """Override where a policy takes more than qpos and images."""
        random = np.random.default_rng(seed)
        images = {
            camera.name: random.integers(0, 256, (batch, camera.height or 0, camera.width or 0, 3), dtype=np.uint8)
            for camera in policy.config.cameras
        }
        out = {"qpos": random.normal(size=(batch, policy.config.state_dim)).astype(np.float32), "images": images}
        if policy.config.obs_offsets:
            out["past"] = self.past(out, len(policy.config.obs_offsets))
        return out

    def past(self, observation: dict[str, Any], count: int, known: bool = True) -> dict[str, Any]:
        """A past (N = count) in which the robot was elsewhere and every image had been further to the left."""
        frames = range(count, 0, -1)  # oldest first
        return {
            "qpos": np.stack([observation["qpos"] - 0.01 * n for n in frames], axis=1),
            "images": {
                name: np.stack([np.roll(image, -2 * n, axis=2) for n in frames], axis=1)
                for name, image in observation["images"].items()
            },
            "known": np.full((len(observation["qpos"]), count), known),
        }

    def batch(self, policy: Policy, batch: int = 2) -> dict[str, Any]:
        random, config = np.random.default_rng(2), policy.config
        action = random.normal(size=(batch, config.chunk_size, config.action_dim)).astype(np.float32)
        is_pad = np.zeros((batch, config.chunk_size), bool)
        is_pad[0, -1] = True
        return {**self.observation(policy, batch), "action": action, "is_pad": is_pad}

    def predict(self, policy: Policy, observation: dict[str, Any]) -> torch.Tensor:
        torch.manual_seed(0)
        policy.reset()
        return policy.predict_chunk(observation)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_chunk_has_the_shape_and_units_promised(self, policy: Policy, batch: int) -> None:
        chunk = self.predict(policy, self.observation(policy, batch))
        assert chunk.shape == (batch, policy.config.chunk_size, policy.config.action_dim)
        assert chunk.dtype == torch.float32
        assert torch.isfinite(chunk).all()

    def test_batch_members_do_not_mix(self, policy: Policy) -> None:
        observation = self.observation(policy, 1)
        double = mapped(observation, lambda array: np.repeat(array, 2, 0))
        double["qpos"][1] += 1.0
        alone = self.predict(policy, observation)[0]
        together = self.predict(policy, double)
        torch.testing.assert_close(together[0], alone, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(together[1], alone, atol=1e-5)

    def test_eval_is_deterministic_and_torch_equals_numpy(self, policy: Policy) -> None:
        observation = self.observation(policy)
        first = self.predict(policy, observation)
        assert torch.equal(first, self.predict(policy, observation))
        assert torch.equal(first, self.predict(policy, mapped(observation, torch.from_numpy)))

    def test_a_chunk_is_predicted_in_eval_mode_and_without_gradients(self, policy: Policy) -> None:
        """However the policy was left, which is as it is afterwards: some modules in training mode, some not."""
        observation = self.observation(policy)
        wanted = self.predict(policy, observation)
        policy.train()
        policy.normalizer.eval()
        dropouts = [module for module in policy.modules() if isinstance(module, torch.nn.Dropout)]
        for dropout in dropouts:
            dropout.p = 0.5
        modes = [module.training for module in policy.modules()]
        with torch.enable_grad():
            chunk = self.predict(policy, observation)
        assert not chunk.requires_grad
        assert torch.equal(chunk, wanted)
        assert [module.training for module in policy.modules()] == modes
        assert policy.training
        assert not policy.normalizer.training
        with pytest.raises(PolicyError):
            policy.predict_chunk({})
        assert [module.training for module in policy.modules()] == modes, "after an error too"

    def test_every_camera_and_the_state_matter(self, policy: Policy) -> None:
        observation = self.observation(policy)
        first = self.predict(policy, observation)
        for name, image in observation["images"].items():
            other = {**observation, "images": {**observation["images"], name: 255 - image}}
            assert not torch.equal(first, self.predict(policy, other)), name
        assert not torch.equal(first, self.predict(policy, {**observation, "qpos": observation["qpos"] + 1}))

    def test_the_runtime_gives_the_plain_policys_chunk(self, policy: Policy) -> None:
        observation = self.observation(policy, 1)
        single = mapped(observation, lambda array: array[0])
        torch.manual_seed(0)
        found = InferenceRuntime(policy, repeatable=True)(single)
        np.testing.assert_allclose(found, self.predict(policy, observation)[0].numpy(), atol=1e-4, rtol=1e-4)
        InferenceRuntime(policy, repeatable=True).warm_up()

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_a_pass_recorded_on_cuda_gives_the_plain_policys_chunk(self, policy: Policy) -> None:
        seen = [self.observation(policy, 1, seed) for seed in (1, 3)]
        torch.manual_seed(0)
        policy.reset()
        wanted = [policy.predict_chunk(one)[0].numpy() for one in (*seen, seen[0])]
        single = [mapped(one, lambda array: array[0]) for one in seen]
        runtime = InferenceRuntime(policy, "cuda")
        runtime.warm_up(single[0])
        runtime.reset()
        for one, chunk in zip((*single, single[0]), wanted, strict=True):
            np.testing.assert_allclose(runtime(one), chunk, atol=1e-3, rtol=1e-3)

    def test_save_and_load_is_bit_equal(self, policy: Policy, tmp_path: Path) -> None:
        observation = self.observation(policy)
        policy.save(tmp_path / "checkpoint")
        policy.save(tmp_path / "checkpoint")  # replaces
        loaded = load_policy(tmp_path / "checkpoint")
        assert not loaded.training
        assert type(loaded) is type(policy)
        assert loaded.config.model_copy(update={"software": ""}) == policy.config.model_copy(update={"software": ""})
        assert loaded.config.software.startswith("vgil_ros ")
        for key, value in policy.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value), key
        assert torch.equal(self.predict(loaded, observation), self.predict(policy, observation))
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"], "no scratch folder is left"

    @pytest.mark.parametrize(("words", "change"), WRONG_WEIGHTS)
    def test_wrong_weights_are_named(self, policy: Policy, tmp_path: Path, words: str, change: ChangeWeights) -> None:
        folder = policy.save(tmp_path / "checkpoint")
        weights = load_file(folder / WEIGHTS_FILE)
        key = next(k for k, v in weights.items() if v.ndim >= 2)
        save_file(change(weights, key), folder / WEIGHTS_FILE)
        with pytest.raises(CheckpointError, match=words.replace("KEY", re.escape(key))):
            load_policy(folder)

    @pytest.mark.parametrize(("words", "change"), WRONG_CONFIGURATIONS)
    def test_wrong_configuration_is_named(self, policy: Policy, tmp_path: Path, words: str, change: Change) -> None:
        folder = policy.save(tmp_path / "checkpoint")
        values = json.loads((folder / CONFIG_FILE).read_text())
        (folder / CONFIG_FILE).write_text(json.dumps(change(values)))
        with pytest.raises(PolicyError, match=words):
            load_policy(folder)

    def test_what_holds_no_configuration_is_named(self, policy: Policy, tmp_path: Path) -> None:
        folder = policy.save(tmp_path / "checkpoint")
        (folder / CONFIG_FILE).write_text("{")
        with pytest.raises(CheckpointError, match=r"cannot be read|not readable as JSON"):
            load_policy(folder)
        with pytest.raises(CheckpointError, match="not a checkpoint folder"):
            load_policy(tmp_path)

    @pytest.mark.parametrize(("words", "change"), WRONG_OBSERVATIONS)
    def test_wrong_observations_are_refused_in_words(self, policy: Policy, words: str, change: Change) -> None:
        name = policy.config.camera_names[0]
        with pytest.raises(PolicyError, match=words.replace("CAMERA", name)):
            policy.predict_chunk(change(self.observation(policy)))

    def test_nothing_runs_without_a_normaliser(self, tmp_path: Path) -> None:
        policy = self.make_policy().eval()
        with pytest.raises(PolicyError, match="not set"):
            policy.predict_chunk(self.observation(policy))
        with pytest.raises(PolicyError, match="not set"):
            policy.compute_loss(self.batch(policy))
        with pytest.raises(PolicyError, match="not set"):
            policy.save(tmp_path / "checkpoint")
        assert not (tmp_path / "checkpoint").exists()

    def test_loss_falls_on_one_batch(self, policy: Policy) -> None:
        torch.manual_seed(0)
        policy.train()
        batch = self.batch(policy)
        parameters = [p for p in policy.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(parameters, lr=1e-3)
        losses = []
        for _ in range(self.overfit_steps):
            out = policy.compute_loss(batch)
            assert all(not part.requires_grad for part in out.parts.values())
            optimiser.zero_grad()
            out.loss.backward()
            optimiser.step()
            losses.append(float(out.loss.detach()))
        assert np.mean(losses[-5:]) < self.overfit_ratio * losses[0], losses

    def test_loss_ignores_padded_actions(self, policy: Policy) -> None:
        batch = self.batch(policy)
        other = {**batch, "action": batch["action"].copy()}
        other["action"][batch["is_pad"]] += 100.0
        losses = []
        for one in (batch, other):
            torch.manual_seed(0)
            losses.append(policy.compute_loss(one).loss.detach())
        torch.testing.assert_close(losses[0], losses[1], atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize(("words", "change"), WRONG_BATCHES)
    def test_wrong_batches_are_refused_in_words(self, policy: Policy, words: str, change: Change) -> None:
        with pytest.raises(PolicyError, match=words):
            policy.compute_loss(change(self.batch(policy)))

    def test_loads_where_ros_and_hdf5_are_absent(self, policy: Policy, tmp_path: Path) -> None:
        folder = policy.save(tmp_path / "checkpoint")
        script = f"""
            import sys
            class Absent:
                def find_spec(self, name, path=None, target=None):
                    if name.split(".")[0] in ("rclpy", "h5py", "cv2", "mujoco"):
                        raise ImportError(name + " is absent")
            sys.meta_path.insert(0, Absent())
            from vgil_ros.policies import load_policy
            from vgil_ros.policies.inference.runtime import InferenceRuntime
            import vgil_ros.policies.importers
            load_policy({str(folder)!r})
            print("loaded")
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=200, check=False
        )
        assert done.stdout.strip() == "loaded", done.stderr


class PolicyWithPast(PolicyContract):
    """Mix in for a policy that looks back; its observations hold a past that is known."""

    def test_an_unknown_past_is_no_past_and_the_same_model(self, policy: Policy) -> None:
        """At the first tick or after a gap: whatever lies in the past's memory then, the chunk is the same."""
        count = len(policy.config.obs_offsets)
        observation = self.observation(policy)
        with_it = self.predict(policy, observation)
        present = without(observation, "past")
        alone = self.predict(policy, present)
        for past in (self.past(observation, count, known=False), self.past(mapped(present, np.zeros_like), count)):
            past["known"][:] = False
            torch.testing.assert_close(self.predict(policy, {**present, "past": past}), alone, atol=1e-6, rtol=0)
        assert not torch.allclose(alone, with_it, atol=1e-6), "the past matters where it is known"
        half = {**observation, "past": {**observation["past"], "known": observation["past"]["known"].copy()}}
        half["past"]["known"][1] = False
        mixed = self.predict(policy, half)
        torch.testing.assert_close(mixed[0], with_it[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(mixed[1], alone[1], atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize(("words", "change"), WRONG_PASTS)
    def test_a_wrong_past_is_refused_in_words(self, policy: Policy, words: str, change: Change) -> None:
        observation = self.observation(policy)
        with pytest.raises(PolicyError, match=words.replace("CAMERA", policy.config.camera_names[0])):
            policy.predict_chunk({**observation, "past": change(observation["past"])})

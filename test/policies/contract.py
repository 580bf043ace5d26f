"""The test that every policy must pass. A policy earns it with one factory method."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vgil_ros.policies import CheckpointError, Policy, PolicyError, load_policy
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.storage import CONFIG_FILE, WEIGHTS_FILE
from vgil_ros.training.data.episode_stats import Moments, make_normalizer

ROWS = 40


def fitted(policy: Policy, seed: int = 0) -> Policy:
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

    def test_an_unknown_past_is_no_past_and_the_same_model(self, policy: Policy) -> None:
        """At the first tick or after a gap: whatever lies in the past's memory then, the chunk is the same."""
        count = len(policy.config.obs_offsets)
        observation = self.observation(policy)
        with_it = self.predict(policy, observation)
        without = {key: value for key, value in observation.items() if key != "past"}
        alone = self.predict(policy, without)
        assert alone.shape == with_it.shape
        if count == 0:
            return
        for past in (self.past(observation, count, known=False), self.past(mapped(without, np.zeros_like), count)):
            past["known"][:] = False
            torch.testing.assert_close(self.predict(policy, {**without, "past": past}), alone, atol=1e-6, rtol=0)
        assert not torch.allclose(alone, with_it, atol=1e-6), "the past matters where it is known"
        half = {**observation, "past": {**observation["past"], "known": observation["past"]["known"].copy()}}
        half["past"]["known"][1] = False
        mixed = self.predict(policy, half)
        torch.testing.assert_close(mixed[0], with_it[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(mixed[1], alone[1], atol=1e-4, rtol=1e-4)

    def test_a_wrong_past_is_refused_in_words(self, policy: Policy) -> None:
        if not policy.config.obs_offsets:
            return
        observation = self.observation(policy)
        past = observation["past"]
        name, image = next(iter(past["images"].items()))
        for words, wrong in {
            r"past: \['known'\] missing": {key: value for key, value in past.items() if key != "known"},
            f"past image of {name}: found shape": {**past, "images": {**past["images"], name: image[:, :, :-1]}},
            f"past image of {name}: found dtype": {**past, "images": {**past["images"], name: image.astype("f4")}},
            rf"missing \['{name}'\]": {**past, "images": {k: v for k, v in past["images"].items() if k != name}},
            "past qpos: found shape": {**past, "qpos": past["qpos"][..., :-1]},
            "past known: found shape": {**past, "known": np.ones((2, 9), bool)},
            "past known: found dtype": {**past, "known": past["known"].astype(np.float32)},
        }.items():
            with pytest.raises(PolicyError, match=words):
                policy.predict_chunk({**observation, "past": wrong})

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

    def test_wrong_weights_are_named(self, policy: Policy, tmp_path: Path) -> None:
        folder = policy.save(tmp_path / "checkpoint")
        weights = load_file(folder / WEIGHTS_FILE)
        key = next(k for k, v in weights.items() if v.ndim >= 2)
        cases = {
            f"missing: {key}": {k: v for k, v in weights.items() if k != key},
            "unknown: model.surprise": {**weights, "model.surprise": torch.zeros(1)},
            f"mismatched: {key} has shape": {**weights, key: weights[key][:1, :1].clone()},
            f"mismatched: {key} is torch.float64": {**weights, key: weights[key].double()},
            f"not finite.*{key}": {**weights, key: torch.full_like(weights[key], float("nan"))},
        }
        for words, wrong in cases.items():
            save_file(wrong, folder / WEIGHTS_FILE)
            with pytest.raises(CheckpointError, match=words):
                load_policy(folder)

    def test_wrong_configuration_is_named(self, policy: Policy, tmp_path: Path) -> None:
        folder = policy.save(tmp_path / "checkpoint")
        values = json.loads((folder / CONFIG_FILE).read_text())
        without = {key: value for key, value in values.items() if key != "state_dim"}
        cases = {
            "surprise: unknown key; allowed: ": {**values, "surprise": 1},
            "state_dim: missing": without,
            "chunk_size": {**values, "chunk_size": 0},
            "'none such' is unknown": {**values, "type": "none such"},
            "normalization.qpos.mode": {**values, "normalization": {"qpos": {"mode": "guess"}}},
        }
        for words, wrong in cases.items():
            (folder / CONFIG_FILE).write_text(json.dumps(wrong))
            with pytest.raises(PolicyError, match=words):
                load_policy(folder)
        (folder / CONFIG_FILE).write_text("{")
        with pytest.raises(CheckpointError, match="not readable as JSON"):
            load_policy(folder)
        with pytest.raises(CheckpointError, match="not a checkpoint folder"):
            load_policy(tmp_path)

    def test_wrong_observations_are_refused_in_words(self, policy: Policy) -> None:
        observation = self.observation(policy)
        name, image = next(iter(observation["images"].items()))
        others = {k: v for k, v in observation["images"].items() if k != name}
        cases = {
            rf"missing \['{name}'\]": {**observation, "images": others},
            r"unknown \['surprise'\]": {**observation, "images": {**observation["images"], "surprise": image}},
            f"image of {name}: found shape": {**observation, "images": {**others, name: image[:, :-1]}},
            f"image of {name}: found dtype float32": {**observation, "images": {**others, name: image.astype("f4")}},
            "qpos: found shape": {**observation, "qpos": observation["qpos"][:, :-1]},
            "'qpos' missing": {"images": observation["images"]},
        }
        for words, wrong in cases.items():
            with pytest.raises(PolicyError, match=words):
                policy.predict_chunk(wrong)

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

    def test_wrong_batches_are_refused_in_words(self, policy: Policy) -> None:
        batch = self.batch(policy)
        for words, wrong in {
            "action: found shape": {**batch, "action": batch["action"][:, :-1]},
            "is_pad: found shape": {**batch, "is_pad": batch["is_pad"][:, :-1]},
            "is_pad: found dtype": {**batch, "is_pad": batch["is_pad"].astype(np.float32)},
        }.items():
            with pytest.raises(PolicyError, match=words):
                policy.compute_loss(wrong)

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

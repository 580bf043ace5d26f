"""The fast path gives the plain policy's numbers, in every shape that a configuration allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from support.policies.act import small
from support.policies.contract import Change, first_image, fitted, no_first_image, without

from vgil_ros.policies import Normalization, Normalizer, Policy, PolicyError
from vgil_ros.policies.act import ActConfig, ActPolicy
from vgil_ros.policies.inference import onednn as kernels
from vgil_ros.policies.inference.runtime import InferenceRuntime

SHAPES: dict[str, dict[str, Any]] = {
    "published": {},
    "pre-norm, gelu, three decoder layers, one backbone each": {
        "pre_norm": True,
        "activation": "gelu",
        "decoder_layers": 3,
        "shared_backbone": False,
    },
    "group norm, learned positions": {"backbone_norm": "group", "positions": "learned"},
    "bottleneck blocks": {"backbone": "resnet50", "action_dim": 7},
    "mobilenet": {"backbone": "mobilenet_v3_small"},
    "mobilenet with group norm": {"backbone": "mobilenet_v3_small", "backbone_norm": "group"},
    "small backbone": {"backbone": "small", "backbone_norm": "group"},
    "small backbone for small things": {"backbone": "small_fine", "backbone_norm": "group"},
    "no encoder": {"encoder_layers": 0, "cvae_layers": 0},
    "cameras of two sizes": {
        "cameras": [
            {"name": "a", "height": 64, "width": 96},
            {"name": "b", "height": 50, "width": 70},
            {"name": "c", "height": 64, "width": 96},
        ]
    },
    "other scalings": {
        "normalization": {
            "qpos": {"mode": "min_max"},
            "action": {"mode": "identity"},
            "images": {"mode": "unit"},
        }
    },
    "LeRobot's eps": {"normalization": {"qpos": {"eps": 0.3}, "action": {"eps": 0.3}}},
}


def seeded(**changes: Any) -> ActPolicy:
    """A policy whose frozen norms and biases are not the neutral ones that it is made with."""
    torch.manual_seed(0)
    policy = ActPolicy(small(**changes))
    for key, value in policy.model.state_dict().items():
        if key.endswith(("running_mean", "bias")):
            value.copy_(0.1 * torch.randn_like(value))
        elif key.endswith("running_var"):
            value.copy_(0.5 + torch.rand_like(value))
    fitted(policy)
    return policy.eval()


def observed(policy: Policy, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    images = {
        camera.name: random.integers(0, 256, (camera.height or 0, camera.width or 0, 3), dtype=np.uint8)
        for camera in policy.config.cameras
    }
    return {"qpos": random.normal(size=policy.config.state_dim).astype(np.float32), "images": images}


def plain(policy: Policy, observation: dict[str, Any]) -> np.ndarray:
    batched = {
        "qpos": observation["qpos"][None],
        "images": {name: image[None] for name, image in observation["images"].items()},
    }
    return policy.predict_chunk(batched)[0].numpy()


@pytest.mark.parametrize(
    ("name", "fused"), [*((name, True) for name in SHAPES), ("published", False), ("bottleneck blocks", False)]
)
def test_fast_equals_plain(name: str, fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fused:
        monkeypatch.setattr(kernels, "fused_cpu_kernels", lambda dtype: False)
    policy = seeded(**SHAPES[name])
    runtime = InferenceRuntime(policy)
    report = runtime.warm_up()
    assert (report.precision, report.max_difference < 1e-4) == ("fp32", True)
    for seed in range(3):  # the buffers are used again: nothing of the last observation may be left
        observation = observed(policy, seed)
        chunk = runtime(observation)
        expected = plain(policy, observation)
        assert (chunk.shape, chunk.dtype) == (expected.shape, np.float32)
        np.testing.assert_allclose(chunk, expected, atol=1e-4)


@pytest.mark.parametrize("apart", [0, 1, 7, 9])
def test_images_scaled_apart(apart: int) -> None:
    """Statistics that differ between cameras, as LeRobot has them, cannot be folded into one stem."""
    spec = Normalization.model_validate({"images": {"mode": "mean_std", "eps": 1e-8}})
    policy = ActPolicy(small(normalization=spec, cameras=[{"name": n, "height": 64, "width": 64} for n in "abc"]))
    random = np.random.default_rng(0)
    stats = {"mean": random.normal(size=5), "std": random.uniform(0.5, 1, 5)}
    mean, std = random.uniform(0.2, 0.6, (3, 3)), random.uniform(0.1, 0.4, (3, 3))
    mean[2], std[2] = mean[0], std[0]
    policy.set_normalizer(Normalizer.from_statistics(spec, stats, stats, 3, mean, std))
    runtime = InferenceRuntime(policy)
    runtime.warm_up()
    for backbone in runtime._module._images._backbones:  # type: ignore[union-attr]
        backbone._apart = dict.fromkeys(backbone._apart, apart)  # steps that each image goes by itself
    observation = observed(policy, 1)
    np.testing.assert_allclose(runtime(observation), plain(policy, observation), atol=1e-4)


def test_black_and_white_images_are_exact_at_the_borders() -> None:
    """The folded stem pads with the mean colour; zeros there would show most on uniform images."""
    policy = seeded()
    runtime = InferenceRuntime(policy)
    runtime.warm_up()
    for value in (0, 255):
        observation = observed(policy, 0)
        observation["images"] = {name: np.full_like(image, value) for name, image in observation["images"].items()}
        np.testing.assert_allclose(runtime(observation), plain(policy, observation), atol=1e-4)


def test_low_precision_says_what_it_costs() -> None:
    policy = seeded()
    runtime = InferenceRuntime(policy, precision="bf16")
    report = runtime.warm_up()
    assert runtime.report is report
    assert 0 < report.mean_difference <= report.max_difference < 0.2
    observation = observed(policy, 0)
    difference = np.abs(runtime(observation) - plain(policy, observation))
    assert 0 < difference.max() < 0.2


def test_results_do_not_share_memory_and_odd_arrays_are_taken() -> None:
    policy = seeded()
    runtime = InferenceRuntime(policy)
    runtime.warm_up()
    observation = observed(policy, 0)
    first = runtime(observation)
    kept = first.copy()
    runtime(observed(policy, 1))
    np.testing.assert_array_equal(first, kept)
    for image in observation["images"].values():
        image.flags.writeable = False
    flipped = {name: image[:, ::-1][:, ::-1] for name, image in observation["images"].items()}
    odd = {"qpos": observation["qpos"].astype(np.float64), "images": dict(reversed(flipped.items()))}
    np.testing.assert_array_equal(runtime(odd), kept)


def test_threads_take_turns() -> None:
    policy = seeded(backbone="mobilenet_v3_small")
    runtime = InferenceRuntime(policy)
    runtime.warm_up()
    observations = [observed(policy, seed) for seed in range(3)]
    expected = [runtime(o) for o in observations]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            if not np.array_equal(runtime(observations[index]), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("words", "change"),
    [
        (r"missing \['CAMERA'\]", no_first_image),
        ("image of CAMERA: found shape", first_image(lambda image: image[1:])),
        ("image of CAMERA: found dtype", first_image(lambda image: image.astype(np.int16))),
        ("qpos: found shape", lambda observation: {**observation, "qpos": observation["qpos"][None]}),
        ("'qpos' missing", lambda observation: without(observation, "qpos")),
    ],
)
def test_a_wrong_observation_is_refused_in_words_and_the_next_one_is_answered(words: str, change: Change) -> None:
    policy = seeded()
    runtime = InferenceRuntime(policy, repeatable=True)
    good = observed(policy, 0)
    runtime.warm_up(good)
    with pytest.raises(PolicyError, match=words.replace("CAMERA", policy.config.camera_names[0])):
        runtime(change(good))
    np.testing.assert_allclose(runtime(good), plain(policy, good), atol=1e-4)


def test_what_cannot_run_is_refused_before_it_runs() -> None:
    with pytest.raises(PolicyError, match="not set"):
        InferenceRuntime(ActPolicy(small()))
    policy = seeded()
    with pytest.raises(PolicyError, match="precision 'fp8' is unknown"):
        InferenceRuntime(policy, precision="fp8")  # type: ignore[arg-type]
    for precision in ("fp16", "tf32"):
        with pytest.raises(PolicyError, match=f"precision '{precision}' needs a GPU"):
            InferenceRuntime(policy, precision=precision)  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="device 'warp' is unknown"):
        InferenceRuntime(policy, "warp")
    sizeless = seeded(cameras=[{"name": "top"}])
    with pytest.raises(PolicyError, match="size of camera top is unknown"):
        InferenceRuntime(sizeless).warm_up()


def test_unknown_image_sizes_are_taken_from_the_first_observation() -> None:
    policy = seeded(cameras=[{"name": "top"}])
    observation = {"qpos": np.zeros(5, np.float32), "images": {"top": np.zeros((64, 64, 3), np.uint8)}}
    np.testing.assert_allclose(InferenceRuntime(policy)(observation), plain(policy, observation), atol=1e-4)


def test_images_of_another_size_than_the_first_are_refused_however_a_chunk_is_asked_for() -> None:
    policy = seeded(cameras=[{"name": "top"}])

    def seen(height: int, width: int) -> Any:
        return {"qpos": np.zeros(5, np.float32), "images": {"top": np.zeros((height, width, 3), np.uint8)}}

    runtime, good, other = InferenceRuntime(policy, repeatable=True), seen(64, 64), seen(96, 128)
    runtime.warm_up(good)
    asked: list[Callable[[], Any]] = [
        lambda: runtime(other),
        lambda: runtime.draw(other, 2),
        lambda: runtime.batch([good, other]),
        lambda: runtime({**other, "prefix": {}}),
    ]
    for ask in asked:
        with pytest.raises(PolicyError, match=r"image of top: found shape \(96, 128, 3\), allowed is \(64, 64, 3\)"):
            ask()
    np.testing.assert_allclose(runtime.draw(good, 2)[1], runtime(good), atol=1e-4)
    with pytest.raises(PolicyError, match="found a prefix; allowed with one chunk of one observation"):
        runtime.draw({**good, "prefix": {}}, 2)
    runtime.warm_up(other)
    np.testing.assert_allclose(runtime(other), plain(policy, other), atol=1e-4)


class SlowConfig(ActConfig):
    """Of a type that has no form for inference."""

    type: Literal["slow"] = "slow"  # type: ignore[assignment]


def test_a_policy_without_an_inference_module_runs_too() -> None:
    torch.manual_seed(0)
    policy = fitted(ActPolicy(SlowConfig(**{**small().model_dump(), "type": "slow"}))).eval()
    runtime = InferenceRuntime(policy)
    assert runtime.warm_up().max_difference == 0
    observation = observed(policy, 0)
    np.testing.assert_allclose(runtime(observation), plain(policy, observation), atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", SHAPES)
def test_cuda_equals_cpu(name: str) -> None:
    policy = seeded(**SHAPES[name])
    observations = [observed(policy, seed) for seed in range(3)]
    expected = [plain(policy, observation) for observation in observations]
    runtime = InferenceRuntime(policy, "cuda")
    assert runtime.warm_up().max_difference < 1e-3
    for observation, wanted in zip(observations, expected, strict=True):
        np.testing.assert_allclose(runtime(observation), wanted, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_low_precision_on_cuda(precision: Any) -> None:
    policy = seeded()
    report = InferenceRuntime(policy, "cuda", precision).warm_up()
    assert 0 < report.max_difference < 0.3

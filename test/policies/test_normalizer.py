"""The normaliser: laws of its modes, and statistics that it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgil_ros.policies import Normalization, Normalizer, PolicyError
from vgil_ros.policies.normalizer import IMAGENET_MEAN, IMAGENET_STD

MODES = ["mean_std", "min_max", "unit", "identity"]
rows = arrays(np.float32, (9, 3), elements=st.floats(-50, 50, width=32))


def make(mode: str, data: np.ndarray, eps: float = 0.0) -> Normalizer:
    spec = Normalization.model_validate({"qpos": {"mode": mode, "eps": eps}, "action": {"mode": mode, "eps": eps}})
    return Normalizer.fit(spec, data, data, 1)


@settings(max_examples=60, deadline=None)
@given(mode=st.sampled_from(MODES), data=rows)
def test_there_and_back(mode: str, data: np.ndarray) -> None:
    normalizer, x = make(mode, data), torch.from_numpy(data)
    torch.testing.assert_close(normalizer.action.inverse(normalizer.action(x)), x, atol=1e-3, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(data=rows)
def test_ranges_are_those_promised(data: np.ndarray) -> None:
    x = torch.from_numpy(data)
    for mode, low, high in (("min_max", -1, 1), ("unit", 0, 1)):
        scaled = make(mode, data).qpos(x)
        assert scaled.min() >= low - 1e-3
        assert scaled.max() <= high + 1e-3
    assert (make("mean_std", data).qpos.std >= 1e-2 - 1e-9).all()


def test_std_is_clipped_at_a_hundredth_and_a_still_joint_stays_small() -> None:
    data = np.random.default_rng(0).normal(size=(100, 2))
    data[:, 1] = 3.0
    normalizer = make("mean_std", data)
    assert normalizer.qpos.std[1] == pytest.approx(1e-2)
    assert normalizer.qpos.std[0] == pytest.approx(data[:, 0].std(ddof=1), rel=1e-5)
    for mode in ("min_max", "unit"):
        assert torch.isfinite(make(mode, data).qpos(torch.tensor([[0.0, 3.001]]))).all()


def test_eps_is_added_on_the_way_in_alone() -> None:
    part = make("mean_std", np.random.default_rng(0).normal(size=(50, 2)), eps=0.5).qpos
    x = torch.tensor([[1.0, -1.0]])
    torch.testing.assert_close(part(x), (x - part.mean) / (part.std + 0.5))
    torch.testing.assert_close(part.inverse(x), x * part.std + part.mean)


def test_images_by_hand() -> None:
    image = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8)
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    expected = (image.permute(0, 3, 1, 2) / 255 - mean) / std
    data = np.random.default_rng(0).normal(size=(5, 2))
    torch.testing.assert_close(make("identity", data).normalize_images(image, 0), expected)


def test_the_two_image_paths_have_other_statistics_refused() -> None:
    stats = {"mean": np.zeros(2), "std": np.ones(2)}
    ones = np.ones((1, 3), np.float32)
    with pytest.raises(PolicyError, match="has statistics of its own"):
        Normalizer.from_statistics(Normalization(), stats, stats, 1, ones, ones)
    own = Normalization.model_validate({"images": {"mode": "mean_std"}})
    with pytest.raises(PolicyError, match="images: mean or std is not set"):
        Normalizer.from_statistics(own, stats, stats, 1)
    with pytest.raises(PolicyError, match=r"found shape \(1, 3\), allowed is \(2, 3\)"):
        Normalizer.from_statistics(own, stats, stats, 2, ones, ones)


@pytest.mark.parametrize(
    ("stats", "words"),
    [
        ({}, "statistics of qpos are missing"),
        ({"mean": np.zeros(2)}, "std missing"),
        ({"mean": np.zeros(2), "std": np.ones(3)}, "all must be the same"),
        ({"mean": np.zeros(2), "std": np.array([1.0, 0.0])}, r"not above zero at index \[1\]"),
        ({"mean": np.array([0.0, np.inf]), "std": np.ones(2)}, "mean is not set or not finite"),
    ],
)
def test_unusable_statistics_are_refused(stats: dict[str, np.ndarray], words: str) -> None:
    good = {"mean": np.zeros(2), "std": np.ones(2)}
    with pytest.raises(PolicyError, match=words):
        Normalizer.from_statistics(Normalization(), stats, good, 1)


def test_data_that_is_no_data_is_refused() -> None:
    for bad, words in ((np.zeros((1, 2)), "two rows"), (np.full((3, 2), np.nan), "not finite")):
        with pytest.raises(PolicyError, match=words):
            make("mean_std", bad)

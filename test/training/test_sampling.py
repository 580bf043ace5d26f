"""Laws of sampling, splitting and augmentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.training.config import AugmentationConfig
from vgil_ros.training.data.augmentation import Augmentation
from vgil_ros.training.data.sampling import ProcessBatches, Sampling, split_episodes


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4), batch=st.integers(1, 40), seed=st.integers(0, 99))
def test_without_weights_each_row_comes_once_in_an_epoch(sizes: list[int], batch: int, seed: int) -> None:
    groups = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    sampling = Sampling(groups, None, seed)
    steps = -(-2 * sampling.length // batch)
    drawn = np.concatenate([sampling.batch(step, batch) for step in range(steps)])
    for epoch in range(2):
        part = drawn[epoch * sampling.length : (epoch + 1) * sampling.length]
        assert sorted(part) == list(range(sum(sizes)))


def test_weights_are_shares() -> None:
    sampling = Sampling([np.arange(10), np.arange(10, 100)], [3.0, 1.0], 0)
    drawn = sampling.batch(0, 100)
    assert (drawn < 10).sum() == 75
    counts = np.bincount(drawn[drawn < 10], minlength=10)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_share_the_same_global_batches(processes: int) -> None:
    sampling = Sampling([np.arange(37)], None, 5)
    parts = [list(ProcessBatches(sampling, 8, 3, 9, rank, processes)) for rank in range(processes)]
    for step in range(3, 9):
        assert [i for part in parts for i in part[step - 3]] == sampling.batch(step, 8).tolist()


@settings(max_examples=50, deadline=None)
@given(
    folders=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    fraction=st.floats(0, 0.9),
    seed=st.integers(0, 9),
)
def test_split_is_by_episode_and_empties_no_folder(folders: list[int], fraction: float, seed: int) -> None:
    train, validation = split_episodes(folders, fraction, seed)
    assert sorted(train + validation) == list(range(len(folders)))
    assert {folders[i] for i in train} == set(folders)
    assert (train, validation) == split_episodes(folders, fraction, seed)
    if fraction == 0:
        assert not validation
    elif len(folders) > len(set(folders)):
        assert validation


def _batch(count: int = 6) -> dict:
    images = torch.randint(0, 256, (count, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    past = torch.randint(0, 256, (count, 2, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    known = torch.ones(count, 2, dtype=torch.bool)
    return {
        "qpos": torch.zeros(count, 2),
        "images": {"a": images, "b": images},
        "past": {"qpos": torch.zeros(count, 2, 2), "images": {"a": past}, "known": known},
    }


def test_augmentation_is_the_same_for_all_frames_of_a_sample_only() -> None:
    batch = _batch()
    batch["images"]["a"][1] = batch["images"]["a"][0]
    batch["images"]["b"] = batch["images"]["a"]
    batch["past"]["images"]["a"] = batch["images"]["a"][:, None].expand(-1, 2, -1, -1, -1)
    out = Augmentation(AugmentationConfig(), 0)(batch, 3, 0, 6)
    assert torch.equal(out["images"]["a"], out["images"]["b"])
    for n in range(2):
        assert torch.equal(out["images"]["a"], out["past"]["images"]["a"][:, n])
    assert torch.equal(out["past"]["known"], batch["past"]["known"])
    assert not torch.equal(out["images"]["a"][0], out["images"]["a"][1])
    assert out["images"]["a"].dtype == torch.uint8
    assert out["images"]["a"].shape == batch["images"]["a"].shape


def test_augmentation_does_not_depend_on_how_the_batch_is_shared() -> None:
    batch, augment = _batch(), Augmentation(AugmentationConfig(), 7)
    whole = augment(batch, 11, 0, 6)["images"]["a"]
    half = {"qpos": batch["qpos"][3:], "images": {"a": batch["images"]["a"][3:]}}
    assert torch.equal(augment(half, 11, 3, 6)["images"]["a"], whole[3:])
    assert not torch.equal(augment(batch, 12, 0, 6)["images"]["a"], whole)


def test_draws_are_not_the_numbers_that_a_policy_draws_from_the_same_seed() -> None:
    torch.manual_seed(7 * 1_000_003 + 11)  # as a training step does
    uniform = torch.rand(6, 6, generator=torch.Generator().manual_seed(7 * 1_000_003 + 11)) * 2 - 1
    draws = Augmentation(AugmentationConfig(), 7).draw(11, 6)
    assert not torch.isclose(draws, uniform).any()
    assert torch.equal(draws, Augmentation(AugmentationConfig(), 7).draw(11, 6))


def test_nothing_asked_changes_nothing() -> None:
    batch = _batch()
    still = AugmentationConfig(crop=1, rotation_deg=0, brightness=0, contrast=0, saturation=0)
    for config in (still, AugmentationConfig(enabled=False)):
        assert torch.equal(Augmentation(config, 0)(batch, 0, 0, 6)["images"]["a"], batch["images"]["a"])


def test_rotation_keeps_proportions() -> None:
    """By 90 degrees, a mark right of the middle comes above or below it, as many pixels away."""
    config = AugmentationConfig(crop=1, rotation_deg=90, brightness=0, contrast=0, saturation=0)
    image = torch.zeros(1, 41, 81, 3, dtype=torch.uint8)
    image[0, 20, 50] = 255
    draws = torch.zeros(1, 6)
    draws[0, 2] = 1.0
    out = Augmentation(config, 0).change(image, draws)[0, ..., 0]
    assert out.argmax().item() in (10 * 81 + 40, 30 * 81 + 40)


def test_crop_moves_and_magnifies() -> None:
    config = AugmentationConfig(crop=0.5, rotation_deg=0, brightness=0, contrast=0, saturation=0)
    image = torch.arange(64, dtype=torch.uint8).view(1, 1, 64, 1).expand(1, 48, 64, 3)
    draws = torch.zeros(1, 6)
    draws[0, 0] = 1.0  # the right half
    out = Augmentation(config, 0).change(image, draws)[0, 24, :, 0]
    assert 31 <= out[0] <= 33
    assert out[-1] == 63

"""How often corrections are drawn: exact frequencies, and chunks that end with what a person gave."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.episodes import made_episodes as made

from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.plan import Plan
from vgil_ros.episodes import EpisodeWriter
from vgil_ros.training.build import TrainingData, load_data
from vgil_ros.training.config import parse_config
from vgil_ros.training.data.corrections import chunk_limits, correction_rows, drawn_groups, human_rows
from vgil_ros.training.data.sampling import Sampling
from vgil_ros.training.errors import TrainingError

ROWS = 20
LED = slice(6, 11)  # rows of the rollout that a person gave


@pytest.fixture
def sets(tmp_path: Path) -> list[Path]:
    """A folder with a demonstration of 10 rows, and one with a rollout of 20, 5 of them corrections."""
    demonstrations, rollouts = tmp_path / "demonstrations", tmp_path / "rollouts"
    made.write(demonstrations, made.meta(), 10)
    writer = EpisodeWriter(rollouts, made.meta(has_takeover=True), min_free_bytes=0)
    for t in range(ROWS + 1):
        led = t in range(*LED.indices(ROWS))
        beside = {"intervention": led, "actor": 2 * led, "policy_action": None, "human_action": None}
        made.add(writer, t, last=t == ROWS, **({} if t == ROWS else {"beside": beside}))
    writer.close(rollout=True)
    return [demonstrations, rollouts]


def load(tree: Callable[..., dict], sets: list[Path], corrections: Any, **changes: Any) -> TrainingData:
    given = tree(sets, data__corrections=corrections, data__validation=0.0, **changes)
    return load_data(parse_config(given, "test"), lambda _: None)


def epoch(data: TrainingData) -> np.ndarray:
    """How often each row comes in an epoch: 10 demonstrated ones, then 20 of the rollout."""
    return np.bincount(data.sampling.batch(0, data.sampling.length), minlength=30)


def test_all_rows_come_alike_by_default(tree: Callable[..., dict], sets: list[Path]) -> None:
    assert (epoch(load(tree, sets, "all")) == 1).all()


def test_only_takes_demonstrations_and_corrections_once_an_epoch_each(
    tree: Callable[..., dict], sets: list[Path]
) -> None:
    counts = epoch(load(tree, sets, "only"))
    assert (counts[:10] == 1).all()
    assert np.flatnonzero(counts[10:]).tolist() == list(range(6, 11))
    assert counts.sum() == 15


@pytest.mark.parametrize("to", ["lerobot_v3", "lerobot_v2.1"])
def test_only_takes_them_from_a_converted_set_too(
    tree: Callable[..., dict], sets: list[Path], tmp_path: Path, to: str
) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("av")
    for file in sets[0].glob("*.hdf5"):
        shutil.copy(file, sets[1] / "episode_9.hdf5")
    convert_dataset(Plan(source=sets[1], to=to), tmp_path / "table")
    data = load(tree, [tmp_path / "table"], "only")
    assert [one.facts.corrected for one in data.stats] == [((6, 10),), None]
    assert np.flatnonzero(epoch(data)).tolist() == [*range(6, 11), *range(20, 30)]


def test_a_weight_draws_each_correction_that_many_times_as_often(tree: Callable[..., dict], sets: list[Path]) -> None:
    counts = epoch(load(tree, sets, 3.0))
    assert counts.sum() == 30
    assert counts[:10].sum() == 10, "a folder's share stays"
    assert counts[10:][LED].sum() == 10, "5 x 3 of 5 x 3 + 15, of 20 samples"
    assert (counts[10:][LED] == 2).all()


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=3),
    weight=st.floats(0.1, 20.0),
)
def test_over_many_epochs_the_ratio_is_the_weight(sizes: list[tuple[int, int]], weight: float) -> None:
    total = sum(a + b for a, b in sizes)
    corrected = np.concatenate([np.r_[np.ones(a, bool), np.zeros(b, bool)] for a, b in sizes])
    groups = np.split(np.arange(total), np.cumsum([a + b for a, b in sizes])[:-1])
    split, shares = drawn_groups(groups, None, weight, np.ones(total, bool), corrected)
    assert shares is not None
    assert sum(shares) == pytest.approx(total)
    for (a, b), mine, others in zip(sizes, shares[::2], shares[1::2], strict=True):
        assert (mine / a) / (others / b) == pytest.approx(weight)
        assert mine + others == pytest.approx(a + b)
    sampling = Sampling(split, shares, 0)
    counts = np.bincount(sampling.batch(0, sampling.length), minlength=total)
    for rows, share in zip(split, shares, strict=True):
        assert abs(counts[rows].sum() - share) <= 1, "to a row of rounding"
        assert np.ptp(counts[rows]) <= 1, "no row more than once as often as its fellows"


def test_rows_before_the_first_motion_are_left_out_where_that_is_asked_for(
    tree: Callable[..., dict], tmp_path: Path
) -> None:
    writer = EpisodeWriter(tmp_path / "waits", made.meta(), min_free_bytes=0)
    for t in range(ROWS + 1):
        made.add(writer, t, last=t == ROWS, still=7)
    writer.close()
    given = tree([tmp_path / "waits"], data__validation=0.0)
    said: list[str] = []
    every = load_data(parse_config(given, "test"), said.append)
    assert every.sampling.length == ROWS
    given["data"]["still_starts"] = "skip"
    moving = load_data(parse_config(given, "test"), said.append)
    assert moving.train.usable.tolist() == list(range(8, ROWS)), "row 7 is the last that is as the first"
    drawn = moving.sampling.batch(0, moving.sampling.length)
    assert sorted(drawn) == list(range(8, ROWS))
    assert "8 of 20 rows come before an episode's first motion; they are left out" in said


def test_a_chunk_of_corrections_ends_with_them(tree: Callable[..., dict], sets: list[Path]) -> None:
    data = load(tree, sets, "only")
    rollout = data.stats[1]
    assert correction_rows(rollout).sum() == 5
    assert human_rows(data.stats[0]).all()
    assert chunk_limits(rollout)[LED].tolist() == [11] * 5
    batch = data.train.batch([10 + 9])  # the last but one
    assert batch["is_pad"][0].tolist() == [False, False, True, True]
    whole = load(tree, sets, "all").train.batch([10 + 9])
    assert not whole["is_pad"].any()


def test_corrections_that_are_not_there_are_named(tree: Callable[..., dict], sets: list[Path]) -> None:
    for wanted in ("only", 2.0):
        with pytest.raises(TrainingError, match="no row of these episodes is a correction; allowed: all"):
            load(tree, sets[:1], wanted)
    with pytest.raises(TrainingError, match="corrections"):
        load(tree, sets, -1)

"""Rows that say who acted: written, read, checked, and kept by every tool that copies rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.episodes import made_episodes as made

from vgil_ros.core.control.takeover import Actor
from vgil_ros.episodes import EpisodeReader, EpisodeWriter
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.convert import convert, left_out
from vgil_ros.episodes.curation.rows import write_run
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reading.columns import ACTING
from vgil_ros.episodes.reading.glance import glance
from vgil_ros.episodes.summary import describe

ROWS, DIM = 12, 3
ACTORS = [0, 0, 0, 1, 1, 2, 2, 2, 3, 0, 2, 0]


def beside(row: int) -> dict[str, Any]:
    """The policy has no action in row 4, the master is not heard in row 0."""
    return {
        "intervention": int(ACTORS[row] == 2),
        "actor": ACTORS[row],
        "policy_action": None if row == 4 else np.full(DIM, 0.01 * row),
        "human_action": None if row == 0 else np.full(DIM, -0.01 * row),
    }


@pytest.fixture
def rollout(tmp_path: Path) -> Path:
    meta = made.meta(DIM, has_takeover=True)
    writer = EpisodeWriter(tmp_path, meta, min_free_bytes=0)
    for t in range(ROWS + 1):
        more = {} if t == ROWS else {"beside": beside(t)}
        made.add(writer, t, last=t == ROWS, **more)
    return writer.close(rollout=True)


def acting(path: Path) -> dict[str, np.ndarray]:
    with EpisodeReader(path) as episode:
        return {name: np.array(getattr(episode, name)) for name in ACTING}


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], rows: slice = slice(None)) -> None:
    for name in ACTING:
        assert found[name].dtype == wanted[name].dtype, name
        np.testing.assert_array_equal(found[name], wanted[name][rows])


def test_what_both_wanted_and_who_acted_come_back(rollout: Path) -> None:
    found = acting(rollout)
    assert found["actor"].tolist() == ACTORS
    assert found["intervention"].tolist() == [int(a == Actor.HUMAN) for a in ACTORS]
    assert np.isnan(found["policy_action"][4]).all()
    assert np.isnan(found["human_action"][0]).all()
    assert found["policy_action"][5] == pytest.approx(np.full(DIM, 0.05))
    assert glance(rollout) is not None, "a quick look knows the names"


def test_a_check_finds_nothing_wrong_and_show_counts(rollout: Path) -> None:
    assert not [finding for finding in check_episode(rollout).errors if finding.check in ("numbers", "lengths")]
    with EpisodeReader(rollout) as episode:
        told = describe(episode)["takeover"]
    assert told == {
        "interventions": 2,
        "intervention_rows": 4,
        "policy": 5,
        "aligning": 2,
        "human": 4,
        "returning": 1,
    }


def test_a_check_names_numbers_that_mean_nobody(rollout: Path) -> None:
    import h5py

    with h5py.File(rollout, "r+") as file:
        file["actor"][2] = 9
    assert any(f.stream == "actor" and "allowed: 0 to 3" in f.message for f in check_episode(rollout).errors)


def test_trimmed_and_split_rows_keep_it(rollout: Path, tmp_path: Path) -> None:
    write_run(rollout, tmp_path / "part.hdf5", 3, 8)
    assert_same(acting(tmp_path / "part.hdf5"), acting(rollout), slice(3, 9))


def test_a_conversion_keeps_it_and_says_where_it_cannot(rollout: Path, tmp_path: Path) -> None:
    with EpisodeReader(rollout) as episode:
        made_file = convert(episode, tmp_path / "again.hdf5", "vgil")
        assert left_out(episode, "aloha") == ("who acted (intervention, actor), and what policy and human wanted",)
    assert_same(acting(made_file), acting(rollout))


def test_a_row_without_it_is_refused_and_so_is_one_that_must_not_have_it(tmp_path: Path) -> None:
    with EpisodeWriter(tmp_path / "a", made.meta(DIM, has_takeover=True), min_free_bytes=0) as writer:
        with pytest.raises(EpisodeError, match="this episode has"):
            made.add(writer, 0, last=False)
        made.add(writer, 0, last=False, beside=beside(0))
    with EpisodeWriter(tmp_path / "b", made.meta(DIM), min_free_bytes=0) as writer:
        with pytest.raises(EpisodeError, match="this episode has"):
            made.add(writer, 0, last=False, beside=beside(0))
        made.add(writer, 0, last=False)

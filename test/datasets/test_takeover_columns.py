"""Who acted, and what both wanted, through the layouts of tables: under LeRobot's names, and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")
pytest.importorskip("zarr")

import pyarrow.parquet as pq
from support.episodes import made_episodes as made

from vgil_ros.datasets import zarr_store
from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.lerobot import reader
from vgil_ros.datasets.manifest import read_manifest
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.source import open_source
from vgil_ros.datasets.verify import verify
from vgil_ros.episodes import EpisodeWriter
from vgil_ros.episodes.reading.columns import ACTING
from vgil_ros.training.data.episode_facts import corrected_spans

ROWS = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A rollout with a correction in rows 2 and 3, and a demonstration, which has no such columns."""
    data = tmp_path / "data"
    writer = EpisodeWriter(data, made.meta(has_takeover=True), min_free_bytes=0)
    for t in range(ROWS + 1):
        led = t in (2, 3)
        actions = {"policy_action": np.full(3, t), "human_action": np.full(3, -t) if led else None}
        beside = {"intervention": led, "actor": 2 * led, **actions}
        made.add(writer, t, last=t == ROWS, **({} if t == ROWS else {"beside": beside}))
    writer.close(rollout=True)
    made.write(data, made.meta(), ROWS)
    return data


@pytest.mark.parametrize("to", ["lerobot_v3", "lerobot_v2.1", "zarr"])
def test_a_table_keeps_who_acted_and_a_demonstration_in_it_was_taken_over_by_nobody(
    folder: Path, tmp_path: Path, to: str
) -> None:
    out = tmp_path / "out"
    convert_dataset(Plan(source=folder, to=to), out)
    source, target = open_source(folder, None), open_source(out, None)
    with source.open(0) as was, target.open(0) as now:
        for name in ACTING:
            theirs, ours = getattr(was, name), getattr(now, name)
            assert ours is not None, name
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
            assert ours.dtype == theirs.dtype, name
    with target.open(1) as shown:
        assert [getattr(shown, name) for name in ACTING] == [None] * 4


def test_lerobot_finds_interventions_where_it_looks_for_them(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_dataset(Plan(source=folder, to="lerobot_v3"), out)
    features = json.loads((out / "meta/info.json").read_text())["features"]
    assert features["complementary_info.is_intervention"] == {"dtype": "float32", "shape": [1], "names": None}
    assert features["complementary_info.policy_action"]["shape"] == [3]
    table = pq.read_table(next((out / "data").rglob("*.parquet")))
    assert table["complementary_info.is_intervention"].to_pylist() == [0, 0, 1, 1, 0, 0] + [0] * ROWS


@pytest.mark.parametrize("to", ["lerobot_v3", "lerobot_v2.1", "zarr"])
def test_a_converted_set_is_judged_as_the_folder_it_came_from(folder: Path, tmp_path: Path, to: str) -> None:
    """A demonstration is one still, though rollouts beside it gave it their columns; a repaired rollout is none."""
    repaired = EpisodeWriter(folder, made.meta(has_takeover=True), min_free_bytes=0)
    nobody = {"intervention": False, "actor": 0, "policy_action": None, "human_action": None}
    for t in range(ROWS + 1):
        made.add(repaired, t, last=t == ROWS, **({} if t == ROWS else {"beside": nobody}))
    repaired.close()  # without `rollout`, as a file whose end was never written
    convert_dataset(Plan(source=folder, to=to), tmp_path / "out")
    source, target = open_source(folder, None), open_source(tmp_path / "out", None)
    for number, wanted in enumerate([((2, 3),), None, ()]):
        with source.open(number) as was, target.open(number) as now:
            assert corrected_spans(was) == wanted
            assert corrected_spans(now) == wanted


@pytest.mark.parametrize("to", ["lerobot_v2.1", "zarr", "vgil", "mcap"])
def test_a_demonstration_is_one_still_when_it_is_converted_again(folder: Path, tmp_path: Path, to: str) -> None:
    """Found: out of a mixed table it came as a policy's rollout, which `data.corrections: only` drops."""
    for first in ("lerobot_v2.1", "zarr"):
        convert_dataset(Plan(source=folder, to=first), tmp_path / first)
        out = tmp_path / f"{first}_{to}"
        convert_dataset(Plan(source=tmp_path / first, to=to), out)
        source = open_source(out, None)
        for number, wanted in enumerate([((2, 3),), None]):
            with source.open(number) as episode:
                assert corrected_spans(episode) == wanted
                assert bool(episode.attrs.get("rollout", False)) == (wanted is not None)


@pytest.mark.parametrize("to", ["lerobot_v2.1", "zarr"])
def test_a_set_of_an_older_version_is_as_it_was_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """Its manifest has the hashes of columns that are not read of a demonstration any more."""
    with monkeypatch.context() as patch:
        for module in (reader, zarr_store):
            patch.setattr(module, "without_filled", lambda columns, attrs: dict(columns))
        convert_dataset(Plan(source=folder, to=to), tmp_path / "out")
    assert read_manifest(tmp_path / "out")["episodes"][1]["streams"]["actor"]["sha256"] is not None
    assert verify(tmp_path / "out") == []


def test_an_episode_of_a_table_by_others_that_notes_no_intervention_is_the_policy_s(
    folder: Path, tmp_path: Path
) -> None:
    convert_dataset(Plan(source=folder, to="zarr"), tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "data" / "actor")
    with open_source(tmp_path / "out", None).open(1) as theirs:
        assert theirs.actor is None
        assert corrected_spans(theirs) == ()

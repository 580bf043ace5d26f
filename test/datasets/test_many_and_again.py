"""Data sets of many episodes, and several calls in one process: what is read once, kept, and let go of; odd files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")
pytest.importorskip("zarr")

import pyarrow as pa
import pyarrow.parquet as pq
from support.episodes import made_episodes as made

from vgil_ros.datasets.convert import MAKING, convert_dataset
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.hdf5 import Hdf5Folder
from vgil_ros.datasets.lerobot import picture_groups, tables
from vgil_ros.datasets.lerobot.tables import EpisodeRows
from vgil_ros.datasets.lerobot.video import rate_of
from vgil_ros.datasets.lerobot.writer import LeRobotSink
from vgil_ros.datasets.manifest import read_manifest
from vgil_ros.datasets.pieces import read_piece
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.quality.check import check_dataset
from vgil_ros.datasets.source import open_source
from vgil_ros.datasets.verify import verify

META = made.meta(
    storage="raw",
    cameras=(made.CameraMeta("cam_a", 16, 32, "raw"),),
    streams=("arm/puppet", "arm/master", "cam_a"),
)


def ours(folder: Path, *lengths: int) -> Path:
    """A folder of episodes."""
    for rows in lengths:
        made.write(folder, META, rows)
    return folder


def plan(source: Path, to: str = "lerobot_v2.1") -> Plan:
    """With pictures in the table."""
    return Plan(source=source, to=to, images="png" if to.startswith("lerobot") else None)


def test_a_second_conversion_sees_what_was_added_and_taken_away(tmp_path: Path) -> None:
    source = ours(tmp_path / "ours", 3, 4)
    assert convert_dataset(plan(source), tmp_path / "first").episodes == 2
    ours(source, 9)
    added = convert_dataset(plan(source), tmp_path / "added")
    assert (added.episodes, added.left_out) == (3, {})
    (source / "episode_0.hdf5").unlink()
    fewer = convert_dataset(plan(source), tmp_path / "fewer")
    assert (fewer.episodes, fewer.left_out) == (2, {})
    assert [one["rows"] for one in read_manifest(tmp_path / "fewer")["episodes"]] == [4, 9]


def test_a_second_check_sees_what_was_added(tmp_path: Path) -> None:
    source = ours(tmp_path / "ours", 12)
    check_dataset(source)
    ours(source, 12)
    named = {v.name: [one.finding.check for one in v.of("error")] for v in check_dataset(source).verdicts}
    assert "file" not in named["episode_1"], named


def test_pictures_of_a_table_that_was_replaced_are_read_anew(tmp_path: Path) -> None:
    source, out = ours(tmp_path / "ours", 4), tmp_path / "out"
    convert_dataset(plan(source), out)
    shutil.rmtree(out)
    with h5py.File(source / "episode_0.hdf5", "a") as file:
        images = file["observations/images/cam_a"]
        images[...] = 255 - images[...]
    convert_dataset(plan(source), out)
    assert read_manifest(out)["episodes"][0]["streams"]["cam_a"]["kept"] == "pixels"
    picture_groups._kept.clear()
    assert verify(out) == []


def test_names_are_made_once_and_not_for_each_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, calls = ours(tmp_path / "ours", *[3] * 6), []
    names = Hdf5Folder.names

    def counted(self: Hdf5Folder) -> list[str]:
        calls.append(1)
        return names(self)

    monkeypatch.setattr(Hdf5Folder, "names", counted)
    convert_dataset(plan(source), tmp_path / "out")
    check_dataset(source)
    assert len(calls) < 2 * 6


def test_a_row_group_of_many_episodes_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LeRobot's own files hold one, where they were joined; read anew for each episode, time grows as the square."""
    rows, count = 5, 8
    table = pa.table({"action": np.arange(rows * count, dtype="f4"), "episode_index": np.arange(rows * count) // rows})
    file = tmp_path / "file.parquet"
    pq.write_table(table, file)
    reads: list[Any] = []

    class Counted(pq.ParquetFile):
        def read_row_group(self, *given: Any, **more: Any) -> Any:
            reads.append(more["columns"])
            return super().read_row_group(*given, **more)

    monkeypatch.setattr(pq, "ParquetFile", Counted)
    for episode in range(count):
        values = EpisodeRows(file, episode).columns(["action"])["action"]
        np.testing.assert_array_equal(values, np.arange(rows * episode, rows * (episode + 1)))
    assert reads == [["episode_index"], ["action"]]
    tables._last.clear()
    EpisodeRows(file, None).columns(["action"])
    assert not tables._last, "a group of one episode has no neighbours to be kept for"


def test_statistics_of_all_pieces_are_not_held_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assemble = LeRobotSink.assemble

    def looked_at(self: LeRobotSink, pieces: Any, out: Path) -> list[str]:
        assert len(pieces) == 2
        for piece in pieces:
            assert "stats" not in piece.facts
            kept = read_piece(piece.folder)
            assert kept is not None
            assert piece.stats() == kept.facts["stats"]
        return assemble(self, pieces, out)

    monkeypatch.setattr(LeRobotSink, "assemble", looked_at)
    convert_dataset(plan(ours(tmp_path / "ours", 3, 4)), tmp_path / "out")


# ---- odd files


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        (
            "episodes",
            {"episode_index": None, "length": 3},
            r"episodes\.jsonl: episode_index is None; allowed: a whole",
        ),
        ("tasks", {"task_index": None, "task": "x"}, r"tasks\.jsonl: task_index is None; allowed: a whole number"),
    ],
)
def test_numbers_that_are_missing_are_named(tmp_path: Path, file: str, line: dict, words: str) -> None:
    convert_dataset(plan(ours(tmp_path / "ours", 3)), tmp_path / "out")
    (tmp_path / "out/meta" / f"{file}.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(DatasetError, match=words):
        open_source(tmp_path / "out")


def test_a_task_of_two_lines_is_one(tmp_path: Path) -> None:
    """In JSON a line ends with LF alone; `splitlines` ends one at U+2028 too."""
    task = "pick the cup\u2028then the lid"
    convert_dataset(plan(ours(tmp_path / "ours", 3)), tmp_path / "out")
    line = json.dumps({"task_index": 0, "task": task}, ensure_ascii=False)
    (tmp_path / "out/meta/tasks.jsonl").write_text(f"{line}\n", encoding="utf-8")
    assert open_source(tmp_path / "out").open(0).task == task


def test_a_plan_of_another_version_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / MAKING).mkdir(parents=True)
    (out / MAKING / "plan.json").write_text('{"source": "x", "to": "vgil", "older_key": 1}')
    with pytest.raises(DatasetError, match=r"plan\.json: is no plan of this version; allowed: go on with"):
        convert_dataset(plan(ours(tmp_path / "ours", 3), "vgil"), out)


@pytest.mark.parametrize("fps", [33.3333, 16.6667, 66.6667, 29.97, 23.976, 30000 / 1001, 50.0])
def test_a_video_s_frames_stay_at_their_rows(fps: float) -> None:
    """Within LeRobot's tolerance of 1e-4 s for an hour and more."""
    frames = round(3600 * fps)
    assert abs(frames / float(rate_of(fps)) - frames / fps) < 1e-4

"""A task that changed while an episode ran: row by row out into other layouts, back, and into training's texts."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")
pytest.importorskip("zarr")

import pyarrow.parquet as pq
from support.episodes import made_episodes as demo

from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.source import open_source

WORDS = ("test",) * 2 + ("second",) * 3 + ("test",)


@pytest.fixture
def episodes(tmp_path: Path) -> Path:
    """One whose task changes twice, and one of another task throughout."""
    writer = demo.EpisodeWriter(tmp_path / "ours", demo.meta(), min_free_bytes=0)
    for t in range(len(WORDS) + 1):
        demo.add(writer, t, last=t == len(WORDS))
    stamp = demo.START_NS
    writer.close(tasks=[(stamp + 2 * demo.PERIOD_NS, "second"), (stamp + 5 * demo.PERIOD_NS, "test")])
    demo.write(tmp_path / "ours", demo.meta(task="other"), 3)
    return tmp_path / "ours"


@pytest.mark.parametrize("to", ["lerobot_v3", "lerobot_v2.1", "zarr", "mcap", "vgil"])
def test_rows_keep_their_tasks_there_and_back(episodes: Path, tmp_path: Path, to: str) -> None:
    convert_dataset(Plan(source=episodes, to=to), tmp_path / "there")
    convert_dataset(Plan(source=tmp_path / "there", to="vgil"), tmp_path / "back")
    for folder in (episodes, tmp_path / "there", tmp_path / "back"):
        source = open_source(folder)
        with source.open(0) as first, source.open(1) as second:
            assert first.row_tasks() == WORDS
            assert (first.task, second.task) == ("test", "other")
            assert second.row_tasks() == ("other",) * 3


def test_lerobots_task_index_is_by_row(episodes: Path, tmp_path: Path) -> None:
    convert_dataset(Plan(source=episodes, to="lerobot_v3"), tmp_path / "out")
    table = pq.read_table(str(tmp_path / "out/data/chunk-000/file-000.parquet"))
    assert table.column("task_index").to_pylist() == [0, 0, 1, 1, 1, 0, 2, 2, 2]
    about = pq.read_table(str(tmp_path / "out/meta/episodes")).to_pylist()
    assert [one["tasks"] for one in about] == [["test", "second"], ["other"]]
    assert about[0]["stats/task_index/max"] == [1]


@pytest.mark.parametrize("to", [None, "lerobot_v3"])
def test_training_is_told_the_task_of_the_row(episodes: Path, tmp_path: Path, to: str | None) -> None:
    pytest.importorskip("torch")
    from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
    from vgil_ros.training.data.scan import scan_folder

    folder = episodes
    if to is not None:
        folder = tmp_path / "out"
        convert_dataset(Plan(source=episodes, to=to), folder)
    data = EpisodeDataset(scan_folder(folder), SampleSpec(("cam_b", "cam_a"), 2))
    assert data.batch(range(9))["task"] == [*WORDS, "other", "other", "other"]


@pytest.mark.parametrize("to", ["lerobot_v3", "lerobot_v2.1"])
def test_a_task_that_gets_other_words_is_scanned_anew(
    episodes: Path, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from vgil_ros.training.data.scan import scan_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "out"
    convert_dataset(Plan(source=episodes, to=to), out)
    assert [one.task for one in scan_folder(out)] == ["test", "other"]
    if to == "lerobot_v3":
        table = pq.read_table(out / "meta/tasks.parquet")
        name = next(name for name in table.column_names if name != "task_index")
        words = ["renamed" if one == "other" else one for one in table.column(name).to_pylist()]
        place = table.column_names.index(name)
        pq.write_table(table.set_column(place, name, [words]), out / "meta/tasks.parquet")
    else:
        file = out / "meta/tasks.jsonl"
        file.write_text(file.read_text().replace('"other"', '"renamed"'))
    assert [one.task for one in scan_folder(out)] == ["test", "renamed"]

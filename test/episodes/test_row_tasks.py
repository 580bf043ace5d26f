"""Rollouts whose instruction changed: each row says its own, also in a part that was cut out."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from support.episodes import made_episodes as made

from vgil_ros.episodes import EpisodeReader, EpisodeWriter
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.curation import operations
from vgil_ros.episodes.curation.journal import Journal
from vgil_ros.episodes.curation.labels import Label
from vgil_ros.episodes.curation.rows import write_run
from vgil_ros.episodes.errors import EpisodeError


def write(folder: Path, *tasks: tuple[int, str]) -> Path:
    """Ten rows; the tasks begin at these rows."""
    writer = EpisodeWriter(folder, made.meta(), min_free_bytes=0)
    for t in range(10):
        made.add(writer, t)
    made.add(writer, 10, last=True)
    return writer.close(tasks=[(made.START_NS + row * made.PERIOD_NS - 5, words) for row, words in tasks])


def test_each_row_has_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, (3, "räum auf"), (3, "second"), (7, "third\twith a tab"))
    with EpisodeReader(path) as episode:
        assert episode.row_tasks() == ("test",) * 3 + ("second",) * 4 + ("third with a tab",) * 3
        assert episode.task == "test"
    assert not [one for one in check_episode(path).findings if one.severity == "error"]
    cut = tmp_path / "cut.hdf5"
    write_run(path, cut, 5, 8)
    with EpisodeReader(cut) as episode:
        assert episode.row_tasks() == ("second",) * 2 + ("third with a tab",) * 2


def test_without_a_change_nothing_is_added(tmp_path: Path) -> None:
    path = write(tmp_path)
    with h5py.File(path) as file:
        assert "task_index" not in file["timesteps"]
        assert "tasks" not in file.attrs
    with EpisodeReader(path) as episode:
        assert episode.row_tasks() == ("test",) * 10


def test_rows_that_name_no_task_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, (3, "second"))
    with h5py.File(path, "r+") as file:
        file["timesteps/task_index"][5] = 9
    with EpisodeReader(path) as episode, pytest.raises(EpisodeError, match="task_index has 10 rows, 2 tasks; needed"):
        episode.row_tasks()


def say_task(path: Path, words: str) -> None:
    with Journal(path.parent).held() as journal:
        operations.label(journal, [path], Label(words={"task": words}))


def test_a_task_that_is_said_later_holds_for_all_rows(tmp_path: Path) -> None:
    path = write(tmp_path, (3, "second"))
    with pytest.raises(EpisodeError, match=r"name the tasks \['test', 'second'\]; allowed: one .* split .* --at 3`"):
        say_task(path, "lift the cube")
    with EpisodeReader(path) as episode:
        assert episode.row_tasks() == ("test",) * 3 + ("second",) * 7
    with Journal(tmp_path).held() as journal:
        _, places = operations.split(journal, path, [3])
    for place in places:
        say_task(place, "lift the cube")
        with EpisodeReader(place) as episode:
            assert episode.row_tasks() == ("lift the cube",) * episode.rows
            assert episode.task == "lift the cube"
        assert not [one for one in check_episode(place).findings if one.severity == "error"]

"""qpos and action decide whether a row is good: what is measured beside them never costs a row, and is told of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.episodes import made_episodes as demo

from vgil_ros.core.frame import Frame
from vgil_ros.episodes import EpisodeReader, EpisodeWriter, WriteFailed
from vgil_ros.episodes.checks.check import check_episode

ROWS = 60


def record(folder: Path, change: Callable[[int, OrderedDict], object], **fields: Any) -> tuple[Path, tuple[str, ...]]:
    """An episode whose observations are changed; its file, and what its writer says of it."""
    writer = EpisodeWriter(folder, demo.meta(**fields), min_free_bytes=0)
    for t in range(ROWS + 1):
        seen = demo.observation(t, writer.meta)
        change(t, seen)
        demo.add(writer, t, last=t == ROWS, seen=seen)
    notes = writer.notes()
    return writer.close(), notes


def told(path: Path, severity: str) -> list[str]:
    return [str(f) for f in check_episode(path).findings if f.severity == severity]


def test_one_nan_of_one_joint_costs_nothing(tmp_path: Path) -> None:
    def change(t: int, seen: OrderedDict) -> None:
        if t == 30:
            seen["effort"][2] = np.nan

    path, notes = record(tmp_path, change, has_effort=True)
    assert notes == ("arm/puppet: effort of ['joint2'] is not measured in 1 of 60 rows (NaN in the file)",)
    with EpisodeReader(path) as episode:
        assert episode.rows == ROWS
        assert len(episode.timesteps()) == ROWS + 1
        assert episode.effort is not None
        assert np.argwhere(np.isnan(episode.effort)).tolist() == [[30, 2]]
        assert np.isfinite(episode.qpos).all()
    assert check_episode(path).ok
    assert told(path, "warning") == [
        "warning: effort: is not measured (NaN) of arm/joint2 in 1 of 60 rows (rows 30)",
    ]


@pytest.mark.parametrize("key", ["qvel", "effort"])
def test_a_driver_that_leaves_it_out_for_a_while_costs_nothing(tmp_path: Path, key: str) -> None:
    """Two nodes on /joint_states, one of them with `velocity: []`; also in the last observation."""

    def change(t: int, seen: OrderedDict) -> None:
        if 20 <= t < 30 or t == ROWS:
            del seen[key]

    path, notes = record(tmp_path, change, has_effort=True)
    word = {"qvel": "velocity", "effort": "effort"}[key]
    joints = ["joint0", "joint1", "joint2"]
    assert notes == (f"arm/puppet: {word} of {joints} is not measured in 10 of 60 rows (NaN in the file)",)
    with EpisodeReader(path) as episode:
        assert episode.rows == ROWS
        assert np.flatnonzero(np.isnan(getattr(episode, key)).all(axis=1)).tolist() == list(range(20, 30))
        assert len(episode.timesteps()) == ROWS + 1
    assert check_episode(path).ok


def test_a_joint_that_never_measures_leaves_the_others_theirs(tmp_path: Path) -> None:
    """Usual for grippers."""

    def change(t: int, seen: OrderedDict) -> None:
        seen["effort"][2] = np.nan

    path, notes = record(tmp_path, change, has_effort=True)
    assert notes == ("arm/puppet: effort of ['joint2'] is not measured (NaN in the file)",)
    with EpisodeReader(path) as episode:
        assert episode.effort is not None
        assert np.isfinite(episode.effort[:, :2]).all()
    assert told(path, "warning") == []
    assert "info: effort: is not measured (NaN) of arm/joint2" in told(path, "info")


def test_what_comes_later_is_left_out_and_told_of(tmp_path: Path) -> None:
    def change(t: int, seen: OrderedDict) -> None:
        if t >= 40:
            seen["effort"] = np.ones(3)

    path, notes = record(tmp_path, change)
    assert notes == ("effort in 20 of 60 rows: not recorded, as the first row had none",)
    with EpisodeReader(path) as episode:
        assert episode.rows == ROWS
        assert episode.effort is None
    assert told(path, "warning") == [f"warning: episode: the recorder left out {notes[0]}"]


def damaged_png() -> Frame:
    data = bytearray(cv2.imencode(".png", demo.image(3))[1].tobytes())
    data[60:80] = bytes(20)
    return Frame(48, 64, "png", 0, memoryview(bytes(data)))


@pytest.mark.parametrize("row", [0, 7])
def test_an_image_that_does_not_decode_costs_its_row_alone(tmp_path: Path, row: int) -> None:
    def change(t: int, seen: OrderedDict) -> None:
        if t == row:
            seen["images"]["cam_a"] = damaged_png()

    path, _ = record(tmp_path, change)
    with EpisodeReader(path) as episode:
        assert episode.rows == ROWS - 1
        assert episode.attrs["rows_dropped"] == 1
        assert "1 row whose image is damaged" in episode.attrs["left_out"]
        assert [step.step_type for step in episode.timesteps()][:2] == [0, 1]
    assert check_episode(path).ok


def test_a_last_observation_that_cannot_be_stored_costs_no_row(tmp_path: Path) -> None:
    def change(t: int, seen: OrderedDict) -> None:
        if t == ROWS:
            seen["images"]["cam_a"] = damaged_png()

    path, _ = record(tmp_path, change)
    with EpisodeReader(path) as episode:
        assert episode.rows == ROWS
        assert "do not decode" in episode.attrs["final_left_out"]
        assert len(episode.timesteps()) == ROWS
    assert check_episode(path).ok


def test_a_file_that_fails_its_check_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgil_ros.episodes.image_codec.encode", lambda *_: b"\xff\xd8 and no more")
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    for t in range(3):
        demo.add(writer, t)
    with pytest.raises(WriteFailed, match=r"could not be finished .*`vgil episodes repair .*episode_0"):
        writer.close()
    assert (tmp_path / "episode_0.hdf5.part").exists()

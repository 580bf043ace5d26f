"""`vgil episodes label ... trash`: curation as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as made
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import EpisodeReader, naming


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for rows in (6, 8, 4):
        made.write(tmp_path / "data", made.meta(), rows)
    return tmp_path / "data"


def vgil(*words: object) -> str:
    done = CliRunner().invoke(app, ["episodes", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def names(folder: Path) -> list[str]:
    return [path.name for path in naming.episodes_in(folder)]


def test_a_day_of_curation(folder: Path, tmp_path: Path) -> None:
    first, second, third = (folder / f"episode_{i}.hdf5" for i in range(3))
    said = vgil("label", first, second, "success", "--tag", "cup", "--operator", "Ada")
    assert "episode_0.hdf5, episode_1.hdf5: success, +cup, operator 'Ada'; `vgil episodes undo` takes it back" in said
    vgil("label", folder, "--note", "lamp was off")
    assert "yes #cup" in vgil("list", folder)
    report = tmp_path / "found.json"
    assert vgil("filter", folder, "--where", "success and length > 6", "--json", report).split() == [str(second)]
    [row] = json.loads(report.read_text())
    assert (row["note"], row["tags"], row["operator"]) == ("lamp was off", ["cup"], "Ada")
    assert "rows 1 to 4 of 8 kept" in vgil("trim", second, "--from", 1, "--to", 4)
    assert "split into episode_0.hdf5, episode_3.hdf5" in vgil("split", first, "--at", 2)
    vgil("delete", third)
    assert "2 of 3 episodes renumbered" not in vgil("renumber", folder)
    assert names(folder) == ["episode_0.hdf5", "episode_1.hdf5", "episode_2.hdf5"]
    assert "undone: renumber" in vgil("undo", folder)
    assert "episode_2.hdf5 restored" in vgil("restore", folder)
    assert names(folder) == [f"episode_{i}.hdf5" for i in range(4)]
    assert "4 episodes in" in vgil("merge", folder, "--out", tmp_path / "merged")
    assert "restore  done: episode_2.hdf5 restored" in vgil("trash", folder)
    assert "MB are free" in vgil("trash", folder, "--purge")
    assert "0 operations" in vgil("trash", folder)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("label", "DATA", "good"), "good: no such file or folder"),
        (("label", "success"), "no episode is named"),
        (("label", "DATA", "success", "failure"), "allowed: one of"),
        (("trim", "DATA/episode_0.hdf5", "--from", "6"), "rows 6 to 5; allowed: from 0 to 5"),
        (("undo", "DATA"), "nothing to undo"),
        (("filter", "DATA", "--where", "length >"), "cannot be read; allowed: success"),
    ],
)
def test_bad_input_is_named(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(app, ["episodes", *(word.replace("DATA", str(folder)) for word in words)])
    assert done.exit_code == 2
    assert said in done.output
    assert len(names(folder)) == 3


def test_labels_are_in_the_lists_and_stay_in_conversions(folder: Path, tmp_path: Path) -> None:
    said = {"operator": "Ada", "object": "cup", "scene": "lab 2", "note": "häßlich"}
    options = [word for key, text in said.items() for word in (f"--{key}", text)]
    vgil("label", folder / "episode_0.hdf5", "unsure", "--tag", "a", "--tag", "b", *options)
    vgil("list", folder, "--json", tmp_path / "list.json")
    first, second, _ = json.loads((tmp_path / "list.json").read_text())
    assert said.items() <= first.items()
    assert second["operator"] is None
    vgil("convert", folder / "episode_0.hdf5", tmp_path / "again.hdf5")
    vgil("show", tmp_path / "again.hdf5", "--json", tmp_path / "show.json")
    attributes = json.loads((tmp_path / "show.json").read_text())["attributes"]
    assert {**said, "label": "unsure", "tags": ["a", "b"]}.items() <= attributes.items()
    assert "success" not in attributes


def test_statistics_are_those_of_the_numbers(folder: Path, tmp_path: Path) -> None:
    path = folder / "episode_1.hdf5"
    with h5py.File(path, "r+") as file:
        file["action"][2, 0] = np.nan
        action = file["action"][()]
        names = [name.decode() for name in file.attrs["joint_names"]] if isinstance(
            file.attrs["joint_names"][0], bytes) else list(file.attrs["joint_names"])  # fmt: skip
    said = vgil("show", path, "--stats", "--json", tmp_path / "show.json")
    found = json.loads((tmp_path / "show.json").read_text())["statistics"]
    for column, name in enumerate(names):
        values = action[:, column].astype(float)
        stats = found["columns"][f"action {name}"]
        assert stats["unknown"] == (column == 0)
        assert stats["mean"] == pytest.approx(np.nanmean(values))
        assert stats["std"] == pytest.approx(np.nanstd(values))
        assert (stats["min"], stats["max"]) == (np.nanmin(values), np.nanmax(values))
        assert f"action {name}" in said
    assert found["ticks"]["rows"] == 8
    with EpisodeReader(path) as episode:
        assert set(found["streams"]) == set(episode.streams)
        for camera in episode.camera_names:
            pixels = np.stack([episode.image(camera, row) for row in range(8)]).reshape(-1, 3).astype(float)
            assert found["cameras"][camera]["images"] == 8
            np.testing.assert_allclose(found["cameras"][camera]["mean"], pixels.mean(0), rtol=1e-9)
            np.testing.assert_allclose(found["cameras"][camera]["std"], pixels.std(0), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--note", "bell\a", "note has '\\x07' at letter 5; allowed: up to 1000 letters that can be printed"),
        ("--operator", "a" * 1001, "operator has 1001 letters; allowed: up to 1000"),
    ],
)
def test_a_text_that_cannot_be_kept_is_named(folder: Path, option: str, text: str, words: str) -> None:
    done = CliRunner().invoke(app, ["episodes", "label", str(folder), option, text])
    assert done.exit_code == 2
    assert words in done.stderr

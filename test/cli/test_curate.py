"""`vgil episodes label ... trash`: curation as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.episodes import made_episodes as made
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import naming


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

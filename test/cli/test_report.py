"""`--json FILE`: what is written, and a place that takes no file is refused before the work begins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from vgil_ros.cli.main import app as vgil
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.errors import VgilError

began: list[Path | None] = []


def work(json: JsonFile = None) -> None:
    began.append(json)
    report = {"rows": np.int64(3), "mean": np.array([0.5, np.nan]), 2: (Path("a"), float("inf"))}
    write_json(json, report)


def call(*arguments: object) -> tuple[int, str]:
    began.clear()
    app = typer.Typer()
    app.command()(work)
    done = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "400"})
    return done.exit_code, done.output


def test_a_report_is_plain_json_in_a_folder_that_is_made(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "report.json"
    assert call("--json", file)[0] == 0
    assert json.loads(file.read_text()) == {"rows": 3, "mean": [0.5, None], "2": ["a", None]}
    assert call()[0] == 0
    assert began == [None]


@pytest.mark.parametrize(("place", "words"), [("folder", "is a folder; allowed: a file"), ("file/x", "cannot be made")])
def test_a_place_that_takes_no_file_is_refused_first(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    code, said = call("--json", tmp_path / place)
    assert code == 2
    assert began == []
    assert words in said
    assert place in said


def test_episodes_are_listed_into_a_folder_that_is_made(tmp_path: Path) -> None:
    episodes, file = tmp_path / "episodes", tmp_path / "new" / "x.json"
    episodes.mkdir()
    (episodes / "episode_0.hdf5").write_bytes(b"no episode")
    done = CliRunner().invoke(vgil, ["episodes", "list", str(episodes), "--json", str(file)])
    assert done.exit_code == 0, done.output
    line = json.loads(file.read_text())[0]
    assert (line["file"], line["rows"]) == ("episode_0.hdf5", None)


def test_a_report_that_cannot_be_written_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(VgilError, match=r"--json .*x\.json: cannot be written \(No such file or directory\)"):
        write_json(tmp_path / "gone" / "x.json", {})


def test_one_handler_turns_what_a_user_can_mend_into_a_line_and_exit_code_2(tmp_path: Path) -> None:
    for command in (
        ["episodes", "show", str(tmp_path / "no.hdf5")],
        ["launch", "no.launch.py"],
        ["train", "--resume", str(tmp_path / "no_run")],
    ):
        done = CliRunner().invoke(vgil, command)
        assert done.exit_code == 2, command
        assert done.output.startswith("error: "), done.output
        assert done.output.count("\n") == 1

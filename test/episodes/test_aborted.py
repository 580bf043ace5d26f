"""Episodes that were not recorded to their end lie apart, and every command names them."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest
from support.episodes import made_episodes as demo
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import EpisodeError, EpisodeReader, EpisodeWriter, WriteFailed, naming
from vgil_ros.episodes.checks import check as checking
from vgil_ros.episodes.checks.check import check_episode, check_saved
from vgil_ros.episodes.curation import operations
from vgil_ros.episodes.curation.journal import Journal
from vgil_ros.episodes.errors import NothingSaved
from vgil_ros.episodes.naming import aborted_in, episodes_in
from vgil_ros.episodes.recovery.repair import remove_if_empty


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["episodes", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def record(folder: Path, rows: int = 12, **end: Any) -> tuple[EpisodeWriter, Path]:
    """A writer that is closed, and its file."""
    writer = EpisodeWriter(folder, demo.meta(), min_free_bytes=0)
    for t in range(rows):
        demo.add(writer, t)
    return writer, writer.close(**end)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two whole episodes, recorded with an aborted one before each."""
    for _ in range(2):
        record(tmp_path, aborted="cam_a: silent")
        record(tmp_path)
    return tmp_path


def test_whole_ones_are_numbered_without_gaps_and_aborted_ones_lie_apart(folder: Path) -> None:
    assert [path.name for path in episodes_in(folder)] == ["episode_0.hdf5", "episode_1.hdf5"]
    assert [str(path.relative_to(folder)) for path in aborted_in(folder)] == [
        "aborted/episode_0.hdf5.aborted",
        "aborted/episode_1.hdf5.aborted",
    ]
    assert not list(folder.rglob("*.part"))
    with EpisodeReader(aborted_in(folder)[0]) as episode:
        assert episode.aborted == "cam_a: silent"
        assert episode.rows == 12


def test_no_reader_of_the_peers_finds_an_aborted_one(folder: Path) -> None:
    """ACT opens `episode_N.hdf5`; act-plus-plus and RDT search all folders for `*.hdf5`."""
    found = [name for _, _, names in os.walk(folder) for name in fnmatch.filter(names, "*.hdf5")]
    assert sorted(found) == ["episode_0.hdf5", "episode_1.hdf5"]
    assert not list(folder.glob("**/episode_*.hdf5"))[2:]


def test_list_show_and_check_name_it(folder: Path, tmp_path: Path) -> None:
    code, text = run("list", folder, "--json", folder / "list.json")
    assert code == 0
    assert "2 aborted ones lie in" in text
    lines = {line["file"]: line["problems"] for line in json.loads((folder / "list.json").read_text())}
    assert lines["aborted/episode_1.hdf5.aborted"][0] == "aborted: cam_a: silent"
    code, text = run("check", folder)
    assert code == 0, text
    assert "2 checked, 0 bad; 2 aborted ones lie apart" in text
    code, text = run("check", aborted_in(folder)[0])
    assert code == 1
    assert "error: episode: aborted: cam_a: silent" in text
    assert "aborted: cam_a: silent" in run("show", aborted_in(folder)[0])[1].splitlines()[1]


def test_one_of_an_older_release_that_lies_among_the_others_is_named_too(folder: Path) -> None:
    shutil.copy(aborted_in(folder)[0], folder / "episode_2.hdf5")
    code, text = run("check", folder)
    assert code == 1
    assert "episode_2.hdf5: BAD" in text
    assert "aborted: cam_a: silent" in text
    assert (
        "aborted: cam_a: silent"
        in run("list", folder, "--json", folder / "list.json")[1] + (folder / "list.json").read_text()
    )


def test_a_folder_of_aborted_ones_alone_says_so(tmp_path: Path) -> None:
    record(tmp_path, aborted="cam_a: silent")
    code, text = run("check", tmp_path)
    assert code == 2
    assert "no episode in this folder; 1 aborted ones in aborted" in text


def test_the_recorders_warnings_are_shown(tmp_path: Path) -> None:
    _, path = record(tmp_path, warnings=["cam_a: 2 publishers on /cam; allowed: one"])
    assert [str(finding) for finding in check_episode(path).warnings] == [
        "warning: recorder: cam_a: 2 publishers on /cam; allowed: one"
    ]
    assert "1 warnings" in run("list", tmp_path)[1]


@pytest.mark.parametrize("storage", ["jpeg", "raw", "passthrough"])
def test_the_check_at_the_end_finds_what_the_long_one_does(tmp_path: Path, storage: demo.Storage) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(storage=storage), min_free_bytes=0)
    for t in range(80):
        at = min(t, 40) if storage != "passthrough" else t
        encoding = "jpeg" if storage == "passthrough" else None
        seen = demo.observation(at, writer.meta, encoding)  # frozen from row 40 on
        demo.add(writer, t, encoding=encoding) if t < 40 else _add(writer, t, seen)
    path = writer.close()
    quick, slow = check_saved(path, writer.scan), check_episode(path)
    at_leisure = {check.__module__.rpartition(".")[2] for check in checking.AT_LEISURE}
    names = {"colour": "colour", "alignment": "lag"}
    left_out = {names[name] for name in at_leisure}
    assert [f for f in slow.findings if f.check not in left_out] == list(quick.findings)
    assert any("the same image" in f.message for f in quick.warnings) == (storage != "passthrough")


def _add(writer: EpisodeWriter, t: int, seen: Any) -> None:
    import dm_env
    import numpy as np

    from vgil_ros.core.streams import Flag

    writer.append(
        dm_env.transition(0.0, seen),
        demo.action(t, writer.meta),
        stamp_ns=demo.START_NS + t * demo.PERIOD_NS,
        skew_ns=np.zeros(len(demo.STREAMS), np.int64),
        flags=np.full(len(demo.STREAMS), Flag.NEAREST),
    )


def test_a_cut_jpeg_is_bad_at_once(tmp_path: Path) -> None:
    meta = demo.meta(storage="passthrough")
    writer = EpisodeWriter(tmp_path, meta, min_free_bytes=0)
    for t in range(9):
        seen = demo.observation(t, meta, "jpeg")
        if t == 4:
            frame = seen["images"]["cam_a"]
            seen["images"]["cam_a"] = type(frame)(48, 64, "jpeg", 0, memoryview(bytes(frame.data)[:-300]))
        demo.add(writer, t, encoding="jpeg") if t != 4 else _add(writer, t, seen)
    report = check_saved(writer.close(), writer.scan)
    assert not report.ok
    assert "cam_a: images cannot be read or are no whole JPEG (rows 4)" in str(report.errors[0])


def test_an_episode_without_a_row_leaves_nothing(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    with pytest.raises(NothingSaved):
        writer.close(aborted="cam_a: silent")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_removed_while_it_is_recorded_to_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    writer = EpisodeWriter(data, demo.meta(), min_free_bytes=0)
    demo.add(writer, 0)
    shutil.rmtree(data)
    error = demo.fill(_Later(writer), 200)  # type: ignore[arg-type]
    assert "somebody has removed it while it was recorded; nothing is left of its" in str(error)
    with pytest.raises(WriteFailed, match=r"is gone .*nothing of it is saved"):
        writer.close()


class _Later:
    """A writer whose first row is in, so that `fill` goes on from there at a pace at which it is told of."""

    def __init__(self, writer: EpisodeWriter) -> None:
        self.meta, self._writer, self._t = writer.meta, writer, 0

    def append(self, step: Any, action: Any, **sync: Any) -> None:
        import threading

        self._t += 1
        if self._t > 1:
            threading.Event().wait(0.02)
            self._writer.append(step, action, **sync)


def test_too_many_open_files_are_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place that opens one."""

    def none_left(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    for place in ("vgil_ros.episodes.naming.hold", "vgil_ros.episodes.schema.h5.create"):
        with monkeypatch.context() as patch:
            patch.setattr(place, none_left)
            with pytest.raises(WriteFailed, match=r"cannot be made .*Too many open files.*; nothing is recorded"):
                EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
        assert list(tmp_path.iterdir()) == []


def test_a_part_that_no_row_reached_does_not_stay(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    part = writer.part
    with pytest.raises(EpisodeError, match="is still being recorded"):
        remove_if_empty(part)
    left = tmp_path / "episode_7.hdf5.part"
    left.write_bytes(part.read_bytes())
    demo.add(writer, 0)
    writer.discard()
    assert remove_if_empty(left)
    assert not left.exists()
    _, whole = record(tmp_path)
    left = tmp_path / "episode_8.hdf5.part"
    whole.rename(left)
    assert not remove_if_empty(left)
    with h5py.File(left, "r") as file:
        assert len(file["action"]) == 12


def test_what_is_cut_out_of_an_aborted_one_or_brought_back_lies_apart_too(folder: Path) -> None:
    first, second = aborted_in(folder)
    with Journal(first.parent).held() as journal:
        _, places = operations.split(journal, first, [5])
        assert [path.name for path in places] == ["episode_0.hdf5.aborted", "episode_2.hdf5.aborted"]
        operations.delete(journal, [second])
        shutil.copy(first, second)
        _, places = operations.restore(journal, [second.name])
        assert [path.name for path in places] == ["episode_3.hdf5.aborted"]
    assert len(aborted_in(folder)) == 4
    assert not list((folder / "aborted").rglob("*.hdf5"))


def test_what_is_being_recorded_is_not_deleted(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    demo.add(writer, 0)
    code, text = run("delete", writer.part)
    assert code == 2
    assert "is still being recorded" in text
    path = writer.close()
    part = path.rename(path.with_name(f"{path.name}.part"))  # as one that was killed leaves it
    assert run("delete", part)[0] == 0
    part.write_bytes(b"another took its number")
    with Journal(tmp_path).held() as journal:
        assert [path.name for path in operations.restore(journal, ())[1]] == ["episode_1.hdf5.part"]


def test_who_looks_at_a_part_for_a_moment_does_not_keep_its_recorder_from_holding_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, looker = naming.claim(tmp_path), contextlib.ExitStack()
    looker.enter_context(naming.not_being_written(part))
    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", lambda seconds: looker.close())
        handle = naming.hold(part)
    with pytest.raises(EpisodeError, match="is still being recorded"), naming.not_being_written(part):
        pass
    os.close(handle)

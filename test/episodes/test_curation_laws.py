"""Laws of every curation command, as an operator types it, on any small set: what stays is bit-equal, `undo` gives the
same bytes back, and a process that is killed at any moment leaves the set as it was before or as it is after."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.episodes import any_episode
from support.episodes.any_episode import Case, Contents, contents, run_of
from support.killed_change import killed_at_change
from typer.testing import CliRunner

from vgil_ros.cli import main
from vgil_ros.episodes import CameraMeta, EpisodeMeta, naming
from vgil_ros.episodes.curation import labels
from vgil_ros.episodes.curation import rows as rows_module
from vgil_ros.episodes.curation.journal import TRASH, Journal

pytestmark = pytest.mark.timeout(900)  # some hundred processes are killed

Files = dict[str, str]  # SHA-256 by path, of all that is not the journal's own
READS = {"list", "show", "check", "plot", "filter", "replay"}
OTHERS = {"repair", "convert", "from-bag", "generate"}  # make new files, with tests of their own
OFTEN = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example takes too long to be made smaller
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def vgil(*words: object) -> str:
    done = CliRunner().invoke(main.app, ["episodes", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def refused(*words: object) -> str:
    done = CliRunner().invoke(main.app, ["episodes", *map(str, words)])
    assert done.exit_code == 2, done.output
    return done.output


def files_of(root: Path) -> Files:
    paths = (path for path in root.rglob("*") if path.is_file() and TRASH not in path.parts)
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def numbered(folder: Path) -> list[Path]:
    return [path for path in naming.episodes_in(folder) if naming.number_of(path) is not None]


# ---- any day of curation


@dataclass(frozen=True)
class Day:
    """A set at some moment.

    Attributes:
        files: its files. deleted: hashes of episode and log, by name, the newest last.
    """

    files: Files
    deleted: dict[str, tuple[tuple[str, str | None], ...]] = field(default_factory=dict)


def changed(before: Files, after: Files) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def log_name(name: str) -> str:
    return naming.log_of(Path(name)).name


def some(data: st.DataObject, folder: Path) -> list[Path]:
    return list(data.draw(st.lists(st.sampled_from(naming.episodes_in(folder)), min_size=1, unique=True)))


def label(folder: Path, data: st.DataObject, day: Day) -> Day:
    paths = some(data, folder)
    verdict = data.draw(st.sampled_from([None, "success", "failure", "unsure"]))
    tag, note = data.draw(st.sampled_from(["a", "b-1"])), data.draw(st.sampled_from(["", "fell", "häßlich ☂"]))
    before = {path.name: contents(path) for path in paths}
    vgil("label", *paths, *([verdict] if verdict else []), "--tag", tag, "--note", note)
    for path in paths:
        found, was = contents(path), before[path.name]
        attrs = dict(was.attrs)
        tags = ast.literal_eval(attrs["@tags"][2].decode()) if "@tags" in attrs else []
        new: dict[str, Any] = {"tags": np.array([*tags, *({tag} - {*tags})], object)}
        new |= {"note": note} if note else {}
        new |= {"label": verdict, "success": np.bool_(verdict == "success")} if verdict else {}
        attrs |= {f"@{key}": any_episode.value_of(value) for key, value in new.items()}
        for key in (*([] if note else ["@note"]), *(["@success"] if verdict == "unsure" else [])):
            attrs.pop(key, None)
        assert found == replace(was, attrs=attrs)
    files = files_of(folder)
    assert changed(day.files, files) <= {path.name for path in paths}
    return replace(day, files=files)


def delete(folder: Path, data: st.DataObject, day: Day) -> Day:
    names = [path.name for path in some(data, folder)]
    vgil("delete", *(folder / name for name in names))
    files = files_of(folder)
    gone = {*names, *map(log_name, names)}
    assert files == {name: value for name, value in day.files.items() if name not in gone}
    trash = dict(day.deleted)
    for name in names:
        trash[name] = (*trash.get(name, ()), (day.files[name], day.files.get(log_name(name))))
    return Day(files, trash)


def restore(folder: Path, data: st.DataObject, day: Day) -> Day:
    there = sorted(name for name, kept in day.deleted.items() if kept)
    if not there:
        assert "nothing in the trash" in refused("restore", folder)
        return day
    names = data.draw(st.lists(st.sampled_from(there), unique=True))
    free = 1 + max(naming.taken_numbers(folder), default=-1)
    vgil("restore", folder, *names)
    files = files_of(folder)
    wanted, trash = dict(day.files), dict(day.deleted)
    chosen = names or [name for name in day.deleted if day.deleted[name]]
    taken = {name: name in wanted for name in chosen}
    new = {name for name in files.keys() - day.files.keys() if name.endswith(".hdf5")}
    anew = [f"episode_{free + i}.hdf5" for i in range(sum(taken.values()))]
    assert new == {*anew, *(name for name in chosen if not taken[name])}, "its own number, or the next"
    for name in chosen:
        *rest, (episode, log) = trash[name]
        trash[name] = tuple(rest)
        place = name if not taken[name] else next(n for n in anew if files[n] == episode and n not in wanted)
        wanted |= {place: episode, **({log_name(place): log} if log else {})}
    assert files == wanted
    return Day(files, trash)


def trim(folder: Path, data: st.DataObject, day: Day) -> Day:
    path = data.draw(st.sampled_from(naming.episodes_in(folder)))
    whole = contents(path)
    first = data.draw(st.integers(0, whole.rows - 1))
    last = data.draw(st.integers(first, whole.rows - 1))
    vgil("trim", path, "--from", first, "--to", last)
    assert contents(path) == run_of(whole, first, last)
    files = files_of(folder)
    assert changed(day.files, files) <= {path.name}
    return replace(day, files=files)


def unsure(part: Contents) -> Contents:
    attrs = {key: value for key, value in part.attrs.items() if key != "@success"}
    return replace(part, attrs=attrs | {"@label": any_episode.value_of("unsure")})


def split(folder: Path, data: st.DataObject, day: Day) -> Day:
    path = data.draw(st.sampled_from(naming.episodes_in(folder)))
    whole = contents(path)
    if whole.rows == 1:
        assert "allowed: rows that rise, from 1 to 0" in refused("split", path, "--at", 1)
        return day
    at = sorted(data.draw(st.lists(st.integers(1, whole.rows - 1), min_size=1, max_size=3, unique=True)))
    free = 1 + max(naming.taken_numbers(folder), default=-1)
    vgil("split", path, *(word for row in at for word in ("--at", row)))
    ends = [*at, whole.rows]
    parts = [run_of(whole, first, last - 1) for first, last in zip([0, *at], ends, strict=True)]
    places = [path, *(folder / f"episode_{free + i}.hdf5" for i in range(len(at)))]
    assert [contents(place) for place in places] == [*map(unsure, parts[:-1]), parts[-1]]
    files = files_of(folder)
    assert changed(day.files, files) == {place.name for place in places}
    return replace(day, files=files)


def renumber(folder: Path, data: st.DataObject, day: Day) -> Day:
    order = [path.name for path in numbered(folder)]
    new = [f"episode_{i}.hdf5" for i in range(len(order))]
    said = vgil("renumber", folder)
    assert ("takes it back" in said) == (order != new), "where nothing is done, nothing is taken back"
    moved = dict(zip(order, new, strict=True))
    moved |= {log_name(old): log_name(place) for old, place in moved.items()}
    files = files_of(folder)
    assert files == {moved.get(name, name): value for name, value in day.files.items()}
    return replace(day, files=files)


STEPS: dict[str, Callable[[Path, st.DataObject, Day], Day]] = {
    "label": label, "delete": delete, "restore": restore, "trim": trim, "split": split, "renumber": renumber,
}  # fmt: skip


def fill(folder: Path, cases: list[Case], numbers: list[int], foreign: int) -> None:
    """A set with gaps between its numbers, an episode of ALOHA's own, and files that are no episodes."""
    folder.mkdir()
    for case, number in zip(cases, numbers, strict=False):
        path = any_episode.write(folder.parent / f"made_{number}", case)
        path.rename(folder / f"episode_{number}.hdf5")
        if (log := naming.log_of(path)).is_file():
            log.rename(folder / f"episode_{number}.mcap")
    if foreign:
        any_episode.write_foreign(folder / "demo.hdf5", foreign, foreign)
    (folder / "notes.txt").write_text("of that day")
    (folder / naming.ABORTED_FOLDER).mkdir()
    (folder / naming.ABORTED_FOLDER / "episode_0.hdf5.aborted").write_bytes(b"cut")


@OFTEN
@given(
    data=st.data(),
    cases=st.lists(any_episode.cases(), min_size=1, max_size=3),
    numbers=st.lists(st.integers(0, 9), min_size=3, max_size=3, unique=True),
    foreign=st.integers(0, 4),
    purged=st.booleans(),
)
def test_a_day_of_curation_and_back(
    data: st.DataObject, cases: list[Case], numbers: list[int], foreign: int, purged: bool
) -> None:
    """After each command, what stays is what it was; undone one by one, each moment comes back to the byte."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        fill(folder, cases, numbers, foreign)
        days = [Day(files_of(folder))]
        for _ in range(data.draw(st.integers(1, 5))):
            step = data.draw(st.sampled_from([*STEPS, "undo"]))
            if step in ("label", "delete", "trim", "split") and not naming.episodes_in(folder):
                continue
            if step != "undo":
                after = STEPS[step](folder, data, days[-1])
                if len(Journal(folder).entries()) > 0 and _done(folder) == len(days):
                    days.append(after)
                assert after.files == days[-1].files
            elif len(days) > 1:
                days.pop()
                vgil("undo", folder)
            else:
                assert "nothing to undo" in refused("undo", folder)
            assert files_of(folder) == days[-1].files
        if purged:
            vgil("trash", folder, "--purge")
            assert files_of(folder) == days[-1].files
        while len(days) > 1 and not purged:
            days.pop()
            vgil("undo", folder)
            assert files_of(folder) == days[-1].files
        assert "nothing to undo" in refused("undo", folder)


def _done(folder: Path) -> int:
    return sum(entry.state == "done" for entry in Journal(folder).entries())


@OFTEN
@given(
    cases=st.lists(any_episode.cases(), min_size=1, max_size=4),
    numbers=st.lists(st.integers(0, 9), min_size=4, max_size=4, unique=True),
    least=st.integers(0, 6),
)
def test_merging_copies_and_filtering_reads(cases: list[Case], numbers: list[int], least: int) -> None:
    """Merged episodes are the same bytes under new numbers, logs beside them, and the sources stay as they were."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        folders = [root / "one", root / "two"]
        fill(folders[0], cases[::2], numbers[::2], 2)
        fill(folders[1], cases[1::2], numbers[1::2], 3)
        before = [files_of(folder) for folder in folders]
        vgil("merge", *folders, "--out", root / "all", "--mixed")
        assert [files_of(folder) for folder in folders] == before
        wanted: Files = {}
        for folder, files in zip(folders, before, strict=True):
            for path in naming.episodes_in(folder):
                new = f"episode_{sum(name.endswith('.hdf5') for name in wanted)}.hdf5"
                wanted[new] = files[path.name]
                wanted |= {log_name(new): log} if (log := files.get(log_name(path.name))) else {}
        assert files_of(root / "all") == wanted
        assert sorted(path.name for path in root.iterdir() if path.name.startswith(".")) == []
        found = vgil("filter", root / "all", "--where", f"length >= {least}").split()
        long = [path for path in naming.episodes_in(root / "all") if contents(path).rows >= least]
        assert found == list(map(str, long))
        assert files_of(root / "all") == wanted
        assert not (root / "all" / TRASH).exists()


# ---- killed

CAMERAS = (CameraMeta("top", *any_episode.SIZE),)
META = EpisodeMeta(
    "any", "name: any\n", 50.0, ("a", "b"), ("j0", "j1"), CAMERAS, (CameraMeta("deep", *any_episode.SIZE, None),),
    has_velocity=True, has_effort=True,
)  # fmt: skip
FIXED = [
    Case(META, 4, 1, success=True, log=b"log of 1"),
    Case(replace(META, cameras=(), depths=()), 3, 2, final=False, log=b"log of 2"),
    Case(replace(META, cameras=(CameraMeta("top", *any_episode.SIZE, "passthrough"),)), 3, 3, success=False),
]
UNDOABLE = {
    "label": "label data failure --tag bad --note fell",
    "delete": "delete data/episode_1.hdf5 data/episode_5.hdf5",
    "restore": "restore data",
    "trim": "trim data/episode_1.hdf5 --from 1 --to 2",
    "split": "split data/episode_1.hdf5 --at 3",
    "renumber": "renumber data",
}
KILLED = UNDOABLE | {f"undo {name}": "undo data" for name in UNDOABLE}
KILLED |= {"trash": "trash data --purge", "merge": "merge data other --out new --mixed"}
BEFORE = {"restore": ["delete"], "trash": ["label", "delete", "restore", "trim"]}  # what was done already
# What changes files without Python's knowing.
UNSEEN = [(os, "fsync"), (os, "sendfile"), (labels, "_apply"), (rows_module, "write_jpeg")]
UNSEEN += [(rows_module, name) for name in ("_copy_values", "_write_final", "_count_anew")]
MOST_CHANGES = 1000


def test_every_command_is_under_these_laws() -> None:
    """A new command is put into one of these tables, or is no curation."""
    assert set(main.EPISODE_COMMANDS) == {*UNDOABLE, "undo", "trash", "merge"} | READS | OTHERS


@pytest.fixture(scope="module")
def set_of_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("three")
    fill(root / "data", FIXED, [1, 2, 5], 2)
    fill(root / "other", FIXED[1:2], [3], 0)
    for made in root.glob("made_*"):
        made.rmdir()
    return root


def typed(root: Path, line: str) -> None:
    vgil(*(str(root / word) if word.partition("/")[0] in ("data", "other", "new") else word for word in line.split()))


def ready(set_of_three: Path, root: Path, case: str) -> Path:
    """A copy of the set on which a command may be tried."""
    shutil.copytree(set_of_three, root)
    name = case.removeprefix("undo ")
    for earlier in [*BEFORE.get(name, ()), *([name] if name != case else [])]:
        typed(root, UNDOABLE[earlier])
    return root


def recovered(root: Path) -> Files:
    """What the next command finds."""
    with Journal(root / "data").held() as journal:
        assert journal.unfinished() is None
    return files_of(root)


def undone(root: Path) -> int:
    """Undo all there is to undo; how much that was."""
    with Journal(root / "data").held() as journal:
        count = sum(entry.state == "done" for entry in journal.entries())
        for _ in range(count):
            journal.undo()
    return count


@pytest.mark.parametrize("case", KILLED)
def test_killed_at_any_change_the_set_is_whole(set_of_three: Path, tmp_path: Path, case: str) -> None:
    """And what is done already can be undone to the byte; a purge takes all of it at once, or nothing."""
    start = ready(set_of_three, tmp_path / "start", case)
    fine = Path(shutil.copytree(start, tmp_path / "fine"))
    typed(fine, KILLED[case])
    before, after, first = files_of(start), files_of(fine), files_of(set_of_three)
    undoable, seen = len(Journal(start / "data").entries()), set()
    for changes in range(MOST_CHANGES):
        root = Path(shutil.copytree(start, tmp_path / f"killed_{changes}"))
        was_killed = killed_at_change(changes, lambda root=root: typed(root, KILLED[case]), UNSEEN)  # type: ignore[misc]
        if case == "merge" and was_killed and not (root / "new").exists():
            typed(root, KILLED[case])
            assert files_of(root) == after, changes
        found = recovered(root)
        assert found in (before, after), (changes, changed(found, before), changed(found, after))
        seen.add(found == after)
        count = undone(root)
        if case == "trash":
            assert (count, files_of(root)) in ((undoable, first), (0, after)), changes
        else:
            assert files_of(root) == (first if case != "merge" else after), changes
        shutil.rmtree(root)
        if not was_killed:
            break
    else:
        pytest.fail(f"not carried out after {MOST_CHANGES} changes")
    assert changes > 5
    assert seen == {True, False} or before == after or case == "merge"


@OFTEN
@given(case=st.sampled_from([*KILLED]), changes=st.integers(0, 150), later=st.lists(st.integers(0, 30), max_size=3))
def test_who_recovers_may_be_killed_too(set_of_three: Path, case: str, changes: int, later: list[int]) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = ready(set_of_three, Path(place) / "set", case)
        fine = Path(shutil.copytree(root, Path(place) / "fine"))
        before = files_of(root)
        typed(fine, KILLED[case])
        killed_at_change(changes, lambda: typed(root, KILLED[case]), UNSEEN)
        for more in later:
            killed_at_change(more, lambda: recovered(root), UNSEEN)
        if case == "merge" and not (root / "new").exists():
            typed(root, KILLED[case])
        assert recovered(root) in (before, files_of(fine))
        count = undone(root)
        if case not in ("merge", "trash") or (case == "trash" and count):
            assert files_of(root) == files_of(set_of_three)

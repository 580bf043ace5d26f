"""Curation: what stays is what it was, what is undone is back to the byte, and a killed process leaves a whole set."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.episodes import made_episodes as made
from support.killed_change import killed_before

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.curation import operations
from vgil_ros.episodes.curation.journal import Journal
from vgil_ros.episodes.curation.labels import Label, tags_of
from vgil_ros.episodes.curation.merging import merge
from vgil_ros.episodes.curation.rows import write_run
from vgil_ros.episodes.curation.where import Where, facts_of
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader

LENGTHS = (12, 7, 9)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes: JPEG, with a base and depth raw, and the camera's own JPEG."""
    folder = tmp_path_factory.mktemp("originals")
    depth = (made.CameraMeta("deep", 16, 24, None),)
    metas = (
        made.meta(),
        made.meta(storage="raw", has_base=True, depths=depth, has_effort=True),
        made.meta(storage="passthrough"),
    )
    for m, rows, encoding in zip(metas, LENGTHS, (None, None, "jpeg"), strict=True):
        made.write(folder, m, rows, success=True, encoding=encoding)
    return folder


@pytest.fixture
def folder(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals, tmp_path / "data"))


def digest(folder: Path) -> dict[str, str]:
    """The bytes of every episode of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in naming.episodes_in(folder)}


def rows_of(path: Path, first: int = 0, last: int | None = None) -> list[Any]:
    """Everything that rows first..last hold, and the observation after them."""
    with EpisodeReader(path) as episode:
        last = episode.rows - 1 if last is None else last
        out: list[Any] = []
        for name in ("qpos", "qvel", "effort", "action", "base_action", "base_vel", "stamp_ns", "skew_ns", "flags"):
            values = getattr(episode, name)
            out.append(None if values is None else values[first : last + 1].tobytes())
        for row in range(first, last + 1):
            for camera in episode.camera_names:
                jpeg = episode.is_jpeg(camera)
                out.append(episode.jpeg(camera, row) if jpeg else episode.image(camera, row).tobytes())
            out += [episode.depth(camera, row).tobytes() for camera in episode.depth_names]
        steps = episode.timesteps()
        after = steps[last + 1]
        out.append(
            {
                key: np.asarray(value).tobytes()
                for key, value in after.observation.items()
                if key not in ("images", "depth")
            }
        )
        out += [after.observation["images"][camera].tobytes() for camera in episode.camera_names]
        out.append((after.reward, after.discount))
        return out


@pytest.mark.parametrize("number", range(3))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_run_of_rows_is_what_it_was(originals: Path, tmp_path: Path, number: int, data: st.DataObject) -> None:
    source, copy = originals / f"episode_{number}.hdf5", tmp_path / "episode_0.hdf5"
    first = data.draw(st.integers(0, LENGTHS[number] - 1))
    last = data.draw(st.integers(first, LENGTHS[number] - 1))
    write_run(source, copy, first, last)
    assert rows_of(copy) == rows_of(source, first, last)
    with EpisodeReader(copy) as episode:
        steps = episode.timesteps()
        assert (len(steps), steps[0].first(), steps[-1].last()) == (last - first + 2, True, True)
        assert episode.attrs["rows_held"] == 0
    assert check_episode(copy).ok, check_episode(copy).findings


def logs(folder: Path) -> dict[str, str]:
    """What stands in each raw log of a folder."""
    return {path.name: path.read_text() for path in folder.glob("*.mcap")}


def test_a_raw_log_goes_with_its_episode(folder: Path, tmp_path: Path) -> None:
    for number in (0, 2):
        (folder / f"episode_{number}.mcap").write_text(f"log of {number}")
    with Journal(folder).held() as journal:
        operations.delete(journal, [folder / "episode_0.hdf5", folder / "episode_1.hdf5"])
        assert logs(folder) == {"episode_2.mcap": "log of 2"}
        operations.renumber(journal)
        assert logs(folder) == {"episode_0.mcap": "log of 2"}
        _, places = operations.restore(journal, ["episode_0.hdf5"])
        assert [path.name for path in places] == ["episode_1.hdf5"], "its number is taken"
        assert logs(folder) == {"episode_0.mcap": "log of 2", "episode_1.mcap": "log of 0"}
        for _ in range(3):
            journal.undo()
    assert logs(folder) == {"episode_0.mcap": "log of 0", "episode_2.mcap": "log of 2"}
    merge([folder], tmp_path / "merged", mixed=True)
    assert logs(tmp_path / "merged") == logs(folder)


def test_undone_beside_a_recorder_that_took_the_number_both_get_the_next(folder: Path) -> None:
    (folder / "episode_2.mcap").write_text("log of 2")
    with Journal(folder).held() as journal:
        operations.delete(journal, [folder / "episode_2.hdf5"])
        shutil.copyfile(folder / "episode_1.hdf5", folder / "episode_2.hdf5")
        journal.undo()
    assert (folder / "episode_3.hdf5").is_file()
    assert logs(folder) == {"episode_3.mcap": "log of 2"}


Change = Callable[[Journal], Any]
CHANGES: dict[str, Change] = {
    "label": lambda j: operations.label(
        j, sorted(j.root.glob("*.hdf5")), Label("failure", ("bad",), (), {"note": "fell"})
    ),
    "delete": lambda j: operations.delete(j, [j.root / "episode_1.hdf5", j.root / "episode_2.hdf5"]),
    "trim": lambda j: operations.trim(j, j.root / "episode_0.hdf5", 2, 8),
    "split": lambda j: operations.split(j, j.root / "episode_2.hdf5", [3, 5]),
    "renumber": lambda j: operations.renumber(j),
}


def gap(folder: Path) -> None:
    """Numbers 1, 2, 5: to be renumbered over each other."""
    (folder / "episode_2.hdf5").rename(folder / "episode_5.hdf5")
    (folder / "episode_1.hdf5").rename(folder / "episode_2.hdf5")
    (folder / "episode_0.hdf5").rename(folder / "episode_1.hdf5")


@pytest.mark.parametrize("change", CHANGES)
def test_undo_gives_back_the_same_bytes(folder: Path, change: str) -> None:
    if change == "renumber":
        gap(folder)
    before = digest(folder)
    with Journal(folder).held() as journal:
        CHANGES[change](journal)
        after = digest(folder)
        assert after != before
        assert journal.undo().operation == change
    assert digest(folder) == before
    with Journal(folder).held() as journal, pytest.raises(EpisodeError, match="nothing to undo"):
        journal.undo()


def test_what_was_done_one_after_the_other_is_undone_in_turn(folder: Path) -> None:
    seen = [digest(folder)]
    with Journal(folder).held() as journal:
        for change in ("label", "trim", "split", "delete", "renumber", "label"):
            CHANGES[change](journal)
            seen.append(digest(folder))
        while len(seen) > 1:
            assert digest(folder) == seen.pop()
            journal.undo()
        assert digest(folder) == seen.pop()


def test_labels_are_read_and_cost_a_fraction_of_the_file(folder: Path) -> None:
    path = folder / "episode_1.hdf5"
    size = path.stat().st_size
    rows = rows_of(path)
    with Journal(folder).held() as journal:
        operations.label(
            journal, [path], Label("failure", ("cup", "slow"), (), {"operator": "Ada", "note": "fell, häßlich"})
        )
        operations.label(journal, [path], Label("unsure", ("new",), ("slow",), {"operator": ""}))
    assert rows_of(path) == rows
    with EpisodeReader(path) as episode:
        assert (episode.success, tags_of(episode.attrs), episode.attrs["note"]) == (
            None,
            ("cup", "new"),
            "fell, häßlich",
        )
        assert "operator" not in episode.attrs
    kept = sum(file.stat().st_size for file in (folder / ".trash").rglob("*") if file.is_file())
    assert size > 100_000
    assert kept < size, "two labels, two small differences"


def test_deleted_ones_come_back_to_a_free_number(folder: Path) -> None:
    rows = rows_of(folder / "episode_2.hdf5")
    with Journal(folder).held() as journal:
        CHANGES["delete"](journal)
        assert [path.name for path in naming.episodes_in(folder)] == ["episode_0.hdf5"]
        shutil.copy(folder / "episode_0.hdf5", folder / "episode_2.hdf5")  # recorded since
        words, places = operations.restore(journal, ["episode_2.hdf5"])
        assert [place.name for place in places] == ["episode_3.hdf5"], words
        assert rows_of(places[0]) == rows
        with pytest.raises(
            EpisodeError, match=r"\['episode_2.hdf5'\] are not in the trash; found \['episode_1.hdf5'\]"
        ):
            operations.restore(journal, ["episode_2.hdf5"])
        journal.undo()
        assert not places[0].exists()
        assert journal.purge() > 0
        with pytest.raises(EpisodeError, match="nothing in the trash"):
            operations.restore(journal, [])
    assert [path.name for path in naming.episodes_in(folder)] == ["episode_0.hdf5", "episode_2.hdf5"]


def test_split_parts_are_the_whole_and_success_is_of_the_last(folder: Path) -> None:
    source = folder / "episode_0.hdf5"
    whole = [rows_of(source, 0, 3), rows_of(source, 4, 11)]
    with Journal(folder).held() as journal:
        _, places = operations.split(journal, source, [4])
    assert [path.name for path in places] == ["episode_0.hdf5", "episode_3.hdf5"]
    assert [rows_of(path) for path in places] == whole
    assert [facts_of(path)["unsure"] for path in places] == [True, False]
    assert facts_of(places[1])["success"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda j: operations.trim(j, j.root / "episode_0.hdf5", 5, 4), "rows 5 to 4; allowed: from 0 to 11"),
        (lambda j: operations.trim(j, j.root / "episode_0.hdf5", 0, 12), "rows 0 to 12; allowed: from 0 to 11"),
        (lambda j: operations.split(j, j.root / "episode_0.hdf5", [4, 4]), "allowed: rows that rise, from 1 to 11"),
        (lambda j: operations.delete(j, [j.root / "episode_9.hdf5"]), "episode_9.hdf5: no such file"),
        (lambda j: operations.delete(j, [j.root / "episode_1.hdf5"] * 2), "is named twice"),
        (lambda j: operations.label(j, [j.root / "episode_0.hdf5"], Label()), "nothing to label with"),
        (lambda j: operations.label(j, [j.root / "cut.hdf5"], Label("success")), "cut.hdf5: "),
        (lambda j: operations.renumber(j), "is being recorded"),
    ],
)
def test_what_cannot_be_done_leaves_no_trace(folder: Path, change: Change, words: str) -> None:
    (folder / "cut.hdf5").write_bytes((folder / "episode_0.hdf5").read_bytes()[:5000])
    (folder / "episode_7.hdf5.part").touch()
    before = digest(folder)
    with Journal(folder).held() as journal:
        with pytest.raises(VgilError, match=words):
            change(journal)
        assert journal.entries() == []
    assert digest(folder) == before
    assert [path.name for path in (folder / ".trash").iterdir()] == ["lock"]


def killed(folder: Path, change: str, after: int) -> bool:
    """Curate in a process that is killed before its n-th call that changes the disk; whether it was."""

    def curate() -> None:
        with Journal(folder).held() as journal:
            CHANGES[change](journal)

    names = ("link", "rename", "replace", "unlink", "mkdir", "open")
    return killed_before(after, [(os, name) for name in names], curate)


@pytest.mark.parametrize("change", ["label", "split", "renumber"])
def test_a_killed_process_leaves_the_set_whole(folder: Path, tmp_path: Path, change: str) -> None:
    """At any moment: afterwards the operation has taken place, or it has not."""
    if change == "renumber":
        gap(folder)
    before = digest(folder)
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    with Journal(whole).held() as journal:
        CHANGES[change](journal)
    fine = digest(whole)
    for after in range(200):
        place = Path(shutil.copytree(folder, tmp_path / f"{change}_{after}"))
        was_killed = killed(place, change, after)
        with Journal(place).held() as journal:
            assert journal.unfinished() is None
            if digest(place) != before:
                assert digest(place) == fine, after
                journal.undo()
        assert digest(place) == before, after
        shutil.rmtree(place)
        if not was_killed:
            break
    else:
        pytest.fail("it was never carried out")


def test_merged_sets_are_compared_and_hold_the_same_rows(originals: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    made.write(other, made.meta(rate_hz=25.0), 5, success=False)
    with pytest.raises(EpisodeError, match=r"different set-ups: .*rate_hz: 50 in 3 .*; 25 in 1 .*--mixed"):
        merge([originals, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert any("; 50 in 3" in words for words in merge([other, originals], tmp_path / "out", mixed=True))
    assert [rows_of(path) for path in naming.episodes_in(tmp_path / "out")] == [
        rows_of(path) for path in (other / "episode_0.hdf5", *naming.episodes_in(originals))
    ]
    with pytest.raises(EpisodeError, match="is there already; allowed: a new folder"):
        merge([other], tmp_path / "out")


FACTS = {
    "success": True, "failure": False, "unsure": False, "labelled": True, "aborted": False, "length": 250,
    "seconds": 5.0, "rate_hz": 50.0, "number": 3, "file": "episode_3.hdf5", "robot": "aloha", "layout": "vgil",
    "created": "", "cameras": ["high"], "held": 0, "warnings": 0, "note": "", "operator": "Ada", "object": "cup",
    "scene": "", "task": "put the cup away", "tags": ("good", "x-1"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("success and length > 200 and not tag:bad", True),
        ("tag:x-1 and tag:good", True),
        ("failure or (seconds <= 5 and 'cup' in task)", True),
        ("0 < length < 100", False),
        ("operator == 'Ada' and object != 'cup'", False),
        ("'high' in cameras and number == 3 and -1 < held", True),
    ],
)
def test_a_sentence_chooses(text: str, holds: bool) -> None:
    assert Where(text).matches(FACTS) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sucess", "speaks of 'sucess'; allowed: success, failure"),
        ("__import__('os').system('x')", "calls something"),
        ("length.real > 3", "has something else in it"),
        ("length >", "cannot be read"),
        ("[1][0]", "has something else in it"),
        ("length ** length ** length", "has something else in it"),
        ("not " * 60 + "success", "deep"),
        ("(" * 500 + "success" + ")" * 500, "--where"),
        ("length > 'a'", "cannot be compared"),
        ("1" * 3000, "has 3000 letters"),
    ],
)
def test_what_is_no_sentence_is_refused_with_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(VgilError, match=words.replace("(", r"\(")):
        Where(text).matches(FACTS)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"verdict": "good"}, r"label is 'good'; allowed: \['success', 'failure', 'unsure'\]"),
        ({"tags": ("a b",)}, "tag is 'a b'; allowed: letters"),
        ({"words": {"colour": "red"}}, "found 'colour'; allowed"),
        ({"words": {"note": "x" * 1001}}, "note has 1001 letters"),
    ],
)
def test_labels_that_are_none_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(VgilError, match=words):
        Label(**given)


def test_a_number_that_a_recorder_took_meanwhile_is_not_undone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The split's second part was to be episode 3; a recorder has it first. Undo takes the part, not the recording."""
    before, real = digest(folder), naming.publish

    def publish(part: Path, final: Path) -> None:
        if final.name == "episode_3.hdf5" and not final.exists():
            shutil.copy(folder / "episode_2.hdf5", final)
        real(part, final)

    monkeypatch.setattr(naming, "publish", publish)
    with Journal(folder).held() as journal:
        operations.split(journal, folder / "episode_0.hdf5", [4])
        assert sorted(digest(folder)) == [f"episode_{i}.hdf5" for i in range(5)]
        journal.undo()
    assert digest(folder) == {**before, "episode_3.hdf5": before["episode_2.hdf5"]}


def test_nothing_in_the_trash_looks_like_an_episode(folder: Path) -> None:
    with Journal(folder).held() as journal:
        for change in ("label", "delete"):
            CHANGES[change](journal)
    assert sorted(path.name for path in folder.rglob("*.hdf5")) == ["episode_0.hdf5"]


def test_a_purge_that_was_cut_off_leaves_nothing_to_undo(folder: Path) -> None:
    with Journal(folder).held() as journal:
        CHANGES["trim"](journal)
        left = next((folder / ".trash").rglob("left"))
        shutil.rmtree(left)
        with pytest.raises(EpisodeError, match="cannot be undone"):
            journal.undo()
        assert journal.purge() >= 0
        with pytest.raises(EpisodeError, match="nothing to undo"):
            journal.undo()
    assert (folder / "episode_0.hdf5").is_file()

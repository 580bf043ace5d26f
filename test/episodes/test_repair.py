"""A killed recorder or a cut file: whole rows come back, saved episodes stay as they are."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as demo
from support.episodes.made_episodes import Storage
from support.killed_change import killed_before
from support.paths import process_environment
from support.stall import StallGauge
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import EpisodeError, EpisodeReader, EpisodeWriter, naming
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.reading import structure
from vgil_ros.episodes.recovery import repair as repairing
from vgil_ros.episodes.recovery.broken_file import lookup3
from vgil_ros.episodes.recovery.repair import _reaching, repair


def _killed(folder: Path, seconds: float, storage: str = "jpeg") -> tuple[int, float]:
    """Record in a process that is killed after some time.

    Returns how many rows it had taken a second before, and for how long (s) the machine stood still in that second.
    A second is one in which the machine works.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "support.episodes.recording_process", str(folder), storage],
        stdout=subprocess.PIPE,
        text=True,
        env=process_environment(),
    )
    taken: list[tuple[float, int]] = []
    gauge = StallGauge(disk=folder.parent)
    gauge.watch(process.pid)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            taken.append((time.monotonic(), int(line)))
            if taken[-1][0] - taken[0][0] > seconds:
                break
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    killed = taken[-1][0]
    stood = gauge.stood(killed - 1.0, killed)
    gauge.close()
    return sum(at < killed - 1.0 - stood for at, _ in taken), stood


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("seconds", "storage"), [(1.31, "jpeg"), (1.77, "raw"), (2.54, "jpeg")])
def test_kill_loses_at_most_a_second(tmp_path: Path, seconds: float, storage: Storage) -> None:
    saved = demo.write(tmp_path, demo.meta(), 3)
    before = _digest(saved)
    second_ago, stood = _killed(tmp_path, seconds, storage)
    part = tmp_path / "episode_1.hdf5.part"
    with pytest.raises(EpisodeError, match="its writer was killed; `vgil episodes repair`"):
        EpisodeReader(part)
    result = repair(part)
    assert result.path == tmp_path / "episode_1.hdf5"
    assert result.rows >= second_ago
    assert second_ago > 10 or stood > 0.1
    assert result.kept is None
    assert not part.exists()
    m = demo.meta(storage=storage)
    with EpisodeReader(result.path) as episode:
        assert episode.rows == result.rows
        np.testing.assert_array_equal(episode.action, [demo.action(t, m) for t in range(episode.rows)])
        last = episode.rows - 1
        wanted = demo.observation(last, m)
        assert np.abs(episode.image("cam_a", last).astype(int) - wanted["images"]["cam_a"]).mean() < 3
        assert len(episode.timesteps()) == episode.rows
    assert check_episode(result.path).ok
    assert _digest(saved) == before


def test_a_number_that_was_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    _killed(tmp_path, 1.3)
    other = tmp_path / "episode_0.hdf5"
    other.write_bytes(b"somebody's")
    assert repair(tmp_path / "episode_0.hdf5.part").path == tmp_path / "episode_1.hdf5"
    assert other.read_bytes() == b"somebody's"


@pytest.mark.parametrize("share", [0.55, 0.7])
def test_a_cut_part_gives_whole_rows_or_none_and_is_kept(tmp_path: Path, share: float) -> None:
    """HDF5 moves the index of a growing image towards the end: where it is cut off, so are all images."""
    _killed(tmp_path, 2.0)
    part = tmp_path / "episode_0.hdf5.part"
    os.truncate(part, int(part.stat().st_size * share))
    before = _digest(part)
    try:
        result = repair(part)
    except EpisodeError:
        assert [p.name for p in tmp_path.iterdir()] == [part.name]
        assert _digest(part) == before
        return
    assert 0 < result.rows < result.expected
    assert result.kept == tmp_path / "episode_0.hdf5.part.kept"
    assert _digest(result.kept) == before
    m = demo.meta()
    with EpisodeReader(result.path) as episode:
        np.testing.assert_array_equal(episode.action, [demo.action(t, m) for t in range(result.rows)])
        assert episode.stamp_ns is not None
        assert episode.stamp_ns.all()  # nothing beyond the cut was read as zeros
    assert check_episode(result.path).ok


def test_what_lies_behind_the_cut_is_not_made_up(tmp_path: Path) -> None:
    """Small arrays of a short episode may lie behind its images; then nothing is made up for them."""
    path = demo.write(tmp_path, demo.meta(), 40)
    os.truncate(path, int(path.stat().st_size * 0.5))
    before = _digest(path)
    with pytest.raises(EpisodeError, match="nothing to recover"):
        repair(path)
    assert [p.name for p in tmp_path.iterdir()] == ["episode_0.hdf5"]
    assert _digest(path) == before


def test_whole_file_keeps_its_final_observation(tmp_path: Path) -> None:
    path = demo.write(tmp_path, demo.meta(), 5)
    result = repair(path)
    assert (result.rows, result.expected, result.kept) == (5, 5, path)
    with EpisodeReader(result.path) as episode:
        assert len(episode.timesteps()) == 6
    assert path.exists()


def test_a_running_recording_is_not_touched(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    demo.add(writer, 0)
    with pytest.raises(EpisodeError, match="is still being recorded"):
        repair(writer.part)
    assert writer.close() == tmp_path / "episode_0.hdf5"


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n\x03" + bytes(500), b"x" * 999])
def test_nothing_to_recover_is_said_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    part = tmp_path / "episode_0.hdf5.part"
    part.write_bytes(content)
    with pytest.raises(EpisodeError, match="nothing to recover"):
        repair(part)
    assert [p.name for p in tmp_path.iterdir()] == [part.name]


def test_lookup3_is_jenkins_own() -> None:
    """The values in the comments of his lookup3.c (hashlittle with initial value 0)."""
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_damage_at_the_end_of_a_file_costs_no_row(tmp_path: Path) -> None:
    """Attributes and the final observation lie behind the rows: what of them cannot be read is named, the rows stay."""
    source = demo.write(tmp_path / "source", demo.meta(), 40)
    data = source.read_bytes()
    damaged = 0
    for at in range(0, len(data), 97):
        if damaged == 6:
            break
        broken = bytearray(data)
        broken[at : at + 4] = b"\xff\xff\xff\xff"
        part = tmp_path / "data" / "episode_0.hdf5.part"
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(broken)
        try:
            result = repair(part)
        except EpisodeError:
            continue  # the rows themselves are hit
        if any("attribute" in name or name == "final_observation" for name in result.lost):
            damaged += 1
            assert result.rows > 0
            assert result.kept is not None
            with EpisodeReader(result.path) as episode:
                assert episode.layout == "vgil"
                assert episode.action_alignment == "same_stamp"
                np.testing.assert_array_equal(episode.action, [demo.action(t, demo.meta()) for t in range(result.rows)])
        result.path.unlink()
    assert damaged == 6


def test_a_file_whose_groups_hold_themselves_is_refused_at_once(tmp_path: Path) -> None:
    path = demo.write(tmp_path, demo.meta(), 5)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        file["observations/again"] = file["/"]
    with pytest.raises(EpisodeError, match=r"episode_0\.hdf5: .* (holds itself|are one group)"):
        repair(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_rows_that_are_only_claimed_are_not_made_up(tmp_path: Path) -> None:
    """Raw images whose chunks were never written read as zeros: as black images."""
    path = demo.write(tmp_path, demo.meta(storage="raw"), 9)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        for name in ("observations/qpos", "observations/qvel", "action", "observations/images/cam_a"):
            file[name].resize(200, axis=0)
    words = "claims 200 rows; the file holds 9 of them"
    with EpisodeReader(path) as episode, pytest.raises(EpisodeError, match=words):
        episode.image("cam_a", 150)
    result = repair(path)
    assert result.rows == 9


def test_raw_images_in_several_chunks_are_whole_where_all_of_them_are(tmp_path: Path) -> None:
    """h5py chooses chunks across rows and through images: one of a row may lie behind the cut, the others before."""
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        images = file.create_dataset("cam", data=np.ones((18, 48, 64, 3), np.uint8), chunks=(4, 24, 32, 3))
        infos: list[Any] = []
        images.id.chunk_iter(infos.append)
        whole = max(info.byte_offset + info.size for info in infos)
        assert _reaching(images, 18, whole).all()
        for info in infos:
            if info.byte_offset + info.size == whole:
                first = info.chunk_offset[0]
        expected = np.ones(18, bool)
        expected[first : first + 4] = False
        np.testing.assert_array_equal(_reaching(images, 18, whole - 1), expected)
        never = file.create_dataset("never", (18, 48, 64, 3), np.uint8, chunks=(1, 48, 64, 3))
        assert not _reaching(never, 18, whole).any()


@pytest.mark.parametrize("storage", ["jpeg", "raw"])
def test_the_index_of_a_long_file_is_not_walked_to_open_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Storage
) -> None:
    counted: list[int] = []
    own = structure._chunks
    monkeypatch.setattr(structure, "FEW_CHUNKS", 50)

    def count(item: Any) -> int:
        counted.append(1)
        return own(item)

    monkeypatch.setattr(structure, "_chunks", count)
    path = demo.write(tmp_path, demo.meta(storage=storage), 60)
    EpisodeReader(path).close()
    assert not counted
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:  # more than it can hold
        for name in ("observations/qpos", "observations/qvel", "action", "observations/images/cam_a"):
            file[name].resize(20_000, axis=0)
    with (
        EpisodeReader(path) as episode,
        pytest.raises(EpisodeError, match=r"claims 20000 rows; the file holds \d+ of them"),
    ):
        episode.image("cam_a", 150)


def test_what_is_kept_of_a_damaged_part_is_not_repaired_again(tmp_path: Path) -> None:
    part = demo.write(tmp_path, demo.meta(), 60).rename(tmp_path / "episode_0.hdf5.part")
    with h5py.File(part, "r+", libver=("v110", "v110")) as file:
        file["observations/images/cam_a"][50] = 0  # a power cut: it never reached the disk
    kept = tmp_path / "episode_0.hdf5.part.kept"
    words = f"50 of 60 rows -> {tmp_path / 'episode_0.hdf5'}; {part.name} kept as {kept.name}"
    done = CliRunner().invoke(app, ["episodes", "repair", str(tmp_path)])
    assert (done.exit_code, done.output) == (1, f"{part}: {words}\n")
    again = CliRunner().invoke(app, ["episodes", "repair", str(tmp_path)])
    assert (again.exit_code, again.output) == (0, "nothing to repair\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["episode_0.hdf5", kept.name]
    (tmp_path / "episode_0.hdf5").unlink()
    assert naming.claim(tmp_path).name == "episode_1.hdf5.part", "its number stays taken"


def test_a_repair_that_is_killed_leaves_nothing_that_looks_like_an_episode(tmp_path: Path) -> None:
    part = demo.write(tmp_path, demo.meta(), 4).rename(tmp_path / "episode_0.hdf5.part")
    assert killed_before(0, ((repairing, "quick_check"),), lambda: repair(part))
    assert [path.suffix for path in tmp_path.iterdir() if path != part] == [".half"]
    assert repair(part).rows == 4

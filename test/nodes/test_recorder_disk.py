"""Disks that are full, folders that cannot be written, and recorders that are killed."""

from __future__ import annotations

import hashlib
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench import Bench
from support.client import until
from support.contracts import camera, small_robot, write
from support.rig import Rig
from support.stall import StallGauge

from vgil_ros.episodes import EpisodeError, EpisodeReader
from vgil_ros.episodes.recovery.repair import repair

KILLS = 20


@pytest.fixture
def small_disk(bench: Bench) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = bench.folder / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_ends_the_episode_in_time_to_finish_it(bench: Bench, small_disk: Path) -> None:
    contract = bench.contract()
    bench.robot(contract)
    recorder = bench.recorder(
        contract, dataset_dir=small_disk, min_free_gb=0.0004, image_format="raw", autostart=True, reset_time=0.2
    )
    line = recorder.expect("episode ended early, what was recorded is kept: .*MiB free, less than")
    assert str(small_disk) in line.text
    recorder.expect(r"saved \S*episode_0\.hdf5")
    with EpisodeReader(small_disk / "episode_0.hdf5") as episode:
        assert episode.rows > 10
        assert episode.image("cam_a", episode.rows - 1).any()
        assert "MiB free" in episode.attrs["stopped"]
    recorder.expect("MiB free; 0 MiB are needed to start an episode")
    assert not list(small_disk.glob("*.part"))


def test_a_disk_without_any_room_left_keeps_what_it_took(bench: Bench, small_disk: Path) -> None:
    contract = bench.contract()
    bench.robot(contract)
    recorder = bench.recorder(
        contract, dataset_dir=small_disk, min_free_gb=0.0, image_format="raw", autostart=True, reset_time=30.0
    )
    recorder.expect("no space left; recording stopped after")
    recorder.expect("`vgil episodes repair` recovers its rows")
    recorder.close()
    (part,) = small_disk.iterdir()
    elsewhere = bench.folder / part.name
    elsewhere.write_bytes(part.read_bytes())
    with EpisodeReader(repair(elsewhere).path) as episode:
        assert episode.rows > 10


def test_a_file_in_place_of_the_folder_is_refused_at_once(bench: Bench) -> None:
    bench.episodes.write_text("a file")
    recorder = bench.recorder(bench.contract())
    assert recorder.wait() == 2, recorder.output
    recorder.expect(rf"error: parameter 'dataset_dir' is '{bench.episodes}': {bench.episodes} is no folder")


def test_a_folder_that_cannot_be_written_is_refused_at_once(bench: Bench, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    recorder = bench.recorder(bench.contract(), dataset_dir=small_disk / "sub")
    assert recorder.wait() == 2, recorder.output
    recorder.expect(f"dataset_dir is '{small_disk}/sub': {small_disk} cannot be written; allowed: a folder")


def test_a_folder_that_can_no_longer_be_written_is_named_at_the_first_row(bench: Bench) -> None:
    rig = Rig(bench, bench.contract())
    rig.ready()
    bench.episodes.write_text("a file")
    since = rig.recorder.mark()
    rig.command("start")
    rig.recorder.expect(f"{bench.episodes}: cannot be written", since=since)
    until(lambda: rig.value("state") == "idle", "idle again")
    bench.episodes.unlink()
    rig.record(3)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def repaired(folder: Path, began_ns: int) -> tuple[Path | None, int]:
    """Repair what a killed recorder left; return the file, and the stamp of its last row (the start without any)."""
    for part in folder.glob("*.part"):
        try:
            repaired = repair(part)
        except EpisodeError:
            part.unlink()
            continue
        assert not part.exists()
        with EpisodeReader(repaired.path) as episode:
            assert episode.rows == repaired.rows > 0
            assert episode.stamp_ns is not None
            for row in range(episode.rows):
                assert episode.image("cam_a", row).any()
            return repaired.path, int(episode.stamp_ns[-1])
    return None, began_ns


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_any_moment_it_loses_a_second_at_most(bench: Bench) -> None:
    """Twenty times: the rows on the disk reach to a second before the kill; saved episodes stay as they are."""
    contract = write(small_robot(cameras=[camera("cam_a")]), bench.folder / "small.yaml")
    bench.robot(contract)
    first = bench.recorder(contract, autostart=True, episode_len=10, num_episodes=1)
    assert first.wait() == 0, first.output
    saved = {path: digest(path) for path in bench.episodes.iterdir()}
    shuffled = random.Random(7)
    lost, beyond = [], []
    gauge = StallGauge(disk=bench.folder)
    for _ in range(KILLS):
        recorder = bench.recorder(contract, autostart=True)
        gauge.watch(recorder.popen.pid)
        recorder.expect("recording episode")
        began_ns = time.time_ns()
        time.sleep(shuffled.uniform(0.1, 2.5))
        killed_ns, killed = time.time_ns(), time.monotonic()
        recorder.kill()
        file, last_ns = repaired(bench.episodes, began_ns)
        lost.append((killed_ns - last_ns) / 1e9)
        beyond.append(lost[-1] - gauge.stood(killed - lost[-1], killed))
        assert {path: digest(path) for path in saved} == saved
        if file is not None:
            saved[file] = digest(file)
    gauge.close()
    stood = [a - b for a, b in zip(lost, beyond, strict=True)]
    print(
        f"lost at a kill: median {sorted(lost)[KILLS // 2]:.2f} s, longest {max(lost):.2f} s; the machine stood {stood}"
    )
    assert max(beyond) <= 1.0, f"lost {lost}, while the machine stood still for {stood}"
    assert len(saved) > KILLS / 2

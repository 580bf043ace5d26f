"""Disks that are full, and folders that cannot be written."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.rig import Rig

from vgil_ros.episodes import EpisodeReader
from vgil_ros.episodes.recovery.repair import repair


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
    line = recorder.expect("episode ended early: .*MiB free, less than")
    assert str(small_disk) in line.text
    recorder.expect(r"saved \S*aborted/episode_0\.hdf5\.aborted, \d+ rows, .*lies apart and does not count")
    with EpisodeReader(small_disk / "aborted" / "episode_0.hdf5.aborted") as episode:
        assert episode.rows > 10
        assert episode.image("cam_a", episode.rows - 1).any()
        assert "MiB free" in episode.attrs["stopped"]
        assert "MiB free" in str(episode.aborted)
    recorder.expect(r"waiting for: .*MiB free; 0\.4 MiB are needed to start an episode")
    since = recorder.mark()
    recorder.expect("ending, nothing more can be recorded: .*MiB free; 0.4 MiB are needed", since=since)
    assert recorder.wait() == 1, recorder.output
    assert not any("ended early" in line.text for line in recorder.lines[since:])
    assert not list(small_disk.rglob("*.part"))


def test_a_disk_without_any_room_left_keeps_what_it_took(bench: Bench, small_disk: Path) -> None:
    contract = bench.contract()
    bench.robot(contract)
    recorder = bench.recorder(
        contract, dataset_dir=small_disk, min_free_gb=0.0, image_format="raw", autostart=True, reset_time=30.0
    )
    recorder.expect("episode ended early: .*no space left; recording stopped after")
    recorder.expect(rf"`vgil episodes repair {small_disk}/episode_0\.hdf5\.part` recovers its rows")
    recorder.send(signal.SIGINT)
    assert recorder.wait() == 1, recorder.output
    assert "Traceback" not in recorder.output
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
    recorder.expect(f"parameter 'dataset_dir' is '{small_disk}/sub': {small_disk} cannot be written; allowed: a folder")


def test_a_start_is_refused_while_nothing_can_be_written_and_works_again_when_it_can(bench: Bench) -> None:
    rig = Rig(bench, bench.contract())
    rig.ready()
    bench.episodes.write_text("a file")
    answer = bench.client.call("/recorder/start")
    assert not answer.success
    assert f"not started: {bench.episodes}: {bench.episodes} is no folder" in answer.message
    until(lambda: "is no folder" in rig.summary(), "the status says so")
    bench.episodes.unlink()
    rig.record(3)


def test_a_process_without_a_file_handle_left_says_so_and_records_when_it_has_some(bench: Bench) -> None:
    rig = Rig(bench, bench.contract())
    rig.ready()
    pid = rig.recorder.popen.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    lowest_free = min(set(range(max(used) + 2)) - used)  # the next file would get this number
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    answer = bench.client.call("/recorder/start")
    assert not answer.success
    assert f"not started: {bench.episodes}: cannot be written (Too many open files)" in answer.message
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    rig.record(3)
    assert "Traceback" not in rig.recorder.output


def test_too_little_room_ends_an_autostart_with_the_figures(bench: Bench) -> None:
    contract = bench.contract()
    bench.robot(contract)
    recorder = bench.recorder(contract, min_free_gb=9e6, autostart=True, num_episodes=2)
    recorder.expect(r"waiting for: .*MiB free; 9216000000 MiB are needed to start an episode")
    recorder.expect("ending, nothing more can be recorded: .*MiB free; 9216000000 MiB are needed")
    assert recorder.wait() == 1, recorder.output
    recorder.expect("0 of 2 episodes were recorded")
    assert "saved" not in recorder.output
    assert "kept" not in recorder.output
    assert not bench.episodes.exists()


def test_a_folder_that_is_removed_while_it_is_recorded_to_is_named(bench: Bench) -> None:
    rig = Rig(bench, bench.contract())
    since = rig.record(3)
    shutil.rmtree(bench.episodes)
    rig.recorder.expect("episode ended early: .*somebody has removed it while it was recorded", since=since)
    rig.recorder.expect("is gone .*nothing of it is saved", since=since)
    until(lambda: rig.value("state") == "idle", "idle again")
    rig.recorder.send(signal.SIGINT)
    assert rig.recorder.wait() == 1, rig.recorder.output
    assert "Traceback" not in rig.recorder.output

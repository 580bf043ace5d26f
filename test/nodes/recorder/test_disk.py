"""Disks that are full, and folders that cannot be written."""

from __future__ import annotations

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
    recorder.expect(f"parameter 'dataset_dir' is '{small_disk}/sub': {small_disk} cannot be written; allowed: a folder")


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

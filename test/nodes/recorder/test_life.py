"""The recorder from start to end: lengths, numbers, and every way to end it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from support.contracts import HEIGHT, WIDTH, camera
from support.nodes.bench import Bench
from support.nodes.rig import Rig

from vgil_ros.core.streams import Flag
from vgil_ros.episodes import EpisodeReader


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fixed_length_gives_as_many_rows_and_one_timestep_more_and_exit_code_0(bench: Bench) -> None:
    contract = bench.contract()
    bench.robot(contract)
    recorder = bench.recorder(contract, episode_len=12, num_episodes=2, autostart=True, reset_time=0.2, task="lift")
    assert recorder.wait() == 0, recorder.output
    assert names(bench.episodes) == ["episode_0.hdf5", "episode_1.hdf5"]
    for file in bench.episodes.iterdir():
        with EpisodeReader(file) as episode:
            assert episode.rows == 12
            steps = episode.timesteps()
            assert [step.first() for step in steps] == [True] + [False] * 12
            assert [step.last() for step in steps] == [False] * 12 + [True]
            assert episode.task == "lift"
            assert episode.attrs["contract"] == contract.read_text()


def test_an_end_marker_stands_on_the_last_five_rows(bench: Bench) -> None:
    contract = bench.contract(end_marker={"rows": 5})
    bench.robot(contract)
    recorder = bench.recorder(contract, episode_len=12, num_episodes=1, autostart=True)
    assert recorder.wait() == 0, recorder.output
    with EpisodeReader(bench.episodes / "episode_0.hdf5") as episode:
        assert episode.joint_names == ("left/waist", "left/elbow", "left/grip", "end_marker")
        for column in (episode.qpos[:, 3], episode.action[:, 3]):
            assert column.tolist() == [0.0] * 7 + [1.0] * 5


def test_an_episode_that_is_stopped_goes_on_for_the_rows_of_its_end_marker(bench: Bench) -> None:
    rig = Rig(bench, bench.contract(end_marker={"rows": 5}))
    rig.record(8)
    since = rig.recorder.mark()
    rig.command("stop")
    with EpisodeReader(rig.saved(since)) as episode:
        assert episode.rows >= 8 + 5
        assert episode.action[:, 3].tolist() == [0.0] * (episode.rows - 5) + [1.0] * 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_episode(bench: Bench, number: int) -> None:
    rig = Rig(bench, bench.contract())
    rig.record(8)
    rig.recorder.send(number)
    assert rig.recorder.wait() == 0, rig.recorder.output
    assert names(bench.episodes) == ["episode_0.hdf5"]
    with EpisodeReader(bench.episodes / "episode_0.hdf5") as episode:
        assert episode.rows >= 8
        assert len(episode.timesteps()) == episode.rows + 1


def test_a_signal_discards_the_episode_where_that_is_asked_and_keeps_the_earlier_one(bench: Bench) -> None:
    rig = Rig(bench, bench.contract(), on_interrupt="discard")
    rig.record(4)
    since = rig.recorder.mark()
    rig.command("stop")
    rig.saved(since)
    rig.record(4)
    rig.recorder.send(signal.SIGINT)
    assert rig.recorder.wait() == 0, rig.recorder.output
    assert names(bench.episodes) == ["episode_0.hdf5"]


def test_a_signal_ends_a_recorder_that_waits(bench: Bench) -> None:
    recorder = bench.recorder(bench.contract(), autostart=True)
    recorder.expect("waiting for")
    recorder.send(signal.SIGINT)
    assert recorder.wait() == 0, recorder.output
    assert not bench.episodes.exists()


def test_two_signals_at_once_leave_no_broken_file(bench: Bench) -> None:
    rig = Rig(bench, bench.contract(end_marker={"rows": 50}))  # after one, 50 rows would follow
    rig.record(8)
    rig.recorder.send(signal.SIGINT)
    rig.recorder.expect("quitting")
    rig.recorder.send(signal.SIGINT)
    assert rig.recorder.wait() == 0, rig.recorder.output  # ended at once, and yet all is kept
    assert names(bench.episodes) == ["episode_0.hdf5"]
    with EpisodeReader(bench.episodes / "episode_0.hdf5") as episode:
        assert 8 <= episode.rows < 50


def test_a_sigterm_that_comes_once_for_each_thread_of_a_launcher_counts_once(bench: Bench) -> None:
    rig = Rig(bench, bench.contract(end_marker={"rows": 5}))
    rig.record(8)
    for _ in range(3):
        rig.recorder.send(signal.SIGTERM)
        time.sleep(0.05)
    assert rig.recorder.wait() == 0, rig.recorder.output
    with EpisodeReader(bench.episodes / "episode_0.hdf5") as episode:
        assert episode.action[-5:, 3].tolist() == [1.0] * 5, "the end marker is whole"


def test_what_is_said_to_be_ready_starts_by_a_simulated_clock_too(bench: Bench) -> None:
    rig = Rig(bench, bench.contract(), ("--clock",), use_sim_time=True)
    rig.record(3)  # at the first status that says so
    assert "jumped" not in rig.recorder.output


def test_a_signal_ends_a_recorder_whose_clock_never_comes(bench: Bench) -> None:
    recorder = bench.recorder(bench.contract(), use_sim_time=True)
    recorder.expect("episodes go to")
    recorder.send(signal.SIGINT)
    assert recorder.wait() == 0, recorder.output
    assert "the clock stands still" in recorder.output


def test_two_recorders_on_one_folder_share_its_numbers(bench: Bench) -> None:
    contract = bench.contract()
    bench.robot(contract)
    options = {"episode_len": 10, "num_episodes": 2, "autostart": True, "reset_time": 0.0}
    both = [bench.recorder(contract, task=f"task {i}", **options) for i in range(2)]
    for recorder in both:
        assert recorder.wait() == 0, recorder.output
    assert names(bench.episodes) == [f"episode_{i}.hdf5" for i in range(4)]
    tasks = []
    for file in bench.episodes.iterdir():
        with EpisodeReader(file) as episode:
            assert episode.rows == 10
            tasks.append(episode.task)
    assert sorted(tasks) == ["task 0", "task 0", "task 1", "task 1"]  # type: ignore[type-var]


def test_a_jpeg_of_a_camera_is_passed_through_and_keeps_its_colours(bench: Bench) -> None:
    contract = bench.contract(cameras=[camera("cam_a"), camera("cam_b", "compressed")])
    bench.robot(contract)
    recorder = bench.recorder(contract, episode_len=10, num_episodes=1, autostart=True)
    assert recorder.wait() == 0, recorder.output
    with EpisodeReader(bench.episodes / "episode_0.hdf5") as episode:
        assert episode.jpeg_order("cam_a") == "bgr"
        assert episode.jpeg_order("cam_b") == "rgb"
        for name in ("cam_a", "cam_b"):
            for image in (*(episode.image(name, row) for row in range(10)), episode.final_image(name)):
                assert_colours(image)


def test_the_peers_order_can_be_asked_for_a_recording(bench: Bench) -> None:
    contract = bench.contract(cameras=[camera("cam_a"), camera("cam_b", "compressed")])
    bench.robot(contract)
    recorder = bench.recorder(contract, episode_len=10, num_episodes=1, autostart=True, jpeg_order="peers")
    assert recorder.wait() == 0, recorder.output
    assert "JPEGs of ['cam_b'] are decoded and encoded anew" in recorder.output
    assert "swap their red and blue" not in recorder.output
    with EpisodeReader(bench.episodes / "episode_0.hdf5") as episode:
        assert episode.jpeg_order("cam_b") == "bgr"
        for row in range(10):
            assert_colours(episode.image("cam_b", row))


def test_raw_images_are_stored_as_they_came(bench: Bench) -> None:
    contract = bench.contract()
    bench.robot(contract)
    recorder = bench.recorder(contract, episode_len=10, num_episodes=1, autostart=True, image_format="raw")
    assert recorder.wait() == 0, recorder.output
    with EpisodeReader(bench.episodes / "episode_0.hdf5") as episode:
        assert not episode.is_jpeg("cam_a")
        for row in range(10):
            image = episode.image("cam_a", row)
            assert_colours(image)
            assert (image[:, :32, 2] < 30).all()  # noise alone: nothing was compressed


def assert_colours(image: np.ndarray) -> None:
    """Left red, right blue."""
    assert image.shape == (HEIGHT, WIDTH, 3)
    left, right = image[:, :24].mean((0, 1)), image[:, 40:].mean((0, 1))
    assert left[0] > 150 > 60 > left[2]
    assert right[2] > 150 > 60 > right[0]


def test_ticks_are_left_out_where_the_contract_says_drop(bench: Bench) -> None:
    sync = {"tolerance_ms": 40, "max_wait_ms": 120, "on_miss": "drop"}
    rig = Rig(bench, bench.contract(sync=sync))
    rig.record(5)
    since = rig.recorder.mark()
    rig.robot.tell("cam_a stop")
    rig.recorder.expect(r"tick \d+ left out: cam_a: silent", since=since)
    time.sleep(0.5)
    rig.robot.tell("cam_a well")
    rig.recorder.expect("dropped: recovered", since=since)
    rig.command("stop")
    with EpisodeReader(rig.saved(since)) as episode:
        assert episode.attrs["rows_dropped"] > 3
        assert "aborted" not in episode.attrs
        assert episode.flags is not None
        assert episode.stamp_ns is not None
        assert not ((np.asarray(episode.flags) & int(Flag.HELD)) > 0).any()
        assert np.diff(episode.stamp_ns).max() > 0.3e9

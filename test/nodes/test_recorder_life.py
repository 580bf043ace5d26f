"""The recorder from start to end: commands, lengths, numbers, ends."""

from __future__ import annotations

from support.bench import Bench

from vgil_ros.episodes import EpisodeReader


def test_fixed_length_gives_as_many_rows_and_one_timestep_more_and_exit_code_0(bench: Bench) -> None:
    contract = bench.contract()
    bench.robot(contract)
    recorder = bench.recorder(contract, episode_len=12, num_episodes=2, autostart=True, reset_time=0.2, task="lift")
    assert recorder.wait(40) == 0, recorder.output
    files = sorted(bench.episodes.iterdir())
    assert [file.name for file in files] == ["episode_0.hdf5", "episode_1.hdf5"]
    for file in files:
        with EpisodeReader(file) as episode:
            assert episode.rows == 12
            assert len(episode.timesteps()) == 13
            assert episode.task == "lift"

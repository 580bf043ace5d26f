"""The computer's clock is set while an episode is recorded: it is named, and rows before and after it stay apart."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
from support.nodes.bench import Bench, ros_arguments
from support.nodes.rig import Rig
from support.process import Process

from vgil_ros.episodes import EpisodeReader


class SettableBench(Bench):
    """Its recorder's clock is set back by a signal."""

    def recorder(self, contract: Path, **parameters: Any) -> Process:
        """Start it."""
        given = {"robot": contract, "dataset_dir": self.episodes, "min_free_gb": 0.01, **parameters}
        return self.start(Process, ["support.nodes.recorder_whose_clock_is_set", *ros_arguments(given)])


def test_a_clock_set_back_by_a_third_of_a_second_ends_the_episode(tmp_path: Path) -> None:
    with SettableBench(tmp_path) as bench:
        rig = Rig(bench, bench.contract())
        since = rig.record(20)
        rig.robot.tell("clock back 0.3")
        rig.recorder.send(signal.SIGUSR1)
        rig.recorder.expect(r"episode ended early: clock: jumped back by 300 ms", since=since)
        with EpisodeReader(rig.saved(since)) as episode:
            assert episode.attrs["aborted"] == "clock: jumped back by 300 ms"
            assert episode.stamp_ns is not None
            assert (np.diff(episode.stamp_ns) == 40_000_000).all()
        again = rig.record(20)  # both clocks are right again, and nothing of the old time is left
        rig.command("stop")
        rig.saved(again)

"""A recorder that is killed at any moment: rows reach the disk within a second."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path

import pytest
from support.contracts import camera, small_robot, write
from support.nodes.bench import Bench
from support.stall import StallGauge

from vgil_ros.episodes import EpisodeError, EpisodeReader
from vgil_ros.episodes.recovery.repair import repair

KILLS = 20


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

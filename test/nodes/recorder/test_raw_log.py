"""`raw_log:=true`: beside each episode lies what came, and it gives the same episode again."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mcap")

from support.bags.live import differences
from support.contracts import camera, sync
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.rig import Rig

from vgil_ros.datasets.bags.from_bag import BagSettings, from_bag
from vgil_ros.episodes import naming
from vgil_ros.episodes.recovery.repair import repair

BASE = {
    "odom": {"topic": "/odom"},
    "command": {"topic": "/cmd_vel"},
    "limits": {"linear": 0.5, "angular": 1.0},
}


def again(episode: Path, folder: Path) -> Path:
    """The episode that its raw log gives."""
    done = from_bag(naming.log_of(episode), BagSettings(folder / episode.name))
    assert done.replayed
    assert done.notes == ()
    return done.end.path


def test_the_log_gives_the_episode_and_goes_where_it_goes(bench: Bench, tmp_path: Path) -> None:
    contract = bench.contract(
        cameras=[camera("cam_a"), camera("cam_b", "compressed")],
        vectors=[{"name": "force", "topic": "/wrench", "type": "wrench"}],
        base=BASE,
        sync=sync(max_hold=50),
    )
    rig = Rig(bench, contract, raw_log=True, task="lift", operator="Ann")
    since = rig.record(40)
    rig.command("label_success")
    rig.command("stop")
    saved = rig.saved(since)
    assert differences(saved, again(saved, tmp_path)) == []

    since = rig.record(10)  # thrown away while it runs, and when it has ended
    rig.command("discard")
    until(lambda: rig.value("state") == "idle", "idle")
    since = rig.record(10)
    rig.command("stop")
    rig.saved(since)
    rig.command("discard")
    assert sorted(path.name for path in bench.episodes.iterdir()) == ["episode_0.hdf5", "episode_0.mcap"]

    rig.record(10)
    rig.robot.tell("cam_a stop")
    rig.recorder.expect("ended early: .*cam_a")
    apart = bench.episodes / "aborted" / "episode_0.hdf5.aborted"
    until(naming.log_of(apart).exists, "the aborted episode's log")
    done = from_bag(naming.log_of(apart), BagSettings(tmp_path / "apart"))
    assert done.end.aborted is not None
    assert differences(apart, done.end.path) == []

    rig.robot.tell("cam_a well")
    rig.record(40)
    rig.recorder.kill()
    (part,) = bench.episodes.glob("*.hdf5.part")
    kept = from_bag(naming.log_of(part), BagSettings(tmp_path / "killed"))
    assert not kept.whole
    repaired = repair(part)
    assert abs(kept.end.rows - repaired.rows) <= 25, "a second at most"

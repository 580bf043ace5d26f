"""What is generated and evaluated without ROS agrees with what the real nodes do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from sources import tiny_act

pytest.importorskip("rclpy")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nodes"))

from support.domains import free_domain

from vgil_ros.core.streams import Flag
from vgil_ros.episodes.naming import episodes_in
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig
from vgil_ros.robots.sim.generate import generate

SEED = 1
VARIES = {"created", "seed"}  # attributes: the time of day; and no recorder knows a scene's seed


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    with free_domain() as domain:
        yield {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def vgil(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "vgil_ros.cli.main", *arguments]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def pair(tmp_path: Path, environment: dict[str, str]) -> tuple[Path, Path]:
    """The same scene recorded over ROS and generated."""
    asked = ["sim:=true", "sim_time:=true", "robot:=sim_single", "task:=pick_place", f"seed:={SEED - 1}"]
    asked += ["num_episodes:=1", "episode_len:=400", "autostart:=true", f"dataset_dir:={tmp_path / 'ros'}"]
    vgil(environment, "launch", "record.launch.py", *asked)  # its first episode begins with a reset: the next seed
    wanted = DemonstrationConfig("sim_single", "pick_place", episode_len=400)
    (made,) = generate(wanted, tmp_path / "made", episodes=1, seed=SEED)
    assert made.path is not None
    whole = [path for path in episodes_in(tmp_path / "ros") if "aborted" not in attributes(path)]
    return whole[0], made.path


def attributes(path: Path) -> dict[str, object]:
    with h5py.File(path) as file:
        return dict(file.attrs)


def shapes(path: Path) -> dict[str, tuple[object, ...]]:
    """Type, rank, and the sizes that are not the length of a JPEG, of each dataset; and its attributes' names."""
    found: dict[str, tuple[object, ...]] = {}
    with h5py.File(path) as file:

        def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                size = None if "images/" in name else item.shape
                found[name] = (item.dtype, item.ndim, size, item.chunks, sorted(item.attrs.items()))
            else:
                found[name] = (sorted(item.attrs),)

        file.visititems(visit)
    return found


def lag(episode: EpisodeReader) -> int:
    """Ticks by which the first joints follow their actions."""
    errors = [np.abs(episode.qpos[k:, :3] - episode.action[: len(episode.action) - k, :3]).mean() for k in range(15)]
    return int(np.argmin(errors))


@pytest.mark.slow
def test_a_generated_episode_agrees_with_a_recorded_one(pair: tuple[Path, Path]) -> None:
    recorded, made = pair
    assert shapes(recorded) == shapes(made)
    ours, theirs = attributes(made), attributes(recorded)
    assert set(ours) - VARIES == set(theirs) - VARIES
    differing = [k for k in set(ours) - VARIES if not np.array_equal(ours[k], theirs[k])]
    assert set(differing) <= {"rows_held"}, "a busy machine may repeat an image over ROS"
    with EpisodeReader(recorded) as a, EpisodeReader(made) as b:
        for one, other in ((a.qpos, b.qpos), (a.action, b.action)):
            assert np.allclose(one.min(0), other.min(0), atol=0.06)
            assert np.allclose(one.max(0), other.max(0), atol=0.06)
            assert np.allclose(one.std(0), other.std(0), atol=0.06)
        assert abs(lag(a) - lag(b)) <= 1
        assert a.skew_ns is not None
        assert b.skew_ns is not None
        assert a.flags is not None
        assert b.flags is not None
        ticks = np.diff(a.stamp_ns), np.diff(b.stamp_ns)
        assert all(np.all(t == 20_000_000) for t in ticks)
        calm = ~np.any(a.flags & Flag.HELD, axis=1)
        assert abs(np.abs(a.skew_ns[calm]).mean(0) - np.abs(b.skew_ns).mean(0)).max() < 4e6
        assert np.abs(a.skew_ns[calm]).max() <= 20_000_000
        for camera in a.camera_names:
            images = [np.stack([e.image(camera, row) for row in range(0, 400, 40)]) for e in (a, b)]
            means, spreads = [p.mean((0, 1, 2)) for p in images], [p.std() for p in images]
            assert np.allclose(*means, atol=4.0)
            assert np.isclose(*spreads, rtol=0.1)


@pytest.mark.slow
def test_evaluation_over_ros_reports_the_same_figures(tmp_path: Path, environment: dict[str, str]) -> None:
    checkpoint = tiny_act(tmp_path / "tiny")
    program = "import typer; from vgil_ros.cli.eval import evaluate; a = typer.Typer(); a.command()(evaluate); a()"
    arguments = ["--checkpoint", str(checkpoint), "--episodes", "2", "--seed", "5", "--episode-len", "60"]
    arguments += ["--execution", "open_loop", "--over-ros", "--json", str(tmp_path / "report.json")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "report.json").read_text())
    plain = evaluate(
        EvaluationPlan("pick_place", episodes=2, seed=5, episode_len=60, execution="open_loop"), checkpoint
    )
    assert set(found) == set(plain.as_dict())
    assert set(found["rollouts"][0]) == set(plain.as_dict()["rollouts"][0])
    assert [row["seed"] for row in found["rollouts"]] == [5, 6]
    assert found["successes"] == plain.successes == 0
    assert all(row["steps"] >= 50 for row in found["rollouts"])
    assert found["machine"]["inference_ms"]["p50"] > 0
    assert "success           0 of 2" in done.stdout

"""`vgil demo`: the whole way on a simulated robot, through real nodes and real DDS."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.check import check_episode
from vgil_ros.episodes.naming import episodes_in
from vgil_ros.episodes.reader import EpisodeReader

NEEDS = {
    "rclpy": "ROS 2: source your ROS 2, or pip install 'vgil_ros[ros]'",
    "mujoco": "the simulator: pip install 'vgil_ros[sim]'",
    "matplotlib": "plots: pip install 'vgil_ros[plot]'",
    "av": "movies: pip install 'vgil_ros[plot]'",
}
DOMAIN = 77  # away from robots on the default domain 0, unless the user has chosen one
TICKS = {"transfer_cube": 500, "pick_place": 400}


def demo(
    out: Annotated[Path, typer.Option(help="folder for the episodes and plots")] = Path("demo_data"),
    episodes: Annotated[int, typer.Option(min=1, help="how many to record")] = 3,
    robot: Annotated[str, typer.Option(help="a simulated robot's contract")] = "sim_aloha",
    task: Annotated[str, typer.Option(help="the task that its operator shows")] = "transfer_cube",
    seed: Annotated[int, typer.Option(help="seed of the first scene")] = 0,
) -> None:
    """Record episodes of a simulated robot, check them, plot them, and say where they lie and what to do next."""
    missing = [words for module, words in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise VgilError("the demo needs what is not installed here:\n" + "\n".join(f"  - {line}" for line in missing))
    before = set(episodes_in(out)) if out.is_dir() else set()
    _say(1, f"record {episodes} episodes of '{task}' on {robot} (a scripted operator moves the masters)")
    _record(out, episodes, robot, task, seed)
    recorded = [path for path in episodes_in(out) if path not in before]
    _say(2, "check them")
    bad = [path for path in recorded if not _check(path)]
    _say(3, "plot them")
    for path in recorded:
        _plot(path)
    _tell_next(out, recorded, robot)
    if bad or len(recorded) < episodes:
        typer.echo(f"error: {len(recorded)} of {episodes} episodes were recorded, or one is bad; see above", err=True)
        raise typer.Exit(1)


def _say(step: int, words: str) -> None:
    typer.secho(f"\n[{step}/3] {words}", bold=True)


def _record(out: Path, episodes: int, robot: str, task: str, seed: int) -> None:
    arguments = {
        "sim": "true",
        "sim_time": "true",
        "robot": robot,
        "task": task,
        "seed": str(seed),
        "num_episodes": str(episodes),
        "episode_len": str(TICKS.get(task, 500)),
        "autostart": "true",
        "dataset_dir": str(out.absolute()),
    }
    command = [sys.executable, "-m", "vgil_ros.cli.main", "launch", "record.launch.py"]
    command += [f"{key}:={value}" for key, value in arguments.items()]
    environment = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"} | dict(os.environ)
    code = subprocess.run(command, env=environment, check=False).returncode
    if code != 0:
        raise VgilError(f"recording ended with exit code {code}; what was recorded is in {out}")


def _check(path: Path) -> bool:
    report = check_episode(path)
    with EpisodeReader(path) as episode:
        success = {True: "success", False: "no success", None: "success unknown"}[episode.success]
        typer.echo(f"{path.name}: {len(episode.qpos)} rows, {episode.seconds:.1f} s, {success}")
    for finding in report.findings:
        if finding.severity != "info":
            typer.echo(f"  {finding}")
    typer.echo(f"  {'passed' if report.ok else 'BAD'}")
    return report.ok


def _plot(path: Path) -> None:
    from vgil_ros.episodes.movie import write_movie
    from vgil_ros.episodes.plot import plot_episode

    with EpisodeReader(path) as episode:
        typer.echo(f"  {plot_episode(episode, path.with_suffix('.png'))}")
        typer.echo(f"  {write_movie(episode, path.with_suffix('.mp4'))}")


def _tell_next(out: Path, recorded: list[Path], robot: str) -> None:
    first = recorded[0] if recorded else out
    typer.secho("\nWhat next", bold=True)
    typer.echo(f"  the episodes lie in      {out.absolute()}")
    typer.echo(f"  look at one              vgil episodes show {first}")
    typer.echo(f"  record more by yourself  vgil launch record.launch.py sim:=true robot:={robot} dataset_dir:={out}")
    typer.echo("  your own robot           docs/contract.md, then robot:=path/to/yours.yaml")

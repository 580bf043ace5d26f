"""The demo's first half: episodes recorded through the real nodes, checked and plotted."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import typer

from vgil_ros.cli.demo.report import Recorded
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.naming import episodes_in
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.nodes.dds.reach import kept_local

DOMAIN = "77"  # away from robots on the default domain 0, unless the user has chosen one


@dataclass(frozen=True)
class Demonstration:
    """Episodes of one task to be recorded: of which robot, how many, of how many ticks, from which scene on."""

    robot: str
    task: str
    episodes: int
    ticks: int
    seed: int


def record(demonstration: Demonstration, folder: Path) -> list[Path]:
    """Record episodes into a folder and return the new files.

    Raises:
        VgilError: where the launch ends with an error.
    """
    before = set(episodes_in(folder)) if folder.is_dir() else set()
    command = [
        sys.executable,
        "-m",
        "vgil_ros.cli.main",
        "launch",
        "record.launch.py",
        *arguments(demonstration, folder),
    ]
    environment = {"ROS_DOMAIN_ID": DOMAIN} | kept_local(os.environ) | dict(os.environ)
    code = subprocess.run(command, env=environment, check=False).returncode
    if code != 0:
        raise VgilError(f"recording ended with exit code {code}; what was recorded is in {folder}")
    return [path for path in episodes_in(folder) if path not in before]


def arguments(demonstration: Demonstration, folder: Path) -> list[str]:
    """The launch arguments that record it."""
    given = {
        "sim": "true",
        "sim_time": "true",
        "robot": demonstration.robot,
        "task": demonstration.task,
        "seed": str(demonstration.seed),
        "num_episodes": str(demonstration.episodes),
        "episode_len": str(demonstration.ticks),
        "autostart": "true",
        "dataset_dir": str(folder.absolute()),
    }
    return [f"{key}:={value}" for key, value in given.items()]


def examine(path: Path, root: Path) -> Recorded:
    """Check an episode, and write its plot and video beside it.

    Args:
        path: the file.
        root: the report's folder; paths in the result start there.
    """
    from vgil_ros.episodes.plot import plot_episode
    from vgil_ros.episodes.video import write_video

    report = check_episode(path)
    findings = tuple(str(finding) for finding in report.findings if finding.severity != "info")
    with EpisodeReader(path) as episode:
        success = {True: "success", False: "no success", None: "success unknown"}[episode.success]
        typer.echo(f"{path.name}: {episode.rows} rows, {episode.seconds or 0:.1f} s, {success}")
        for finding in findings:
            typer.echo(f"  {finding}")
        typer.echo(f"  {'passed' if report.ok else 'BAD'}")
        plot = plot_episode(episode, path.with_suffix(".png"))
        video = write_video(episode, path.with_suffix(".mp4"))
        typer.echo(f"  {plot.name}, {video.name}")
        return Recorded(
            name=path.relative_to(root).with_suffix("").as_posix(),
            robot=episode.robot or "unknown",
            task=episode.task or "unknown",
            rows=episode.rows,
            seconds=episode.seconds or 0.0,
            success=episode.success,
            ok=report.ok,
            findings=findings,
            plot=plot.relative_to(root).as_posix(),
            video=video.relative_to(root).as_posix(),
        )

"""`vgil episodes generate`: demonstrations of a simulated robot, without ROS."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Literal, cast

import typer
from tqdm import tqdm

from vgil_ros.cli.options import EpisodeLength, RayAddress, Workers
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.errors import VgilError
from vgil_ros.extras import need


def generate(
    out: Annotated[Path, typer.Option(help="folder for the episodes; what is in it stays")],
    robot: Annotated[str, typer.Option(help="a simulated robot's contract, by name or path")] = "sim_single",
    task: Annotated[
        str, typer.Option(help="the task that its operator shows, or a Gymnasium environment's id")
    ] = "pick_place",
    episodes: Annotated[int, typer.Option(min=1, help="how many")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="seed of the first; the next ones follow")] = 0,
    workers: Workers = None,
    ray: RayAddress = None,
    only_successes: Annotated[
        bool, typer.Option("--only-successes", help="leave out those that fail; take further seeds instead")
    ] = False,
    episode_len: EpisodeLength = None,
    image_format: Annotated[str, typer.Option(help="jpeg or raw")] = "jpeg",
    json: JsonFile = None,
) -> None:
    """Generate demonstrations of a simulated task as fast as the machine goes, in the recorder's format.

    The files do not depend on the number of processes. Exit code 1 where one that made an episode was killed: its seed
    is named, and another takes its place.
    """
    need("vgil episodes generate", "mujoco")
    from vgil_ros.robots.sim.demonstrations import DemonstrationConfig  # MuJoCo: only this command needs it
    from vgil_ros.robots.sim.generate import generate as generate_all

    if image_format not in ("jpeg", "raw"):
        raise VgilError(f"--image-format is '{image_format}'; allowed: jpeg, raw")
    wanted = DemonstrationConfig(robot, task, episode_len, cast(Literal["jpeg", "raw"], image_format))
    began, done = time.perf_counter(), []
    with tqdm(total=episodes, desc=f"{robot} {task}", unit="episode", disable=None) as bar:
        for made in generate_all(
            wanted, out, episodes=episodes, seed=seed, workers=workers, ray=ray, only_successes=only_successes
        ):
            done.append(made)
            if made.killed is not None:
                tqdm.write(f"no episode: {made.killed}", file=sys.stderr)
            bar.update(made.path is not None)
            bar.set_postfix_str(f"{sum(f.success for f in done)} of {len(done)} done well")
    kept = [made for made in done if made.path is not None]
    minutes = (time.perf_counter() - began) / 60
    typer.echo(
        f"{len(kept)} episodes in {out} ({sum(f.rows for f in kept)} rows, {sum(f.success for f in kept)} successes,"
        f" seeds {seed} to {done[-1].seed}) in {minutes:.1f} min: {len(done) / minutes:.0f} a minute"
    )
    write_json(json, {"episodes": [vars(made) for made in kept], "attempts": len(done), "minutes": minutes})
    raise typer.Exit(1 if any(made.killed is not None for made in done) else 0)

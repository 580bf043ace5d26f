"""`vgil demo`: the whole way on a simulated robot, through real nodes and real DDS, and a report of it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgil_ros import __version__
from vgil_ros.assets import checkpoint_path
from vgil_ros.cli.demo.recipes import DEFAULT, RECIPES
from vgil_ros.cli.demo.record import Demonstration, arguments, examine, record
from vgil_ros.cli.demo.report import Acted, DemoReport, Recorded, render
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.seeds import FIRST_UNSEEN

if TYPE_CHECKING:
    from vgil_ros.evaluation.metrics import Rollout

NEEDS = {
    "rclpy": "ROS 2: source your ROS 2, or pip install 'vgil_ros[ros]'",
    "mujoco": "the simulator: pip install 'vgil_ros[sim]'",
    "matplotlib": "plots: pip install 'vgil_ros[plot]'",
    "av": "videos: pip install 'vgil_ros[plot]'",
    "torch": "policies: pip install 'vgil_ros[policy]'",
}
SHIPPED = DEFAULT
HANDOVER = "sim_transfer_cube_act"
STEPS = 3


PAGE = "http://127.0.0.1:8420/episodes"
BY_HAND = "robot:=sim_single sim:=true task:=pick_place leader:=page web:=true dataset_dir:=my_episodes"
PROGRAM = sys.argv[0] if Path(sys.argv[0]).name == "vgil" else "vgil"


def demo(
    out: Annotated[Path, typer.Option(help="folder for episodes, videos and the report")] = Path("demo_data"),
    checkpoint: Annotated[
        str | None,
        typer.Option(help=f"this policy alone: a folder, or a name in models/; {SHIPPED} and {HANDOVER} if left out"),
    ] = None,
    rollouts: Annotated[int, typer.Option(min=1, help="of each policy")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="seed of each policy's first scene")] = FIRST_UNSEEN,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"record one short episode only, and let {SHIPPED} alone act")
    ] = False,
) -> None:
    """Record and check episodes of simulated robots, run shipped policies, and write a report that a browser shows.

    Exit code 1: an episode is bad, no rollout of a policy did the task, or a policy is missing.
    """
    missing = [words for module, words in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise VgilError("the demo needs what is not installed here:\n" + "\n".join(f"  - {line}" for line in missing))
    policies = [_policy(name) for name in _names(checkpoint, quick)]
    seconds: dict[str, float] = {}
    demonstrations = _demonstrations(quick)
    with _step(1, "record: scripted operators move the masters of simulated robots", "record", seconds):
        files = [path for demonstration in demonstrations for path in record(demonstration, out / demonstration.task)]
    with _step(2, "check and plot what was recorded", "check, plot, video", seconds):
        recorded = [examine(path, out) for path in files]
    with _step(3, f"{' and '.join(p.name for p in policies)}: {rollouts} rollouts each", "run the policies", seconds):
        acted = [_act(policy, rollouts, seed, out) for policy in policies]
    report = out / "report.html"
    report.write_text(render(_report(recorded, acted, seconds, out, demonstrations)), encoding="utf-8")
    _tell(acted, report)
    complaints = [f"{e.name} is bad" for e in recorded if not e.ok]
    complaints += ["not every episode was recorded"] if len(files) < sum(t.episodes for t in demonstrations) else []
    complaints += [f"no rollout of {a.checkpoint} did the task" for a in acted if not a.evaluation.successes]
    if complaints:
        typer.echo(f"error: {'; '.join(complaints)}; see above", err=True)
        raise typer.Exit(1)


@dataclass(frozen=True)
class Policy:
    """One that is to act: as it was named, its folder, and its task."""

    name: str
    folder: Path
    task: str


def _names(checkpoint: str | None, quick: bool) -> tuple[str, ...]:
    if checkpoint is not None:
        return (checkpoint,)
    return (SHIPPED,) if quick else (SHIPPED, HANDOVER)


def _policy(checkpoint: str) -> Policy:
    folder = checkpoint_path(checkpoint)
    if not (folder / "policy.json").is_file():
        typer.echo(
            f"error: the policy {checkpoint} is missing: there is neither a folder of that path nor models/{checkpoint}"
            f" with a policy.json.\n  make it from nothing: {_again(checkpoint)}\n"
            "  take another: vgil demo --checkpoint DIR",
            err=True,
        )
        raise typer.Exit(1)
    recipe = RECIPES.get(folder.name, RECIPES[SHIPPED])
    return Policy(checkpoint, folder, recipe.task)


def _again(checkpoint: str) -> str:
    other = checkpoint in RECIPES and checkpoint != DEFAULT
    return "make train-demo" + (f" MODEL={checkpoint}" if other else "")


def _demonstrations(quick: bool) -> tuple[Demonstration, ...]:
    if quick:
        return (Demonstration("sim_single", "pick_place", 1, 150, 0),)
    return Demonstration("sim_single", "pick_place", 2, 400, 0), Demonstration("sim_aloha", "transfer_cube", 1, 500, 0)


@contextmanager
def _step(number: int, words: str, name: str, seconds: dict[str, float]) -> Iterator[None]:
    typer.secho(f"\n[{number}/{STEPS}] {words}", bold=True)
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began


def _act(policy: Policy, rollouts: int, seed: int, out: Path) -> Acted:
    from vgil_ros.evaluation.plan import EvaluationPlan
    from vgil_ros.nodes.evaluation_client import evaluate_over_ros

    def tell(rollout: Rollout) -> None:
        done = "success" if rollout.success else "no success"
        typer.echo(f"scene {rollout.seed}: {done}, return {rollout.ret:.0f}")

    typer.echo(f"{policy.name} does {policy.task}; the nodes come up: sim, policy")
    plan = EvaluationPlan(policy.task, episodes=rollouts, seed=seed)
    videos = Path("rollouts") / policy.task
    evaluation = evaluate_over_ros(plan, policy.folder, videos=out / videos, progress=tell)
    megabytes = (policy.folder / "model.safetensors").stat().st_size / 1e6
    return Acted(policy.name, megabytes, evaluation, videos.as_posix())


def _report(
    recorded: list[Recorded],
    acted: list[Acted],
    seconds: dict[str, float],
    out: Path,
    demonstrations: tuple[Demonstration, ...],
) -> DemoReport:
    demonstration, first = demonstrations[0], out / f"{recorded[0].name}.hdf5" if recorded else out
    launch = f"vgil launch record.launch.py {' '.join(arguments(demonstration, out / demonstration.task))}".replace(
        f"{Path.cwd()}/", ""
    )
    measure = [
        f"vgil eval --checkpoint {a.checkpoint} --task {a.evaluation.task} --episodes 100 --seed {a.evaluation.seed}"
        for a in acted
    ]
    watch = [
        f"vgil launch policy.launch.py sim:=true robot:={a.evaluation.robot} task:={a.evaluation.task}"
        f" checkpoint:={a.checkpoint} autostart:=true rviz:=true"
        for a in acted
    ]
    commands = (
        ("Record", launch),
        ("Check them, look at one", f"vgil episodes check {out / demonstration.task}\nvgil episodes show {first}"),
        ("Measure a policy", "\n".join(measure)),
        ("Watch it run in RViz", "\n".join(watch)),
        ("Train it again from nothing", "\n".join(_again(a.checkpoint) for a in acted)),
        (
            "Your own robot: write its contract as docs/reference/contract.md says",
            "vgil launch record.launch.py robot:=my.yaml",
        ),
    )
    return DemoReport(
        created=datetime.now().strftime("%d %B %Y, %H:%M"),
        software=f"vgil_ros {__version__}",
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        recorded=tuple(recorded),
        acted=tuple(acted),
        commands=commands,
        seconds=seconds,
    )


def _tell(acted: list[Acted], report: Path) -> None:
    typer.secho("\nThe policies" if len(acted) > 1 else "\nThe policy", bold=True)
    for one in acted:
        evaluation, (low, high) = one.evaluation, one.evaluation.success_interval_95
        typer.echo(
            f"  {one.checkpoint}: success in {evaluation.successes} of {evaluation.episodes} rollouts"
            f" (95 % interval {low:.0%} to {high:.0%}), average return {evaluation.average_return:.0f}"
        )
    typer.secho("\nThe report: images, videos, figures, and what to do next", bold=True)
    typer.echo(f"  {report.absolute().as_uri()}")
    typer.secho("\nThe page: the episodes in a browser, and your own ones", bold=True)
    folder = shlex.quote(str(report.parent))
    typer.echo(f"  {PAGE}  once this runs:  {PROGRAM} web --dataset-dir {folder}")
    typer.echo(f"  move the arm yourself:  {PROGRAM} launch record.launch.py {BY_HAND}")

"""`vgil demo`: the whole way on a simulated robot, through real nodes and real DDS, and a report of it."""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgil_ros import __version__
from vgil_ros.assets import checkpoint_path
from vgil_ros.cli.demo.record import Demonstration, arguments, examine, record
from vgil_ros.cli.demo.report import DemoReport, Recorded, render
from vgil_ros.core.errors import VgilError

if TYPE_CHECKING:
    from vgil_ros.evaluation.metrics import Rollout
    from vgil_ros.evaluation.report import EvaluationReport

NEEDS = {
    "rclpy": "ROS 2: source your ROS 2, or pip install 'vgil_ros[ros]'",
    "mujoco": "the simulator: pip install 'vgil_ros[sim]'",
    "matplotlib": "plots: pip install 'vgil_ros[plot]'",
    "av": "videos: pip install 'vgil_ros[plot]'",
    "torch": "policies: pip install 'vgil_ros[policy]'",
}
SHIPPED = "sim_pick_place_act"
STEPS = 3


def demo(
    out: Annotated[Path, typer.Option(help="folder for episodes, videos and the report")] = Path("demo_data"),
    checkpoint: Annotated[str, typer.Option(help="the policy: a folder, or a name in models/")] = SHIPPED,
    rollouts: Annotated[int, typer.Option(min=1, help="of the policy")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="seed of the policy's first scene")] = 20_000,
    quick: Annotated[bool, typer.Option("--quick", help="record one short episode only")] = False,
) -> None:
    """Record and check episodes of simulated robots, run the shipped policy, and write a report that a browser shows.

    Exit code 1: an episode is bad, no rollout of the policy did the task, or the policy is missing.
    """
    missing = [words for module, words in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise VgilError("the demo needs what is not installed here:\n" + "\n".join(f"  - {line}" for line in missing))
    policy = _policy(checkpoint)
    seconds: dict[str, float] = {}
    demonstrations = _demonstrations(quick)
    with _step(1, "record: scripted operators move the masters of simulated robots", "record", seconds):
        files = [path for demonstration in demonstrations for path in record(demonstration, out / demonstration.task)]
    with _step(2, "check and plot what was recorded", "check, plot, video", seconds):
        recorded = [examine(path, out) for path in files]
    with _step(3, f"{checkpoint} acts, {rollouts} times", "run the policy", seconds):
        evaluation = _act(policy, rollouts, seed, out / "rollouts")
    report = out / "report.html"
    report.write_text(
        render(_report(checkpoint, policy, recorded, evaluation, seconds, out, demonstrations)), encoding="utf-8"
    )
    _tell(evaluation, report)
    complaints = [f"{e.name} is bad" for e in recorded if not e.ok]
    complaints += ["not every episode was recorded"] if len(files) < sum(t.episodes for t in demonstrations) else []
    complaints += [] if evaluation.successes else ["no rollout did the task"]
    if complaints:
        typer.echo(f"error: {'; '.join(complaints)}; see above", err=True)
        raise typer.Exit(1)


def _policy(checkpoint: str) -> Path:
    folder = checkpoint_path(checkpoint)
    if not (folder / "policy.json").is_file():
        typer.echo(
            f"error: the policy {checkpoint} is missing: there is neither a folder of that path nor models/{checkpoint}"
            " with a policy.json.\n  make it from nothing: make train-demo\n  take another: vgil demo --checkpoint DIR",
            err=True,
        )
        raise typer.Exit(1)
    return folder


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


def _act(policy: Path, rollouts: int, seed: int, videos: Path) -> EvaluationReport:
    from vgil_ros.evaluation.plan import EvaluationPlan
    from vgil_ros.nodes.evaluation_client import evaluate_over_ros

    def tell(rollout: Rollout) -> None:
        done = "success" if rollout.success else "no success"
        typer.echo(f"scene {rollout.seed}: {done}, return {rollout.ret:.0f}")

    typer.echo("the nodes come up: sim, policy")
    plan = EvaluationPlan("pick_place", episodes=rollouts, seed=seed)
    return evaluate_over_ros(plan, policy, videos=videos, progress=tell)


def _report(
    checkpoint: str,
    policy: Path,
    recorded: list[Recorded],
    evaluation: EvaluationReport,
    seconds: dict[str, float],
    out: Path,
    demonstrations: tuple[Demonstration, ...],
) -> DemoReport:
    demonstration, first = demonstrations[0], out / f"{recorded[0].name}.hdf5" if recorded else out
    launch = f"vgil launch record.launch.py {' '.join(arguments(demonstration, out / demonstration.task))}".replace(
        f"{Path.cwd()}/", ""
    )
    commands = (
        ("Record", launch),
        ("Check them, look at one", f"vgil episodes check {out / demonstration.task}\nvgil episodes show {first}"),
        ("Measure the policy", f"vgil eval --checkpoint {checkpoint} --episodes 100 --seed {evaluation.seed}"),
        (
            "Watch it run in RViz",
            f"vgil launch policy.launch.py sim:=true robot:={evaluation.robot} task:={evaluation.task}"
            f" checkpoint:={checkpoint} autostart:=true rviz:=true",
        ),
        ("Train it again from nothing", "make train-demo"),
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
        checkpoint=checkpoint,
        megabytes=(policy / "model.safetensors").stat().st_size / 1e6,
        evaluation=evaluation,
        videos="rollouts",
        commands=commands,
        seconds=seconds,
    )


def _tell(evaluation: EvaluationReport, report: Path) -> None:
    low, high = evaluation.success_interval_95
    typer.secho("\nThe policy", bold=True)
    typer.echo(
        f"  success in {evaluation.successes} of {evaluation.episodes} rollouts"
        f" (95 % interval {low:.0%} to {high:.0%}), average return {evaluation.average_return:.0f}"
    )
    typer.secho("\nThe report: images, videos, figures, and what to do next", bold=True)
    typer.echo(f"  {report.absolute().as_uri()}")

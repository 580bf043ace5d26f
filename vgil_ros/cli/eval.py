"""`vgil eval`: how good a checkpoint is on a simulated task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from tqdm import tqdm

from vgil_ros.assets import checkpoint_path
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.errors import VgilError


def evaluate(
    checkpoint: Annotated[
        Path, typer.Option(help="the policy's folder, or the name of one in models/", parser=checkpoint_path)
    ],
    task: Annotated[str, typer.Option(help="the simulated task")] = "pick_place",
    episodes: Annotated[int, typer.Option(min=1, help="rollouts")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="seed of the first scene; the next ones follow")] = 0,
    execution: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="temporal_ensemble, open_loop, async or rtc; the policy node's usual one if left out"),
    ] = None,
    over_ros: Annotated[bool, typer.Option("--over-ros", help="through the real nodes instead")] = False,
    robot: Annotated[Optional[str], typer.Option(help="a contract; the task's usual robot if left out")] = None,  # noqa: UP045
    latency_ms: Annotated[
        float, typer.Option(min=0, help="simulated time of an inference; over ROS it takes what it takes")
    ] = 20.0,
    inference_period: Annotated[Optional[int], typer.Option(min=1, help="ticks between requests")] = None,  # noqa: UP045
    ensemble_coefficient: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="temporal_ensemble: above 0 the oldest prediction weighs most, below 0 the newest"),
    ] = None,
    episode_len: Annotated[Optional[int], typer.Option(min=1, help="ticks; the task's usual if left out")] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="where the policy runs")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="processes; the result does not depend on it")] = 1,
    swap_images_from_seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="show it the images of this scene instead: one that needs its cameras fails"),
    ] = None,
    videos: Annotated[Optional[Path], typer.Option(help="folder for videos and a thumbnail sheet")] = None,  # noqa: UP045
    json: JsonFile = None,
) -> None:
    """Run a checkpoint on the simulated robot and say how often it succeeds, how fast and how smoothly."""
    from vgil_ros.evaluation import evaluate as evaluation  # torch and MuJoCo: only this command needs both

    plan = evaluation.EvaluationPlan(
        task,
        robot,
        episodes,
        seed,
        execution,
        inference_period,
        latency_ms,
        episode_len=episode_len,
        device=device,
        swap_images_from_seed=swap_images_from_seed,
        ensemble_coefficient=ensemble_coefficient,
    )
    if over_ros and workers > 1:
        raise VgilError(f"--workers is {workers}; --over-ros runs one robot at the wall clock's pace: allowed is 1")
    with tqdm(total=episodes, desc=f"{plan.robot_name} {task}", unit="rollout", disable=None) as bar:
        done = []

        def progress(rollout: Any) -> None:
            done.append(rollout.success)
            bar.update()
            bar.set_postfix_str(f"{sum(done)} of {len(done)} succeeded")

        if over_ros:
            from vgil_ros.nodes.evaluation_client import evaluate_over_ros

            report = evaluate_over_ros(plan, checkpoint, videos=videos, progress=progress)
        else:
            report = evaluation.evaluate(plan, checkpoint, videos=videos, workers=workers, progress=progress)
    report = {"checkpoint": str(checkpoint), "over_ros": over_ros} | report
    typer.echo(summary(report))
    if videos is not None:
        typer.echo(f"videos and thumbnail sheet: {videos}")
    write_json(json, report)


def summary(report: dict[str, Any]) -> str:
    """The report as a few lines."""
    low, high = report["success_interval_95"]
    steps, smoothness, machine = report["steps_to_success"], report["smoothness"], report["machine"]
    safety_events = ", ".join(f"{name} {count}" for name, count in report["safety_events"].items()) or "none"
    other = report["swap_images_from_seed"]
    lines = [
        f"success           {report['successes']} of {report['episodes']} ({report['success_rate']:.0%},"
        f" 95 % interval {low:.0%} to {high:.0%})",
        *([] if other is None else [f"images            those of scene {other}"]),
        f"average return    {report['average_return']:.1f}",
        "reward reached    " + ", ".join(f">= {r}: {n}" for r, n in report["highest_reward_at_least"].items()),
        f"steps to success  median {_number(steps['median'])}, slowest {_number(steps['slowest'])}",
        f"latency [ms]      {_pair(machine['inference_ms'])} measured;"
        f" an observation was {_pair(report['observation_age_ms'])} old when its chunk came",
        f"smoothness        p99 {_number(smoothness['p99'])}, largest {_number(smoothness['max'])}",
        f"safety events     {safety_events}",
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _pair(percentiles: dict[str, float | None]) -> str:
    return f"p50 {_number(percentiles['p50'])}, p99 {_number(percentiles['p99'])}"

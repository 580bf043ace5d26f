"""`vgil eval`: how good a checkpoint is on a simulated task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from tqdm import tqdm

from vgil_ros.assets import policy_source
from vgil_ros.cli.options import EpisodeLength, RayAddress, RemoteMapping, RenamedOptions, Workers
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.control.pipeline import ExecutionOptions
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import RENAMED_MODES
from vgil_ros.extras import need

if TYPE_CHECKING:
    from vgil_ros.evaluation.metrics import Percentiles, Rollout
    from vgil_ros.evaluation.report import EvaluationReport

WATCHDOG_MS, MAX_AGE_MS = ExecutionOptions.silence_ns / 1e6, ExecutionOptions.age_ns / 1e6

# What is run.
Checkpoint = Annotated[
    str, typer.Option(help="the policy's folder, the name of one in models/, or a server's ws://HOST:PORT")
]
Task = Annotated[str, typer.Option(help="the simulated task, or a Gymnasium environment's id")]
Robot = Annotated[str | None, typer.Option(help="a contract; the task's usual robot if left out")]
Episodes = Annotated[int, typer.Option(min=1, help="rollouts")]
Seed = Annotated[int, typer.Option(min=0, help="seed of the first scene; the next ones follow")]
SwappedImages = Annotated[
    int | None,
    typer.Option(min=0, help="show it the images of this scene instead: one that needs its cameras fails"),
]
# How its chunks are played, as by the policy node.
Execution = Annotated[
    str | None,
    typer.Option(help="temporal_ensemble, open_loop, async, consistent or rtc; as the checkpoint says if left out"),
]
InferencePeriod = Annotated[int | None, typer.Option(min=1, help="ticks between requests")]
EnsembleCoefficient = Annotated[
    float | None,
    typer.Option(help="temporal_ensemble: above 0 the oldest prediction weighs most, below 0 the newest"),
]
Latency = Annotated[float, typer.Option(min=0, help="simulated time of an inference; over ROS it takes what it takes")]
Watchdog = Annotated[float, typer.Option(help="how long the policy may be silent [ms] before the robot is held")]
MaxAge = Annotated[float, typer.Option(help="how old a stream or an observation may be [ms] before the robot is held")]
SoftStart = Annotated[float, typer.Option(help="share of the velocity limits on the way to the first action")]
# Where and by how many.
OverRos = Annotated[bool, typer.Option("--over-ros", help="through the real nodes instead")]
Device = Annotated[str, typer.Option(help="where the policy runs")]
Videos = Annotated[Path | None, typer.Option(help="folder for videos and a thumbnail sheet")]


class EvalCommand(RenamedOptions):
    """Takes the names that options had before the field's own were taken."""

    options: ClassVar = {"--query-every": "--inference-period", "--pictures-of-seed": "--swap-images-from-seed"}
    values: ClassVar = {"--execution": RENAMED_MODES}


def evaluate(
    checkpoint: Checkpoint,
    task: Task = "pick_place",
    episodes: Episodes = 10,
    seed: Seed = 0,
    execution: Execution = None,
    over_ros: OverRos = False,
    robot: Robot = None,
    latency_ms: Latency = 20.0,
    inference_period: InferencePeriod = None,
    ensemble_coefficient: EnsembleCoefficient = None,
    watchdog_ms: Watchdog = WATCHDOG_MS,
    max_age_ms: MaxAge = MAX_AGE_MS,
    soft_start: SoftStart = ExecutionOptions.soft_start,
    remote_mapping: RemoteMapping = None,
    episode_len: EpisodeLength = None,
    device: Device = "cpu",
    workers: Workers = None,
    ray: RayAddress = None,
    swap_images_from_seed: SwappedImages = None,
    videos: Videos = None,
    json: JsonFile = None,
) -> None:
    """Run a checkpoint on the simulated robot and say how often it succeeds, how fast and how smoothly."""
    need("vgil eval", "torch", "mujoco", *(["rclpy"] if over_ros else []))
    from vgil_ros.evaluation import evaluate as evaluation  # torch and MuJoCo: only this command needs both

    plan = evaluation.EvaluationPlan(
        task,
        robot=robot,
        episodes=episodes,
        seed=seed,
        execution=execution,
        inference_period=inference_period,
        latency_ms=latency_ms,
        episode_len=episode_len,
        device=device,
        swap_images_from_seed=swap_images_from_seed,
        ensemble_coefficient=ensemble_coefficient,
        watchdog_ms=watchdog_ms,
        max_age_ms=max_age_ms,
        soft_start=soft_start,
        remote_mapping=remote_mapping,
    )
    source = policy_source(checkpoint)
    if over_ros and (ray is not None or workers not in (None, 1)):
        found = f"--ray is {ray}" if ray is not None else f"--workers is {workers}"
        raise VgilError(f"{found}; --over-ros runs one robot at the wall clock's pace: allowed is 1")
    with _progress(episodes, f"{plan.robot_name} {task}") as progress:
        if over_ros:
            from vgil_ros.nodes.evaluation_client import evaluate_over_ros

            report = evaluate_over_ros(plan, source, videos=videos, progress=progress)
        else:
            report = evaluation.evaluate(plan, source, videos=videos, workers=workers, ray=ray, progress=progress)
    typer.echo(summary(report))
    if videos is not None:
        typer.echo(f"videos and thumbnail sheet: {videos}")
    write_json(json, report.as_dict())


@contextmanager
def _progress(episodes: int, words: str) -> Iterator[Callable[[Rollout], None]]:
    done: list[bool] = []
    with tqdm(total=episodes, desc=words, unit="rollout", disable=None) as bar:

        def progress(rollout: Rollout) -> None:
            done.append(rollout.success)
            bar.update()
            bar.set_postfix_str(f"{sum(done)} of {len(done)} succeeded")

        yield progress


def summary(report: EvaluationReport) -> str:
    """The report as a few lines."""
    low, high = report.success_interval_95
    steps, smoothness, other = report.steps_to_success, report.smoothness, report.swap_images_from_seed
    safety_events = ", ".join(f"{name} {count}" for name, count in report.safety_events.items()) or "none"
    lines = [
        f"played by         {_played(report)}",
        f"success           {report.successes} of {report.episodes} ({report.success_rate:.0%},"
        f" 95 % interval {low:.0%} to {high:.0%})",
        *([] if other is None else [f"images            those of scene {other}"]),
        f"average return    {report.average_return:.1f}",
        "reward reached    " + ", ".join(f">= {r}: {n}" for r, n in report.highest_reward_at_least.items()),
        f"steps to success  median {_number(steps.median)}, slowest {_number(steps.slowest)}",
        f"latency [ms]      {_pair(report.machine.inference_ms)} measured;"
        f" an observation was {_pair(report.observation_age_ms)} old when its chunk came",
        f"smoothness        p99 {_number(smoothness.p99)}, largest {_number(smoothness.max)}",
        f"safety events     {safety_events}",
        *_cure(report),
    ]
    return "\n".join(lines)


def _cure(report: EvaluationReport) -> list[str]:
    """What to do where the robot was held because its policy was silent."""
    if not report.safety_events.get("watchdog"):
        return []
    return [
        f"                  watchdog: the policy was silent for more than {report.watchdog_ms:g} ms; raise "
        "--watchdog-ms where its chunks outlast that, or take --execution open_loop"
    ]


def _played(report: EvaluationReport) -> str:
    parts = [report.execution]
    for name in ("inference_period", "ensemble_coefficient"):
        if (value := getattr(report, name)) is not None:
            parts.append(f"{name} {value:g}")
    return ", ".join(parts)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _pair(percentiles: Percentiles) -> str:
    return f"p50 {_number(percentiles.p50)}, p99 {_number(percentiles.p99)}"

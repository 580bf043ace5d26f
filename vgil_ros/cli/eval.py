"""`vgil eval`: how good a checkpoint is on a simulated task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from tqdm import tqdm

from vgil_ros.assets import policy_source
from vgil_ros.cli.options import EpisodeLength, RayAddress, RemoteMapping, RenamedOptions, Workers
from vgil_ros.cli.report import JsonFile, folder_can_be_made, write_json
from vgil_ros.core.control.pipeline import ExecutionOptions
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import RENAMED_MODES
from vgil_ros.evaluation.seeds import FIRST_UNSEEN
from vgil_ros.extras import need

if TYPE_CHECKING:
    from vgil_ros.evaluation.comparing.report import ComparisonReport
    from vgil_ros.evaluation.latency import LatencyTrace
    from vgil_ros.evaluation.metrics import Percentiles, Rollout
    from vgil_ros.evaluation.plan import EvaluationPlan
    from vgil_ros.evaluation.report import EvaluationReport

ALPHA = 0.05
WATCHDOG_MS, MAX_AGE_MS = ExecutionOptions.silence_ns / 1e6, ExecutionOptions.age_ns / 1e6

# What is run.
Checkpoint = Annotated[
    str, typer.Option(help="the policy's folder, the name of one in models/, or a server's ws://HOST:PORT")
]
Task = Annotated[str, typer.Option(help="the simulated task, or a Gymnasium environment's id")]
Robot = Annotated[str | None, typer.Option(help="a contract; the task's usual robot if left out")]
Episodes = Annotated[int, typer.Option(min=1, help="rollouts")]
Seed = Annotated[
    int,
    typer.Option(min=0, help="seed of the first scene; the next ones follow. Those from 0 on are of demonstrations"),
]
SwappedImages = Annotated[
    int | None,
    typer.Option(min=0, help="show it the images of this scene instead: one that needs its cameras fails"),
]
Against = Annotated[
    str | None, typer.Option(help="another checkpoint, run on the very same scenes: is one of them better?")
]
Alpha = Annotated[
    float | None,
    typer.Option(help="with --against: how often equal ones may be told apart, at most; 0.05 if left out"),
]
StopEarly = Annotated[
    bool,
    typer.Option("--stop-early", help="with --against: end as soon as a sequential test tells them apart"),
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
LatencyTraceFile = Annotated[
    Path | None,
    typer.Option(
        "--latency-trace",
        help="recorded latencies in place of --latency-ms: a text file with one inference a line, ms or 'lost'",
    ),
]
Watchdog = Annotated[float, typer.Option(help="ms that the policy may be silent before the robot is held")]
MaxAge = Annotated[float, typer.Option(help="ms that a stream or an observation may be old before the robot is held")]
SoftStart = Annotated[float, typer.Option(help="share of the velocity limits on the way to the first action")]
# Where and by how many.
OverRos = Annotated[bool, typer.Option("--over-ros", help="through the real nodes instead")]
Device = Annotated[str, typer.Option(help="where the policy runs")]
Videos = Annotated[
    Path | None,
    typer.Option(
        help="folder for videos and a thumbnail sheet", callback=lambda path: folder_can_be_made(path, "--videos")
    ),
]


class EvalCommand(RenamedOptions):
    """Takes the names that options had before the field's own were taken."""

    options: ClassVar = {"--query-every": "--inference-period", "--pictures-of-seed": "--swap-images-from-seed"}
    values: ClassVar = {"--execution": RENAMED_MODES}


def evaluate(
    checkpoint: Checkpoint,
    against: Against = None,
    task: Task = "pick_place",
    episodes: Episodes = 10,
    seed: Seed = FIRST_UNSEEN,
    execution: Execution = None,
    over_ros: OverRos = False,
    robot: Robot = None,
    latency_ms: Latency = 20.0,
    latency_trace: LatencyTraceFile = None,
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
    stop_early: StopEarly = False,
    alpha: Alpha = None,
    videos: Videos = None,
    json: JsonFile = None,
) -> None:
    """Run a checkpoint on the simulated robot and say how often it succeeds, how fast and how smoothly.

    With --against, run another one on the same scenes too, and say whether one of them is better.
    """
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
        latency_trace=None if latency_trace is None else _trace(latency_trace, remote_mapping),
        episode_len=episode_len,
        device=device,
        swap_images_from_seed=swap_images_from_seed,
        ensemble_coefficient=ensemble_coefficient,
        watchdog_ms=watchdog_ms,
        max_age_ms=max_age_ms,
        soft_start=soft_start,
        remote_mapping=remote_mapping,
    )
    over = _Over(over_ros, workers, ray, videos)
    if against is None:
        if stop_early:
            raise VgilError("--stop-early ends a comparison; allowed: with --against CHECKPOINT")
        if alpha is not None:
            raise VgilError(f"--alpha {alpha:g} is of a comparison; allowed: with --against CHECKPOINT")
        report = over.evaluate(plan, checkpoint)
        typer.echo(summary(report))
        found = report.as_dict()
    else:
        compared = over.compare(plan, (checkpoint, against), ALPHA if alpha is None else alpha, stop_early)
        typer.echo(comparison_summary(compared))
        found = compared.as_dict()
    if videos is not None:
        typer.echo(f"videos and thumbnail sheet: {videos}")
    write_json(json, found)


def _trace(file: Path, mapping: Path | None) -> LatencyTrace:
    """A trace whose lost answers are waited for as long as a mapping, or else the remote client, has it."""
    from vgil_ros.evaluation.latency import read_latency_trace
    from vgil_ros.policies.remote.mapping import load_mapping

    return read_latency_trace(file, load_mapping(mapping).answer_s)


@dataclass(frozen=True)
class _Over:
    """Through what, and by how many processes.

    Raises:
        VgilError: the real nodes are one robot.
    """

    ros: bool
    workers: int | None
    ray: str | None
    videos: Path | None

    def __post_init__(self) -> None:
        if self.ros and (self.ray is not None or self.workers not in (None, 1)):
            found = f"--ray is {self.ray}" if self.ray is not None else f"--workers is {self.workers}"
            raise VgilError(f"{found}; --over-ros runs one robot at the wall clock's pace: allowed is 1")

    def evaluate(self, plan: EvaluationPlan, checkpoint: str, side: str = "") -> EvaluationReport:
        """Evaluate a checkpoint; `side` names the folder within that of the videos, where two are compared."""
        from vgil_ros.evaluation import evaluate as evaluation

        source, videos = policy_source(checkpoint), None if self.videos is None else self.videos / side
        words = " ".join(filter(None, (plan.robot_name, plan.task, side)))
        with _progress(plan.episodes, words) as progress:
            if self.ros:
                from vgil_ros.nodes.evaluation_client import evaluate_over_ros

                return evaluate_over_ros(plan, source, videos=videos, progress=progress)
            return evaluation.evaluate(
                plan, source, videos=videos, workers=self.workers, ray=self.ray, progress=progress
            )

    def compare(
        self, plan: EvaluationPlan, checkpoints: tuple[str, str], alpha: float, stop_early: bool
    ) -> ComparisonReport:
        """Compare two checkpoints on the same scenes."""
        from vgil_ros.evaluation.comparing.matches import SIDES, compare
        from vgil_ros.evaluation.comparing.paired import checked_share
        from vgil_ros.evaluation.comparing.report import compare_reports

        checked_share("alpha", alpha)
        if self.ros:
            if stop_early:
                raise VgilError("--stop-early with --over-ros: the checkpoints run one after the other; allowed: one")
            from vgil_ros.nodes.evaluation_client import settle_over_ros

            for name in checkpoints:  # what is wrong with the second is not said after all rollouts of the first
                settle_over_ros(plan, policy_source(name))
            one, other = (self.evaluate(plan, name, side) for name, side in zip(checkpoints, SIDES, strict=True))
            return compare_reports(one, other, alpha)
        first, second = map(policy_source, checkpoints)
        with _pair_progress(plan.episodes, f"{plan.robot_name} {plan.task}", alpha) as progress:
            return compare(
                plan,
                first,
                second,
                alpha=alpha,
                stop_early=stop_early,
                videos=self.videos,
                workers=self.workers,
                ray=self.ray,
                progress=progress,
            )


@contextmanager
def _progress(episodes: int, words: str) -> Iterator[Callable[[Rollout], None]]:
    from vgil_ros.evaluation.metrics import wilson

    done: list[bool] = []
    with tqdm(total=episodes, desc=words, unit="rollout", disable=None) as bar:

        def progress(rollout: Rollout) -> None:
            done.append(rollout.success)
            low, high = wilson(sum(done), len(done))
            bar.set_postfix_str(f"{sum(done)} of {len(done)} succeeded, {low:.0%} to {high:.0%}", refresh=False)
            bar.update()

        yield progress


@contextmanager
def _pair_progress(pairs: int, words: str, alpha: float) -> Iterator[Callable[[Rollout, Rollout], None]]:
    from vgil_ros.evaluation.comparing.paired import PairedCounts
    from vgil_ros.evaluation.comparing.sequential import difference_sequence, e_value

    done: list[tuple[bool, bool]] = []
    with tqdm(total=pairs, desc=words, unit="pair", disable=None) as bar:

        def progress(first: Rollout, second: Rollout) -> None:
            done.append((first.success, second.success))
            counts = PairedCounts.of(done)
            one, other = counts.both + counts.only_first, counts.both + counts.only_second
            low, high = difference_sequence(counts, 1 - alpha)  # looked at after each pair
            shown = f"{one} and {other} succeeded, difference {low:+.0%} to {high:+.0%}, e {e_value(counts):.3g}"
            bar.set_postfix_str(shown, refresh=False)
            bar.update()

        yield progress


def comparison_summary(report: ComparisonReport) -> str:
    """A comparison as a few lines."""
    from vgil_ros.evaluation.comparing.report import OPTIMISTIC

    low, high = report.difference_interval
    sequential = report.test == "sequential"
    name = "sequential, valid after every pair" if sequential else "McNemar's, exact"
    words = {"first": "the first is better", "second": "the second is better", None: "cannot be told apart"}
    ended = " (ended early)" if report.stopped_early else ""
    lines = [
        *_side("first", report.first),
        *_side("second", report.second),
        f"pairs             {report.pairs}{ended}: both {report.both}, only the first {report.only_first},"
        f" only the second {report.only_second}, neither {report.neither}",
        f"difference        {report.difference:+.1%},"
        f" {100 * (1 - report.alpha):g} % interval {low:+.1%} to {high:+.1%}",
        f"test              {name}: p {report.p_value:.3g}, evidence e {report.e_value:.3g}",
        f"verdict           {words[report.better]} at the level {report.alpha:g}",
        *([f"                  {OPTIMISTIC}"] if report.stopped_early else []),
    ]
    return "\n".join(lines)


def _side(name: str, report: EvaluationReport) -> list[str]:
    low, high = report.success_interval_95
    return [
        f"{name:<17} {report.checkpoint}, {_played(report)}",
        f"  success         {report.successes} of {report.episodes} ({report.success_rate:.0%},"
        f" 95 % interval {low:.0%} to {high:.0%}), median {_number(report.steps_to_success.median)} ticks",
    ]


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
        *_lost(report),
        f"smoothness        p99 {_number(smoothness.p99)}, largest {_number(smoothness.max)}",
        f"safety events     {safety_events}",
        *_cure(report),
    ]
    return "\n".join(lines)


def _lost(report: EvaluationReport) -> list[str]:
    if report.latency_trace is None:
        return []
    return [f"latency trace     {report.latency_trace}: {report.lost_answers} answers never came"]


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

"""Late and lost answers: every way to play chunks with a recorded latency trace, and with answers that come at once.

    PYTHONPATH=test python test/bench/bench_latency.py trace
    PYTHONPATH=test python test/bench/bench_latency.py run --out FOLDER [--checkpoint C] [--episodes 50] [--ways ...]
    PYTHONPATH=test python test/bench/bench_latency.py table --out FOLDER

`trace` writes latency_150_80_2.txt again. `run` plays every way on one scene after another, each on the very same
scenes and latencies; a rollout is a line of a file in FOLDER as soon as it is over, and begun again it goes on behind
the last. `table` prints Markdown: steps are shares of a joint's velocity limit, ticks are means over the rollouts, and
differences are over the scenes that were played at both latencies.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.evaluation.rivals import FixedFade, WeightedAverage

from vgil_ros.assets import load_contract, policy_source
from vgil_ros.core.control.pipeline import ActionPipeline
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import ChunkExecutor
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command, Outcome
from vgil_ros.core.streams import policy_streams
from vgil_ros.evaluation.latency import LOST, read_latency_trace
from vgil_ros.evaluation.metrics import wilson
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.rollout import RolloutRunner
from vgil_ros.evaluation.sources import PolicySource
from vgil_ros.evaluation.stage import pipeline_for
from vgil_ros.robots.worlds import World, make_world

TASK = "pick_place"
TRACE = Path(__file__).with_name("latency_150_80_2.txt")
MEAN_MS, JITTER_MS, LOST_SHARE, COUNT, SEED = 150.0, 80.0, 0.02, 1000, 15
ANSWER_MS = 400.0  # then a lost answer is given up: while the chunk lasts, and nearly all others have come
WATCHDOG_MS = 700.0  # it, the next answer, and some to spare
RIVALS: dict[str, Callable[[int, int], ChunkExecutor]] = {
    "weighted_average": WeightedAverage,
    "fade_0.2_s": FixedFade,
}
OURS = ("temporal_ensemble", "async", "consistent", "rtc")
LATENCIES = ("zero", "trace")


def trace_lines() -> list[str]:
    """The trace: gamma distributed latencies of exactly this mean and standard deviation, some of them lost."""
    draw = np.random.default_rng(SEED)
    values = draw.gamma((MEAN_MS / JITTER_MS) ** 2, JITTER_MS**2 / MEAN_MS, COUNT)
    values = MEAN_MS + (values - values.mean()) * JITTER_MS / values.std()
    lost = set(draw.choice(COUNT, round(LOST_SHARE * COUNT), replace=False).tolist())
    return [LOST if i in lost else f"{max(value, 1.0):.1f}" for i, value in enumerate(values)]


@dataclass(eq=False)
class WatchedPipeline(ActionPipeline):
    """Remembers what the executor asks for, by tick."""

    asked: dict[int, np.ndarray] = field(default_factory=dict)

    def reset(self) -> None:
        """See `ActionPipeline.reset`."""
        super().reset()
        self.asked.clear()

    def proposal(self, tick: int) -> Command | None:
        """See `ActionPipeline.proposal`."""
        command = super().proposal(tick)
        if command is not None:
            self.asked[tick] = command.positions
        return command


class StudyRunner(RolloutRunner):
    """Plays rollouts, and measures steps as shares of the velocity limits."""

    def __init__(self, world: World, pipeline: WatchedPipeline, source: PolicySource, plan: EvaluationPlan) -> None:
        super().__init__(world, pipeline, source, latency=plan.latency, episode_len=plan.ticks)
        self._asked = pipeline.asked
        velocity = world.layout.limit("velocity")
        assert velocity is not None
        self._reach = velocity / world.contract.rate_hz
        self._held = 0

    def after_step(self, outcome: Outcome) -> None:
        """See `RolloutRunner.after_step`."""
        self._held += outcome.holding

    def play(self, seed: int) -> dict[str, Any]:
        """The rollout of a scene: how it ended, the largest steps, what safety did."""
        self._held = 0
        rollout = self.run(seed)
        steps = [self._share(self._asked[t], self._asked[t - 1]) for t in self._asked if t - 1 in self._asked]
        sent = [self._share(after, before) for before, after in itertools.pairwise(self.pipeline.sent)]
        return {
            "seed": seed,
            "success": rollout.success,
            "steps_to_success": rollout.steps_to_success,
            "asked": round(max(steps, default=0.0), 4),
            "sent": round(max(sent, default=0.0), 4),
            "events": dict(sorted(rollout.safety_events.items())),
            "held": self._held,
            "answers": len(rollout.ages_ms),
            "age_ms": round(float(np.median(rollout.ages_ms)), 1) if rollout.ages_ms else None,
            "late": rollout.late,
            "lost": rollout.lost,
        }

    def _share(self, after: np.ndarray, before: np.ndarray) -> float:
        return float((np.abs(after - before) / self._reach).max())


class Study:
    """One checkpoint, played in every way."""

    def __init__(self, given: argparse.Namespace) -> None:
        torch.set_num_threads(1)
        self._given = given
        self._trace = read_latency_trace(given.trace, given.answer_ms / 1e3)
        plan = self._plan("temporal_ensemble", "zero")
        contract, _ = load_contract(plan.robot_name)
        self._source = PolicySource(policy_source(given.checkpoint), Layout(contract))
        self._streams = policy_streams(contract, self._source.cameras)
        past = bool(self._source.obs_offsets)
        self._world = make_world(contract, TASK, operator=False, streams=self._streams, every_image=past)

    def runners(self) -> dict[tuple[str, str], StudyRunner]:
        """By way and latency; a way that the policy cannot be played in is named and left out."""
        made = {}
        for way in self._given.ways:
            for latency in self._given.latencies:
                try:
                    made[way, latency] = self._runner(way, latency)
                except VgilError as error:
                    print(error, flush=True)
                    break
        return made

    def _plan(self, way: str, latency: str) -> EvaluationPlan:
        return EvaluationPlan(
            TASK,
            execution=way if way in OURS else "async",
            latency_ms=0.0,
            latency_trace=self._trace if latency == "trace" else None,
            watchdog_ms=self._given.watchdog_ms,
        )

    def _runner(self, way: str, latency: str) -> StudyRunner:
        plan = self._plan(way, latency)
        made = pipeline_for(plan, self._world.layout, self._source, self._streams)
        if way in RIVALS:
            made.executor = RIVALS[way](self._source.horizon, self._source.action_dim)
        pipeline = WatchedPipeline(made.layout, made.executor, made.safety, made.action_dim)
        return StudyRunner(self._world, pipeline, self._source, plan)

    def close(self) -> None:
        """Free the images' context."""
        self._world.close()
        self._source.close()


def lines(path: Path) -> list[dict[str, Any]]:
    """What was played already."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(given: argparse.Namespace) -> None:
    """Scene after scene in every way."""
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / f"{Path(given.checkpoint).name}.jsonl"
    done = {(row["way"], row["latency"], row["seed"]) for row in lines(log)}
    study = Study(given)
    try:
        runners = study.runners()
        for seed in range(given.seed, given.seed + given.episodes):
            for (way, latency), runner in runners.items():
                if (way, latency, seed) in done:
                    continue
                row = {"way": way, "latency": latency, **runner.play(seed)}
                with log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                words = "success" if row["success"] else "failure"
                print(f"{seed} {way} {latency}: {words}, asked {row['asked']}, {row['events']}", flush=True)
    finally:
        study.close()


def table(given: argparse.Namespace) -> None:
    """Markdown of every checkpoint's file."""
    for log in sorted(given.out.glob("*.jsonl")):
        kinds: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
        for row in lines(log):
            kinds.setdefault((row["way"], row["latency"]), {})[row["seed"]] = row
        print(f"\n{log.stem}\n")
        print(
            "| way | latency | done (95 %) | against zero latency, points | ticks until then | largest step asked for"
            " | of half of the rollouts | velocity limited | held | lost |\n"
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        )
        for way in dict.fromkeys(way for way, _ in kinds):
            for latency in LATENCIES:
                if (way, latency) in kinds:
                    print(_line(way, latency, kinds[way, latency], kinds.get((way, "zero"), {})))


def _line(way: str, latency: str, rows: dict[int, dict[str, Any]], zero: dict[int, dict[str, Any]]) -> str:
    found = list(rows.values())
    good = sum(row["success"] for row in found)
    low, high = wilson(good, len(found))
    ticks = [row["steps_to_success"] for row in found if row["success"]]
    asked = [row["asked"] for row in found]
    cells = [
        f"`{way}`",
        latency,
        f"{good} of {len(found)} ({low:.0%} to {high:.0%})",
        "" if latency == "zero" else _difference(rows, zero),
        f"{np.median(ticks):.0f}" if ticks else "never",
        f"{max(asked):.2f}",
        f"{np.median(asked):.2f}",
        f"{_mean(row['events'].get('velocity', 0) for row in found):.1f}",
        f"{_mean(row['held'] for row in found):.1f}",
        str(sum(row["lost"] for row in found)),
    ]
    return f"| {' | '.join(cells)} |"


def _difference(rows: dict[int, dict[str, Any]], zero: dict[int, dict[str, Any]]) -> str:
    """In points, over the scenes that were played at both latencies."""
    both = rows.keys() & zero.keys()
    if not both:
        return ""
    return f"{100 * _mean(rows[seed]['success'] - zero[seed]['success'] for seed in both):+.0f}"


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def trace(given: argparse.Namespace) -> None:
    """Write the trace's file."""
    head = f"# ms; gamma distributed, mean {MEAN_MS:g}, standard deviation {JITTER_MS:g}; {LOST_SHARE:.0%} lost\n"
    given.trace.write_text(head + "\n".join(trace_lines()) + "\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, work in (("trace", trace), ("run", run), ("table", table)):
        one = commands.add_parser(name)
        one.set_defaults(work=work)
        if name != "trace":
            one.add_argument("--out", type=Path, required=True)
        if name != "table":
            one.add_argument("--trace", type=Path, default=TRACE)
        if name == "run":
            one.add_argument("--checkpoint", default="sim_pick_place_act")
            one.add_argument("--episodes", type=int, default=50)
            one.add_argument("--seed", type=int, default=20_000)
            one.add_argument("--ways", nargs="+", default=[*OURS, *RIVALS], choices=[*OURS, *RIVALS])
            one.add_argument("--latencies", nargs="+", default=LATENCIES, choices=LATENCIES)
            one.add_argument("--watchdog-ms", type=float, default=WATCHDOG_MS)
            one.add_argument("--answer-ms", type=float, default=ANSWER_MS, help="a lost answer is given up then")
    given = parser.parse_args()
    given.work(given)


if __name__ == "__main__":
    main()

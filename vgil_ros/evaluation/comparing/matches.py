"""Evaluation of two checkpoints on the very same scenes, to the end or until a sequential test tells them apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.comparing.paired import PairedCounts
from vgil_ros.evaluation.comparing.report import ComparisonReport, compare_reports
from vgil_ros.evaluation.comparing.sequential import decides
from vgil_ros.evaluation.evaluate import RolloutWork, identity_of, play_all, report_of
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.report import EvaluationReport
from vgil_ros.evaluation.sources import PolicySource
from vgil_ros.evaluation.stage import RolloutResult, RolloutSession
from vgil_ros.parallel import Work, executor
from vgil_ros.policies.device import one_thread

SIDES = ("first", "second")  # folders of their videos

PairProgress = Callable[[Rollout, Rollout], None]
PairResult = tuple[RolloutResult, RolloutResult]


@dataclass(frozen=True)
class PairWork(Work[int, PairResult]):
    """Plays the scene of a seed with either checkpoint."""

    first: RolloutWork
    second: RolloutWork

    @property
    def gpus(self) -> int:
        """See `Work.gpus`."""
        return max(self.first.gpus, self.second.gpus)

    @contextmanager
    def open(self) -> Iterator[Callable[[int], PairResult]]:
        """See `Work.open`."""
        with ExitStack() as stack:
            first, second = (stack.enter_context(work.open()) for work in (self.first, self.second))
            yield lambda seed: (first(seed), second(seed))

    def name(self, item: int) -> str:
        """See `Work.name`."""
        return f"the rollouts of seed {item}"


@dataclass(frozen=True)
class _Side:
    """One checkpoint, with the plan as it wants to be played."""

    work: RolloutWork
    identity: dict[str, str | None]
    max_reward: float

    def report(self, results: list[RolloutResult], began: float) -> EvaluationReport:
        made = report_of(
            self.work.plan, results, self.max_reward, self.work.videos, progress=lambda rollout: None, began=began
        )
        return made.model_copy(update=self.identity)


def compare(
    plan: EvaluationPlan,
    first: str | Path,
    second: str | Path,
    *,
    alpha: float = 0.05,
    stop_early: bool = False,
    videos: Path | None = None,
    workers: int | None = 1,
    ray: str | None = None,
    progress: PairProgress = lambda first, second: None,
) -> ComparisonReport:
    """Run two checkpoints on the same scenes and say whether one is better.

    Scenes are the seeds of the plan, in order, whoever plays them: the report, and where it stops, do not depend on the
    number of processes.

    Args:
        plan: what is evaluated; `episodes` are pairs, at most.
        first, second: checkpoints: folders, or addresses of servers.
        alpha: the probability, at most, of telling equal ones apart.
        stop_early: whether to stop as soon as a sequential test tells them apart.
        videos: folder for videos, one within it for either.
        workers, ray: see `evaluate`.
        progress: called after each pair.

    Raises:
        VgilError: where a checkpoint, the robot, the task or the mode cannot be used.
    """
    began = time.perf_counter()
    sides = [
        _prepared(plan, checkpoint, None if videos is None else videos / name)
        for checkpoint, name in zip((first, second), SIDES, strict=True)
    ]
    work = PairWork(sides[0].work, sides[1].work)
    played: list[PairResult] = []
    decided = False
    with executor(workers, ray) as pool, one_thread(), closing(play_all(plan, work, pool)) as results:
        for pair in results:
            played.append(pair)
            progress(pair[0].rollout, pair[1].rollout)
            if stop_early and (decided := _decided(plan, played, alpha)):
                break
    reports = [side.report([pair[i] for pair in played], began) for i, side in enumerate(sides)]
    early = decided and len(played) < plan.episodes
    return compare_reports(reports[0], reports[1], alpha, sequential=stop_early, stopped_early=early)


def _prepared(plan: EvaluationPlan, checkpoint: str | Path, videos: Path | None) -> _Side:
    """Open a checkpoint once: what is wrong is said here, not by a broken pool."""
    contract, _ = load_contract(plan.robot_name)
    with one_thread():
        source = PolicySource(checkpoint, Layout(contract), plan.device, plan.task, plan.remote_mapping)
    try:
        own = plan.for_checkpoint(source.config.execution, source.horizon)
        session = RolloutSession(own, contract, source)
        max_reward = session.max_reward
        session.close()
        return _Side(RolloutWork.anywhere(own, checkpoint, videos), identity_of(checkpoint, source), max_reward)
    finally:
        source.close()


def _decided(plan: EvaluationPlan, played: list[PairResult], alpha: float) -> bool:
    """Whether the pairs so far are enough; not where one before them could not be played, which is an error."""
    whole = played[-1][0].rollout.seed == plan.seed + len(played) - 1
    counts = PairedCounts.of((first.rollout.success, second.rollout.success) for first, second in played)
    return whole and decides(counts, alpha)

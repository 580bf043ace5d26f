"""Evaluation of a checkpoint on a simulated task: rollouts from seeds, and a report of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.metrics import Rollout, percentiles, summarise
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.report import EvaluationReport, Machine, make_report
from vgil_ros.evaluation.sources import ChunkSource, PolicySource
from vgil_ros.evaluation.stage import RolloutResult, RolloutSession, pipeline_for
from vgil_ros.evaluation.thumbnails import ThumbnailSheet
from vgil_ros.parallel import Executor, Work, executor
from vgil_ros.policies.device import one_thread
from vgil_ros.robots.worlds import USUAL_ROBOTS

SHOWN = 3  # rollouts that could not be played, with their reasons


@dataclass(frozen=True)
class RolloutWork(Work[int, RolloutResult]):
    """Plays the rollout of a seed."""

    plan: EvaluationPlan
    checkpoint: str | Path
    videos: Path | None

    @classmethod
    def anywhere(cls, plan: EvaluationPlan, checkpoint: str | Path, videos: Path | None) -> RolloutWork:
        """Work that means the same files in a process that begins in another folder, as another machine's do."""
        checkpoint = checkpoint.absolute() if isinstance(checkpoint, Path) else checkpoint
        return cls(plan, checkpoint, None if videos is None else videos.absolute())

    @property
    def gpus(self) -> int:
        """See `Work.gpus`."""
        return int(self.plan.device.startswith("cuda"))

    @contextmanager
    def open(self) -> Iterator[Callable[[int], RolloutResult]]:
        """See `Work.open`."""
        torch.set_num_threads(1)
        contract, _ = load_contract(self.plan.robot_name)
        source = PolicySource(
            self.checkpoint, Layout(contract), self.plan.device, self.plan.task, self.plan.remote_mapping
        )
        session = RolloutSession(self.plan, contract, source, self.videos)
        try:
            yield session.play
        finally:
            session.close()
            source.close()

    def name(self, item: int) -> str:
        """See `Work.name`."""
        return f"the rollout of seed {item}"


Played = TypeVar("Played")


def play_all(plan: EvaluationPlan, work: Work[int, Played], pool: Executor) -> Generator[Played, None, None]:
    """Yield what a piece of work makes of each seed of a plan: its rollouts, in order.

    Raises:
        VgilError: once all others are played, where some could not be: a success rate without them would be of others.
    """
    failed: list[VgilError] = []
    with closing(pool.map(work, plan.seeds)) as outcomes:
        for outcome in outcomes:
            if outcome.error is not None:
                failed.append(outcome.error)
            else:
                yield outcome.result()
    if failed:
        words = " | ".join(str(error) for error in failed[:SHOWN])
        raise VgilError(
            f"{len(failed)} of {plan.episodes} rollouts could not be played, so there is no report: {words}"
        )


__all__ = ["USUAL_ROBOTS", "EvaluationPlan", "evaluate", "evaluate_source", "pipeline_for"]

Progress = Callable[[Rollout], None]


def evaluate(
    plan: EvaluationPlan,
    checkpoint: str | Path,
    *,
    videos: Path | None = None,
    workers: int | None = 1,
    ray: str | None = None,
    progress: Progress = lambda rollout: None,
) -> EvaluationReport:
    """Run a checkpoint and return the report; all but its `machine` part follows from the seed.

    Args:
        plan: what is evaluated.
        checkpoint: its folder, or the address of its server.
        videos: folder for a video of each rollout and `thumbnail_sheet.png`.
        workers: processes; the report does not depend on it. None: one, or as many as the cluster has CPUs.
        ray: the address of a Ray cluster, whose machines have the checkpoint under the same path.
        progress: called after each rollout.

    Raises:
        VgilError: where checkpoint, robot, task or mode cannot be used.
    """
    contract, _ = load_contract(plan.robot_name)
    with one_thread():
        source = PolicySource(checkpoint, Layout(contract), plan.device, plan.task, plan.remote_mapping)
    plan = plan.for_checkpoint(source.config.execution, source.horizon)
    identity = identity_of(checkpoint, source)
    try:
        if ray is None and workers in (None, 1):
            report = evaluate_source(plan, contract, source, videos=videos, progress=progress)
            return report.model_copy(update=identity)
        began = time.perf_counter()
        session = RolloutSession(plan, contract, source)  # what is wrong is said here, not by a broken pool
        max_reward = session.max_reward
        session.close()
    finally:
        source.close()
    with executor(workers, ray) as pool:
        results = play_all(plan, RolloutWork.anywhere(plan, checkpoint, videos), pool)
        return report_of(plan, results, max_reward, videos, progress, began).model_copy(update=identity)


def identity_of(checkpoint: str | Path, source: PolicySource) -> dict[str, str | None]:
    """What a report says of the checkpoint."""
    return {
        "checkpoint": str(checkpoint),
        "policy": source.config.type,
        "fingerprint": source.config.fingerprint,
    }


def evaluate_source(
    plan: EvaluationPlan,
    contract: Contract,
    source: ChunkSource,
    *,
    videos: Path | None = None,
    progress: Progress = lambda rollout: None,
) -> EvaluationReport:
    """As `evaluate`, for any source of chunks, in this process."""
    if isinstance(source, PolicySource):
        plan = plan.for_checkpoint(source.config.execution, source.horizon)
    began = time.perf_counter()
    session = RolloutSession(plan, contract, source, videos)
    try:
        results = (session.play(seed) for seed in plan.seeds)
        return report_of(plan, results, session.max_reward, videos, progress, began)
    finally:
        session.close()


def report_of(
    plan: EvaluationPlan,
    results: Iterable[RolloutResult],
    max_reward: float,
    videos: Path | None,
    progress: Progress,
    began: float,
) -> EvaluationReport:
    """Return the report of rollouts, taken one after another; `began` by `time.perf_counter`."""
    sheet = ThumbnailSheet()
    rollouts: list[Rollout] = []
    seconds: list[float] = []
    for result in results:
        rollouts.append(result.rollout)
        seconds += result.inference_s
        if videos is not None:
            sheet.add(result.rollout, result.thumbnails)
        progress(result.rollout)
    if videos is not None:
        sheet.save(videos / "thumbnail_sheet.png")
    machine = Machine(inference_ms=percentiles([s * 1e3 for s in seconds]), seconds=time.perf_counter() - began)
    return make_report(plan.settings, summarise(rollouts, max_reward), machine)

"""Evaluation of a checkpoint on a simulated task: rollouts from seeds, and a report of them."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.metrics import Rollout, percentiles, summarise
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.report import EvaluationReport, Machine, make_report
from vgil_ros.evaluation.sources import ChunkSource, PolicySource
from vgil_ros.evaluation.stage import RolloutResult, RolloutSession, one_thread, pipeline_for
from vgil_ros.evaluation.thumbnails import ThumbnailSheet
from vgil_ros.robots.worlds import USUAL_ROBOTS

_session: RolloutSession | None = None  # a worker process has one


def play_all(
    plan: EvaluationPlan, checkpoint: str | Path, videos: Path | None, workers: int
) -> Iterator[RolloutResult]:
    """Yield the rollouts of a plan, by seed.

    Raises:
        VgilError: for less than one process.
    """
    if workers < 1:
        raise VgilError(f"workers is {workers}; allowed: from 1")
    context = multiprocessing.get_context("spawn")  # OpenGL contexts do not live through a fork
    pool = ProcessPoolExecutor(
        min(workers, plan.episodes), mp_context=context, initializer=_begin, initargs=(plan, checkpoint, videos)
    )
    try:
        yield from pool.map(_play, plan.seeds)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(plan: EvaluationPlan, checkpoint: str | Path, videos: Path | None) -> None:
    global _session
    torch.set_num_threads(1)
    contract, _ = load_contract(plan.robot_name)
    source = PolicySource(checkpoint, Layout(contract), plan.device, plan.task, plan.remote_mapping)
    _session = RolloutSession(plan, contract, source, videos)


def _play(seed: int) -> RolloutResult:
    assert _session is not None
    return _session.play(seed)


__all__ = ["USUAL_ROBOTS", "EvaluationPlan", "evaluate", "evaluate_source", "pipeline_for"]

Progress = Callable[[Rollout], None]


def evaluate(
    plan: EvaluationPlan,
    checkpoint: str | Path,
    *,
    videos: Path | None = None,
    workers: int = 1,
    progress: Progress = lambda rollout: None,
) -> EvaluationReport:
    """Run a checkpoint and return the report; all but its `machine` part follows from the seed.

    Args:
        plan: what is evaluated.
        checkpoint: its folder, or the address of its server.
        videos: folder for a video of each rollout and `thumbnail_sheet.png`.
        workers: processes; the report does not depend on it.
        progress: called after each rollout.

    Raises:
        VgilError: where checkpoint, robot, task or mode cannot be used.
    """
    contract, _ = load_contract(plan.robot_name)
    with one_thread():
        source = PolicySource(checkpoint, Layout(contract), plan.device, plan.task, plan.remote_mapping)
    plan = plan.for_checkpoint(source.config.execution, source.horizon)
    identity = {
        "checkpoint": str(checkpoint),
        "policy": source.config.type,
        "fingerprint": source.config.fingerprint,
    }
    try:
        if workers == 1:
            report = evaluate_source(plan, contract, source, videos=videos, progress=progress)
            return report.model_copy(update=identity)
        began = time.perf_counter()
        session = RolloutSession(plan, contract, source)  # what is wrong is said here, not by a broken pool
        max_reward = session.max_reward
        session.close()
    finally:
        source.close()
    results = play_all(plan, checkpoint, videos, workers)
    return _report(plan, results, max_reward, videos, progress, began).model_copy(update=identity)


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
        return _report(plan, results, session.max_reward, videos, progress, began)
    finally:
        session.close()


def _report(
    plan: EvaluationPlan,
    results: Iterable[RolloutResult],
    max_reward: float,
    videos: Path | None,
    progress: Progress,
    began: float,
) -> EvaluationReport:
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

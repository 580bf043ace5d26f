"""How good a checkpoint is on a simulated task: rollouts from seeds, and a report of them."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.metrics import Rollout, percentiles, summarise
from vgil_ros.evaluation.plan import USUAL_ROBOTS, Plan, settings
from vgil_ros.evaluation.sources import ChunkSource, PolicySource
from vgil_ros.evaluation.stage import Played, Stage, actor_for, one_thread
from vgil_ros.evaluation.videos import ContactSheet

_stage: Stage | None = None  # a worker process has one


def play_all(plan: Plan, checkpoint: Path, videos: Path | None, workers: int) -> Iterator[Played]:
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


def _begin(plan: Plan, checkpoint: Path, videos: Path | None) -> None:
    global _stage
    torch.set_num_threads(1)
    contract, _ = load_contract(plan.robot_name)
    source = PolicySource(checkpoint, Layout(contract), plan.device, plan.task)
    _stage = Stage(plan, contract, source, videos)


def _play(seed: int) -> Played:
    assert _stage is not None
    return _stage.play(seed)


__all__ = ["USUAL_ROBOTS", "Plan", "actor_for", "evaluate", "evaluate_source", "settings"]

Progress = Callable[[Rollout], None]


def evaluate(
    plan: Plan,
    checkpoint: Path,
    *,
    videos: Path | None = None,
    workers: int = 1,
    progress: Progress = lambda rollout: None,
) -> dict[str, Any]:
    """Run a checkpoint and return the report, JSON-ready; all but its `machine` part follows from the seed.

    Args:
        plan: what is evaluated.
        checkpoint: its folder.
        videos: folder for a film of each rollout and `contact_sheet.png`.
        workers: processes; the report does not depend on it.
        progress: called after each rollout.

    Raises:
        VgilError: where checkpoint, robot, task or mode cannot be used.
    """
    contract, _ = load_contract(plan.robot_name)
    with one_thread():
        source = PolicySource(checkpoint, Layout(contract), plan.device, plan.task)
    facts = {"policy": source.config.type, "fingerprint": source.config.fingerprint}
    if workers == 1:
        return facts | evaluate_source(plan, contract, source, videos=videos, progress=progress)
    began = time.perf_counter()
    stage = Stage(plan, contract, source)  # what is wrong is said here, not by a broken pool
    max_reward = stage.max_reward
    stage.close()
    played = play_all(plan, checkpoint, videos, workers)
    return facts | _report(plan, played, max_reward, videos, progress, began)


def evaluate_source(
    plan: Plan,
    contract: Contract,
    source: ChunkSource,
    *,
    videos: Path | None = None,
    progress: Progress = lambda rollout: None,
) -> dict[str, Any]:
    """As `evaluate`, for any source of chunks, in this process."""
    began = time.perf_counter()
    stage = Stage(plan, contract, source, videos)
    try:
        played = (stage.play(seed) for seed in plan.seeds)
        return _report(plan, played, stage.max_reward, videos, progress, began)
    finally:
        stage.close()


def _report(
    plan: Plan, found: Iterable[Played], max_reward: float, videos: Path | None, progress: Progress, began: float
) -> dict[str, Any]:
    sheet = ContactSheet()
    rollouts: list[Rollout] = []
    seconds: list[float] = []
    for played in found:
        rollouts.append(played.rollout)
        seconds += played.inference_s
        if videos is not None:
            sheet.add(played.rollout, played.stills)
        progress(played.rollout)
    if videos is not None:
        sheet.save(videos / "contact_sheet.png")
    machine = {"inference_ms": percentiles([s * 1e3 for s in seconds]), "seconds": time.perf_counter() - began}
    return settings(plan) | summarise(rollouts, max_reward) | {"machine": machine}

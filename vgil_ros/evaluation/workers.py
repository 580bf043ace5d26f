"""Rollouts in several processes, in the order of their seeds."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from vgil_ros.assets import load_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.plan import Plan
from vgil_ros.evaluation.sources import PolicySource
from vgil_ros.evaluation.stage import Played, Stage

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

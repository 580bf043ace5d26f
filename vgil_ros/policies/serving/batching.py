"""Batches across clients: one thread runs the network, on all that wait at once where that is faster than in turns."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.inference.runtime import InferenceRuntime

PAYS = 0.9  # a batch of two must take less than this share of two in turns
TRIES = 3


@dataclass(frozen=True)
class _Job:
    observation: RobotObservation
    seed: tuple[int | None] | None
    draws: int
    answer: Future[np.ndarray] = field(default_factory=Future)

    @property
    def alike(self) -> tuple[Any, ...] | None:
        """What must be the same for all of a batch; None: it goes alone."""
        if self.seed is not None or self.draws > 1 or "prefix" in self.observation:
            return None
        return _shapes(self.observation)


class Batcher:
    """Answers observations, from any number of threads.

    Args:
        runtime: the policy, warmed up; nobody else may call it.
        most: the largest batch; 1: everyone in turn.

    Attributes:
        largest: the largest batch so far.
    """

    def __init__(self, runtime: InferenceRuntime, most: int) -> None:
        self._runtime, self._most = runtime, most
        self.largest = 0
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="policy", daemon=True)
        self._thread.start()

    def submit(
        self, observation: RobotObservation, seed: tuple[int | None] | None = None, draws: int = 1
    ) -> Future[np.ndarray]:
        """Ask for a chunk (H, A), or several (K, H, A); the future raises the policy's own error.

        Args:
            observation: without a batch axis.
            seed: begin an episode with it before; (None,) with the usual one; None: do not.
            draws: chunks of this observation.
        """
        job = _Job(observation, seed, draws)
        self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        """End the thread after what it is doing."""
        self._jobs.put(None)
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs, ends = [job], False
            while len(jobs) < self._most:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ends = True
                    break
                jobs.append(more)
            waiting = [job for job in jobs if job.answer.set_running_or_notify_cancel()]  # a client may have left
            for group in _groups(waiting):
                self._answer(group)
            if ends:
                return

    def _answer(self, jobs: Sequence[_Job]) -> None:
        self.largest = max(self.largest, len(jobs))
        if len(jobs) > 1:
            try:
                chunks = self._runtime.batch([job.observation for job in jobs])
            except Exception:  # one of them is wrong: it alone must hear of it
                for job in jobs:
                    self._answer([job])
                return
            for job, chunk in zip(jobs, chunks, strict=True):
                _settle(job.answer, lambda chunk=chunk: chunk)  # type: ignore[misc]
            return
        (job,) = jobs
        _settle(job.answer, lambda: self._alone(job))

    def _alone(self, job: _Job) -> np.ndarray:
        if job.seed is not None:
            self._runtime.reset(job.seed[0])
        if job.draws > 1:
            return self._runtime.draw(job.observation, job.draws)
        return self._runtime(job.observation)


def batch_pays(runtime: InferenceRuntime, observation: RobotObservation) -> bool:
    """Whether this machine runs two observations faster in one batch than in turns, by measuring it."""
    alone = _fastest(lambda: runtime(observation))
    together = _fastest(lambda: runtime.batch([observation, observation]))
    return together < PAYS * 2.0 * alone


def _fastest(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(TRIES):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _groups(jobs: Sequence[_Job]) -> list[list[_Job]]:
    """Jobs that may be batched stand together, in the order in which they came."""
    groups: dict[Any, list[_Job]] = {}
    for job in jobs:
        key = job.alike
        groups.setdefault(id(job) if key is None else key, []).append(job)
    return list(groups.values())


def _shapes(value: Any) -> tuple[Any, ...]:
    if isinstance(value, dict):
        return tuple((name, _shapes(value[name])) for name in sorted(value))
    return (value.shape, value.dtype.str) if isinstance(value, np.ndarray) else (type(value).__name__,)


def _settle(future: Future[np.ndarray], work: Callable[[], np.ndarray]) -> None:
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)

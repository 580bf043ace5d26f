"""Many demonstrations, in several processes, under the numbers that one process would give them."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import WriteFailed
from vgil_ros.episodes.writing.encoder import limit_opencv_threads
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig, GeneratedEpisode, Generator

TRIES = 5  # with `only_successes`: attempts to one episode wanted, before it is given up

_generator: Generator | None = None  # a worker process has one


def generate(
    wanted: DemonstrationConfig, out: Path, *, episodes: int, seed: int, workers: int = 1, only_successes: bool = False
) -> Iterator[GeneratedEpisode]:
    """Write demonstrations into a folder, after those that are there, and yield each as it is done.

    Seeds rise by one from `seed`. What lies in the folder afterwards does not depend on the number of workers.

    Args:
        wanted: robot, task and format.
        out: made where it is missing; nothing in it is overwritten.
        episodes: how many to keep.
        seed: of the first; 0 or above.
        workers: processes.
        only_successes: leave out those at whose end the task is not done, and take further seeds instead.

    Raises:
        VgilError: where the robot, task or folder cannot be used, or most attempts fail.
    """
    if min(episodes, workers) < 1 or seed < 0:
        raise VgilError(f"episodes {episodes}, workers {workers}, seed {seed}; allowed: from 1, from 1, from 0")
    kept = 0
    with _scratch(out) as scratch, _results(wanted, scratch, seed, workers, only_successes) as results:
        for attempt, episode in enumerate(results, 1):
            if episode.path is not None:
                kept += 1
                episode = replace(
                    episode, path=naming.publish_free(episode.path, naming.next_free(out / "episode_0.hdf5"))
                )
            yield episode
            if kept == episodes:
                return
            if attempt >= TRIES * episodes:
                raise VgilError(
                    f"task '{wanted.task}': done in {kept} of {attempt} attempts only; {episodes} are wanted"
                )


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder beside the episodes, on the same file system, gone afterwards."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".generating-", dir=out))
    except OSError as error:
        raise WriteFailed(f"{out}: cannot be written ({error.strerror}); allowed: a folder one may write") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _results(
    wanted: DemonstrationConfig, scratch: Path, seed: int, workers: int, only_success: bool
) -> Iterator[Iterator[GeneratedEpisode]]:
    """An endless row of episodes by seed."""
    seeds = itertools.count(seed)
    if workers == 1:
        generator = Generator(wanted)
        try:
            yield (generator.make(s, scratch / str(s), only_success=only_success) for s in seeds)
        finally:
            generator.close()
        return
    context = multiprocessing.get_context("spawn")  # OpenGL contexts do not live through a fork
    Generator(wanted).close()  # what is wrong with robot or task is said here, not by a broken pool
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(wanted,))
    try:
        yield _in_order(pool, seeds, scratch, 2 * workers, only_success)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, seeds: Iterator[int], scratch: Path, ahead: int, only_success: bool
) -> Iterator[GeneratedEpisode]:
    waiting: deque[Future[GeneratedEpisode]] = deque()
    while True:
        while len(waiting) < ahead:
            waiting.append(pool.submit(_make, seed := next(seeds), scratch / str(seed), only_success))
        yield waiting.popleft().result()


def _begin(wanted: DemonstrationConfig) -> None:
    global _generator
    limit_opencv_threads()
    _generator = Generator(wanted)


def _make(seed: int, folder: Path, only_success: bool) -> GeneratedEpisode:
    assert _generator is not None
    return _generator.make(seed, folder, only_success=only_success)

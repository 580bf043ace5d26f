"""Many demonstrations, in several processes, under the numbers that one process would give them."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import WriteFailed
from vgil_ros.parallel import Outcome, Work, WorkerKilled, executor
from vgil_ros.parallel.shared_folder import see
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig, GeneratedEpisode, Generator

TRIES = 5  # with `only_successes`: attempts to one episode wanted, before it is given up


def generate(
    wanted: DemonstrationConfig,
    out: Path,
    *,
    episodes: int,
    seed: int,
    workers: int | None = 1,
    ray: str | None = None,
    only_successes: bool = False,
) -> Iterator[GeneratedEpisode]:
    """Write demonstrations into a folder, after those that are there, and yield each as it is done.

    Seeds rise by one from `seed`. What lies in the folder afterwards does not depend on the number of workers.

    Args:
        wanted: robot, task and format.
        out: made where it is missing; nothing in it is overwritten.
        episodes: how many to keep.
        seed: of the first; 0 or above.
        workers: processes; None: one, or as many as the cluster has CPUs.
        ray: the address of a Ray cluster, whose machines have `out` under the same path.
        only_successes: leave out those at whose end the task is not done, and take further seeds instead.

    Raises:
        VgilError: where the robot, task or folder cannot be used, or most attempts fail.
    """
    if min(episodes, 1 if workers is None else workers) < 1 or seed < 0:
        raise VgilError(f"episodes {episodes}, workers {workers}, seed {seed}; allowed: from 1, from 1, from 0")
    kept = 0
    if ray is not None:  # another machine's processes begin in another folder
        out = out.absolute()
    if ray is not None or workers not in (None, 1):
        Generator(wanted).close()  # what is wrong with robot or task is said before any process is started
    with ExitStack() as stack:
        scratch = stack.enter_context(_scratch(out))
        pool = stack.enter_context(executor(workers, ray))
        work = DemonstrationWork(wanted, scratch, only_successes)
        outcomes = stack.enter_context(closing(pool.map(work, itertools.count(seed))))
        for attempt, episode in enumerate(map(_kept, outcomes), 1):
            if episode.path is not None:
                kept += 1
                see(episode.path, episode.path.is_file)
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


@dataclass(frozen=True)
class DemonstrationWork(Work[int, GeneratedEpisode]):
    """Makes the episode of a seed, in a folder of its own."""

    wanted: DemonstrationConfig
    scratch: Path
    only_success: bool

    @contextmanager
    def open(self) -> Iterator[Callable[[int], GeneratedEpisode]]:
        """See `Work.open`."""
        generator = Generator(self.wanted)
        try:
            yield lambda seed: self._make(generator, seed)
        finally:
            generator.close()

    def _make(self, generator: Generator, seed: int) -> GeneratedEpisode:
        folder = self.scratch / str(seed)
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        return generator.make(seed, folder, only_success=self.only_success)

    def name(self, item: int) -> str:
        """See `Work.name`."""
        return f"seed {item}"


def _kept(outcome: Outcome[int, GeneratedEpisode]) -> GeneratedEpisode:
    """A seed whose process was killed gives no episode, and others take its place; any other error ends all."""
    if isinstance(outcome.error, WorkerKilled):
        return GeneratedEpisode(outcome.item, None, False, 0, 0.0, str(outcome.error))
    return outcome.result()

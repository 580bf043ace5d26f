"""A pool of workers elsewhere: who works on what, in which order results come out, and what becomes of the killed."""

from __future__ import annotations

import contextlib
import itertools
from abc import abstractmethod
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, Protocol

from vgil_ros.core.errors import VgilError
from vgil_ros.parallel.executor import Executor, Item, Outcome, Result, Work, WorkerKilled

AHEAD = 4  # items a worker that may be under way, or done, before the one whose result comes out next


def limit_threads() -> None:
    """In a worker: have OpenCV use one thread. Beside as many processes as there are cores, more are slower."""
    with contextlib.suppress(ImportError):
        import cv2  # lazily: not all that is spread needs it

        cv2.setNumThreads(1)


class Killed(Exception):
    """A worker is gone; in words how."""


class Unfit(Exception):
    """A worker could not begin; `args[0]` is the error."""


class Worker(Protocol):
    """One worker, that has at most one item."""

    def give(self, item: Any) -> None:
        """Have it work on an item."""

    def take(self) -> Outcome[Any, Any]:
        """What came of the item, once there is an answer.

        Raises:
            Killed: it is gone.
            Unfit: it could not begin.
        """

    def end(self) -> None:
        """End it, at once where it works."""


class Pool(Executor):
    """Hands items to workers as they become free.

    An item whose worker was killed is given to another once nothing else is under way: it may have been killed for want
    of the memory that others took. Where that one is killed too, the item is named.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    @abstractmethod
    def start(self, work: Work[Any, Any]) -> Worker:
        """Start a worker."""

    @abstractmethod
    def wait(self, workers: Sequence[Worker]) -> Sequence[Worker]:
        """Wait until some of these have an answer, or are gone, and return them."""

    def map(self, work: Work[Item, Result], items: Iterable[Item]) -> Generator[Outcome[Item, Result], None, None]:
        """See `Executor.map`."""
        turn = _Turn(self, work, iter(items))
        try:
            yield from turn.outcomes()
        finally:
            turn.end()


class _Turn:
    """One `map` of a pool."""

    def __init__(self, pool: Pool, work: Work[Any, Any], items: Iterator[Any]) -> None:
        self._pool, self._work = pool, work
        self._items: Iterator[tuple[int, Any]] = zip(itertools.count(), items)
        self._more = True
        self._next = 0  # whose result comes out next
        self._idle: list[Worker] = []
        self._busy: dict[Worker, tuple[int, Any]] = {}
        self._done: dict[int, Outcome[Any, Any]] = {}
        self._again: deque[tuple[int, Any]] = deque()  # a worker was killed over these
        self._alone: int | None = None  # the number of the one that is tried again now

    def outcomes(self) -> Iterator[Outcome[Any, Any]]:
        """In the items' order."""
        while True:
            while self._next in self._done:
                outcome = self._done.pop(self._next)
                self._next += 1
                yield outcome
            self._hand_out()
            if not self._busy:
                return
            for worker in self._pool.wait(list(self._busy)):
                self._take(worker)

    def _hand_out(self) -> None:
        if self._again:
            if not self._busy:
                number, item = self._again.popleft()
                self._alone = number
                self._give(number, item)
            return
        while self._more and self._alone is None and self._room:
            taken = next(self._items, None)
            if taken is None:
                self._more = False
                return
            self._give(*taken)

    @property
    def _room(self) -> bool:
        under_way = len(self._busy) + len(self._done)
        return len(self._busy) < self._pool.workers and under_way < AHEAD * self._pool.workers

    def _give(self, number: int, item: Any) -> None:
        worker = self._idle.pop() if self._idle else self._pool.start(self._work)
        self._busy[worker] = (number, item)
        worker.give(item)

    def _take(self, worker: Worker) -> None:
        number, item = self._busy.pop(worker)
        tried = self._alone == number
        if tried:
            self._alone = None
        try:
            self._done[number] = worker.take()
        except Killed as killed:
            worker.end()
            if tried:
                words = f"{self._work.name(item)}: {killed}, and so was the one before it; for want of memory perhaps"
                self._done[number] = Outcome(item, None, WorkerKilled(words))
            else:
                self._again.append((number, item))
            return
        except Unfit as unfit:
            worker.end()
            error: VgilError = unfit.args[0]
            raise error from None
        except BaseException:
            worker.end()
            raise
        self._idle.append(worker)

    def end(self) -> None:
        """End all workers."""
        for worker in (*self._busy, *self._idle):
            worker.end()
        self._busy, self._idle = {}, []

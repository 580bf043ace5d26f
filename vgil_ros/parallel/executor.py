"""Executors: do one piece of work for many items, and give the results in the items' order, whoever does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vgil_ros.core.errors import VgilError

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerKilled(VgilError):
    """The process that worked on an item was killed, and once more when it worked on nothing beside it."""


class Work(ABC, Generic[Item, Result]):
    """What a worker does. It is pickled, once for each worker: a dataclass at the top of a module does."""

    @property
    def gpus(self) -> int:
        """How many GPUs a worker on a cluster needs for itself."""
        return 0

    @abstractmethod
    def open(self) -> AbstractContextManager[Callable[[Item], Result]]:
        """Make, once for each worker, what takes long to make; gives what is called with each item.

        Raises:
            VgilError: where no item could be worked on.
        """

    def name(self, item: Item) -> str:
        """An item in words."""
        return str(item)


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What came of an item: its result, or the error that kept it from one."""

    item: Item
    value: Result | None
    error: VgilError | None = None

    def result(self) -> Result:
        """The result.

        Raises:
            VgilError: its error.
        """
        if self.error is not None:
            raise self.error
        value: Any = self.value
        return value  # type: ignore[no-any-return]  # None is a result too


class Executor(ABC):
    """Works on items. An item that fails (VgilError), or whose process is killed, ends no other."""

    workers: int

    @abstractmethod
    def map(self, work: Work[Item, Result], items: Iterable[Item]) -> Generator[Outcome[Item, Result], None, None]:
        """Yield what came of each item, in their order; items may be endless, they are taken as they are needed.

        Close it (`contextlib.closing`) where it is not read to its end: the workers end with it.

        Raises:
            VgilError: no worker could begin.
            Exception: whatever else the work raised, as it would in this process.
        """


class InProcess(Executor):
    """Works on one item after another, in this process."""

    workers = 1

    def map(self, work: Work[Item, Result], items: Iterable[Item]) -> Generator[Outcome[Item, Result], None, None]:
        """See `Executor.map`."""
        with work.open() as do:
            for item in items:
                yield attempt(do, item)


def attempt(do: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    """Work on an item; an error that a user can mend is what came of it."""
    try:
        return Outcome(item, do(item))
    except VgilError as error:
        return Outcome(item, None, error)

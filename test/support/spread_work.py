"""Work for executors, in a module that other processes find by its name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.parallel import Work


@dataclass(frozen=True)
class Squares(Work[int, "tuple[int, int]"]):
    """Squares numbers; gives the process too.

    Attributes:
        folder: where each attempt leaves a trace.
        slow: numbers that take longer. bad: that fail. deadly: that kill their process, `once` the first time alone.
        broken: whether no worker can begin. fault: numbers over which the work itself stumbles.
    """

    folder: Path
    slow: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    once: bool = False
    broken: bool = False
    fault: tuple[int, ...] = ()
    seconds: float = 0.0

    @contextmanager
    def open(self) -> Iterator[Callable[[int], tuple[int, int]]]:
        """See `Work.open`."""
        if self.broken:
            raise VgilError("nothing can be squared here")
        (self.folder / f"open_{os.getpid()}").touch()
        yield self.square
        (self.folder / f"closed_{os.getpid()}").touch()

    def square(self, number: int) -> tuple[int, int]:
        """The square, and who squared it."""
        traces = len(list(self.folder.glob(f"tried_{number}_*")))
        (self.folder / f"tried_{number}_{traces}").write_text(str(os.getpid()))
        time.sleep(0.3 if number in self.slow else self.seconds)
        if number in self.bad:
            raise EpisodeError(f"{number}: cannot be squared")
        if number in self.fault:
            raise ZeroDivisionError(f"{number} is a fault of the work")
        if number in self.deadly and not (self.once and traces):
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number, os.getpid()

    def name(self, item: int) -> str:
        """See `Work.name`."""
        return f"number {item}"

"""A process that is killed while it converts; spawned processes find it by its name, as they do not find tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vgil_ros.datasets.workers import PieceWork, make_piece

KILLER = 2  # the episode's place


class DeadlyPieces(PieceWork):
    """Makes pieces, or ends as the kernel ends a process that takes too much memory."""

    @contextmanager
    def open(self) -> Iterator[Callable[[int], str | None]]:
        """See `Work.open`."""

        def make_or_die(number: int) -> str | None:
            if number == KILLER:
                os.kill(os.getpid(), signal.SIGKILL)
            return make_piece(self.plan, self.pieces, number)

        yield make_or_die

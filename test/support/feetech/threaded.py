"""Pretended servos in a thread of the test's own process, for what needs no ROS."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from support.feetech.line import ServoLine
from support.feetech.servo import Servo

if TYPE_CHECKING:
    from typing import Self


class RunningLine:
    """A line that answers until the block ends; the faults are attributes of `line`."""

    def __init__(self, port: Path, servos: list[Servo]) -> None:
        self.line = ServoLine(port, servos)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.line.turn(0.002)

    def servo(self, number: int) -> Servo:
        """The servo with an id."""
        return next(servo for servo in self.line.servos if servo.id == number)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.line.gone()

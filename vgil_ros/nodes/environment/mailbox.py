"""The mailbox between the caller of `nodes.environment` and its ROS thread: requests in, turns out."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety import Command
from vgil_ros.core.sync import Miss, Sample


@dataclass(frozen=True)
class Topics:
    """The names beside the contract's; empty: there is none."""

    reset: str
    reward: str
    success: str


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A tick, the newest request that was obeyed before it, and what was known then.

    `lost`: in words, the streams that are gone; empty where the tick was only left out. `blocked`: in words, why the
    robot must not be acted on: another node commands it too, or joints do not follow.
    """

    serial: int
    tick: Sample | Miss
    reward: float
    success: bool
    lost: str = ""
    blocked: str = ""

    @property
    def sample(self) -> Sample:
        """The complete tick."""
        assert isinstance(self.tick, Sample)
        return self.tick


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller asks for: an episode's begin, a command, or (neither) rest."""

    serial: int
    command: Command | None = None
    begin: bool = False


class Newest:
    """Holds the newest turn for the other thread; an older one that nobody took is let go."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._turn: Turn | None = None
        self._failure: BaseException | None = None

    def put(self, turn: Turn) -> None:
        """Replace what is there."""
        with self._change:
            self._turn = turn
            self._change.notify()

    def fail(self, error: BaseException) -> None:
        """Every `get` raises from now on."""
        with self._change:
            self._failure = error
            self._change.notify()

    def get(self, seconds: float) -> Turn | None:
        """Take the turn, waiting for it; None where none comes in time.

        Raises:
            VgilError: when the other thread has died.
        """
        with self._change:
            self._change.wait_for(lambda: self._turn is not None or self._failure is not None, seconds)
            if self._failure is not None:
                raise VgilError(f"the environment's ROS thread has died: {self._failure}") from self._failure
            turn, self._turn = self._turn, None
            return turn

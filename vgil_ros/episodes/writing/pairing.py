"""Observations and commands of an episode, paired by tick, in whichever order the two come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from vgil_ros.core.sync import Sample

REMEMBER = 64  # ticks; an observation comes out at most a few ticks after its time
Command = TypeVar("Command")


class Pairing(Generic[Command]):
    """Pairs them; ticks that have only one of the two are left out."""

    def __init__(self) -> None:
        self._commands: dict[int, Command] = {}
        self._waiting: deque[tuple[int, Sample]] = deque(maxlen=REMEMBER)
        self._acted = -1

    def clear(self) -> None:
        """Forget everything: an episode begins."""
        self._commands.clear()
        self._waiting.clear()
        self._acted = -1

    def acted(self, tick: int, command: Command) -> None:
        """This was commanded at this tick; ticks come in their order."""
        self._commands[tick] = command
        self._commands.pop(tick - REMEMBER, None)
        self._acted = tick

    def observed(self, tick: int, sample: Sample) -> None:
        """The observation of a tick came out, before or after its command."""
        self._waiting.append((tick, sample))

    def pairs(self) -> Iterator[tuple[int, Sample, Command]]:
        """Tick, observation and command of those that are whole by now, each once."""
        while self._waiting and self._waiting[0][0] <= self._acted:
            tick, sample = self._waiting.popleft()
            found = self._commands.pop(tick, None)
            if found is not None:
                yield tick, sample, found

"""Latency of an evaluation's inferences, in simulated time: one figure for all, or a recorded trace of them.

A trace is a text file with one inference a line: milliseconds, or `lost` for a request whose answer never comes. Empty
lines and what stands behind a # do not count. A lost answer, and one that takes longer than the remote client waits
(`answer_s`), is what it is on the robot: the request is given up after that time, and the loop asks anew.

A trace goes round and round. Where a rollout begins in it follows from the seed of its scene alone, so that two
policies, or two ways to play one, get the same latencies in the same order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgil_ros.core.config import read_text
from vgil_ros.core.errors import VgilError
from vgil_ros.policies.remote.mapping import RemoteMapping

LOST = "lost"
PATIENCE_S = 5.0  # simulated; a policy whose first chunk has not come by then never moves, lost answers aside
ANSWER_S = RemoteMapping().answer_s  # how long the remote client waits where nobody says otherwise


@dataclass(frozen=True)
class Wait:
    """What became of one request: after so many seconds its answer came, or it was given up."""

    seconds: float
    answered: bool = True


@dataclass(frozen=True)
class LatencyTrace:
    """What becomes of one request after another.

    Attributes:
        waits: at least one that is answered.
        name: for reports.
    """

    waits: tuple[Wait, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not any(wait.answered for wait in self.waits):
            raise VgilError(
                f"{self.name or 'latency trace'}: found no answer that comes in time; needed is at least one"
            )

    @classmethod
    def constant(cls, seconds: float) -> LatencyTrace:
        """Every inference takes as long."""
        return cls((Wait(seconds),))

    def of_scene(self, seed: int) -> Iterator[Wait]:
        """What becomes of the requests of the rollout of a seed, without end."""
        begin = int(np.random.default_rng(seed).integers(len(self.waits)))
        return itertools.islice(itertools.cycle(self.waits), begin, None)


def read_latency_trace(path: Path, answer_s: float = ANSWER_S) -> LatencyTrace:
    """Read a trace's file.

    Args:
        path: see the module.
        answer_s: how long an answer is waited for.

    Raises:
        VgilError: it cannot be read, a line is neither a latency nor `lost`, or no answer comes in time.
    """
    waits: list[Wait] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if words := line.partition("#")[0].strip():
            waits.append(_wait(words, answer_s, f"{path}: line {number}"))
    return LatencyTrace(tuple(waits), str(path))


def _wait(words: str, answer_s: float, where: str) -> Wait:
    if words == LOST:
        return Wait(answer_s, answered=False)
    try:
        seconds = float(words) / 1e3
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise VgilError(f"{where}: found '{words[:40]}'; allowed: a latency in ms, from 0, or {LOST}")
    return Wait(seconds) if seconds <= answer_s else Wait(answer_s, answered=False)

"""From samples to the rows of an episode: T+1 TimeSteps, T actions.

A sample waits until the next one comes, because only then is it known not to be the last: the last observation has no
action beside it, however the episode ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import dm_env
import numpy as np

from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder, timestep


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A TimeStep, the action (D,) given at it (None with the last), and the sample it was made from."""

    timestep: dm_env.TimeStep
    action: np.ndarray | None
    sample: Sample


class RowBuilder:
    """Samples of one episode in, rows out, one sample behind."""

    def __init__(self, observations: ObservationBuilder) -> None:
        self._observations = observations
        self._waiting: tuple[Sample, float, np.ndarray | None] | None = None
        self.rows = 0

    def push(self, sample: Sample, marker: float = 0.0, action: np.ndarray | None = None) -> Row | None:
        """Take a sample and return the row of the one before it, if there is one.

        Args:
            sample: the sample.
            marker: the end marker's value, where the contract has one.
            action: what was done at it (D,); the masters' positions where None.
        """
        row = self._row(last=False) if self._waiting else None
        self._waiting = (sample, marker, action)
        return row

    def end(self) -> Row | None:
        """Return the last row, which has no action; None before any full row."""
        return self._row(last=True) if self._waiting and self.rows else None

    def _row(self, *, last: bool) -> Row:
        assert self._waiting is not None
        sample, marker, action = self._waiting
        step = timestep(self._observations.observation(sample.payloads, marker), first=self.rows == 0, last=last)
        self.rows += not last
        if action is None and not last:
            action = self._observations.action(sample.payloads, marker)
        return Row(step, None if last else action, sample)

"""A policy's rollouts as episodes: observations and commands, paired by tick."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from vgil_ros.core.episode_label import Verdict
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.writing.sink import EpisodeEnd, EpisodeSink, Recording
from vgil_ros.nodes.base.alerts import Alerts

REMEMBER = 64  # ticks; an observation comes out at most a few ticks after its time


class RolloutSink:
    """Pairs observations with commands by tick. Without a folder it does nothing."""

    def __init__(self, alerts: Alerts, sink: EpisodeSink | None, marker: bool) -> None:
        self._alerts, self._sink, self._marker = alerts, sink, marker
        self._commands: dict[int, np.ndarray] = {}
        self._waiting: deque[tuple[int, Sample]] = deque(maxlen=REMEMBER)
        self._acted = -1
        self._told: deque[tuple[int, str]] = deque()  # tick and task, of those that no row has been recorded of yet
        self._tasks: list[tuple[int, str]] = []  # stamp of the first row, and task
        self._pairs = self._wanted = 0
        self._failed: str | None = None

    @classmethod
    def of(cls, alerts: Alerts, recording: Recording | None, dry_run: bool) -> RolloutSink:
        """Make one; None records nothing. Neither does a dry run, which sends nothing."""
        if recording is not None and dry_run:
            alerts.log("dry run: no rollout is recorded, as no command is sent", severity="warning")
        if recording is None or dry_run:
            return cls(alerts, None, False)
        sink = EpisodeSink(recording, ObservationBuilder(Layout(recording.contract), recording.streams))
        return cls(alerts, sink, recording.contract.end_marker is not None)

    def open(self, length: int = 0, task: str | None = None) -> None:
        """An episode of a task begins, of so many rows; 0: of as many as come."""
        self._told.clear()
        self._tasks = []
        self._commands.clear()
        self._waiting.clear()
        self._acted, self._pairs, self._failed = -1, 0, None
        self._wanted = length + 1 if length else 0  # the last one becomes the final observation
        self._alerts.clear("rollout")
        if self._sink:
            self._sink.open(task)

    def new_task(self, tick: int, task: str) -> None:
        """From this tick on another task is done."""
        self._told.append((tick, task))

    def acted(self, tick: int, command: Command) -> None:
        """This command was sent at this tick."""
        if self._sink is None:
            return
        action = np.append(command.positions, 0.0) if self._marker else command.positions
        self._commands[tick] = action.astype(np.float32)
        self._commands.pop(tick - REMEMBER, None)
        self._acted = tick
        self._pair()

    def observe(self, tick: int, sample: Sample) -> None:
        """The observation of a tick came out, before or after its command; ticks without one are left out."""
        if self._sink is not None:
            self._waiting.append((tick, sample))
            self._pair()

    @property
    def pairs(self) -> int | None:
        """Observations that were recorded with their command; None where none are."""
        return self._pairs if self._sink is not None and self._failed is None else None

    @property
    def aborted(self) -> str | None:
        """Why it is recorded no further, or None."""
        return self._failed

    def _pair(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._acted:
            tick, sample = self._waiting.popleft()
            action = self._commands.pop(tick, None)
            if action is not None:
                while self._told and self._told[0][0] <= tick:
                    self._tasks.append((sample.stamp_ns, self._told.popleft()[1]))
                self._push(sample, action)

    def _push(self, sample: Sample, action: np.ndarray) -> None:
        assert self._sink is not None
        if self._failed is not None or self._pairs == self._wanted > 0:  # observations may come several at once
            return
        try:
            self._pairs += self._sink.push(sample, 0.0, action)
        except VgilError as error:
            self._failed = str(error)
            self._alerts.warn_once("rollout", f"the rollout is recorded no further: {error}")

    def close(
        self,
        success: bool | None,
        *,
        label: Verdict | None = None,
        aborted: str | None = None,
        warnings: Sequence[str] = (),
    ) -> Future[EpisodeEnd | None]:
        """Save it; the future gives its file, None where nothing is recorded."""
        if self._sink:
            aborted = aborted or self._failed
            return self._sink.close(
                success, label=label, aborted=aborted, warnings=warnings, tasks=self._tasks, rollout=True
            )
        return _done()

    def discard(self) -> Future[None]:
        """Throw it away."""
        return self._sink.discard() if self._sink else _done()


def _done() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future

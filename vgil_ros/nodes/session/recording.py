"""A policy's rollouts as episodes: observations and commands, paired by tick."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from vgil_ros.core.control.takeover import Actor, Decision
from vgil_ros.core.episode_label import Verdict
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.writing.pairing import Pairing
from vgil_ros.episodes.writing.sink import EpisodeEnd, EpisodeSink, Recording
from vgil_ros.nodes.base.alerts import Alerts


class RolloutSink:
    """Pairs observations with commands by tick. Without a folder it does nothing."""

    def __init__(self, alerts: Alerts, sink: EpisodeSink | None, marker: bool) -> None:
        self._alerts, self._sink, self._marker = alerts, sink, marker
        self._takeover = sink is not None and sink.recording.takeover
        self._pairing: Pairing[tuple[np.ndarray, dict[str, Any]]] = Pairing()
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

    def open(self, length: int = 0, task: str | None = None, words: Mapping[str, str] | None = None) -> None:
        """An episode of a task begins, of so many rows; 0: of as many as come. `words`: what else is said of it."""
        self._told.clear()
        self._tasks = []
        self._pairing.clear()
        self._pairs, self._failed = 0, None
        self._wanted = length + 1 if length else 0  # the last one becomes the final observation
        self._alerts.clear("rollout")
        if self._sink:
            self._sink.open(task, words)

    def new_task(self, tick: int, task: str) -> None:
        """From this tick on another task is done."""
        self._told.append((tick, task))

    def acted(
        self, tick: int, command: Command, decision: Decision | None = None, proposal: Command | None = None
    ) -> None:
        """This command was sent at this tick.

        Args:
            tick: which.
            command: as it was sent.
            decision: whose it was, where a human can take over.
            proposal: what the policy asked for; its end marker is the row's where the policy has the arms.
        """
        if self._sink is None:
            return
        said = None if proposal is None else proposal.marker
        beside: dict[str, Any] = {}
        if self._takeover:
            assert decision is not None
            beside = {
                "intervention": int(decision.intervention),
                "actor": int(decision.actor),
                "policy_action": self._as_action(decision.policy, said),
                "human_action": self._as_action(decision.human),
            }
        acts = decision is None or decision.actor is Actor.POLICY
        marker = said if acts and said is not None and np.isfinite(said) else 0.0
        action = self._as_action(command.positions, min(max(marker, 0.0), 1.0))
        assert action is not None
        self._pairing.acted(tick, (action, beside))
        self._pair()

    def _as_action(self, positions: np.ndarray | None, marker: float | None = None) -> np.ndarray | None:
        """As a row has it, (D,) float32; the end marker is 0 where nobody said one."""
        if positions is None:
            return None
        return (np.append(positions, marker or 0.0) if self._marker else positions).astype(np.float32)

    def observe(self, tick: int, sample: Sample) -> None:
        """The observation of a tick came out, before or after its command; ticks without one are left out."""
        if self._sink is not None:
            self._pairing.observed(tick, sample)
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
        for tick, sample, found in self._pairing.pairs():
            while self._told and self._told[0][0] <= tick:
                self._tasks.append((sample.stamp_ns, self._told.popleft()[1]))
            self._push(sample, *found)

    def _push(self, sample: Sample, action: np.ndarray, beside: dict[str, Any]) -> None:
        assert self._sink is not None
        if self._failed is not None or self._pairs == self._wanted > 0:  # observations may come several at once
            return
        try:
            self._pairs += self._sink.push(sample, 0.0, action, beside)
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

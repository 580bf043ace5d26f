"""What the safety limits are told of a tick: where the robot is, how old what is known of it is."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.layout import POSITION, Layout
from vgil_ros.core.safety import Context, SafetyPipeline
from vgil_ros.core.streams import Kind
from vgil_ros.core.sync import Sample, Synchronizer
from vgil_ros.nodes.inference.worker import InferenceWorker, Question


class Circumstances:
    """Reads them off the synchroniser and the inference thread."""

    def __init__(
        self, layout: Layout, sync: Synchronizer, safety: SafetyPipeline, worker: InferenceWorker[Question]
    ) -> None:
        self._layout, self._sync, self._safety, self._worker = layout, sync, safety, worker
        self._period_s = 1.0 / layout.contract.rate_hz
        self._puppets = [spec.name for spec in sync.streams if spec.kind is Kind.JOINTS]

    def at(self, tick: int, now: int, latest: Sample | None, *, estop: bool) -> Context:
        """Those of a tick at the time `now` (ns); `latest` is the newest observation."""
        ages: dict[str, int | None] = {}
        for spec in self._sync.streams:
            newest = self._sync.rings[spec.name].newest
            ages[spec.name] = None if newest is None else now - newest
        ages |= {miss.stream: miss.age_ns for miss in self._sync.repeating(now)}
        ages["observation"] = None if latest is None else now - latest.stamp_ns
        return Context(
            tick=tick,
            now_ns=now,
            period_s=self._period_s,
            measured=None if self._safety.standing else self._measured(),
            stream_ages_ns=ages,
            last_policy_ns=self._worker.last_well_ns(now),
            estop=estop,
        )

    def _measured(self) -> np.ndarray | None:
        payloads = []
        for name in self._puppets:
            ring = self._sync.rings[name]
            if not ring.payloads:
                return None
            payloads.append(ring.payloads[-1])
        measured: np.ndarray = self._layout.state(payloads)[POSITION]
        return measured

"""DiagnosticStatus messages and the figures in them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.publisher import Publisher

from vgil_ros.core.safety import Outcome
from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import Sample
from vgil_ros.nodes.base.node import VgilNode

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class StatusPublisher:
    """Publishes one status on its own topic and on /diagnostics."""

    def __init__(self, node: VgilNode, topic: str, hardware_id: str) -> None:
        self._node = node
        self._hardware_id = hardware_id
        self._own: Publisher = node.create_publisher(DiagnosticStatus, topic, 10)
        self._all: Publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def publish(self, level: bytes, message: str, values: Mapping[str, object]) -> None:
        """Send it; values become text."""
        status = DiagnosticStatus(level=level, name=self._node.get_name(), message=message)
        status.hardware_id = self._hardware_id
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        self._own.publish(status)
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._all.publish(array)


class SkewWindow:
    """Skew of each stream over the last samples."""

    def __init__(self, streams: tuple[StreamSpec, ...], samples: int = 250) -> None:
        self._names = [stream.name for stream in streams]
        self._skew: deque[np.ndarray] = deque(maxlen=samples)

    def add(self, sample: Sample) -> None:
        """Take a sample."""
        self._skew.append(sample.skew_ns)

    def figures(self) -> dict[str, str]:
        """Median and 99th percentile of |skew| in ms, by stream."""
        if not self._skew:
            return {}
        table = np.abs(np.stack(self._skew)) / 1e6
        middle, high = np.percentile(table, (50, 99), axis=0)
        return {
            f"skew {n} [ms]": f"p50 {m:.1f}, p99 {h:.1f}" for n, m, h in zip(self._names, middle, high, strict=True)
        }


QUIET_S = 5.0  # between two lines about limits that step in


class SafetyEventLog:
    """A hold is warned of for as long as it lasts; of a command that was changed there is a line now and then.

    Attributes:
        reason: of the last safety event.
    """

    def __init__(self, node: VgilNode) -> None:
        self._node = node
        self._quiet_until = 0.0
        self.reason = "none"

    def log(self, outcome: Outcome) -> None:
        """Log what stepped in at a tick."""
        if outcome.safety_events:
            self.reason = "; ".join(f"{i.name}: {i.reason}" for i in outcome.safety_events)
        if outcome.safety_events and outcome.holding:
            self._node.warn_once("holding", f"holding: {self.reason}")
            return
        self._node.clear("holding")
        if outcome.safety_events and time.monotonic() > self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_S  # rclpy's own throttle looks at the stack at every call
            self._node.log(f"limited: {self.reason}", warns=True)

"""DiagnosticStatus messages and the figures in them."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.publisher import Publisher

from vgil_ros.core.safety import Outcome
from vgil_ros.core.streams import Flag, StreamSpec
from vgil_ros.core.sync import Miss, Sample
from vgil_ros.nodes.base.alerts import Alerts
from vgil_ros.nodes.base.node import VgilNode

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class StatusPublisher:
    """Publishes one status on its own topic and on /diagnostics."""

    def __init__(self, node: VgilNode, topic: str, hardware_id: str) -> None:
        self._node = node
        self._hardware_id = hardware_id
        self._own: Publisher[DiagnosticStatus] = node.create_publisher(DiagnosticStatus, topic, 10)
        self._all: Publisher[DiagnosticArray] = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def publish(self, level: bytes, message: str, values: Mapping[str, object]) -> None:
        """Send it: one value a key, numbers as plain numbers, and beside them the keys of the release before."""
        status = DiagnosticStatus(level=level, name=self._node.full_name.lstrip("/"), message=message)
        status.hardware_id = self._hardware_id
        texts = {key: plain(value) for key, value in values.items()}
        status.values = [KeyValue(key=key, value=text) for key, text in (texts | deprecated_values(texts)).items()]
        self._own.publish(status)
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._all.publish(array)


def plain(value: object) -> str:
    """A value as a program reads it: numbers without a unit, to a thousandth, and true or false."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def percentiles(name: str, figures: tuple[float, float] | None) -> dict[str, object]:
    """Median and 99th percentile in ms as values of a status; none before there are any."""
    return {} if figures is None else {f"{name}_p50_ms": figures[0], f"{name}_p99_ms": figures[1]}


_RENAMED = {
    "episodes_done": "episodes done",
    "rows_dropped": "rows dropped",
    "disk_free_gb": "disk free [GB]",
    "rate_hz": "rate [Hz]",
    "late_chunks": "late chunks",
    "last_safety_event": "last intervention",
}
_TIMES = ("latency", "tick", "jitter")
_RATE, _SKEW_P50, _SKEW_P99, _EVENTS = "rate_hz_", "skew_p50_ms_", "skew_p99_ms_", "safety_events_"


def deprecated_values(values: Mapping[str, str]) -> dict[str, str]:
    """The keys of the release before, from today's: they go with the next release."""
    old = {was: values[key] for key, was in _RENAMED.items() if key in values}
    if "episodes_wanted" in values:
        wanted = values["episodes_wanted"]
        old["episodes wanted"] = "until told" if wanted == "0" else wanted
    if "dry_run" in values:
        old["dry run"] = values["dry_run"].capitalize()
    if "safety_events" in values:
        counts = sorted((key, value) for key, value in values.items() if key.startswith(_EVENTS))
        old["interventions"] = ", ".join(f"{key[len(_EVENTS) :]} {value}" for key, value in counts) or "none"
        for name in _TIMES:
            middle, high = values.get(f"{name}_p50_ms"), values.get(f"{name}_p99_ms")
            old[f"{name} [ms]"] = "none yet" if middle is None else f"p50 {middle}, p99 {high}"
    for key, value in values.items():
        if key.startswith(_RATE):
            old[f"rate {key[len(_RATE) :]} [Hz]"] = value
        elif key.startswith(_SKEW_P50):
            stream = key[len(_SKEW_P50) :]
            old[f"skew {stream} [ms]"] = f"p50 {value}, p99 {values[_SKEW_P99 + stream]}"
    return old


class SkewWindow:
    """Skew of each stream over the last samples; and how often it was held or missed in episodes."""

    def __init__(self, streams: tuple[StreamSpec, ...], samples: int = 250) -> None:
        self._names = [stream.name for stream in streams]
        self._skew: deque[np.ndarray] = deque(maxlen=samples)
        self._held = np.zeros(len(streams), np.int64)
        self._missed: Counter[str] = Counter()

    def add(self, tick: Sample | Miss, *, counts: bool) -> None:
        """Take a tick; `counts`: it is one of an episode's."""
        if isinstance(tick, Sample):
            self._skew.append(tick.skew_ns)
            if counts:
                self._held += (tick.flags & int(Flag.HELD)) != 0
        elif counts:
            self._missed.update(miss.stream for miss in tick.streams)

    def figures(self) -> dict[str, object]:
        """Median and 99th percentile of |skew| in ms, ticks held and missed, by stream; no key where there is none."""
        counts: dict[str, object] = {f"missed_{name}": count for name, count in self._missed.items()}
        counts |= {f"held_{name}": int(n) for name, n in zip(self._names, self._held, strict=True) if n}
        if not self._skew:
            return counts
        table = np.abs(np.stack(self._skew)) / 1e6
        middle, high = np.percentile(table, (50, 99), axis=0)
        figures = counts
        for name, p50, p99 in zip(self._names, middle.tolist(), high.tolist(), strict=True):
            figures |= {_SKEW_P50 + name: p50, _SKEW_P99 + name: p99}
        return figures


QUIET_S = 5.0  # between two lines about limits that step in


class SafetyEventLog:
    """A hold is warned of for as long as it lasts; of a command that was changed there is a line now and then.

    Attributes:
        reason: of the last safety event.
    """

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._quiet_until = 0.0
        self.reason = "none"

    def log(self, outcome: Outcome) -> None:
        """Log what stepped in at a tick."""
        if outcome.safety_events:
            self.reason = "; ".join(f"{i.name}: {i.reason}" for i in outcome.safety_events)
        if outcome.safety_events and outcome.holding:
            self._alerts.warn_once("holding", f"holding: {self.reason}")
            return
        self._alerts.clear("holding")
        if outcome.safety_events and time.monotonic() > self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_S  # rclpy's own throttle looks at the stack at every call
            self._alerts.log(f"limited: {self.reason}", severity="warning")

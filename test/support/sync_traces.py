"""Made-up robots and what they send, for the synchroniser's tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from vgil_ros.core.contract import Sync
from vgil_ros.core.streams import Kind, StreamSpec
from vgil_ros.core.sync import Miss, Sample, Synchronizer

MS = 1_000_000
START = 1_700_000_000_000_000_000  # a time of day: large enough to show a float that lost its nanoseconds
RATE = 50
PERIOD = 1_000_000_000 // RATE


@dataclass(frozen=True)
class Message:
    stream: str
    stamp_ns: int
    payload: Any
    content: int | None = None


def robot(
    joints: int = 2, cameras: int = 1, *, tolerance_ms: float = 20, latency_ms: float = 0, base: bool = False
) -> tuple[StreamSpec, ...]:
    tolerance, frozen = round(tolerance_ms * MS), 200 * MS
    specs = [StreamSpec(f"arm{i}/puppet", Kind.JOINTS, f"/arm{i}", tolerance) for i in range(joints)]
    latency = round(latency_ms * MS)
    specs += [StreamSpec(f"cam{i}", Kind.IMAGE, f"/cam{i}", tolerance, latency, frozen) for i in range(cameras)]
    return (*specs, StreamSpec("base", Kind.BASE, "/odom", tolerance)) if base else tuple(specs)


def settings(**changes: Any) -> Sync:
    return Sync(**{"method": "clock", "tolerance_ms": 20.0, "max_wait_ms": 60.0, "max_hold": 5, **changes})


def line(stamp_ns: int, slope: float = 1.0, size: int = 2) -> np.ndarray:
    """A payload (3, size) whose every number moves linearly in time."""
    return (stamp_ns - START) * 1e-9 * slope * np.arange(1, 3 * size + 1, dtype=np.float64).reshape(3, size)


def message(spec: StreamSpec, stamp_ns: int, number: int) -> Message:
    """A message of a stream, whose stamp is late by the stream's latency."""
    if spec.kind is Kind.JOINTS:
        return Message(spec.name, stamp_ns + spec.latency_ns, line(stamp_ns))
    if spec.kind is Kind.BASE:
        return Message(spec.name, stamp_ns + spec.latency_ns, line(stamp_ns)[0])
    return Message(spec.name, stamp_ns + spec.latency_ns, (spec.name, stamp_ns), content=number)


def steady(spec: StreamSpec, rate_hz: float, seconds: float, offset_ns: int = 0) -> list[Message]:
    """A stream that keeps its rate."""
    period = round(1e9 / rate_hz)
    return [message(spec, START + offset_ns + k * period, k) for k in range(round(seconds * rate_hz))]


def play(
    sync: Synchronizer, messages: Iterable[Message], end_ns: int, *, every_ns: int = 5 * MS, transport_ns: int = 0
) -> list[Sample | Miss]:
    """Push each message at its stamp + transport, and sample every few ms, as a node does. Returns what came out."""
    waiting = sorted(messages, key=lambda m: m.stamp_ns)
    sync.start(START)
    found: list[Sample | Miss] = []
    at = 0
    for now in range(START, end_ns + 1, every_ns):
        while at < len(waiting) and waiting[at].stamp_ns + transport_ns <= now:
            one = waiting[at]
            sync.push(one.stream, one.stamp_ns, one.payload, now_ns=now, content=one.content)
            at += 1
        found += drain(sync, now)
    return found


def samples(found: Iterable[Sample | Miss]) -> list[Sample]:
    """What came out, where nothing was missed.

    Raises:
        AssertionError: for the first miss.
    """
    out: list[Sample] = []
    for one in found:
        assert isinstance(one, Sample), one
        out.append(one)
    return out


def misses(found: Iterable[Sample | Miss]) -> list[Miss]:
    """What came out, where nothing was whole.

    Raises:
        AssertionError: for the first sample.
    """
    out: list[Miss] = []
    for one in found:
        assert isinstance(one, Miss), one
        out.append(one)
    return out


def drain(sync: Synchronizer, now_ns: int) -> list[Sample | Miss]:
    """Every tick that is due."""
    found: list[Sample | Miss] = []
    while (one := sync.sample(now_ns)) is not None:
        found.append(one)
    return found


def summary(found: Sequence[Sample | Miss]) -> list[Any]:
    """What came out, in a form that can be compared."""
    out: list[Any] = []
    for one in found:
        if isinstance(one, Miss):
            out.append((one.tick, one.stamp_ns, one.action, [(m.stream, m.reason) for m in one.streams]))
        else:
            values = [p.tolist() if isinstance(p, np.ndarray) else p for p in one.payloads]
            out.append((one.tick, one.stamp_ns, values, one.skew_ns.tolist(), one.flags.tolist()))
    return out


@st.composite
def traces(draw: st.DrawFn, specs: Sequence[StreamSpec], seconds: float = 0.4) -> dict[str, list[Message]]:
    """Streams of any rate, phase, jitter and with any gaps; each in its own order."""
    out = {}
    for spec in specs:
        steps = st.lists(st.integers(1 * MS, 45 * MS), min_size=1, max_size=40)
        stamps = START - 40 * MS + draw(st.integers(0, 40 * MS)) + np.cumsum([0, *draw(steps)])
        keep = [int(s) for s in stamps if s < START + seconds * 1e9]
        out[spec.name] = [message(spec, stamp, k) for k, stamp in enumerate(keep)]
    return out

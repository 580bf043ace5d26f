"""Brings the streams of a robot to common ticks. No I/O and no clock: stamps and "now" are arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vgil_ros.core.contract import Sync
from vgil_ros.core.guard.refusals import one_tick
from vgil_ros.core.streams import Kind, StreamSpec
from vgil_ros.core.sync.clocks import StreamClock
from vgil_ros.core.sync.gaps import GapPolicy
from vgil_ros.core.sync.resample import Resampled
from vgil_ros.core.sync.stream_buffer import StreamBuffer
from vgil_ros.core.sync.stuck_sensor import StuckSensorDetector
from vgil_ros.core.sync.tick_sources import TickSource, make_tick_source
from vgil_ros.core.sync.types import Fault, Miss, Reason, Sample, StreamMiss

JUMP_NS = 500_000_000  # a stamp this far behind the newest is a clock that jumped, not a sample that came late
AHEAD_NS = 10_000_000_000  # a step of "now" this large is a clock that was set, or a machine that slept
BACK_NS = 5_000_000  # arrivals go back by more than this where the computer's clock is set, and else never
FUTURE_NS = 200_000_000  # a stamp this far ahead of its arrival is not even kept
OLD_NS = 1_000_000_000  # and neither is one this far behind
SIMULATED_FUTURE_NS = 1_000_000_000  # /clock and stamps are one clock, but come on ways of their own
KEEP_NS = 100_000_000  # what is older than the next tick by this cannot be used any more
DAY_NS = 86_400_000_000_000
NO_STAMP = "capture time, or the contract say `stamp: arrival` for this stream"
CAPACITY = {Kind.JOINTS: 1024, Kind.VECTOR: 1024, Kind.BASE: 1024, Kind.IMAGE: 64, Kind.DEPTH: 64}


class Synchronizer:
    """Streams in, ticks out.

    Push every sample as it comes, in any order between the streams; call `sample` until it returns None. A tick is
    given out as soon as every stream has what decides it, at the latest `max_wait_ms` after its time. Then a stream
    without a sample in its tolerance is missing, and the contract's `on_miss` says what becomes of the tick.

    Args:
        streams: the streams; payloads, skew and flags keep their order.
        settings: the contract's `sync`.
        rate_hz: ticks a second.
        capacity: samples a stream keeps at most; by default as many as its kind needs.
        simulated: "now" is /clock, which may come after the samples that it stamps: delays say nothing.
    """

    def __init__(
        self,
        streams: Sequence[StreamSpec],
        settings: Sync,
        rate_hz: float,
        *,
        capacity: int | None = None,
        simulated: bool = False,
    ) -> None:
        self.streams = tuple(streams)
        self.settings = settings
        self.rate_hz = rate_hz
        self.max_wait_ns = round(settings.max_wait_ms * 1e6)
        self._spec = {spec.name: spec for spec in self.streams}
        self._rings = {spec.name: StreamBuffer(capacity or CAPACITY[spec.kind]) for spec in self.streams}
        self._stuck = {s.name: StuckSensorDetector(s.frozen_ns) for s in self.streams if s.frozen_ns is not None}
        self._clocks = {s.name: StreamClock(s.tolerance_ns) for s in self.streams}
        self._simulated = simulated
        self._arrived_ns = self._set_back_ns = 0
        self.refusals = one_tick(round(1e9 / rate_hz))  # what was not pushed, as it was no reading
        self._tick_source: TickSource | None = None
        self._tick = self._last_now = self._fresh_ns = 0

    def start(self, now_ns: int, *, fresh_ns: int | None = None) -> None:
        """Begin to count ticks at this time.

        Args:
            now_ns: the first tick, where ticks are a grid.
            fresh_ns: samples captured before this are of another scene and not used; all stay usable where None.
        """
        if fresh_ns is not None:
            self._fresh_ns = fresh_ns
            for buffer in self._rings.values():
                buffer.clear()
        self._tick_source = make_tick_source(self.settings.method, self.rate_hz, now_ns)
        self._gaps = GapPolicy(self.settings.on_miss, self.settings.max_hold, len(self.streams))
        self._tick = 0
        self._last_now = now_ns
        self._forget_ns = 0

    def push(
        self, stream: str, stamp_ns: int, payload: Any, *, now_ns: int | None = None, content: int | None = None
    ) -> Fault | None:
        """Take a sample.

        Args:
            stream: its stream's name.
            stamp_ns: when it was captured; the stream's latency is taken off. Of a stream that is stamped by its
                arrival, `now_ns` is taken in its place.
            payload: (3, J), (n,) or (2,) float64 for interpolated streams, anything for the rest.
            now_ns: when it arrived, to find stamps of another clock.
            content: a checksum of the payload, to find frozen streams; None where it proves nothing.

        Returns:
            What was wrong with it, or None. A doubled, unstamped or foreign sample is not used; one that jumps back
            clears its stream and is the first of the new time.
        """
        spec, buffer = self._spec[stream], self._rings[stream]
        if spec.arrival_offset_ns is not None and now_ns is not None:
            stamp_ns = now_ns - spec.arrival_offset_ns
        elif stamp_ns <= 0:
            return Fault(stream, "no_stamp", f"header.stamp is zero; the driver must fill it with the {NO_STAMP}")
        stamp_ns -= spec.latency_ns
        if now_ns is not None and (fault := self._judge(spec, now_ns - stamp_ns, now_ns)):
            return fault
        if 0 < self._fresh_ns - stamp_ns < JUMP_NS:
            return None
        fault = None
        if buffer.stamps and buffer.stamps[-1] - stamp_ns > JUMP_NS:
            fault = Fault(stream, "jump_back", f"stamps jumped back by {(buffer.stamps[-1] - stamp_ns) / 1e9:.2f} s")
            buffer.clear()
            if stream in self._stuck:
                self._stuck[stream].clear()
        if not buffer.push(stamp_ns, payload, 0 if self._simulated else now_ns or 0):
            if spec.arrival_offset_ns is not None:  # two between two messages of /clock
                return None
            return Fault(stream, "duplicate", f"two samples with the same stamp {stamp_ns + spec.latency_ns}")
        if stream in self._stuck:
            self._stuck[stream].saw(stamp_ns, content)
        # Here and not in `sample`: to free an image takes longer than a tick of a control loop may.
        buffer.forget(stamp_ns - KEEP_NS if self._tick_source is None else self._forget_ns)
        return fault

    def _judge(self, spec: StreamSpec, delay_ns: int, now_ns: int) -> Fault | None:
        """Hold a stamp against its arrival, and the arrival against the last."""
        if now_ns < self._arrived_ns - BACK_NS and not self._simulated:
            self._set_back_ns = max(self._arrived_ns - now_ns, self._set_back_ns)
        self._arrived_ns = now_ns
        if spec.arrival_offset_ns is None and not self._simulated:
            self._clocks[spec.name].saw(delay_ns, now_ns)
        if delay_ns < -(SIMULATED_FUTURE_NS if self._simulated else FUTURE_NS):
            message = (
                f"stamped {-delay_ns / 1e9:.2f} s ahead of its arrival; are the clocks of both computers set alike?"
            )
            return Fault(spec.name, "future", message)
        if delay_ns > DAY_NS:
            message = (
                f"stamped {delay_ns / 1e9:.2f} s before its arrival; a device's own time? It must be the {NO_STAMP}"
            )
            return Fault(spec.name, "old", message)
        if delay_ns > OLD_NS:
            message = (
                f"stamped {delay_ns / 1e9:.2f} s before its arrival; a slow link, or clocks that are not set alike"
            )
            return Fault(spec.name, "old", message)
        return None

    def sample(self, now_ns: int) -> Sample | Miss | None:
        """Return the next tick if it is ripe or has waited too long, else None (and None before `start`)."""
        tick_source = self._tick_source
        if tick_source is None:
            return None
        if self._set_back_ns:
            return self.clock_set(now_ns, -self._set_back_ns)
        if not -JUMP_NS <= now_ns - self._last_now <= AHEAD_NS:
            return self.clock_set(now_ns, now_ns - self._last_now)
        self._last_now = max(now_ns, self._last_now)
        due = tick_source.next_tick(self._rings, now_ns)
        if due is None:
            return None
        tick_ns, ripe = due
        if not ripe and now_ns < tick_ns + self.max_wait_ns:
            return None
        entries = [self._take(tick_source, spec, tick_ns, now_ns) for spec in self.streams]
        number = self._tick
        self._tick += 1
        tick_source.done(tick_ns)
        self._forget_ns = tick_ns - KEEP_NS
        filled = self._gaps.fill(entries, tick_ns)
        if isinstance(filled, str):
            return Miss(number, tick_ns, tuple(f for f in entries if isinstance(f, StreamMiss)), filled)
        return _sample(number, tick_ns, filled)

    def state(self) -> dict[str, Any]:
        """What it remembers beside samples, as JSON has it: with those of the last moments it goes on in the same way
        elsewhere."""
        return {
            "fresh_ns": self._fresh_ns,
            "arrived_ns": self._arrived_ns,
            "set_back_ns": self._set_back_ns,
            "stuck": {name: detector.state() for name, detector in self._stuck.items()},
            "clocks": {name: clock.state() for name, clock in self._clocks.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as another one would, which has had the same samples; see `state`."""
        self._fresh_ns, self._arrived_ns = state["fresh_ns"], state["arrived_ns"]
        self._set_back_ns = state["set_back_ns"]
        for name, detector in self._stuck.items():
            detector.restore(state["stuck"][name])
        for name, clock in self._clocks.items():
            clock.restore(state["clocks"][name])

    def newest(self, stream: str) -> tuple[int, Any] | None:
        """Return a stream's newest sample, (stamp_ns, payload), or None while it has none."""
        buffer = self._rings[stream]
        return (buffer.stamps[-1], buffer.payloads[-1]) if buffer.stamps else None

    def ages(self, now_ns: int) -> dict[str, int | None]:
        """Return how old (ns) what is known of each stream is: by its newest stamp, or, where an image repeats for
        too long, since its content last changed; None before any sample."""
        ages: dict[str, int | None] = {}
        for spec in self.streams:
            stamp_ns = self._rings[spec.name].newest
            ages[spec.name] = None if stamp_ns is None else now_ns - stamp_ns
        return ages | {miss.stream: miss.age_ns for miss in self.repeating(now_ns)}

    def missing(self, now_ns: int) -> tuple[StreamMiss, ...]:
        """The streams that would be missing now: never came, stopped coming, frozen, or stamped by a clock that is
        further ahead than their tolerance. For "ready?" and status."""
        out = []
        for spec in self.streams:
            buffer, clock = self._rings[spec.name], self._clocks[spec.name]
            age = now_ns - buffer.stamps[-1] if buffer.stamps else None
            if age is None or age > spec.tolerance_ns + self.max_wait_ns + spec.latency_ns:
                out.append(StreamMiss(spec.name, Reason.SILENT, age))
            elif (ahead := clock.too_far_ahead(now_ns) or clock.suspect()) is not None:
                out.append(StreamMiss(spec.name, Reason.AHEAD, ahead))
        named = {miss.stream for miss in out}
        return (*out, *(miss for miss in self.stuck() if miss.stream not in named))

    def ahead(self, stream: str, now_ns: int) -> StreamMiss | None:
        """Whether a stream's stamps are ahead of their arrival, be it within its tolerance."""
        ahead = self._clocks[stream].ahead(now_ns)
        return None if ahead is None else StreamMiss(stream, Reason.AHEAD, ahead)

    def delays(self) -> dict[str, int]:
        """By stream: the shortest time (ns) from stamp to arrival in the last second or two, below 0 where another
        clock stamps; without those that nothing is known of."""
        delays = ((name, clock.delay_ns) for name, clock in self._clocks.items())
        return {name: delay_ns for name, delay_ns in delays if delay_ns is not None}

    def repeating(self, now_ns: int) -> tuple[StreamMiss, ...]:
        """The streams whose repeated content is too old by now: what `frozen` says of them with their next sample."""
        ages = ((name, detector.repeating_for(now_ns)) for name, detector in self._stuck.items())
        return tuple(StreamMiss(name, Reason.FROZEN, age_ns) for name, age_ns in ages if age_ns is not None)

    def stuck(self) -> tuple[StreamMiss, ...]:
        """The streams whose newest samples repeat the same content for too long."""
        out = []
        for spec in self.streams:
            newest = self._rings[spec.name].newest
            if newest is not None and (same := self._stuck_for(spec, newest)) is not None:
                out.append(StreamMiss(spec.name, Reason.FROZEN, same))
        return tuple(out)

    def clock_set(self, now_ns: int, by_ns: int) -> Miss:
        """The clock was set by so much (ns, below 0: back): what came before has stamps of another time.

        Everything begins anew; returns the tick that this ends an episode with.
        """
        number, self._arrived_ns, self._set_back_ns = self._tick, 0, 0
        for buffer in self._rings.values():
            buffer.clear()
        for detector in self._stuck.values():
            detector.clear()
        for clock in self._clocks.values():
            clock.clear()
        self.start(now_ns)
        return Miss(number, now_ns, (StreamMiss("clock", Reason.CLOCK, -by_ns),), "abort")

    def _take(self, tick_source: TickSource, spec: StreamSpec, tick_ns: int, now_ns: int) -> Resampled | StreamMiss:
        if (ahead := self._clocks[spec.name].too_far_ahead(now_ns)) is not None:
            return StreamMiss(spec.name, Reason.AHEAD, ahead)
        entry = tick_source.resample(self._rings[spec.name], spec, tick_ns)
        if isinstance(entry, Resampled) and (same := self._stuck_for(spec, entry.stamp_ns)) is not None:
            return StreamMiss(spec.name, Reason.FROZEN, same)
        return entry

    def _stuck_for(self, spec: StreamSpec, stamp_ns: int) -> int | None:
        detector = self._stuck.get(spec.name)
        return detector.stuck_for(stamp_ns) if detector else None


def _sample(number: int, tick_ns: int, resampled: list[Resampled]) -> Sample:
    skew = np.array([p.skew_ns for p in resampled], np.int64)
    flags = np.array([p.flag for p in resampled], np.uint8)
    arrival = np.array([p.arrival_ns for p in resampled], np.int64)
    return Sample(number, tick_ns, tuple(p.payload for p in resampled), skew, flags, arrival)

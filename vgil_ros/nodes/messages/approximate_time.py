"""A drop-in for `message_filters.ApproximateTimeSynchronizer`, built on the soft synchroniser.

    from vgil_ros.nodes.messages.approximate_time import ApproximateTimeSynchronizer   # in place of message_filters'

Inputs are message_filters' own filters (Subscriber, Cache, ...) or anything with `registerCallback`; this module does
not need message_filters itself.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from vgil_ros.core.contract import Sync
from vgil_ros.core.streams import Kind, StreamSpec
from vgil_ros.core.sync import Sample, Synchronizer
from vgil_ros.core.sync.ring import Ring

PIVOT = "input 0"
JUMP_NS = 500_000_000  # a stamp this far behind its input's newest is a bag that begins again
FOREVER_MS = 1e15  # message_filters gives a message up when its queue is full, never because time has passed

_log = logging.getLogger(__name__)


class ApproximateTimeSynchronizer:
    """Calls back with one message of each input, their stamps within `slop`.

    Each message of the first input is met by the nearest message of every other; each message goes out once at most,
    sets in the order of their stamps. Nothing is searched: a message costs a look at each input's queue, where
    message_filters tries every combination.

    It differs from message_filters in that a set waits until every input has reached the first one's stamp (only then
    is the nearest known), in that callbacks run under no lock, and in that messages without a stamp are refused
    with a warning: there is no `allow_headerless`.

    Args:
        fs: the inputs; the first gives the ticks.
        queue_size: messages that are kept of each input; the oldest go.
        slop: largest time in seconds between the earliest and the latest stamp of a set.
    """

    def __init__(self, fs: Sequence[Any], queue_size: int, slop: float) -> None:
        if queue_size < 1 or not slop >= 0 or not fs:
            raise ValueError(f"{len(fs)} inputs, queue_size {queue_size}, slop {slop}; allowed: from 1, from 1, from 0")
        self.queue_size = queue_size
        self.slop_ns = round(slop * 1e9)
        self.callbacks: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self._lock = threading.Lock()
        self._sets: deque[tuple[Any, ...]] = deque()
        self._delivering = False
        self._warned: set[tuple[int, str]] = set()
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[Any]) -> None:
        """Listen to these inputs from now on, with empty queues."""
        names = [PIVOT, *(f"input {i}" for i in range(1, len(fs)))]
        specs = [StreamSpec(name, Kind.IMAGE, "", self.slop_ns) for name in names]
        settings = Sync(method=f"camera:{PIVOT}", max_wait_ms=FOREVER_MS, on_miss="drop")
        self._sync = Synchronizer(specs, settings, rate_hz=1.0, capacity=self.queue_size)
        self._sync.start(0)
        self._newest = [0] * len(names)
        self.queues: list[Ring] = [self._sync.rings[name] for name in names]
        self.input_connections = [
            f.registerCallback(self.add, q, i) for i, (f, q) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def registerCallback(self, cb: Callable[..., Any], *args: Any) -> int:
        """Have `cb(message of input 0, message of input 1, ..., *args)` called with each set."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Call every callback with a set."""
        for callback, args in tuple(self.callbacks.values()):
            callback(*msg, *args)

    def add(self, msg: Any, my_queue: Ring, my_queue_index: int | None = None) -> None:
        """Take a message of one input; the inputs call this."""
        index = self.queues.index(my_queue) if my_queue_index is None else my_queue_index
        stamp_ns = _stamp_ns(msg)
        if stamp_ns is None:
            self._warn(index, "no_stamp", f"a message of type {type(msg).__name__} has no header.stamp")
            return
        with self._lock:
            if my_queue is not self.queues[index]:
                return  # an input that was connected before the last `connectInput`
            self._push(index, stamp_ns, msg)
            while (found := self._next_set()) is not None:
                self._sets.append(found)
            if self._delivering:
                return  # whoever delivers takes these too, in their order
            self._delivering = True
        self._deliver()

    def _push(self, index: int, stamp_ns: int, msg: Any) -> None:
        if self._newest[index] - stamp_ns > JUMP_NS:
            back = (self._newest[index] - stamp_ns) / 1e9
            self._warn(index, "jump_back", f"stamps jumped back by {back:.2f} s; begun anew")
            self._begin_anew(stamp_ns + JUMP_NS)
        fault = self._sync.push(f"input {index}", stamp_ns, msg)
        if fault is not None:
            self._warn(index, fault.kind, fault.message)
        self._newest[index] = max(self._newest[index], stamp_ns)

    def _begin_anew(self, end_ns: int) -> None:
        """Drop what lies after a time: it belongs to the one before the jump."""
        for i, ring in enumerate(self.queues):
            kept = [(s, m) for s, m in zip(ring.stamps, ring.payloads, strict=True) if s <= end_ns]
            ring.clear()
            for stamp_ns, msg in kept:
                ring.push(stamp_ns, msg)
            self._newest[i] = kept[-1][0] if kept else 0
        self._sync.start(0)

    def _next_set(self) -> tuple[Any, ...] | None:
        """The next set that is complete; its messages and those before them leave the queues.

        "Now" stays 0: there is no clock here, so that nothing is ever overdue.
        """
        while (found := self._sync.sample(0)) is not None:
            if isinstance(found, Sample) and max(found.skew_ns) - min(found.skew_ns) <= self.slop_ns:
                for ring, skew_ns in zip(self.queues, found.skew_ns.tolist(), strict=True):
                    ring.forget(found.stamp_ns + skew_ns + 1, keep=0)
                return found.payloads
        return None

    def _deliver(self) -> None:
        try:
            while True:
                with self._lock:
                    if not self._sets:
                        self._delivering = False
                        return
                    found = self._sets.popleft()
                self.signalMessage(*found)
        except BaseException:
            self._delivering = False
            raise

    def _warn(self, index: int, kind: str, message: str) -> None:
        if (index, kind) not in self._warned:
            self._warned.add((index, kind))
            _log.warning("input %d: %s", index, message)


def _stamp_ns(msg: Any) -> int | None:
    stamp = getattr(getattr(msg, "header", None), "stamp", None)
    if stamp is None:
        return None
    if hasattr(stamp, "nanoseconds"):  # rclpy.time.Time
        return int(stamp.nanoseconds)
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)

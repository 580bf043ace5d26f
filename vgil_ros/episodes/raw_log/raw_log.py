"""The raw log of a session: it follows the recorder from episode to episode, and keeps what came just before each.

The first tick of an episode is made of messages that came before it began. So the last moments are kept in memory at
all times (of images as long as the synchroniser keeps them, or a little longer), and go into the file that is made with
the episode's first row, behind the event `start`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vgil_ros.core.contract import Contract
from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import Miss, Sample
from vgil_ros.core.sync.synchronizer import FUTURE_NS
from vgil_ros.core.sync.tick_sources import LATEST_STALE_NS
from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import WriteFailed
from vgil_ros.episodes.raw_log import events
from vgil_ros.episodes.raw_log.log_file import QUEUE_BYTES, LogFile, LoggedTopic

MARGIN_NS = FUTURE_NS + 100_000_000  # stamps that are as far ahead as is allowed, and a tick or two
OLD_MESSAGES = 2  # of each stream, however old: a slow sensor's


class _Message(NamedTuple):
    topic: str
    now_ns: int
    data: bytes
    taken: tuple[str, ...]  # by which streams


def kept_ns(contract: Contract, streams: Sequence[StreamSpec]) -> int:
    """How long (ns) messages are kept: a sample that is older than that is used at no tick from now on."""
    oldest = max((spec.tolerance_ns + spec.latency_ns for spec in streams), default=0)
    return MARGIN_NS + oldest + (LATEST_STALE_NS if contract.sync.method == "latest" else 0)


class RawLog:
    """Takes every message and every decision of a recorder.

    Args:
        topics: the topics of the contract.
        metadata: what is written into each file, by name.
        kept_ns: see there.
    """

    def __init__(self, topics: Sequence[LoggedTopic], metadata: Mapping[str, str], kept_ns: int) -> None:
        self._topics, self._metadata, self._kept_ns = tuple(topics), dict(metadata), kept_ns
        self._recent: deque[_Message] = deque()
        self._old: dict[tuple[str, tuple[str, ...]], deque[_Message]] = {}
        self._start: tuple[int, dict[str, Any], list[_Message]] | None = None
        self._since: list[_Message | tuple[int, bytes]] = []  # messages and events since then
        self._file: LogFile | None = None

    def message(self, topic: str, now_ns: int, data: bytes, taken: tuple[str, ...]) -> None:
        """A message came; see `nodes.messages.subscriptions.Tap`."""
        message = _Message(topic, now_ns, data, taken)
        self._recent.append(message)
        while self._recent[0].now_ns < now_ns - self._kept_ns:
            old = self._recent.popleft()
            if old.taken:
                self._old.setdefault((old.topic, old.taken), deque(maxlen=OLD_MESSAGES)).append(old)
        if self._file is not None:
            self._file.message(topic, now_ns, data)
        elif self._start is not None:
            self._since.append(message)

    def began(self, now_ns: int, state: dict[str, Any]) -> None:
        """The ticks of an episode begin at this time, for the first time or anew.

        Args:
            now_ns: the first tick, where ticks are a grid.
            state: of the synchroniser and of the guards, as `core.sync.Synchronizer.state`.
        """
        old = (message for place in self._old.values() for message in place)
        before = sorted((*old, *self._recent), key=lambda message: message.now_ns)
        self._start, self._since = (now_ns, state, before), []

    def tick(self, now_ns: int, by_ns: int, tick: Sample | Miss, *, marker: float = 0.0, taken: bool = True) -> None:
        """A tick came out.

        Args:
            now_ns: now.
            by_ns: the time by which it was asked for.
            tick: it.
            marker: the end marker's value at it.
            taken: False where the row before it was left out, as too many waited.
        """
        values: dict[str, Any] = {"by": by_ns, "tick": tick.tick, "stamp": tick.stamp_ns}
        if isinstance(tick, Miss):
            values["miss"] = tick.action
        else:
            values |= {"marker": marker} if marker else {}
            values |= {} if taken else {"taken": False}
        self._event(now_ns, "tick", values)

    def _event(self, now_ns: int, event: str, values: dict[str, Any]) -> None:
        data = events.encode(event, values)
        if self._file is not None:
            self._file.event(now_ns, data)
        elif self._start is not None:
            self._since.append((now_ns, data))

    def open(self, episode: Path, said: Mapping[str, str] | None = None) -> None:
        """The episode has a file: begin the log beside it. Does nothing where it has begun.

        Args:
            episode: the episode's `.part`.
            said: what is written into this file beside what all have, by name.

        Raises:
            WriteFailed: where the log cannot be made.
        """
        if self._file is not None or self._start is None:
            return
        now_ns, state, before = self._start
        self._start = None
        waiting = sum(len(message.data) for message in before)  # in memory already: none of it is left out
        part, room = naming.log_of(episode), QUEUE_BYTES + 2 * waiting
        self._file = log = LogFile(part, self._topics, {**self._metadata, **(said or {})}, queue_bytes=room)
        numbers = {one.topic: i for i, one in enumerate(self._topics)}
        told = [[numbers[message.topic], list(message.taken)] for message in before]
        first_ns = before[0].now_ns if before else now_ns
        log.event(first_ns, events.encode("start", {"now": now_ns, "state": state, "before": told}))
        for message in before:
            log.message(message.topic, message.now_ns, message.data)
        for one in self._since:
            if isinstance(one, _Message):
                log.message(one.topic, one.now_ns, one.data)
            else:
                log.event(*one)
        self._since = []

    def end(self, now_ns: int, values: dict[str, Any]) -> LogFile | None:
        """The episode is over; return its log, whose file is to be closed or discarded, or None where it has none.

        Args:
            now_ns: now.
            values: how it ended.
        """
        self._event(now_ns, "end", values)
        log, self._file = self._file, None
        self._start, self._since = None, []
        if log is not None:
            log.end()
        return log

    @property
    def error(self) -> WriteFailed | None:
        """Why the running episode's log is written no further."""
        return self._file.error if self._file else None

    @property
    def lost_words(self) -> str:
        """What is said of messages that the running episode's log lacks; "" where there are none."""
        return self._file.lost_words if self._file and self._file.lost else ""

"""Messages of any bag through the synchroniser, from the first moment at which every stream is there.

Two clocks may be in a bag: the one that stamped the messages, and the one that logged them. Where they are the same
(messages were logged within a second of their stamps), the time of a message is that of its log, which was its arrival.
Else (a simulator's clock, a bag that was played) it is the newest stamp so far, and arrivals are not known. Nobody has
to hurry: a tick is given up only when the messages of a whole second after it lack a stream.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from vgil_ros.core.messages.cdr import CdrError, CdrReader
from vgil_ros.core.messages.intake import StreamIntake
from vgil_ros.core.sync import Miss
from vgil_ros.core.sync.synchronizer import FUTURE_NS, OLD_NS
from vgil_ros.datasets.bags.episode import BagEpisode
from vgil_ros.datasets.bags.files import BagMessage
from vgil_ros.datasets.errors import DatasetError

LOOKED_AT = 400  # messages at the beginning, by which the clocks are judged
STAMPED = ("sensor_msgs/msg/", "nav_msgs/msg/", "geometry_msgs/msg/")  # messages that begin with a header
OTHER_CLOCK = "is logged by another clock than that of its headers, so that arrivals are not known"

Topics = Mapping[str, Sequence[StreamIntake]]


def stamp_of(message: BagMessage, intakes: Sequence[StreamIntake]) -> int | None:
    """A message's header stamp (ns); None where it has none, or where it is zero."""
    if not intakes[0].type.startswith(STAMPED):
        return None
    try:
        return CdrReader(message.data).stamp() or None
    except CdrError:
        return None


def logged_by_another_clock(messages: Iterable[BagMessage], topics: Topics) -> bool:
    """Whether the first messages' log times and stamps are too far apart to be of one clock."""
    delays: dict[str, list[int]] = {}
    for message in messages:
        stamp_ns = stamp_of(message, topics[message.topic])
        if stamp_ns is not None:
            delays.setdefault(message.topic, []).append(message.log_ns - stamp_ns)
    usual = [statistics.median(found) for found in delays.values()]
    return bool(usual) and not all(-FUTURE_NS <= delay <= OLD_NS for delay in usual)


class BagSynchronisation:
    """Feeds one episode.

    Args:
        episode: is made; its synchroniser waits long.
        topics: the intakes of each of the bag's topics.
        by_log: whether the log's times are the stamps.
        begin_ns: the first tick is not before this.
    """

    def __init__(self, episode: BagEpisode, topics: Topics, *, by_log: bool, begin_ns: int = 0) -> None:
        self._episode, self._topics, self._by_log, self._begin_ns = episode, topics, by_log, begin_ns
        self._sync = episode.sync
        self._period_ns = episode.recording.contract.period_ns
        self._now_ns = 0
        self._arrived = True
        self._started = False
        self._samples = 0
        self._last_miss: Miss | None = None

    def run(self, messages: Iterable[BagMessage]) -> None:
        """Go through the bag.

        Raises:
            DatasetError: where not one tick is complete; it says what is missing.
        """
        found = (message for message in messages if message.topic in self._topics)
        first = [message for _, message in zip(range(LOOKED_AT), found, strict=False)]
        self._judge(first)
        for message in chain(first, found):
            self._take(message)
            if not self._started:
                self._start()
            if self._started:
                self._sample()
            if self._episode.aborted is not None:
                break
        if self._samples < 2 and self._episode.aborted is None:
            raise DatasetError(f"no row: {'; '.join(self._lacking())}")

    def _judge(self, first: Sequence[BagMessage]) -> None:
        if self._by_log or not logged_by_another_clock(first, self._topics):
            return
        self._arrived = False
        specs = self._sync.streams
        if unstamped := [spec.name for spec in specs if spec.arrival_offset_ns is not None]:
            raise DatasetError(
                f"the bag {OTHER_CLOCK}, and the contract stamps {unstamped} by their arrival; allowed: --stamps log"
            )
        self._episode.notes.append(f"the bag {OTHER_CLOCK}")

    def _take(self, message: BagMessage) -> None:
        intakes = self._topics[message.topic]
        time_ns = message.log_ns if self._arrived else stamp_of(message, intakes)
        self._now_ns = max(time_ns or 0, self._now_ns)  # a few may be in another order
        self._episode.take(intakes, message.data, self._now_ns, arrived=self._arrived)

    def _start(self) -> None:
        newest = [self._sync.newest(spec.name) for spec in self._sync.streams]
        stamps = [found[0] for found in newest if found is not None]
        if len(stamps) == len(newest) and self._now_ns >= self._begin_ns:
            self._started = True
            self._sync.start(max(*stamps, self._begin_ns))

    def _sample(self) -> None:
        while (tick := self._sync.sample(self._now_ns)) is not None:
            if not isinstance(tick, Miss):
                self._samples += 1
                self._episode.push(tick)
            elif self._samples == 0:  # as the recorder does: begin a moment later
                self._last_miss = tick
                self._sync.start(tick.stamp_ns + self._period_ns)
            else:
                self._episode.missed(tick)
            if self._episode.aborted is not None:
                break

    def _lacking(self) -> Iterator[str]:
        yield from self._episode.refused.lines()
        silent = [spec.name for spec in self._sync.streams if self._sync.newest(spec.name) is None]
        if silent := [name for name in silent if name not in self._episode.refused.counts]:
            yield f"no message of {silent}"
        if self._last_miss is not None:
            yield f"no tick was complete, at the last {self._last_miss}"
        elif self._started:
            yield "it is over before two ticks were complete"

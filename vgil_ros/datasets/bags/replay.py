"""Our own raw log, replayed: the same messages at the same times, the same ticks asked for: the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.core.messages.intake import StreamIntake
from vgil_ros.core.sync import Miss
from vgil_ros.datasets.bags.episode import BagEpisode
from vgil_ros.datasets.bags.files import BagMessage
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.episodes.raw_log import events

Topics = Mapping[str, Sequence[StreamIntake]]


class LogReplay:
    """Follows a log's events.

    Args:
        episode: is made.
        topics: the intakes of each of the log's topics.
        logged: the contract's topics in the order in which the log numbers them.

    Attributes:
        end: how the episode ended, as the log says; None where it was cut off before.
    """

    def __init__(self, episode: BagEpisode, topics: Topics, logged: Sequence[Sequence[StreamIntake]]) -> None:
        self._episode, self._topics, self._logged = episode, topics, logged
        self._start: dict[str, Any] | None = None
        self._before: list[list[Any]] = []  # of the messages before the start that are still to come
        self._otherwise = self._lost = 0
        self.end: dict[str, Any] | None = None

    def run(self, messages: Iterable[BagMessage]) -> None:
        """Go through the log.

        Raises:
            DatasetError: where it is no log of a recorder.
        """
        for message in messages:
            if message.topic == events.TOPIC:
                self._event(message)
            elif self._before:
                self._take_before(message)
            elif message.topic in self._topics:
                self._episode.take(self._topics[message.topic], message.data, message.log_ns)
            if self.end is not None or self._episode.aborted is not None:
                break
        if self._start is None:
            raise DatasetError("the log holds no beginning of an episode; it was cut off before its first row")
        self._episode.lacking += self._words()

    def _words(self) -> list[str]:
        words = []
        if self.end is None and self._episode.aborted is None:
            words.append("the log ends before the episode does: the rows up to there are kept")
        if self._lost:
            words.append(f"{self._lost} messages are missing in the log, as it was written too slowly")
        if self._otherwise:
            words.append(f"{self._otherwise} ticks do not come out as they were recorded")
        return words

    def _event(self, message: BagMessage) -> None:
        try:
            event = events.decode(message.data)
            handle = {"start": self._begin, "tick": self._tick, "lost": self._miss, "end": self._finish}
            handle[event["event"]](event, message.log_ns)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise DatasetError(f"an event of the recorder cannot be read ({type(error).__name__}: {error})") from error

    def _begin(self, event: dict[str, Any], log_ns: int) -> None:
        self._start, self._before = event, list(event["before"])
        self._episode.sync.restore(event["state"])  # what is too old for the scene must not come in
        self._episode.sync.start(log_ns)
        if not self._before:
            self._start_ticks()

    def _take_before(self, message: BagMessage) -> None:
        """A message from before the ticks began: what was believed of it then is believed now."""
        topic, taken = self._before.pop(0)
        for intake in self._logged[topic]:
            if intake.spec.name in taken:
                if intake.guard is not None:
                    intake.guard.reset()
                self._episode.take((intake,), message.data, message.log_ns)
        if not self._before:
            self._start_ticks()

    def _start_ticks(self) -> None:
        assert self._start is not None
        state = self._start["state"]
        for intake in self._episode.intakes:
            if intake.guard is not None:
                intake.guard.restore(state["guards"][intake.spec.name])
        self._episode.sync.start(self._start["now"])
        self._episode.sync.restore(state)

    def _tick(self, event: dict[str, Any], log_ns: int) -> None:
        if event.get("miss") == "abort":
            return  # the end says why; a clock that was set comes out of no bag
        tick = self._episode.sync.sample(event["by"])
        if tick is None or tick.stamp_ns != event["stamp"] or isinstance(tick, Miss) != ("miss" in event):
            self._otherwise += 1
        if isinstance(tick, Miss):
            self._episode.missed(tick)
        elif tick is not None and event.get("taken", True):
            self._episode.push(tick, event.get("marker", 0.0))
        elif tick is not None:
            self._episode.sink.skip(tick, event.get("marker", 0.0))

    def _miss(self, event: dict[str, Any], log_ns: int) -> None:
        self._lost += int(event["count"])

    def _finish(self, event: dict[str, Any], log_ns: int) -> None:
        self.end = event
        self._episode.aborted = event["aborted"]


def beginning(messages: Iterable[BagMessage]) -> int:
    """When the ticks of a log's episode began (ns); 0 where it does not say so."""
    for message in messages:
        if message.topic == events.TOPIC:
            try:
                return int(events.decode(message.data)["now"])
            except (VgilError, KeyError, ValueError, TypeError):
                break
        break
    return 0


def recorded_with(ours: Mapping[str, str]) -> dict[str, Any]:
    """What a log says of the recorder's parameters, as `Recording` takes them.

    Raises:
        DatasetError: where it does not say so.
    """
    try:
        return {
            "task": ours["task"],
            "image_format": ours["image_format"],
            "quality": int(ours["jpeg_quality"]),
            "jpeg_order": ours["jpeg_order"],
            "words": dict(json.loads(ours.get("words", "{}"))),
        }
    except (KeyError, ValueError) as error:
        raise DatasetError(f"the raw log's metadata cannot be read ({type(error).__name__}: {error})") from error

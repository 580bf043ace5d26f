"""One episode that is made of a bag: the synchroniser and the writer of a recorder, and what is said beside."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import JointError, Layout
from vgil_ros.core.messages.intake import StreamIntake, intakes_of
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.writing.sink import EpisodeEnd, EpisodeSink, Recording

WAIT_S = 0.002  # until the writer may have room again
ALL_OF_IT = 4096  # samples that a stream may keep: a bag has no memory that runs full before the tick is ripe


@dataclass
class Refused:
    """What was wrong with the messages of one stream: the words, and how many there were."""

    words: dict[str, str] = field(default_factory=dict)  # the first of each stream
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, stream: str, words: str) -> None:
        """A message was not used."""
        self.words.setdefault(stream, words)
        self.counts[stream] += 1

    def lines(self) -> list[str]:
        """In words, a line for each stream."""
        return [
            f"{stream}: {count} message{'s' if count > 1 else ''} not used: {self.words[stream]}"
            for stream, count in self.counts.items()
        ]


class BagEpisode:
    """Takes messages and ticks as a recorder does, and waits for its disk where that could not.

    Attributes:
        sync, intakes: the synchroniser, and the way into it.
        refused: what was not used.
        notes: what one should know of it, in words.
        lacking: why it is not whole, in words.
        aborted: why it goes on no further; None where it does.
    """

    def __init__(self, recording: Recording, sync: Synchronizer) -> None:
        self.recording, self.sync = recording, sync
        self.intakes = intakes_of(recording.contract, sync)
        self.refused = Refused()
        self.notes: list[str] = []
        self.lacking: list[str] = []
        self.aborted: str | None = None
        observations = ObservationBuilder(Layout(recording.contract), recording.streams)
        self.sink = EpisodeSink(recording, observations)
        self.sink.open()

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self.sink.rows

    def take(self, intakes: Sequence[StreamIntake], data: bytes, now_ns: int, *, arrived: bool = True) -> None:
        """Take a message; see `StreamIntake.take`. What does not fit is remembered in `refused`."""
        for intake in intakes:
            try:
                _, fault = intake.take(data, now_ns, arrived=arrived)
            except VgilError as error:
                self.refused.add(intake.spec.name, error.detail if isinstance(error, JointError) else str(error))
            else:
                if fault is not None:
                    self.refused.add(intake.spec.name, fault.message)

    def push(self, sample: Sample, marker: float = 0.0) -> None:
        """Write a tick; where that fails, the episode is aborted."""
        while self.sink.full:
            time.sleep(WAIT_S)
        try:
            self.sink.push(sample, marker)
        except VgilError as error:
            self.aborted = str(error)

    def missed(self, miss: Miss) -> None:
        """Leave a tick out, or end the episode, as the contract says."""
        if miss.action == "drop":
            self.sink.dropped += 1
        else:
            self.aborted = str(miss)

    def close(self, success: bool | None, label: Any, warnings: Sequence[str], **attributes: Any) -> EpisodeEnd | None:
        """Save it; None where it had no row."""
        return self.sink.close(success, label=label, aborted=self.aborted, warnings=warnings, **attributes).result()

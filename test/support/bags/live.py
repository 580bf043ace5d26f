"""A recorder without ROS: the same parts in the same order, by a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np

from support.bags.messages import Sent
from vgil_ros.assets import load_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.messages.intake import by_topic, intakes_of
from vgil_ros.core.streams import streams_of
from vgil_ros.core.sync import Miss, Synchronizer
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.raw_log.log_file import LoggedTopic
from vgil_ros.episodes.raw_log.raw_log import RawLog, kept_ns
from vgil_ros.episodes.writing.sink import EpisodeEnd, EpisodeSink, Recording

NOT_THE_SAME = ("created", "software", "from_bag")  # attributes


class LiveRecorder:
    """Records one episode with its raw log, as `nodes.recorder` does."""

    def __init__(self, contract: Path, folder: Path, *, lose: Callable[[int], bool] = lambda tick: False) -> None:
        """Prepare.

        Args:
            contract: its file.
            folder: where the episode goes.
            lose: which ticks' rows are left out, as of a disk that is too slow.
        """
        self.contract, text = load_contract(str(contract))
        streams = streams_of(self.contract)
        self.sync = Synchronizer(streams, self.contract.sync, self.contract.rate_hz)
        self.intakes = intakes_of(self.contract, self.sync)
        recording = Recording(self.contract, text, streams, folder, task="lift", min_free_bytes=0)
        self.sink = EpisodeSink(recording, ObservationBuilder(Layout(self.contract), streams))
        kinds = {intake.spec.topic: intake.type for intake in self.intakes}
        metadata = {"contract": text, "task": "lift", "image_format": "jpeg", "jpeg_quality": "90"}
        metadata |= {"jpeg_order": "contract", "simulated": "false"}
        topics = [LoggedTopic(topic, topic, kind) for topic, kind in kinds.items()]
        self.log = RawLog(topics, metadata, kept_ns(self.contract, streams))
        self.lose, self.samples, self.aborted = lose, 0, ""

    def record(self, sent: Iterable[Sent], begin_ns: int, end_ns: int, steps: Sequence[int]) -> EpisodeEnd | None:
        """Let time pass: messages arrive, the node steps at these times, the episode runs from `begin_ns` on."""
        topics = by_topic(self.intakes)
        moments = [(one.arrival_ns, 0, one) for one in sent] + [(at, 1, None) for at in steps]
        running = False
        self.sync.start(moments[0][0])
        for now, _, one in sorted(moments, key=lambda moment: moment[:2]):
            if one is not None:
                taken = []
                for intake in topics[one.topic]:
                    try:
                        own, _ = intake.take(one.data, now)
                    except VgilError:
                        own = False
                    taken += [intake.spec.name] if own else []
                self.log.message(one.topic, now, one.data, tuple(taken))
                continue
            self._step(now, running)
            if self.aborted or now >= end_ns:
                break
            if not running and now >= begin_ns:
                running = True
                self._start(now)
                self.sink.open()
        how = {"success": None, "aborted": self.aborted or None, "warnings": ()}
        log = self.log.end(now, how)
        return self.sink.close(**how, log=log).result()

    def _start(self, now: int) -> None:
        self.sync.start(now)
        guards = {intake.spec.name: intake.guard.state() for intake in self.intakes if intake.guard is not None}
        self.log.began(now, {**self.sync.state(), "guards": guards})

    def _step(self, now: int, running: bool) -> None:
        while (tick := self.sync.sample(now)) is not None:
            if not running or self.aborted:
                continue
            if isinstance(tick, Miss):
                if self.samples == 0:
                    self._start(now)
                    continue
                self.log.tick(now, now, tick)
                if tick.action == "abort":
                    self.aborted = str(tick)
                else:
                    self.sink.dropped += 1
                continue
            self.samples += 1
            taken = not (self.samples > 2 and self.lose(tick.tick))
            if taken:
                self.sink.push(tick, 0.0)
            else:
                self.sink.skip(tick, 0.0)
            self.log.tick(now, now, tick, taken=taken)
            if self.sink.part is not None:
                self.log.open(self.sink.part)


def differences(one: Path, other: Path) -> list[str]:
    """What is not the same in two episodes, bit by bit; their time of creation aside."""
    with h5py.File(one) as a, h5py.File(other) as b:
        names: list[list[str]] = [[], []]
        for file, found in zip((a, b), names, strict=True):
            file.visititems(lambda name, item, found=found: found.append(name))  # type: ignore[misc]
        wrong = sorted(set(names[0]) ^ set(names[1]))
        for name in sorted(set(names[0]) & set(names[1])):
            if isinstance(a[name], h5py.Dataset):
                x, y = a[name][()], b[name][()]
                same = x.shape == y.shape and x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()
                wrong += [] if same else [name]
        keys = (set(a.attrs) | set(b.attrs)) - set(NOT_THE_SAME)
        wrong += [f"attribute {key}" for key in sorted(keys) if not _same(a.attrs.get(key), b.attrs.get(key))]
    return wrong


def _same(one: object, other: object) -> bool:
    if one is None or other is None:
        return one is other
    a, b = np.asarray(one), np.asarray(other)
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f"))

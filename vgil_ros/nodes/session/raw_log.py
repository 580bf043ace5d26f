"""A recorder's raw log: what the node hands to it, and what the operator hears of it."""

from __future__ import annotations

import json
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.episodes.raw_log.log_file import LogFile, LoggedTopic
from vgil_ros.episodes.raw_log.raw_log import RawLog, kept_ns
from vgil_ros.episodes.writing.sink import EpisodeSink
from vgil_ros.extras import need
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.subscriptions import StreamInputs


class RecorderLog:
    """Logs one recorder's episodes. Where it fails, the episode goes on without it, and that is said.

    Args:
        node: the recorder.
        inputs: its subscriptions; all that comes on them is logged.
        sync: its synchroniser.
        sink: what it writes to.
        wanted: False makes one that does nothing.

    Raises:
        MissingDependency: where what compresses it is not installed.
    """

    def __init__(
        self, node: VgilNode, inputs: StreamInputs, sync: Synchronizer, sink: EpisodeSink, *, wanted: bool
    ) -> None:
        self._node, self._inputs, self._sync, self._sink = node, inputs, sync, sink
        self._failed: str | None = None  # why the episode at hand has no log
        self._log: RawLog | None = None
        if not wanted:
            return
        need("raw_log:=true", "zstandard")
        recording = sink.recording
        metadata = {
            "contract": recording.contract_text,
            "image_format": recording.image_format,
            "jpeg_quality": str(recording.quality),
            "jpeg_order": recording.jpeg_order,
            "simulated": str(node.simulated).lower(),
        }
        kinds = {intake.spec.topic: intake.type for intake in inputs.intakes}
        topics = [LoggedTopic(topic, node.resolve_topic_name(topic), kind) for topic, kind in kinds.items()]
        inputs.tap = self._log = RawLog(topics, metadata, kept_ns(recording.contract, recording.streams))

    def began(self, now_ns: int) -> None:
        """The ticks of an episode begin, for the first time or anew."""
        if self._log is None:
            return
        guards = {i.spec.name: i.guard.state() for i in self._inputs.intakes if i.guard is not None}
        self._log.began(now_ns, {**self._sync.state(), "guards": guards})
        self._failed = None

    def tick(self, by_ns: int, tick: Sample | Miss, *, marker: float = 0.0, taken: bool = True) -> None:
        """A tick came out, and was taken or not; see `RawLog.tick`."""
        if self._log is None:
            return
        self._log.tick(self._node.now_ns(), by_ns, tick, marker=marker, taken=taken)
        if self._sink.part is None or self._failed is not None:
            return
        try:
            recording = self._sink.recording  # its words may be others in each episode
            self._log.open(self._sink.part, {"task": recording.task, "words": json.dumps(dict(recording.words))})
        except VgilError as error:
            self._failed = str(error)

    def end(self, **values: Any) -> LogFile | None:
        """The episode is over: return its log, to be closed or discarded with it."""
        return self._log.end(self._node.now_ns(), values) if self._log else None

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the running episode's log."""
        if self._log is None:
            return ()
        words = self._failed or str(self._log.error or "") or self._log.lost_words
        return (Problem("raw log", words),) if words else ()

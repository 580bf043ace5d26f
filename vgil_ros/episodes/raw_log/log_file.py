"""The file of one raw log: messages go in from the node's thread and never wait; a thread of its own compresses them.

A chunk ends twice a second at least, so that a killed recorder loses no more. Where the processor does not keep up,
chunks are not compressed; where that does not help, or the disk is too slow, messages are left out, counted, and the
place is marked.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vgil_ros import __version__
from vgil_ros.core.messages.definitions import definition
from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import DiskFull, WriteFailed
from vgil_ros.episodes.raw_log import events
from vgil_ros.episodes.raw_log.mcap_writer import McapWriter
from vgil_ros.episodes.writing import disk

CHUNK_S = 0.5
CHUNK_BYTES = 8 * disk.MIB
HURRY_BYTES = 16 * disk.MIB  # so much waits, and chunks are not compressed: that takes ten times the processor
QUEUE_BYTES = 96 * disk.MIB  # messages that may wait
STOP_FREE = 2 * disk.STOP_FREE  # the log ends first, and leaves the episode its room


@dataclass(frozen=True)
class LoggedTopic:
    """A topic of the contract: its name there and on the network, and its messages' type."""

    topic: str
    resolved: str
    type: str


class LogFile:
    """Writes one log, into a `.part`; end it by `close` or `discard`.

    Attributes:
        part: the file.
        error: why nothing more is written; None while it is.
        lost: messages that were left out.
    """

    def __init__(
        self,
        part: Path,
        topics: Sequence[LoggedTopic],
        metadata: Mapping[str, str],
        *,
        queue_bytes: int = QUEUE_BYTES,
        stop_free: int = STOP_FREE,
    ) -> None:
        """Begin a file.

        Args:
            part: where; what lies there is lost.
            topics: whose messages will come.
            metadata: what is known beside them.
            queue_bytes: that may wait to be written.
            stop_free: bytes that are left free on the disk.

        Raises:
            WriteFailed: where it cannot be made.
        """
        self.part = part
        self.error: WriteFailed | None = None
        self.lost = 0
        self._lost_before = 0  # of them, those that the file tells of
        self._most, self._stop_free = queue_bytes, stop_free
        self._put_bytes = self._done_bytes = 0  # one is counted by each thread
        self._queue: queue.SimpleQueue[tuple[str, int, bytes] | None] = queue.SimpleQueue()
        try:
            self._file: BinaryIO = part.open("wb", buffering=0)
        except OSError as error:
            raise WriteFailed(f"{part}: cannot be made ({error.strerror}); no raw log is kept") from error
        try:
            self._writer = McapWriter(self._file, profile="ros2", library=f"vgil_ros {__version__}")
            self._writer.metadata(events.METADATA, {"format": events.FORMAT, **metadata})
            self._channels = {one.topic: self._channel(one) for one in topics}
            own = LoggedTopic(events.TOPIC, events.TOPIC, events.TYPE)
            self._channels[events.TOPIC] = self._channel(own)
            self._lock = naming.hold(part)
        except OSError as error:
            self._file.close()
            part.unlink(missing_ok=True)
            raise WriteFailed(f"{part}: cannot be made ({error.strerror}); no raw log is kept") from error
        self._sound_bytes = self._file.tell()
        self._thread = threading.Thread(target=self._run, name="raw-log", daemon=True)
        self._thread.start()

    def _channel(self, one: LoggedTopic) -> int:
        schema = self._writer.schema(one.type, "ros2msg", definition(one.type).encode())
        metadata = {"offered_qos_profiles": "", events.CONTRACT_TOPIC: one.topic}
        return self._writer.channel(one.resolved, schema, "cdr", metadata)

    def message(self, topic: str, now_ns: int, data: bytes) -> None:
        """Take a message of one of the topics; it is left out where too much waits already."""
        if self.error is not None:
            return
        if self._put_bytes - self._done_bytes > self._most:
            self.lost += 1
            return
        self._tell_lost(now_ns)
        self._put(topic, now_ns, data)

    def event(self, now_ns: int, data: bytes) -> None:
        """Take an event; it is never left out."""
        if self.error is None:
            self._tell_lost(now_ns)
            self._put(events.TOPIC, now_ns, data)

    def _tell_lost(self, now_ns: int) -> None:
        """Mark the place where messages are missing."""
        if self.lost > self._lost_before:
            count, self._lost_before = self.lost - self._lost_before, self.lost
            self._put(events.TOPIC, now_ns, events.encode("lost", {"count": count}))

    def _put(self, topic: str, now_ns: int, data: bytes) -> None:
        self._put_bytes += len(data)
        self._queue.put((topic, now_ns, data))

    @property
    def lost_words(self) -> str:
        """What is said of messages that were left out."""
        return f"{self.lost} messages are left out, the disk or the processor is too slow for the raw log"

    def end(self) -> None:
        """Nothing more comes: write what waits, beside whatever is done until `close`."""
        self._queue.put(None)

    def close(self, final: Path) -> None:
        """Give the file its name, once everything is in it. After `end`.

        Raises:
            WriteFailed: where it was not written to its end, or the name is taken; what there is stays as `.part`.
        """
        self._thread.join()
        try:
            if self.error is not None:
                raise self.error
            naming.publish(self.part, final)
        except OSError as error:
            raise WriteFailed(f"{self.part}: could not be renamed to {final.name} ({error.strerror})") from error
        finally:
            os.close(self._lock)

    def discard(self) -> None:
        """Throw the file away. After `end`."""
        self._thread.join()
        with contextlib.suppress(OSError):
            self.part.unlink(missing_ok=True)
        os.close(self._lock)

    def _run(self) -> None:
        due = time.monotonic() + CHUNK_S
        while True:
            with contextlib.suppress(queue.Empty):
                item = self._queue.get(timeout=max(0.0, due - time.monotonic()))
                if item is None:
                    break
                topic, now_ns, data = item
                self._guard(self._writer.message, self._channels[topic], now_ns, data)
                self._done_bytes += len(data)
                del item, data  # an image is not kept until the next comes
            if time.monotonic() >= due or self._writer.chunk_bytes >= CHUNK_BYTES:
                self._guard(self._end_chunk)
                due = time.monotonic() + CHUNK_S
        self._guard(self._finish)
        self._file.close()

    def _guard(self, step: Callable[..., None], *arguments: Any) -> None:
        """Run a step; what goes wrong is kept for the node's thread, in words."""
        if self.error is not None:
            return
        try:
            step(*arguments)
        except WriteFailed as error:
            self.error = error
        except Exception as error:
            why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            self.error = WriteFailed(f"{self.part}: {why}; the raw log ends here, the episode goes on")
        if self.error is not None:
            with contextlib.suppress(OSError):  # half a chunk is of use to nobody
                self._file.truncate(self._sound_bytes)

    def _end_chunk(self) -> None:
        self._need_room()
        self._writer.end_chunk()
        self._writer.compress = self._put_bytes - self._done_bytes < HURRY_BYTES
        self._sound_bytes = self._file.tell()

    def _finish(self) -> None:
        self._need_room()
        self._writer.finish()
        os.fsync(self._file.fileno())
        self._sound_bytes = self._file.tell()

    def _need_room(self) -> None:
        free = disk.free_bytes(self.part.parent)
        if free < self._stop_free:
            raise DiskFull(
                f"{self.part}: {free / disk.MIB:.0f} MiB free, less than the {self._stop_free / disk.MIB:.0f} MiB that"
                " are kept for the episode; the raw log ends here, the episode goes on"
            )

"""A writer of MCAP files whose chunks end when they are told to: a killed process loses what came since.

Messages are compressed as they come and never copied; the file is whole after each chunk but for its summary, without
which readers go through it from the front, as `mcap recover` does. Source: https://mcap.dev/spec
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from vgil_ros.extras import needed_by

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = range(0x0B, 0x10)
COMPRESSION = "zstd"
LEVEL = 1  # raw images of a camera lose little of their size beyond it, and a core is busy with it
_MESSAGE = struct.Struct("<BQHIQQ")  # opcode, length, channel, sequence, log time, publish time
_MESSAGE_HEAD = 2 + 4 + 8 + 8


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def _sized(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def _map(values: Mapping[str, str]) -> bytes:
    return _sized(b"".join(_text(key) + _text(value) for key, value in values.items()))


def _record(opcode: int, *parts: bytes) -> bytes:
    return struct.pack("<BQ", opcode, sum(map(len, parts))) + b"".join(parts)


@dataclass
class _Chunk:
    """The chunk that is being filled."""

    compressor: Any  # None where it stays as it is
    parts: list[bytes] = field(default_factory=list)  # as they go into the file
    size: int = 0  # not compressed
    crc: int = 0
    first_ns: int = 0
    last_ns: int = 0
    index: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # by channel: (log time, offset)

    def add(self, data: bytes) -> None:
        self.crc = zlib.crc32(data, self.crc)
        self.size += len(data)
        self.parts.append(data if self.compressor is None else self.compressor.compress(data))

    @property
    def compression(self) -> str:
        """Its name in the file."""
        return "" if self.compressor is None else COMPRESSION


class McapWriter:
    """Writes one file, from one thread. End it by `finish`.

    Attributes:
        count: messages so far, those of the open chunk among them.
        compress: whether the chunks to come are compressed.
    """

    def __init__(self, file: BinaryIO, *, profile: str, library: str, level: int = LEVEL) -> None:
        """Begin a file.

        Args:
            file: open for writing, at its start.
            profile: "ros2".
            library: who writes.
            level: of zstd.

        Raises:
            MissingDependency: without the package `zstandard`.
            OSError: where the disk does not take it.
        """
        with needed_by("a raw log"):
            import zstandard
        self._file, self._at = file, 0
        self._compressor = zstandard.ZstdCompressor(level=level)
        self._chunk: _Chunk | None = None
        self._schemas: list[bytes] = []
        self._channels: list[bytes] = []
        self._chunks: list[bytes] = []
        self._metadata: list[bytes] = []
        self._counts: dict[int, int] = {}
        self._span: tuple[int, int] | None = None
        self.count = 0
        self.compress = True
        self._write(MAGIC, _record(HEADER, _text(profile), _text(library)))

    @property
    def chunk_bytes(self) -> int:
        """Bytes in the chunk that is open, before compression."""
        return self._chunk.size if self._chunk else 0

    def schema(self, name: str, encoding: str, data: bytes) -> int:
        """Tell of a kind of messages; return its number."""
        number = len(self._schemas) + 1
        parts = (struct.pack("<H", number), _text(name), _text(encoding), _sized(data))
        self._schemas.append(_record(SCHEMA, *parts))
        self._write(self._schemas[-1])
        return number

    def channel(self, topic: str, schema: int, encoding: str, metadata: Mapping[str, str]) -> int:
        """Tell of a topic; return its number."""
        number = len(self._channels) + 1
        parts = (struct.pack("<HH", number, schema), _text(topic), _text(encoding), _map(metadata))
        self._channels.append(_record(CHANNEL, *parts))
        self._counts[number] = 0
        self._write(self._channels[-1])
        return number

    def metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Write words by their names."""
        record = _record(METADATA, _text(name), _map(values))
        self._metadata.append(_record(METADATA_INDEX, struct.pack("<QQ", self._at, len(record)), _text(name)))
        self._write(record)

    def message(self, channel: int, log_ns: int, data: bytes) -> None:
        """Add a message to the open chunk."""
        chunk = self._chunk
        if chunk is None:
            compressor = self._compressor.compressobj() if self.compress else None
            chunk = self._chunk = _Chunk(compressor, first_ns=log_ns, last_ns=log_ns)
        chunk.first_ns, chunk.last_ns = min(log_ns, chunk.first_ns), max(log_ns, chunk.last_ns)
        chunk.index.setdefault(channel, []).append((log_ns, chunk.size))
        chunk.add(_MESSAGE.pack(MESSAGE, _MESSAGE_HEAD + len(data), channel, 0, log_ns, log_ns))
        chunk.add(data)
        self._counts[channel] += 1
        self.count += 1

    def end_chunk(self) -> None:
        """Bring the open chunk into the file.

        Raises:
            OSError: where the disk does not take it.
        """
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            return
        if chunk.compressor is not None:
            chunk.parts.append(chunk.compressor.flush())
        size = sum(map(len, chunk.parts))
        head = struct.pack("<QQQI", chunk.first_ns, chunk.last_ns, chunk.size, chunk.crc) + _text(chunk.compression)
        start, length = self._at, 9 + len(head) + 8 + size
        indexes = {channel: _message_index(channel, places) for channel, places in chunk.index.items()}
        offsets, at = b"", start + length
        for channel, index in indexes.items():
            offsets += struct.pack("<HQ", channel, at)
            at += len(index)
        opening = struct.pack("<BQ", CHUNK, length - 9) + head + struct.pack("<Q", size)
        self._write(opening, *chunk.parts, *indexes.values())
        self._chunks.append(
            _record(
                CHUNK_INDEX,
                struct.pack("<QQQQ", chunk.first_ns, chunk.last_ns, start, length),
                _sized(offsets),
                struct.pack("<Q", at - start - length),
                _text(chunk.compression),
                struct.pack("<QQ", size, chunk.size),
            )
        )
        first, last = self._span or (chunk.first_ns, chunk.last_ns)
        self._span = min(first, chunk.first_ns), max(last, chunk.last_ns)

    def finish(self) -> None:
        """Write what is open, and the summary that readers find their way by.

        Raises:
            OSError: where the disk does not take it.
        """
        self.end_chunk()
        self._write(_record(DATA_END, struct.pack("<I", 0)))
        start, summary, offsets = self._at, b"", b""
        groups = (
            (SCHEMA, self._schemas),
            (CHANNEL, self._channels),
            (STATISTICS, [self._statistics()]),
            (CHUNK_INDEX, self._chunks),
            (METADATA_INDEX, self._metadata),
        )
        for opcode, records in groups:
            group = b"".join(records)
            if group:
                offsets += _record(SUMMARY_OFFSET, struct.pack("<BQQ", opcode, start + len(summary), len(group)))
            summary += group
        footer = struct.pack("<BQQQ", FOOTER, 20, start, start + len(summary))
        crc = zlib.crc32(footer, zlib.crc32(summary + offsets))
        self._write(summary, offsets, footer, struct.pack("<I", crc), MAGIC)

    def _statistics(self) -> bytes:
        counts = b"".join(struct.pack("<HQ", channel, count) for channel, count in self._counts.items())
        numbers = (self.count, len(self._schemas), len(self._channels), 0, len(self._metadata), len(self._chunks))
        return _record(STATISTICS, struct.pack("<QHIIII", *numbers), struct.pack("<QQ", *(self._span or (0, 0))),
                       _sized(counts))  # fmt: skip

    def _write(self, *parts: bytes) -> None:
        for part in parts:
            self._at += len(part)
            view = memoryview(part)
            while view:  # a file without a buffer may take less
                view = view[self._file.write(view) :]


def _message_index(channel: int, places: Iterable[tuple[int, int]]) -> bytes:
    entries = b"".join(struct.pack("<QQ", log_ns, offset) for log_ns, offset in places)
    return _record(MESSAGE_INDEX, struct.pack("<H", channel), _sized(entries))

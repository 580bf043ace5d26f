"""An MCAP of an episode, gone through once: messages of rows are kept, of images the places, a few bytes each.

Source: https://mcap.dev/spec
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.episodes.raw_log import events
from vgil_ros.episodes.raw_log import mcap_writer as mcap
from vgil_ros.episodes.raw_log.recovery import read_map, read_records, read_text
from vgil_ros.extras import needed_by

MOST_BYTES = 1 << 30  # of a chunk, unpacked
KEPT_CHUNKS = 2
OWN = "/vgil_ros/episode"  # topics of the rows: number for number as they are in the episode
FORMAT = "vgil_ros/episode/1"
ALLOWED = "as `vgil dataset convert --to mcap` writes it"


class Place(NamedTuple):
    """Where a message lies: its chunk by its place in the file, and its bytes in the unpacked chunk.

    Places are in the order of the file.
    """

    chunk: int
    start: int
    stop: int


class McapIndex:
    """The messages of a file, by topic, in the file's order.

    Attributes:
        about: the file's own words.
        types: of each topic's messages.
    """

    def __init__(self, path: Path) -> None:
        """Go through it.

        Raises:
            DatasetError: it is no MCAP of ours, damaged, or cut off.
        """
        self.path = path
        self.about: dict[str, str] = {}
        self.types: dict[str, str] = {}
        self._rows: dict[str, list[bytes]] = {}
        self._places: dict[str, list[Place]] = {}
        self._channels: dict[int, str] = {}
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        with needed_by("reading an MCAP"):
            import zstandard
        self._unpack = zstandard.ZstdDecompressor()
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
        try:
            self._survey()
        except DatasetError:
            self._file.close()
            raise
        except Exception as error:  # whatever is wrong in a damaged file
            self._file.close()
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> DatasetError:
        return DatasetError(f"{self.path}: is damaged or cut off ({why}); allowed: {ALLOWED}")

    def _survey(self) -> None:
        if self._file.read(len(mcap.MAGIC)) != mcap.MAGIC:
            raise DatasetError(f"{self.path}: does not begin as an MCAP; allowed: {ALLOWED}")
        if self._file.seek(-len(mcap.MAGIC), 2) and self._file.read() != mcap.MAGIC:
            raise self._damaged("no end; one is needed")
        self._file.seek(len(mcap.MAGIC))
        schemas: dict[int, str] = {}
        for opcode, content in read_records(self._file):
            if opcode == mcap.SCHEMA:
                schemas[struct.unpack_from("<H", content)[0]] = read_text(content, 2)[1]
            elif opcode == mcap.CHANNEL:
                number, schema = struct.unpack_from("<HH", content)
                topic = self._channels[number] = read_text(content, 4)[1]
                self.types.setdefault(topic, schemas.get(schema, ""))
            elif opcode == mcap.METADATA:
                end, name = read_text(content, 0)
                self.about |= read_map(content, end) if name == events.METADATA else {}
            elif opcode == mcap.CHUNK:
                self._check_kind()
                self._walk(self._file.tell() - len(content), self._unpacked(content))
        self._check_kind()

    def _check_kind(self) -> None:
        if self.about.get("format") != FORMAT:
            raise DatasetError(
                f"{self.path}: is an MCAP of another kind; allowed: {ALLOWED}; recordings: `vgil episodes from-bag`"
            )

    def _unpacked(self, content: bytes) -> bytes:
        size, crc = struct.unpack_from("<QI", content, 16)
        at, compression = read_text(content, 28)
        if size > MOST_BYTES:
            raise self._damaged(f"a chunk of {size} bytes; up to {MOST_BYTES} are read")
        packed = content[at + 8 :]
        data: bytes = self._unpack.decompress(packed, max_output_size=size) if compression else packed
        if crc and zlib.crc32(data) != crc:
            raise self._damaged("another checksum than a chunk needs")
        return data

    def _walk(self, chunk: int, data: bytes) -> None:
        at = 0
        while at + 9 <= len(data):
            opcode, length = struct.unpack_from("<BQ", data, at)
            start, stop = at + 9 + 22, at + 9 + length
            if opcode == mcap.MESSAGE:
                if stop > len(data) or start > stop:
                    raise self._damaged("a message longer than its chunk; needed: within it")
                topic = self._channels.get(struct.unpack_from("<H", data, at + 9)[0], "")
                if topic.startswith(f"{OWN}/"):
                    self._rows.setdefault(topic, []).append(data[start:stop])
                else:
                    self._places.setdefault(topic, []).append(Place(chunk, start, stop))
            at = stop

    def rows(self, topic: str) -> list[bytes]:
        """The messages of a topic under `OWN`."""
        return self._rows.get(topic, [])

    def places(self, topic: str) -> list[Place]:
        """Where the messages of another topic lie; `read` gives the bytes of each."""
        return self._places.get(topic, [])

    def read(self, place: Place) -> bytes:
        """A message's bytes.

        Raises:
            DatasetError: the file has changed since it was opened.
        """
        data = self._chunks.get(place.chunk)
        if data is None:
            self._file.seek(place.chunk - 8)
            (length,) = struct.unpack("<Q", self._file.read(8))
            data = self._chunks[place.chunk] = self._unpacked(self._file.read(length))
            while len(self._chunks) > KEPT_CHUNKS:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(place.chunk)
        return data[place.start : place.stop]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> McapIndex:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

"""Bags on disk: MCAP and sqlite3, whole or cut off, one file or a folder of them, compressed or not.

Messages come in the order of the file, which is that of their arrival but for a few. What is found of a bag that was
cut off comes out as of a whole one; `cut` says afterwards where it ended.
Source: https://mcap.dev/spec; ros2/rosbag2, `rosbag2_storage_sqlite3` and `rosbag2_compression`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import yaml

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.episodes.raw_log import events
from vgil_ros.extras import needed_by

MCAP, SQLITE, ZSTD, ROS1 = b"\x89MCAP0\r\n", b"SQLite format 3\0", b"\x28\xb5\x2f\xfd", b"#ROSBAG V2.0"
INFORMATION = "metadata.yaml"


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag.

    Attributes:
        name: as it was on the network.
        type: of its messages, such as "sensor_msgs/msg/Image".
        encoding: of their bytes; "cdr" can be read.
        contract_topic: in our own logs, its name in the contract.
    """

    name: str
    type: str
    encoding: str
    contract_topic: str | None = None


class BagMessage(NamedTuple):
    """A message: its topic, when it was logged, its bytes."""

    topic: str
    log_ns: int
    data: bytes


Progress = Callable[[Iterator[BagMessage], int | None], Any]


class BagFile(Protocol):
    """One file of a bag."""

    cut: str | None

    def topics(self) -> dict[str, BagTopic]:
        """Its topics, by name."""

    def count(self) -> int | None:
        """How many messages it says that it holds; None where it does not."""

    def messages(self) -> Iterator[BagMessage]:
        """Its messages, in the order of the file."""


class McapFile:
    """An MCAP file, read from the front: its summary is only asked what there is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut: str | None = None
        self._channels: dict[str, BagTopic] | None = None
        self._count: int | None = None

    def topics(self) -> dict[str, BagTopic]:
        """From the summary; without one, from the whole file."""
        if self._channels is None:
            self._channels, self._count = self._summary() or (None, None)
        if self._channels is None:
            self._channels = {}
            for _ in self._records():
                pass  # which finds every channel on its way
        return self._channels

    def count(self) -> int | None:
        """From the summary."""
        self.topics()
        return self._count

    def words(self) -> dict[str, str]:
        """What we have written of a file of ours, the recorder or a conversion; {} where it is somebody else's."""
        from mcap import records
        from mcap.stream_reader import StreamReader

        with self.path.open("rb") as file, contextlib.suppress(Exception):
            for record in StreamReader(file, emit_chunks=True).records:
                if isinstance(record, records.Metadata) and record.name == events.METADATA:
                    return dict(record.metadata)
                if isinstance(record, records.Chunk | records.Message | records.DataEnd):
                    break
        return {}

    def messages(self) -> Iterator[BagMessage]:
        """All of them, up to the end or to where it was cut off."""
        names: dict[int, str] = {}
        for record, channel in self._records():
            if channel is not None:
                names[record.id] = channel.name
            else:
                yield BagMessage(names[record.channel_id], record.log_time, record.data)

    def _summary(self) -> tuple[dict[str, BagTopic], int | None] | None:
        from mcap.reader import SeekingReader

        with self.path.open("rb") as file, contextlib.suppress(Exception):  # whatever is wrong with it, there is none
            summary = SeekingReader(file).get_summary()
            if summary is not None and summary.channels:
                found = [_topic(channel, summary.schemas) for channel in summary.channels.values()]
                count = summary.statistics.message_count if summary.statistics else None
                return {topic.name: topic for topic in found}, count
        return None

    def _records(self) -> Iterator[tuple[Any, BagTopic | None]]:
        """Each channel with its topic, each message with None; `cut` is known when it ends."""
        from mcap import records
        from mcap.stream_reader import StreamReader

        self.cut, schemas, ended, last_ns = None, {}, False, 0
        with self.path.open("rb") as file:
            try:
                for record in StreamReader(file, validate_crcs=True).records:
                    if isinstance(record, records.Schema):
                        schemas[record.id] = record
                    elif isinstance(record, records.Channel):
                        topic = _topic(record, schemas)
                        if self._channels is not None:
                            self._channels.setdefault(topic.name, topic)
                        yield record, topic
                    elif isinstance(record, records.Message):
                        last_ns = max(record.log_time, last_ns)
                        yield record, None
                    ended = isinstance(record, records.Footer)
            except Exception as error:  # whatever the reader stumbles over in a file that was cut off
                self.cut = _cut_words(self.path, file.tell(), error)
        if not ended and self.cut is None:
            self.cut = _cut_words(self.path, self.path.stat().st_size, None)


def _topic(channel: Any, schemas: dict[int, Any]) -> BagTopic:
    schema = schemas.get(channel.schema_id)
    kind = schema.name if schema is not None else ""
    if kind.count("/") == 1:
        kind = kind.replace("/", "/msg/")
    return BagTopic(channel.topic, kind, channel.message_encoding, channel.metadata.get(events.CONTRACT_TOPIC))


def _cut_words(path: Path, at: int, error: Exception | None) -> str:
    why = "" if error is None or not str(error) else f" ({type(error).__name__}: {error})"
    return f"{path.name}: cut off or damaged at {at / 1e6:.1f} of {path.stat().st_size / 1e6:.1f} MB{why}"


class SqliteFile:
    """A rosbag2 of sqlite3, read by its rows' numbers: the index of time may lie in a part that is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut: str | None = None

    def topics(self) -> dict[str, BagTopic]:
        """From its table.

        Raises:
            DatasetError: where that cannot be read.
        """
        try:
            with self._open() as base:
                rows = base.execute("SELECT name, type, serialization_format FROM topics").fetchall()
        except sqlite3.Error as error:
            raise DatasetError(f"{self.path}: topics cannot be read, it is damaged or no rosbag2 ({error})") from error
        return {name: BagTopic(name, kind, encoding) for name, kind, encoding in rows}

    def count(self) -> int | None:
        """From its last row's number: to count would read all of it."""
        with contextlib.suppress(sqlite3.Error), self._open() as base:
            found = base.execute("SELECT max(id) FROM messages").fetchone()[0]
            return int(found) if found is not None else 0
        return None

    def messages(self) -> Iterator[BagMessage]:
        """All of them, up to the first that cannot be read."""
        self.cut, done = None, 0
        try:
            with self._open() as base:
                names = dict(base.execute("SELECT id, name FROM topics"))
                for topic, log_ns, data in base.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id"):
                    done += 1
                    if topic in names:
                        yield BagMessage(names[topic], log_ns, bytes(data))
        except sqlite3.Error as error:
            self.cut = f"{self.path.name}: cut off or damaged after {done} messages ({error})"

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        base = sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True)
        try:
            base.execute("PRAGMA writable_schema = ON")  # else a file that is shorter than it says is refused whole
            yield base
        finally:
            base.close()


class Bag:
    """A bag: a file, or a folder of files that follow each other. To be closed, or used with `with`.

    Attributes:
        path: as it was given.
        notes: what is not as it should be with its files, in words; whole only after `messages`.
    """

    def __init__(self, path: Path) -> None:
        """Find its files.

        Raises:
            DatasetError: where there is no bag, or one of another kind.
            MissingDependency: without the package `mcap`.
        """
        self.path = path
        self.notes: list[str] = []
        self._unpacked = tempfile.TemporaryDirectory(prefix="vgil_bag_")
        with needed_by("reading bags"):
            import mcap  # noqa: F401
            import zstandard

            self._zstd = zstandard.ZstdDecompressor()
        try:
            information = _information(path)
            self._files = [self._open(file) for file in _files(path, information, self.notes)]
        except BaseException:
            self.close()
            raise
        self._by_message = str(information.get("compression_mode", "")).lower() == "message"

    def _open(self, path: Path) -> BagFile:
        with path.open("rb") as file:
            head = file.read(16)
            if head.startswith(ZSTD):
                unpacked = Path(self._unpacked.name) / path.stem
                file.seek(0)
                with unpacked.open("wb") as out:
                    try:
                        self._zstd.copy_stream(file, out)
                    except Exception as error:  # what there is of it is unpacked
                        self.notes.append(f"{path.name}: cut off or damaged ({error})")
                return self._open(unpacked)
        if head.startswith(MCAP):
            return McapFile(path)
        if head.startswith(SQLITE):
            return SqliteFile(path)
        if head.startswith(ROS1):
            raise DatasetError(f"{path}: is a bag of ROS 1; allowed: ROS 2 (`rosbags-convert` makes one of it)")
        found = head[:8].hex() or "nothing"
        raise DatasetError(f"{path}: begins with {found}; allowed: an MCAP, or a rosbag2 of MCAP or sqlite3")

    def topics(self) -> dict[str, BagTopic]:
        """Its topics, by name."""
        out: dict[str, BagTopic] = {}
        for file in self._files:
            for name, topic in file.topics().items():
                out.setdefault(name, topic)
        return out

    def count(self) -> int | None:
        """How many messages it says that it holds."""
        counts = [file.count() for file in self._files]
        return None if None in counts else sum(count or 0 for count in counts)

    def ours(self) -> dict[str, str] | None:
        """What our recorder has written of itself; None where the bag is somebody else's."""
        found = self.words()
        return found if found.get("format") == events.FORMAT else None

    def words(self) -> dict[str, str]:
        """What we have written of a file of ours; {} where the bag is somebody else's."""
        return self._files[0].words() if len(self._files) == 1 and isinstance(self._files[0], McapFile) else {}

    def messages(self, progress: Progress | None = None) -> Iterator[BagMessage]:
        """All of them, in the order of the files.

        Args:
            progress: wraps them, such as `tqdm`; it is told how many there are.
        """
        found = self._messages()
        yield from progress(found, self.count()) if progress else found

    def _messages(self) -> Iterator[BagMessage]:
        for file in self._files:
            for message in file.messages():
                if self._by_message and message.data.startswith(ZSTD):
                    yield message._replace(data=self._zstd.decompress(message.data))
                else:
                    yield message
            if file.cut is not None:
                self.notes.append(file.cut)

    def close(self) -> None:
        """Remove what was unpacked."""
        self._unpacked.cleanup()

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _information(path: Path) -> dict[str, Any]:
    """What rosbag2 says of a folder; {} where it does not, as of one that was cut off."""
    place = path / INFORMATION
    with contextlib.suppress(OSError, yaml.YAMLError, AttributeError):
        found = yaml.safe_load(place.read_text(encoding="utf-8")).get("rosbag2_bagfile_information")
        return found if isinstance(found, dict) else {}
    return {}


def _files(path: Path, information: dict[str, Any], notes: list[str]) -> list[Path]:
    """The files of a bag, in their order; what is missing among them is added to the notes."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DatasetError(f"{path}: no such file or folder")
    named = [path / Path(str(name)).name for name in information.get("relative_file_paths") or ()]
    there = [file for file in named if file.is_file()]
    if there:
        notes += [f"{file.name}: is listed in {INFORMATION} and missing" for file in named if file not in there]
    else:
        found = (file for pattern in ("*.mcap*", "*.db3*") for file in path.glob(pattern))
        there = sorted((f for f in found if not f.name.endswith(("-wal", "-shm", "-journal"))), key=_by_number)
    if not there:
        raise DatasetError(
            f"{path}: no bag in this folder; allowed: .mcap or .db3 files, with {INFORMATION} or without"
        )
    return there


def _by_number(path: Path) -> tuple[int, str]:
    """Of `NAME_10.db3` 10: rosbag2 numbers the files that follow each other."""
    number = path.name.partition(".")[0].rpartition("_")[2]
    return (int(number) if number.isdigit() else 0, path.name)

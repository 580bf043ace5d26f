"""Bags on disk: by our own writer, and by `rosbags`, as others make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from support.bags.messages import TYPES, Sent
from vgil_ros.core.messages.definitions import definition
from vgil_ros.episodes.raw_log.mcap_writer import McapWriter

CHUNK = 1 << 15


def mcap(
    path: Path,
    sent: Iterable[Sent],
    *,
    names: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str = "cdr",
    finish: bool = True,
) -> Path:
    """Write an MCAP, each topic under another name or type where that is asked for."""
    channels: dict[str, int] = {}
    with path.open("wb", buffering=0) as file:
        writer = McapWriter(file, profile="ros2", library="test")
        for one in sent:
            if one.topic not in channels:
                kind = {**TYPES, **(types or {})}[one.topic]
                schema = writer.schema(kind, "ros2msg", definition(kind).encode())
                channels[one.topic] = writer.channel((names or {}).get(one.topic, one.topic), schema, encoding, {})
            writer.message(channels[one.topic], one.arrival_ns, one.data)
            if writer.chunk_bytes > CHUNK:
                writer.end_chunk()
        writer.end_chunk()
        if finish:
            writer.finish()
    return path


def rosbag2(folder: Path, sent: Iterable[Sent], storage: str, names: Mapping[str, str], compress: str = "") -> Path:
    """Write a rosbag2 with `rosbags`.

    Args:
        folder: the bag; it must not exist.
        sent: its messages.
        storage: "mcap" or "sqlite3".
        names: each topic's in the bag.
        compress: "file", "message" or "".
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if compress:
        writer.set_compression(CompressionMode[compress.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {
            topic: writer.add_connection(names.get(topic, topic), kind, typestore=store)
            for topic, kind in TYPES.items()
        }
        for one in sent:
            writer.write(connections[one.topic], one.arrival_ns, one.data)
    return folder

"""An episode as an MCAP of ROS 2 messages: the same episode gives the same bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import vgil_ros
from vgil_ros.core.contract import Contract
from vgil_ros.core.messages.definitions import definition
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.mcap_episodes import reader, topics
from vgil_ros.datasets.mcap_episodes.index import FORMAT
from vgil_ros.datasets.mcap_episodes.topics import CameraTopics, Stream
from vgil_ros.datasets.pieces import Piece, names_in_set, place
from vgil_ros.datasets.schema import Shape
from vgil_ros.datasets.stored import COLUMNS, column
from vgil_ros.episodes import naming
from vgil_ros.episodes.raw_log import events
from vgil_ros.episodes.raw_log.mcap_writer import McapWriter
from vgil_ros.episodes.view import Episode

FILE = f"episode{naming.LOG}"
CHUNK_BYTES = 4 << 20  # what has to be unpacked to reach one image


class McapSink:
    """One MCAP an episode.

    Args:
        images: "kept" (JPEGs as they are stored, all else as pixels), "png" or "raw".
        rate_hz: where the source does not store it.
    """

    def __init__(self, images: str, rate_hz: float | None) -> None:
        self._images, self._rate = images, rate_hz

    def make(self, episode: Episode, folder: Path) -> dict[str, Any]:
        """Write the file of an episode."""
        contract, stamps = topics.contract_of(episode), self._stamps(episode)
        cameras = topics.camera_topics(episode, contract)
        streams = self._streams(episode, contract, cameras)
        with (folder / FILE).open("wb", buffering=0) as file:
            writer = McapWriter(file, profile="ros2", library=f"vgil_ros {vgil_ros.__version__}")
            writer.metadata(events.METADATA, self._about(episode, cameras))
            channels: dict[tuple[str, str], int] = {}
            for row, tick_ns in enumerate(stamps.tolist()):
                for message in chain.from_iterable(stream(row, tick_ns) for stream in streams):
                    key = message.topic, message.type
                    if key not in channels:
                        schema = writer.schema(message.type, "ros2msg", definition(message.type).encode())
                        channels[key] = writer.channel(message.topic, schema, "cdr", {"offered_qos_profiles": ""})
                    writer.message(channels[key], message.log_ns, message.data)
                if writer.chunk_bytes >= CHUNK_BYTES:
                    writer.end_chunk()
            writer.finish()
            os.fsync(file.fileno())
        return {}

    def _streams(
        self, episode: Episode, contract: Contract | None, cameras: Mapping[str, CameraTopics]
    ) -> list[Stream]:
        streams = topics.row_streams(episode)
        streams += [] if contract is None else topics.robot_streams(episode, contract)
        streams += [topics.image_stream(episode, name, cameras[name], self._images) for name in episode.camera_names]
        return streams + [topics.depth_stream(episode, name, cameras[name]) for name in episode.depth_names]

    def _stamps(self, episode: Episode) -> np.ndarray:
        """(T,) the ticks; even ones, from one period on, where the source has none: a stamp of 0 is none.

        Raises:
            DatasetError: nobody knows the rate.
        """
        rate, stamps = episode.rate_hz or self._rate, column(episode, "stamp_ns")
        if rate is None:
            raise DatasetError(f"{episode.path}: the layout '{episode.layout}' stores no rate; say it (--rate HZ)")
        return np.rint(np.arange(1, episode.rows + 1) * (1e9 / rate)).astype(np.int64) if stamps is None else stamps

    def _about(self, episode: Episode, cameras: Mapping[str, CameraTopics]) -> dict[str, str]:
        """The file's own words: what is no message."""
        shape = Shape.of(episode, self._rate).model_copy(update={"contract": None})
        values = {name: column(episode, name) for name in COLUMNS}
        attributes = shape.told(episode)
        beside = {"rate_hz": shape.rate_hz, "robot": episode.robot, "task": episode.task,
                  "joint_names": episode.joint_names, "streams": episode.streams or None}  # fmt: skip
        attributes |= {key: value for key, value in beside.items() if value is not None}
        return {
            "format": FORMAT,
            "contract": str(episode.attrs.get("contract", "")),
            "task": episode.task or "",
            "attributes": json.dumps(attributes, ensure_ascii=False),
            "columns": json.dumps({name: one.dtype.str for name, one in values.items() if one is not None}),
            "cameras": json.dumps({name: [cameras[name].pixels, cameras[name].file] for name in episode.camera_names}),
            "depths": json.dumps({name: [cameras[name].pixels, cameras[name].file] for name in episode.depth_names}),
            "vectors": json.dumps({name: topics.vector_topic(i) for i, name in enumerate(episode.vector_names)}),
        }

    def open_piece(self, folder: Path, facts: Mapping[str, Any]) -> Episode:
        """Open what was written."""
        return reader.open_episode(folder / FILE)

    def assemble(self, pieces: Sequence[Piece], out: Path) -> list[str]:
        """Each file under its episode's own name, or by number where that is no name for one of ours."""
        names = names_in_set(pieces)
        for piece, name in zip(pieces, names, strict=True):
            place(piece.folder / FILE, out / f"{name}{naming.LOG}")
        return names

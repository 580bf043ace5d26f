"""Bags that hold a camera's files alone, as image_transport names them: `TOPIC/compressed` in place of `TOPIC`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import cv2
import numpy as np

from vgil_ros.core.contract import Camera, Contract
from vgil_ros.core.messages import encode
from vgil_ros.core.messages.cdr import CdrReader
from vgil_ros.core.messages.intake import CAMERAS
from vgil_ros.datasets.bags.files import BagMessage, BagTopic
from vgil_ros.datasets.bags.topics import contract_topic
from vgil_ros.datasets.mcap_episodes.topics import SWAPPED

FILES = CAMERAS["compressed"][0]
HEAD = 512  # bytes of a message that its header and format lie within


def with_compressed(contract: Contract, topics: Mapping[str, BagTopic], renames: Mapping[str, str]) -> Contract:
    """The contract as the bag has its cameras: one of type `image` that lies there as files is `compressed`."""
    there = {contract_topic(topic, renames): topic for topic in topics.values()}

    def as_there(camera: Camera) -> Camera:
        name, files = f"/{camera.topic.strip('/')}", f"/{camera.topic.strip('/')}/compressed"
        if camera.type != "image" or name in there or files not in there or there[files].type != FILES:
            return camera
        return camera.model_copy(update={"type": "compressed", "topic": files})

    return contract.model_copy(update={"cameras": tuple(map(as_there, contract.cameras))})


def in_usual_colours(messages: Iterable[BagMessage]) -> Iterator[BagMessage]:
    """Files whose red and blue are exchanged, as the format says (our own JPEGs for the peers' readers), as PNG."""
    mark = SWAPPED.encode()
    for message in messages:
        yield message if mark not in message.data[:HEAD] else message._replace(data=_png(message.data))


def _png(data: bytes) -> bytes:
    """A CompressedImage of a JPEG that decodes to RGB as one of a PNG; what is something else stays."""
    reader = CdrReader(data)
    stamp_ns, frame, kind = reader.stamp(), reader.string(), reader.string()
    if kind != SWAPPED:
        return data
    rgb = cv2.imdecode(np.frombuffer(reader.take(reader.u32()), np.uint8), cv2.IMREAD_COLOR)
    if rgb is None:
        return data  # damaged: the intake says so
    png = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    return encode.compressed(stamp_ns, "png", png.tobytes(), frame)

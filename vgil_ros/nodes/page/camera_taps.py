"""Taps on a robot's cameras, for the pictures of a page: open only while somebody looks, read at the page's pace.

Nothing is asked of the recorder or of a policy: a tap is one more listener of the camera's topic. It is not spun by
the executor, but asked for its newest image when a picture is due: of 30 images a second, those that nobody will see
are never copied into Python. A JPEG goes through as it came; what is raw is encoded once, for all viewers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2

from vgil_ros.core.contract import Camera, Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import Frame
from vgil_ros.core.messages.cdr import read_compressed, read_image
from vgil_ros.episodes.image_codec import to_rgb
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.subscriptions import message_class, sensor_qos
from vgil_ros.nodes.page.unspun import unspun_node
from vgil_ros.web.cameras.hub import MOST_HZ

QUALITY = 75
MOST_ROWS = 480  # of a picture that is encoded here: larger ones are made smaller
TYPES = {"image": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}

Put = Callable[[str, bytes, int, float], None]


@dataclass
class _Tap:
    camera: Camera
    subscription: Any
    due_s: float = 0.0


class CameraTaps:
    """The taps of a robot.

    Args:
        node: that listens. Its executor's thread opens, reads and closes.
        contract: the robot.
        put: takes camera, JPEG, stamp (ns) and age (ms).
    """

    def __init__(self, node: VgilNode, contract: Contract, put: Put) -> None:
        self._node, self._put = node, put
        self._cameras = {camera.name: camera for camera in contract.cameras if camera.type in TYPES}
        self._wanted: set[str] = set()  # changed by the page's thread, one name at a time
        self._open: dict[str, _Tap] = {}
        self._ears = unspun_node(node, "_web_images")
        node.background_timer(1.0 / (2.0 * MOST_HZ), self._turn)

    def watch(self, camera: str, on: bool) -> None:
        """Somebody looks from now on, or nobody any more. May be called from any thread."""
        if on:
            self._wanted.add(camera)
        else:
            self._wanted.discard(camera)

    def close(self) -> None:
        """Close every tap."""
        self._wanted.clear()
        self._open.clear()
        self._ears.destroy_node()

    def _turn(self) -> None:
        for name in self._open.keys() - self._wanted:
            self._ears.destroy_subscription(self._open.pop(name).subscription)
        for name in self._wanted - self._open.keys():
            if name in self._cameras:
                self._open[name] = self._opened(self._cameras[name])
        for tap in self._open.values():
            self._read(tap, time.monotonic())

    def _opened(self, camera: Camera) -> _Tap:
        kind = message_class(TYPES[camera.type])
        topic = self._node.resolve_topic_name(camera.topic)
        subscription = self._ears.create_subscription(kind, topic, lambda data: None, sensor_qos(1), raw=True)
        return _Tap(camera, subscription)

    def _read(self, tap: _Tap, now_s: float) -> None:
        if now_s < tap.due_s:
            return
        with tap.subscription.handle:
            taken = tap.subscription.handle.take_message(tap.subscription.msg_type, True)
        if taken is None:
            return
        tap.due_s = max(tap.due_s + 1.0 / MOST_HZ, now_s)
        try:
            stamp_ns, frame = (read_compressed if tap.camera.type == "compressed" else read_image)(taken[0])
            jpeg = encoded(frame)
        except (VgilError, cv2.error) as error:
            self._node.warn_once(f"{tap.camera.name} picture", f"{tap.camera.name}: {error}")
            return
        self._node.clear(f"{tap.camera.name} picture")
        self._put(tap.camera.name, jpeg, stamp_ns, (self._node.now_ns() - stamp_ns) / 1e6)


def encoded(frame: Frame) -> bytes:
    """A JPEG of an image, for looking at: its own where it has one, else a new one, at most `MOST_ROWS` high.

    Raises:
        VgilError: for an encoding that is not one of colour.
    """
    if frame.encoding == "jpeg":
        return bytes(frame.data)
    bgr = frame.array() if frame.encoding == "bgr8" else cv2.cvtColor(to_rgb(frame), cv2.COLOR_RGB2BGR)
    height, width = bgr.shape[:2]
    if height > MOST_ROWS:
        bgr = cv2.resize(bgr, (round(width * MOST_ROWS / height), MOST_ROWS), interpolation=cv2.INTER_AREA)
    whole, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not whole:
        raise VgilError(f"an image of {height}x{width} could not be encoded; allowed: at most 65500 pixels either way")
    return jpeg.tobytes()

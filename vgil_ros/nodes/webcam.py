"""The webcam node: one USB camera of the contract, its own JPEGs passed through with the kernel's capture stamps.

Opening, setting and reading is `robots.webcam`'s; this node publishes what comes, and says how it goes.
"""

from __future__ import annotations

import array
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Camera, Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.base.status import StatusPublisher
from vgil_ros.robots.webcam.capture import Capture
from vgil_ros.robots.webcam.offers import slow_for

IMAGE_QOS = QoSProfile(depth=5)
NEWS_S, STATUS_S = 0.05, 0.2


class Webcam(VgilNode):
    """Publishes a camera's frames from the thread that reads them; everything else is done by the node's own."""

    def __init__(self) -> None:
        super().__init__("webcam")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        doc = "name of a camera in the contract that has a `device`; may be left out where only one has"
        self.camera = _choose(self.contract, self.declare("camera", "", doc=doc))
        if self.simulated:
            raise VgilError("parameter 'use_sim_time' is true; allowed: false, a webcam's frames are of this computer")
        kind: Any = CompressedImage if self.camera.type == "compressed" else Image
        self._out = self.create_publisher(kind, self.camera.topic, IMAGE_QOS)
        self._status_out = StatusPublisher(self, "~/status", self.contract.name)
        self._news: deque[Callable[[], None]] = deque()  # what the capture's thread says
        self._told: set[str] = set()  # faults of the gate that last
        self.capture = Capture(self.camera, self._publish, _Messages(self, self._news))
        if (words := slow_for(self.camera, self.camera.capture_fps, self.contract)) is not None:
            self.log(words, severity="warning")
        self.background_timer(NEWS_S, self._tell)
        self.background_timer(STATUS_S, self._publish_status)
        self.capture.start()

    def _publish(self, image: memoryview, stamp_ns: int) -> None:
        """Called in the capture's thread: a publisher may be used from any, and a frame waits for nothing."""
        data = array.array("B")
        data.frombytes(image)  # the setter checks lists item by item
        if self.camera.type == "compressed":
            message: Any = CompressedImage(format="jpeg", data=data)
        else:
            frame = self.capture.gate.as_frame(image)
            message = Image(height=frame.height, width=frame.width, encoding=frame.encoding, step=frame.step, data=data)
        message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
        message.header.frame_id = self.camera.name
        self._out.publish(message)

    def _tell(self) -> None:
        """Say what the capture's thread has to say."""
        while self._news:
            self._news.popleft()()
        if not self.capture.alive and not self.ended.is_set():
            if self.capture.refusal is not None:
                self.log(str(self.capture.refusal), severity="error")
            self.finish(1 if self.capture.refusal is None else 2)  # the trace of a fault is printed by its thread

    def _watch(self, faults: Mapping[str, str], *, over: bool) -> None:
        """Tell the gate's faults; one that is not there any more is over, or nobody knows as no image comes."""
        name = self.camera.name
        for key in self._told - set(faults):
            (self.clear if over else self.forget)(f"{name}: {key}")
        for key, words in faults.items():
            self.warn_once(f"{name}: {key}", words)
        self._told = set(faults)
        if (lasts := self.capture.hung_s()) is not None:
            words = (
                f"{name}: {self.capture.path} does not answer since {lasts:.0f} s; pull its plug and put it in again"
            )
            self.warn_once(f"{name}: answer", words)
        else:
            self.clear(f"{name}: answer")

    def _publish_status(self) -> None:
        found = self.capture.report()
        self._watch(found.faults, over=found.well)
        level = DiagnosticStatus.WARN if self.active_warnings else DiagnosticStatus.OK
        if not found.well:
            level = DiagnosticStatus.ERROR
        rest = "sending" if found.well else f"waiting for {self.capture.path}"
        figures: dict[str, object] = {"robot": self.contract.name, "camera": self.camera.name}
        figures |= {"device": self.capture.path, "rate_hz": found.rate_hz, "opened": self.capture.opened}
        figures |= {"frames": found.frames, "frames_broken": found.broken, "frames_lost": found.lost}
        if self.capture.format:
            figures["format"] = self.capture.format
        self._status_out.publish(level, "; ".join(self.active_warnings) or rest, figures)

    def on_shutdown(self) -> None:
        """Let go of the device; one that hangs in the kernel ends with the process."""
        if not self.capture.stop():
            self.log(f"{self.camera.name}: {self.capture.path} does not answer; it is left to the end of the process")


class _Messages:
    """What the capture's thread says, kept for the node's: warnings belong to one thread."""

    def __init__(self, node: Webcam, news: deque[Callable[[], None]]) -> None:
        self._node, self._news = node, news

    def log(self, words: str) -> None:
        self._news.append(lambda: self._node.log(words))

    def warn_once(self, key: str, message: str) -> None:
        self._news.append(lambda: self._node.warn_once(key, message))

    def clear(self, key: str) -> None:
        self._news.append(lambda: self._node.clear(key))


def _choose(contract: Contract, name: str) -> Camera:
    """The camera that is meant.

    Raises:
        VgilError: where it is none with a device, or not clear.
    """
    cameras = {camera.name: camera for camera in contract.cameras if camera.device is not None}
    if not cameras:
        raise VgilError(
            f"robot '{contract.name}': no camera has a `device`; allowed: a contract in which one has (`vgil cameras`"
            " prints the lines)"
        )
    if not name and len(cameras) == 1:
        return next(iter(cameras.values()))
    if name not in cameras:
        raise VgilError(f"parameter 'camera' is '{name}'; allowed: {', '.join(cameras)}")
    return cameras[name]


def main() -> None:
    """Entry point of the executable `webcam`."""
    run(Webcam)


if __name__ == "__main__":
    main()

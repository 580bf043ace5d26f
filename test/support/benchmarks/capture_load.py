"""The load of the capture benchmark: four cameras and four joint streams, published until told to end.

Messages are serialised once and their stamps, numbers and positions patched into the bytes, so that publishing costs
as little as it can from Python. Stamps are the planned times of capture; a publisher that is late publishes late but
leaves nothing out. On SIGTERM or SIGINT it prints one line of JSON: what was sent, and how late.
"""

from __future__ import annotations

import argparse
import array
import json
import signal
import struct
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState

from support.benchmarks.frame_code import scenes, write_number

SIZE, CAMERAS, CAMERA_HZ, JOINT_HZ = (480, 640), 4, 50, 200
JOINTS = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper"]
JOINT_TOPICS = [f"/{kind}_{side}/joint_states" for side in ("left", "right") for kind in ("puppet", "master")]
IMAGES = 50
STAMP_AT = 4  # behind the encapsulation header
MARK = 1234.5


def camera_topic(index: int) -> str:
    """Topic of a camera."""
    return f"/cam_{index}/image_raw"


def contract(method: str, camera_hz: int = CAMERA_HZ) -> str:
    """The robot contract of this load, as YAML."""
    lines = ["name: bench_capture", f"rate_hz: {camera_hz}", "arms:"]
    joints = ", ".join(JOINTS)
    bounds = {"lower": [-3.2] * 7, "upper": [3.2] * 7, "velocity": [3.0] * 7}
    for side in ("left", "right"):
        lines += [
            f"  - name: {side}",
            f"    puppet: {{topic: /puppet_{side}/joint_states}}",
            f"    master: {{topic: /master_{side}/joint_states}}",
            f"    command: {{topic: /puppet_{side}/command, type: joint_state}}",
            f"    joints: [{joints}]",
            f"    limits: {{{', '.join(f'{key}: {values}' for key, values in bounds.items())}}}",
            f"    home: {[0.0] * 7}",
        ]
    lines.append("cameras:")
    for i in range(CAMERAS):
        lines.append(f"  - {{name: cam_{i}, topic: {camera_topic(i)}, height: {SIZE[0]}, width: {SIZE[1]}}}")
    lines.append(f"sync: {{method: '{method}', on_miss: drop}}")  # what is lost is counted, and ends nothing
    return "\n".join(lines) + "\n"


class CameraLoad:
    """One camera: ready-made messages, patched and sent."""

    def __init__(self, node: Node, index: int, images: list[np.ndarray]) -> None:
        self._publisher = node.create_publisher(Image, camera_topic(index), QoSProfile(depth=10))
        self._messages = []
        for image in images:
            data = array.array("B", image.tobytes())
            message = Image(height=SIZE[0], width=SIZE[1], encoding="bgr8", step=3 * SIZE[1], data=data)
            message.header.frame_id = f"cam_{index}"
            raw = bytearray(serialize_message(message))
            pixels = np.frombuffer(raw, np.uint8)[-image.size :].reshape(image.shape)
            self._messages.append((raw, pixels))
        self.sent = 0

    def send(self, stamp_ns: int) -> None:
        """Send the next frame."""
        raw, pixels = self._messages[self.sent % len(self._messages)]
        write_number(pixels, self.sent)
        struct.pack_into("<iI", raw, STAMP_AT, *divmod(stamp_ns, 1_000_000_000))
        self._publisher.publish(bytes(raw))
        self.sent += 1


class JointLoad:
    """One joint stream."""

    def __init__(self, node: Node, topic: str) -> None:
        self._publisher = node.create_publisher(JointState, topic, QoSProfile(depth=50))
        message = JointState(name=JOINTS, position=[MARK] * 7, velocity=[0.1] * 7, effort=[0.2] * 7)
        self._raw = bytearray(serialize_message(message))
        self._at = self._raw.find(struct.pack("<d", MARK))

    def send(self, stamp_ns: int, value: float) -> None:
        """Send one state, all joints at `value`."""
        struct.pack_into("<iI", self._raw, STAMP_AT, *divmod(stamp_ns, 1_000_000_000))
        struct.pack_into("<7d", self._raw, self._at, *([value] * 7))
        self._publisher.publish(bytes(self._raw))


def publish(seconds: float, camera_hz: int = CAMERA_HZ) -> dict[str, object]:
    """Publish for so long, or until a signal, and return the figures. Joints come at about 200 Hz."""
    ended: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.append(1))
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = Node("capture_load")
    images = scenes(SIZE, IMAGES)
    cameras = [CameraLoad(node, i, images[i * 5 :] + images[: i * 5]) for i in range(CAMERAS)]
    joints = [JointLoad(node, topic) for topic in JOINT_TOPICS]
    print("ready", flush=True)
    start, origin, worst, late = time.monotonic(), time.time_ns(), 0.0, 0
    every = round(JOINT_HZ / camera_hz)
    cpu, count, joint_hz = time.process_time(), 0, every * camera_hz
    while not ended and count < seconds * joint_hz:
        due = count / joint_hz
        wait = start + due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        worst, late = max(worst, -wait), late + (-wait > 0.02)
        stamp = origin + count * 1_000_000_000 // joint_hz
        for joint in joints:
            joint.send(stamp, float(np.sin(due)))
        for i, camera in enumerate(cameras):
            if count % every == i // 2:  # two cameras at a time, 5 ms apart
                camera.send(stamp)
        count += 1
    took = time.monotonic() - start
    figures = {
        "sent": [camera.sent for camera in cameras],
        "seconds": took,
        "cores": (time.process_time() - cpu) / took,
        "worst_late_ms": worst * 1e3,
        "turns_over_20_ms_late": late,
    }
    rclpy.shutdown()
    return figures


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--camera-hz", type=int, default=CAMERA_HZ)
    given = parser.parse_args()
    print(json.dumps(publish(given.seconds, given.camera_hz)), flush=True)


if __name__ == "__main__":
    main()

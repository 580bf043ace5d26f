"""What the recorder is held against: recording as ALOHA's scripts do it, straightforward rclpy.

Ordinary subscriptions (every message deserialised, converted to numpy, the latest kept), `rclpy.spin` in a thread, a
loop that sleeps for what is left of 20 ms and takes whatever is there, the whole episode in memory, and at the end
(as Mobile ALOHA does) JPEG, padding and HDF5. Same services and same file name as the recorder, so that one benchmark
drives both.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from support.benchmarks.capture_load import CAMERA_HZ, CAMERAS, JOINT_TOPICS, camera_topic

QUALITY = 90


class Peer(Node):
    """Keeps the latest of everything."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.images: dict[str, np.ndarray] = {}
        self.joints: dict[str, Any] = {}
        self.recording = threading.Event()
        self.stopped = threading.Event()
        for i in range(CAMERAS):
            self.create_subscription(Image, camera_topic(i), lambda m, n=f"cam_{i}": self._on_image(n, m), 10)
        for topic in JOINT_TOPICS:
            self.create_subscription(JointState, topic, lambda m, n=topic: self._on_joints(n, m), 10)
        self.create_service(Trigger, "/recorder/start", self._start)
        self.create_service(Trigger, "/recorder/stop", self._stop)

    def _on_image(self, name: str, message: Image) -> None:
        self.images[name] = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)

    def _on_joints(self, name: str, message: JointState) -> None:
        self.joints[name] = (np.array(message.position), np.array(message.velocity), np.array(message.effort))

    def _start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = len(self.images) == CAMERAS and len(self.joints) == len(JOINT_TOPICS)
        if response.success:
            self.recording.set()
        return response

    def _stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.stopped.set()
        response.success = True
        return response


def record(node: Peer) -> list[tuple[dict, dict]]:
    """The loop: take the latest of everything, sleep for the rest of the period."""
    rows, period = [], 1.0 / CAMERA_HZ
    while not node.stopped.is_set():
        begin = time.time()
        rows.append((dict(node.images), dict(node.joints)))
        time.sleep(max(0.0, period - (time.time() - begin)))
    return rows


def write(path: Path, rows: list[tuple[dict, dict]]) -> None:
    """Encode, pad and write a whole episode."""
    part = path.with_suffix(".tmp")
    with h5py.File(part, "w", rdcc_nbytes=1024**2 * 2) as root:
        root.attrs["sim"] = False
        puppets, masters = JOINT_TOPICS[0::2], JOINT_TOPICS[1::2]
        for key, at in (("qpos", 0), ("qvel", 1), ("effort", 2)):
            root[f"observations/{key}"] = np.array([np.concatenate([j[t][at] for t in puppets]) for _, j in rows])
        root["action"] = np.array([np.concatenate([j[t][0] for t in masters]) for _, j in rows])
        for i in range(CAMERAS):
            flags = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
            encoded = [cv2.imencode(".jpg", images[f"cam_{i}"], flags)[1] for images, _ in rows]
            width = max(map(len, encoded))
            padded = np.zeros((len(rows), width), np.uint8)
            for row, data in zip(padded, encoded, strict=True):
                row[: len(data)] = data
            root.create_dataset(f"observations/images/cam_{i}", data=padded, chunks=(1, width))
    os.replace(part, path)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset_dir", type=Path)
    folder = parser.parse_args().dataset_dir
    rclpy.init()
    node = Peer()
    threading.Thread(target=rclpy.spin, args=(node,), daemon=True).start()
    node.recording.wait()
    rows = record(node)
    write(folder / "episode_0.hdf5", rows)
    threading.Event().wait(10.0)  # its memory is looked at before it ends


if __name__ == "__main__":
    main()

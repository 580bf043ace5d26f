"""Four webcam nodes on pretended cameras of 640x480 at 30 Hz (MJPG), a subscriber to each: CPU, and what arrives.

The time of the threads that stand for the cameras is not counted. Printed with the machine's load, as that decides how
late threads wake up.

    PYTHONPATH=test python test/bench/bench_webcam.py [--seconds 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from support import contracts
from support.nodes.bench import Bench
from support.nodes.client import until
from support.process import Process
from support.webcams import FakeWebcams

TICKS = os.sysconf("SC_CLK_TCK")
CAMERAS, FPS, SIZE = 4, 30, (480, 640)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, but for the threads that are cameras."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() != "fake camera":
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Run the nodes, and return what they cost and what arrived."""
    webcams = FakeWebcams(folder / "bench")
    devices = [webcams.add(("format MJPG 640 480 30",), (), SIZE) for _ in range(CAMERAS)]
    size = {"height": SIZE[0], "width": SIZE[1], "fps": FPS}
    cameras = [
        contracts.camera(f"cam_{i}", "compressed", device=str(device.path), **size) for i, device in enumerate(devices)
    ]
    with Bench(folder) as bench:
        bench.environment.update(webcams.environment)
        contract = contracts.write(contracts.small_robot(cameras=cameras), folder / "robot.yaml")
        nodes = []
        for i in range(CAMERAS):
            arguments = ["-p", f"robot:={contract}", "-p", f"camera:=cam_{i}", "-r", f"__node:=webcam_cam_{i}"]
            nodes.append(bench.start(Process, ["vgil_ros.nodes.webcam", "--ros-args", *arguments]))
        images = [bench.client.collect(CompressedImage, camera["topic"]) for camera in cameras]
        for arrived in images:
            until(partial(_many, arrived), "images")
        before = [cpu_seconds(node.popen.pid) for node in nodes]
        counts, began = [len(arrived) for arrived in images], time.monotonic()
        time.sleep(seconds)
        lasted = time.monotonic() - began
        cores = sum(cpu_seconds(node.popen.pid) - was for node, was in zip(nodes, before, strict=True)) / lasted
        rates = [(len(arrived) - count) / lasted for arrived, count in zip(images, counts, strict=True)]
        late = [at * 1e3 - _stamp_ms(message) for arrived in images for at, message in arrived[-FPS:]]
        offset = (time.time() - time.monotonic()) * 1e3
    return {
        "cores": cores,
        "cores_each": cores / CAMERAS,
        "rates_hz": rates,
        "delay_ms_p50_p99": np.percentile(np.array(late) + offset, (50, 99)).tolist(),
        "bytes_each": int(np.mean([len(jpeg) for device in devices for jpeg in device.film])),
        "load_1min": os.getloadavg()[0],
    }


def _many(arrived: list[Any]) -> bool:
    return len(arrived) > FPS


def _stamp_ms(message: CompressedImage) -> float:
    return float(message.header.stamp.sec) * 1e3 + message.header.stamp.nanosec / 1e6


@pytest.mark.bench
def test_four_webcams(tmp_path: Path) -> None:
    print(json.dumps(measure(tmp_path, 20.0), indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        found = measure(Path(made), options.seconds)
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found))

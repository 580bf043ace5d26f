"""What the page costs: a recorder under the load of `bench_capture` at 30 Hz, without the page and with two viewers.

Printed are frames lost, the recorder's and the page's CPU (user and system, in cores), and how old pictures are when
a viewer has them. The viewers are `support.web.viewer`: a browser that draws without a GPU would take the machine.

    PYTHONPATH=test python test/bench/bench_web.py [--seconds 30] [--rounds 2] [--path /record] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import rclpy
from bench.bench_capture import ask, count_frames, cpu_seconds, process, wait_for
from rclpy.node import Node
from support.benchmarks.capture_load import contract
from support.paths import process_environment

from vgil_ros.nodes.dds import profile as transport

CAMERA_HZ, VIEWERS, PORT = 30, 2, 8439


def run(page: bool, seconds: float, folder: Path, path: str) -> dict[str, Any]:
    """Record for so long, with the page and its viewers or without, and return the figures."""
    domain = 40 + os.getpid() % 60
    environment = process_environment(ROS_DOMAIN_ID=str(domain), OMP_NUM_THREADS="1")
    environment |= transport.prepare(os.environ).environment
    robot = folder / "bench_web.yaml"
    robot.write_text(contract("camera:cam_0", CAMERA_HZ))

    def node(name: str, **parameters: Any) -> list[str]:
        given = {"robot": robot, "dataset_dir": folder, **parameters}
        words = [part for key, value in given.items() for part in ("-p", f"{key}:={value}")]
        return [sys.executable, "-m", f"vgil_ros.nodes.{name}", "--ros-args", *words]

    load = [sys.executable, "-m", "support.benchmarks.capture_load", "--camera-hz", str(CAMERA_HZ)]
    rclpy.init(domain_id=domain)
    try:
        asking = Node("bench_web")
        with process(load, environment, stdout=subprocess.PIPE) as publisher:
            assert publisher.stdout is not None
            assert publisher.stdout.readline() == "ready\n"
            with process(node("recorder", keys="false", min_free_gb=0.5), environment) as recorder:
                if page:
                    with process(node("web", port=PORT), environment) as web:
                        figures = _measure(asking, recorder.pid, web.pid, seconds, folder, path, environment)
                else:
                    figures = _measure(asking, recorder.pid, None, seconds, folder, path, environment)
            publisher.send_signal(signal.SIGTERM)
            figures["publisher"] = json.loads(publisher.stdout.readline())
    finally:
        rclpy.shutdown()
    counted = count_frames(folder / "episode_0.hdf5")
    return {"page": page, **figures, **counted, "missing_rows": round(seconds * CAMERA_HZ) - counted["rows"]}


def _measure(
    node: Node, recorder: int, web: int | None, seconds: float, folder: Path, path: str, environment: dict[str, str]
) -> dict[str, Any]:
    viewers: subprocess.Popen[str] | None = None
    if web is not None:
        until_served()
        command = [sys.executable, "-m", "support.web.viewer", f"http://127.0.0.1:{PORT}", path]
        command += [str(VIEWERS), str(seconds + 6.0)]
        viewers = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
        time.sleep(4.0)
    ask(node, "/recorder/start", 60.0)
    before = {pid: cpu_seconds(pid) for pid in (recorder, web) if pid is not None}
    begin = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begin
    cores = {pid: (cpu_seconds(pid) - at) / took for pid, at in before.items()}
    ask(node, "/recorder/stop", 30.0)
    wait_for(folder / "episode_0.hdf5", 60.0)
    figures: dict[str, Any] = {"recorder_cores": cores[recorder]}
    if web is not None and viewers is not None:
        out, _ = viewers.communicate(timeout=60.0)
        figures |= {"web_cores": cores[web], "viewers": json.loads(out)}
    return figures


def until_served(seconds: float = 60.0) -> None:
    import urllib.error
    import urllib.request

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=2.0).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError("the page did not come up")


def bench(seconds: float, rounds: int, path: str) -> list[dict[str, Any]]:
    """Without and with, by turns; each run printed as it ends."""
    found = []
    for _ in range(rounds):
        for page in (False, True):
            with tempfile.TemporaryDirectory() as place:
                found.append(run(page, seconds, Path(place), path))
                print(json.dumps(found[-1]), flush=True)
    return found


@pytest.mark.bench
def test_bench_web(capsys: pytest.CaptureFixture[str]) -> None:
    """No frame is lost beside two viewers; the figures are printed."""
    with capsys.disabled():
        found = bench(10.0, 1, "/record")
    assert [run["lost"] for run in found] == [0, 0]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--path", default="/record")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = bench(given.seconds, given.rounds, given.path)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

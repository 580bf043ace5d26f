"""Capture over DDS: 4 cameras 480x640x3 at 50 Hz and 4 joint streams at 200 Hz from another process, recorded as JPEG.

Every frame carries its number in its pixels; afterwards the file is decoded and the numbers are counted. Printed are
frames lost, CPU (user and system, in cores), peak memory and the time from `stop` to the closed file, for the recorder
and for recording as ALOHA's scripts do it (capture_peer.py, stock DDS settings), and their ratios.

    PYTHONPATH=test python test/bench/bench_capture.py [--seconds 10 60] [--peer-seconds 10] [--method camera:cam_0]
        [--raw-log] [--json FILE]

The peer holds the whole episode in memory: 184 MB a second.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import pytest
import rclpy
from rclpy.node import Node
from std_srvs.srv import Trigger
from support.benchmarks.capture_load import CAMERA_HZ, CAMERAS, contract
from support.benchmarks.frame_code import read_number
from support.paths import process_environment

from vgil_ros.nodes.dds import profile as transport

TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def process(command: list[str], environment: dict[str, str], **options: Any) -> Iterator[subprocess.Popen]:
    """Run a process, and end it at the end."""
    child = subprocess.Popen(command, env=environment, text=True, **options)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int, key: str) -> float:
    """`VmHWM` (peak) or `VmRSS` of a process. Shared memory of DDS counts."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) / 1024


def ask(node: Node, service: str, seconds: float) -> None:
    """Call a Trigger service until it agrees.

    Raises:
        TimeoutError: where it does not in time.
    """
    client: Any = node.create_client(Trigger, service)
    end, words = time.monotonic() + seconds, "not there"
    while time.monotonic() < end:
        if not client.wait_for_service(1.0):
            continue
        future = client.call_async(Trigger.Request())
        rclpy.spin_until_future_complete(node, future, timeout_sec=5.0)
        answer = future.result() if future.done() else None
        if answer is not None and answer.success:
            return
        words = answer.message if answer is not None else "no answer"
        time.sleep(0.2)
    raise TimeoutError(f"{service}: {words}")


def count_frames(path: Path) -> dict[str, Any]:
    """Frames of an episode by their numbers: missing between first and last, repeated, unreadable."""
    lost = repeated = unreadable = rows = size = 0
    with h5py.File(path) as root:
        for i in range(CAMERAS):
            dataset = root[f"observations/images/cam_{i}"]
            found = [read_number(row) for row in dataset]
            if "final_observation" in root:
                found.append(read_number(root[f"final_observation/images/cam_{i}"][:]))
            numbers = [number for number in found if number is not None]
            rows, size = len(dataset), size + dataset.id.get_storage_size()
            unreadable += len(found) - len(numbers)
            lost += max(numbers) - min(numbers) + 1 - len(set(numbers))
            repeated += len(numbers) - len(set(numbers))
        shape = {
            "rows_held": int(root.attrs.get("rows_held", 0)),
            "rows_dropped": int(root.attrs.get("rows_dropped", 0)),
        }
    return {"rows": rows, "lost": lost, "repeated": repeated, "unreadable": unreadable, **shape} | {
        "bytes_per_frame": path.stat().st_size / (rows * CAMERAS)
    }


def wait_for(path: Path, seconds: float) -> None:
    """Wait until a file is there.

    Raises:
        TimeoutError: where it does not come.
    """
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path.name} did not come within {seconds:.0f} s")
        time.sleep(0.002)


def run(
    side: str, seconds: float, folder: Path, method: str = "camera:cam_0", *, raw_log: bool = False
) -> dict[str, Any]:
    """Record with one side ("recorder" or "peer") and return the figures."""
    domain = 40 + os.getpid() % 60
    environment = process_environment(ROS_DOMAIN_ID=str(domain), OMP_NUM_THREADS="1")
    if side == "recorder":
        environment |= transport.prepare(os.environ).environment
        robot = folder / "bench_capture.yaml"
        robot.write_text(contract(method))
        parameters = {"robot": robot, "dataset_dir": folder, "keys": "false", "min_free_gb": 0.5}
        parameters |= {"raw_log": "true"} if raw_log else {}
        command = [sys.executable, "-m", "vgil_ros.nodes.recorder", "--ros-args"]
        command += [part for key, value in parameters.items() for part in ("-p", f"{key}:={value}")]
    else:
        command = [sys.executable, "-m", "support.benchmarks.capture_peer", str(folder)]
    load_command = [sys.executable, "-m", "support.benchmarks.capture_load"]
    rclpy.init(domain_id=domain)
    try:
        node = Node("bench_capture")
        with process(load_command, environment, stdout=subprocess.PIPE) as load:
            assert load.stdout is not None
            assert load.stdout.readline() == "ready\n"
            try:
                with process(command, environment) as subject:
                    figures = _measure(node, subject.pid, seconds, folder / "episode_0.hdf5")
            finally:
                load.send_signal(signal.SIGTERM)
                publisher = json.loads(load.stdout.readline())
                print(f"publisher: {publisher}", file=sys.stderr)  # one that was late explains what was lost
    finally:
        rclpy.shutdown()
    figures = {"side": side, **figures, **count_frames(folder / "episode_0.hdf5")}
    if raw_log:
        wait_for(folder / "episode_0.mcap", 60.0)
        figures["raw_log_mb_per_s"] = (folder / "episode_0.mcap").stat().st_size / 1e6 / seconds
    return figures | {"publisher": publisher, "missing_rows": round(seconds * CAMERA_HZ) - figures["rows"]}


def _measure(node: Node, pid: int, seconds: float, path: Path) -> dict[str, Any]:
    before = os.getloadavg()[0]
    ask(node, "/recorder/start", 60.0)
    idle, cpu, begin = memory_mib(pid, "VmRSS"), cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    used, took = cpu_seconds(pid) - cpu, time.monotonic() - begin
    stop = time.monotonic()
    ask(node, "/recorder/stop", 30.0)
    wait_for(path, 600.0)
    return {
        "seconds": took,
        "cores": used / took,
        "cores_with_stop": (cpu_seconds(pid) - cpu) / took,
        "stop_s": time.monotonic() - stop,
        "idle_rss_mib": idle,
        "peak_rss_mib": memory_mib(pid, "VmHWM"),
        "load_average": [before, os.getloadavg()[0]],
    }


def compare(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """The peer's figures over ours (above 1: ours is better)."""
    keys = ("cores", "cores_with_stop", "peak_rss_mib", "stop_s")
    ratios: dict[str, Any] = {key: peer[key] / ours[key] for key in keys}
    return ratios | {"lost": [ours["lost"], peer["lost"]], "repeated": [ours["repeated"], peer["repeated"]]}


def bench(
    seconds: list[float], peer_seconds: float, method: str, folder: Path | None, *, raw_log: bool = False
) -> dict[str, Any]:
    """Every run, printed as it ends."""
    found: dict[str, Any] = {"runs": []}
    runs = [("recorder", length) for length in seconds] + ([("peer", peer_seconds)] if peer_seconds else [])
    for side, length in runs:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            logged = raw_log and side == "recorder"
            found["runs"].append(run(side, length, Path(place), method, raw_log=logged))
            print(json.dumps(found["runs"][-1]), flush=True)
    if peer_seconds:
        found["peer_over_ours"] = compare(found["runs"][0], found["runs"][-1])
        print(json.dumps(found["peer_over_ours"]), flush=True)
    return found


@pytest.mark.bench
def test_bench_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No frame is lost; the figures are printed."""
    with capsys.disabled():
        found = bench([5.0], 0.0, "camera:cam_0", tmp_path)["runs"][0]
    assert found["unreadable"] == 0
    assert found["lost"] == 0


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0])
    parser.add_argument("--peer-seconds", type=float, default=10.0, help="0 leaves the peer out")
    parser.add_argument("--method", default="camera:cam_0", help="sync.method of the recorder's contract")
    parser.add_argument("--dir", type=Path, help="where to record")
    parser.add_argument("--raw-log", action="store_true", help="with a raw log beside the recorder's episode")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = bench(arguments.seconds, arguments.peer_seconds, arguments.method, arguments.dir, raw_log=arguments.raw_log)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

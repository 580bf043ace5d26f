"""What the page costs a policy: the shipped one on the simulated robot, without the page and with two viewers of Act.

Printed are the policy node's own figures over the last ticks, in ms: how far its turns were from their time (jitter),
how long a turn took (tick), and how long an inference took (latency), each as the median of what its statuses say.

    PYTHONPATH=test python test/bench/bench_web_policy.py [--seconds 30] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from bench.bench_capture import ask, cpu_seconds, process
from bench.bench_web import PORT, VIEWERS, until_served
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from support.paths import process_environment

from vgil_ros.nodes.dds import profile as transport

SHOWN = ("jitter_p50_ms", "jitter_p99_ms", "tick_p99_ms", "latency_p50_ms")
SETTLE_S = 5.0  # statuses before it are not counted


def run(page: bool, seconds: float) -> dict[str, Any]:
    """Run the policy for so long, with the page and its viewers or without, and return the figures."""
    domain = 40 + os.getpid() % 60
    environment = process_environment(ROS_DOMAIN_ID=str(domain), OMP_NUM_THREADS="1")
    environment |= transport.prepare(os.environ).environment
    with tempfile.TemporaryDirectory() as folder:

        def node(name: str, **parameters: Any) -> list[str]:
            words = [part for key, value in parameters.items() for part in ("-p", f"{key}:={value}")]
            return [sys.executable, "-m", f"vgil_ros.nodes.{name}", "--ros-args", *words]

        sim = node("sim", robot="sim_single", task="pick_place", operator="false")
        policy = node("policy", robot="sim_single", checkpoint="sim_pick_place_act")
        rclpy.init(domain_id=domain)
        try:
            with process(sim, environment), process(policy, environment) as acting:
                if not page:
                    return {"page": False, **_measure(acting.pid, seconds)}
                with process(node("web", robot="sim_single", port=PORT, dataset_dir=folder), environment) as web:
                    until_served()
                    command = [sys.executable, "-m", "support.web.viewer", f"http://127.0.0.1:{PORT}", "/act"]
                    command += [str(VIEWERS), str(seconds + SETTLE_S + 30.0)]
                    with process(command, environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
                        time.sleep(4.0)
                        return {"page": True, **_measure(acting.pid, seconds, web.pid)}
        finally:
            rclpy.shutdown()


def _measure(policy: int, seconds: float, web: int | None = None) -> dict[str, Any]:
    node = Node("bench_web_policy")
    statuses: list[dict[str, float]] = []

    def heard(message: DiagnosticStatus) -> None:
        values = {pair.key: pair.value for pair in message.values}
        if values.get("state") == "running":
            statuses.append({key: float(values[key]) for key in SHOWN if values.get(key)})

    ask(node, "/policy/start", 60.0)
    node.create_subscription(DiagnosticStatus, "/policy/status", heard, qos_profile_sensor_data)
    _spin(node, SETTLE_S)
    statuses.clear()
    before, begin = {pid: cpu_seconds(pid) for pid in (policy, web) if pid}, time.monotonic()
    _spin(node, seconds)
    took = time.monotonic() - begin
    cores = [(cpu_seconds(pid) - at) / took for pid, at in before.items()]
    found: dict[str, Any] = {
        key: float(np.median([status[key] for status in statuses if key in status])) for key in SHOWN
    }
    return {**found, "statuses": len(statuses), **dict(zip(("policy_cores", "web_cores"), cores, strict=False))}


def _spin(node: Node, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)


def bench(seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Without and with, by turns; each run printed as it ends."""
    found = []
    for _ in range(rounds):
        for page in (False, True):
            found.append(run(page, seconds))
            print(json.dumps({key: round(value, 3) for key, value in found[-1].items()}), flush=True)
    return found


@pytest.mark.bench
def test_bench_web_policy(capsys: pytest.CaptureFixture[str]) -> None:
    """The policy keeps its time beside two viewers; the figures are printed."""
    with capsys.disabled():
        without, beside = bench(15.0, 1)
    assert beside["jitter_p50_ms"] < 1.1 * without["jitter_p50_ms"] + 0.1


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = bench(given.seconds, given.rounds)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""The control loop on the simulated robot: how long a tick takes without the network, and how even its period is.

A tick is sample, ensemble, safety, encode and publish.

    PYTHONPATH=test python test/bench/bench_control.py --seconds 60 --json FILE

Budgets at 50 Hz: 1 ms p99 a tick, 2 ms p99 of period jitter, on a machine that has the two cores to spare: simulator
and network run beside it. The CPU's time of the loop's own thread is given too; other processes do not lengthen it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from support import checkpoints
from support.nodes.policy_rig import PolicyBench

from vgil_ros.assets import contract_path, load_contract

CHUNK = 100


def measure(seconds: float, robot: str) -> dict[str, Any]:
    """Run simulator and policy for so long, and return the figures in ms."""
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder, PolicyBench(Path(folder)) as bench:
        bench.loaded = ()  # interpreters of their own: a fork's first writes to shared memory pages take time
        checkpoint = checkpoints.make(contract_path(robot), Path(folder) / "checkpoint", chunk_size=CHUNK)
        sim = bench.node("sim", {"robot": robot, "operator": False})
        policy = bench.module(
            "support.benchmarks.measured_policy", {"robot": robot, "checkpoint": checkpoint, "autostart": True}
        )
        policy.expect("the robot will move", timeout=120)
        time.sleep(seconds)
        policy.send(signal.SIGINT)
        found = json.loads(policy.expect("^turns ", timeout=60).text.removeprefix("turns "))
        policy.wait()
        sim.send(signal.SIGINT)
        sim.wait()
    began, wall, cpu = np.array(found["turns"]).T
    period = 1.0 / load_contract(robot)[0].rate_hz
    return {
        "robot": robot,
        "seconds": seconds,
        "turns": len(began),
        "rate_hz": round(1.0 / float(np.diff(began).mean()), 2),
        "load_average": {"before": before[0], "after": os.getloadavg()[0]},
        "tick_ms": figures(wall),
        "tick_cpu_ms": figures(cpu),
        "jitter_ms": figures(np.abs(np.diff(began) - period)),
        "inference_ms": figures(np.array(found["inference"])),
    }


def figures(seconds: np.ndarray) -> dict[str, float]:
    """Percentiles in ms."""
    names = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(seconds * 1e3, q)), 3) for name, q in names.items()}


def show(report: dict[str, Any]) -> None:
    """Print the figures beside their budgets."""
    load = report["load_average"]
    print(f"\n{report['robot']}, {report['turns']} turns at {report['rate_hz']} Hz, load {load['before']:.2f}", end="")
    print(f" before and {load['after']:.2f} after, {os.cpu_count()} cores; ms")
    budgets = {"tick_ms": "budget p99 1.0", "jitter_ms": "budget p99 2.0"}
    for key in ("tick_ms", "tick_cpu_ms", "jitter_ms", "inference_ms"):
        numbers = "  ".join(f"{name} {value:7.3f}" for name, value in report[key].items())
        print(f"  {key:13} {numbers}   {budgets.get(key, '')}")


@pytest.mark.bench
@pytest.mark.parametrize("robot", ["sim_single", "sim_aloha"])
def test_bench_control(robot: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The loop keeps the contract's rate on the whole; the figures are printed."""
    report = measure(20.0, robot)
    with capsys.disabled():
        show(report)
    assert report["turns"] > 100


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--robot", default="sim_single")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    report = measure(arguments.seconds, arguments.robot)
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

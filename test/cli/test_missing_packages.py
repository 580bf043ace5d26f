"""Commands and nodes without an optional package: one line that names what installs it, exit code 2, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.paths import process_environment

for installed in ("rclpy", "torch", "mujoco"):  # each case lacks one of them, and must not meet another's absence first
    pytest.importorskip(installed)

ROS = "rclpy geometry_msgs std_msgs sensor_msgs std_srvs diagnostic_msgs"
BLOCKER = Path(__file__).resolve().parents[1] / "support" / "missing"
CLI, NODE = ("vgil_ros.cli.main",), ("vgil_ros.nodes",)


def run(missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the package where some packages seem not installed, also for the processes that it starts."""
    environment = process_environment(MISSING=missing)
    environment["PYTHONPATH"] = os.pathsep.join((str(BLOCKER), environment["PYTHONPATH"]))
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, env=environment, check=False)


@pytest.mark.parametrize(
    ("missing", "arguments", "words"),
    [
        (ROS, (*CLI, "launch", "record.launch.py"), "node 'recorder' needs rclpy"),
        (ROS, (*CLI, "launch", "sim.launch.py"), "node 'sim' needs rclpy"),
        ("torch", (*CLI, "launch", "policy.launch.py"), "node 'policy' needs torch"),
        ("mujoco", (*CLI, "launch", "record.launch.py", "sim:=true"), "node 'sim' needs mujoco"),
        ("torch", (*CLI, "eval", "--checkpoint", "sim_pick_place_act"), "vgil eval needs torch"),
        ("mujoco", (*CLI, "eval", "--checkpoint", "sim_pick_place_act"), "vgil eval needs mujoco"),
        (ROS, (*CLI, "eval", "--checkpoint", "sim_pick_place_act", "--over-ros"), "vgil eval needs rclpy"),
        ("mujoco", (*CLI, "episodes", "generate", "--out", "nowhere"), "vgil episodes generate needs mujoco"),
        (ROS, (*CLI, "episodes", "replay", "a.hdf5", "--robot", "aloha"), "vgil episodes replay needs rclpy"),
        (ROS, (*CLI, "call", "start"), "vgil call needs std_srvs"),
        (ROS, (*CLI, "status"), "vgil status needs"),
        (ROS, (*CLI, "topics", "--robot", "aloha"), "vgil topics needs rclpy"),
        ("torch", (*CLI, "train"), "training needs torch"),
        ("msgpack", (*CLI, "serve", "--checkpoint", "sim_pick_place_act"), "vgil serve needs msgpack"),
        ("mcap", (*CLI, "episodes", "from-bag", "a.mcap", "--out", "b"), "reading bags needs mcap"),
        ("rclpy", (*NODE, "recorder"), "node 'recorder' needs rclpy"),
        ("torch", (*NODE, "policy"), "node 'policy' needs torch"),
        ("mujoco", (*NODE, "sim"), "node 'sim' needs mujoco"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[1:4]),
)
def test_it_is_one_line(missing: str, arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = run(missing, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert words in line
    assert "pip install 'vgil_ros[" in line


def test_the_doctor_needs_none_of_them() -> None:
    done = run(f"{ROS} torch mujoco", *CLI, "doctor")
    assert done.returncode == 0, done.stderr
    assert "pip install 'vgil_ros[sim]'" in done.stdout


def test_ctrl_c_while_a_node_still_loads_is_no_traceback() -> None:
    command = [sys.executable, "-X", "importtime", "-m", *NODE, "recorder"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=process_environment()
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "h5py" in line:  # in the middle of its imports
            break
    process.send_signal(signal.SIGINT)
    end = time.monotonic() + 60
    said += process.communicate(timeout=60)[0]
    assert time.monotonic() < end
    assert process.returncode == 130, said
    assert "Traceback" not in said

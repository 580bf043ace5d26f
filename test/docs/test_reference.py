"""The reference's tables are what the code says; `PYTHONPATH=. python scripts/generate_reference.py` writes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import generate_reference as reference
import pytest
import read_nodes

from vgil_ros.core.graph import service_names

ROOT = Path(__file__).resolve().parents[2]

WITHOUT_ROS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("rclpy", "std_msgs", "sensor_msgs", "launch"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import generate_reference
print(generate_reference.main())
"""


def test_the_committed_pages_are_what_the_code_gives() -> None:
    stale = [path.name for path, text in reference.pages().items() if path.read_text() != text]
    assert not stale, "write them: PYTHONPATH=. python scripts/generate_reference.py"


def test_it_is_written_without_ros() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROS, "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.stdout.strip() == "0", done.stdout + done.stderr


def test_ranges_choices_and_defaults_are_read() -> None:
    policy, sim = read_nodes.read_node("policy").parameters, read_nodes.read_node("sim").parameters
    assert policy["execution"].choices == ("checkpoint", "temporal_ensemble", "open_loop", "async", "consistent", "rtc")
    assert (policy["soft_start"].default, policy["soft_start"].low, policy["soft_start"].high) == (0.2, 0.001, 1.0)
    assert policy["watchdog_ms"].default == 200.0, "an expression of the code, evaluated"
    assert sim["camera_rate"].high == "`joint_rate`", "a bound that another parameter gives"
    assert not sim["seed"].read_only
    assert all(one.doc for node in service_names.NODES for one in read_nodes.read_node(node).parameters.values())


def test_services_of_a_base_class_are_the_nodes_own() -> None:
    offered = {one.name for one in read_nodes.read_node("recorder").endpoints if one.direction == "offers"}
    commands = ("start", "stop", "discard", "redo", "label_success", "label_failure", "label_unsure")
    assert offered == {f"/recorder/{command}" for command in commands}


def test_a_topic_without_words_ends_the_generator() -> None:
    made = read_nodes.Endpoint("publishes", "std_msgs/Bool", "/sim/new", "'/sim/new'", "vgil_ros.nodes.sim:1")
    with pytest.raises(SystemExit, match=r"vgil_ros\.nodes\.sim:1: say in generate_reference.py what /sim/new is for"):
        reference.endpoint_row("sim", made)


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(SystemExit, match="must stand in the page once"):
        reference.filled("# Nodes\n", "sim", [])

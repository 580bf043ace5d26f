"""A node that the page starts: its output is kept, it is ended by steps, and it does not outlive the page."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from support.nodes.bench import Bench, ros_arguments
from support.nodes.client import until
from support.process import Process

from vgil_ros.nodes.page.child_node import ChildNode

PARENT = """
import sys, threading
from vgil_ros.nodes.page.child_node import ChildNode
child = ChildNode("monitor", sys.argv[1:])
print("child", child.pid, flush=True)
threading.Event().wait()
"""


@pytest.fixture
def at_home(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Children of this process live in the bench's domain."""
    for key, value in bench.environment.items():
        monkeypatch.setenv(key, value)
    return bench


def test_it_runs_until_it_is_ended_and_what_it_says_is_kept(at_home: Bench) -> None:
    child = ChildNode("monitor", ros_arguments({"robot": "sim_single"}))
    statuses = at_home.client.status("/monitor/status")
    until(lambda: statuses, "it runs")
    assert (child.alive, child.ending, child.exit_code) == (True, False, None)
    assert child.end() == 0
    assert (child.alive, child.ending) == (False, True)
    assert child.end() == 0, "who comes second is told the same"


def test_one_that_cannot_run_says_why(at_home: Bench) -> None:
    child = ChildNode("monitor", ros_arguments({"robot": "nobody"}))
    until(lambda: not child.alive, "it has ended")
    assert child.exit_code == 2
    assert any("robot 'nobody' is unknown" in line for line in child.lines)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(bench: Bench, number: int) -> None:
    arguments = ["-c", PARENT, *ros_arguments({"robot": "sim_single"})]
    parent = Process.python(arguments, bench.environment)
    child = int(parent.expect(r"^child \d+").text.split()[1])
    statuses = bench.client.status("/monitor/status")
    until(lambda: statuses, "the child runs")
    parent.send(number)
    parent.wait()
    until(lambda: not Path(f"/proc/{child}").exists(), "the child has ended")
    parent.close()

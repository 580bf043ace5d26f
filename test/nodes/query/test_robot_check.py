"""`vgil robot check` beside a robot one of whose streams dies while it is looked at."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip("rclpy")

from support.nodes.bench import Bench
from support.nodes.client import until
from support.process import Process

SECONDS = 18.0
DIES_S = 10.0  # after it is seen to look, which may be late: the smaller part of the looks are wrong


def test_a_stream_that_dies_in_the_middle_of_the_look_is_no_go(bench: Bench) -> None:
    contract, report = bench.contract(), bench.folder / "report.json"
    robot = bench.robot(contract)
    robot.expect("^ready")
    words = ["robot", "check", str(contract), "--seconds", str(SECONDS), "--json", str(report)]
    check = bench.start(Process, ["vgil_ros.cli.main", *words])
    names = bench.client.node.get_node_names
    until(lambda: any(name.startswith("_vgil_robot_check") for name in names()), "the check listens")
    time.sleep(DIES_S)
    robot.tell("cam_a stop")
    assert check.wait() == 1, check.output
    findings = {one["about"]: one for one in json.loads(report.read_text())["findings"]}
    assert findings["cam_a"]["verdict"] == "no", check.output
    assert "silent" in findings["cam_a"]["words"]
    assert findings["left/puppet"]["verdict"] != "no", check.output

"""Another node that commands the robot: named, the start refused, a running episode held and let go of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from sensor_msgs.msg import JointState
from support import contracts
from support.nodes.client import until
from support.nodes.policy_rig import PolicyBench, PolicyRig, checkpoint_for, robot

TOPIC = "/puppet/command"
WORDS = f"commands on {TOPIC} come from node /client too; only one may command"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[PolicyRig]:
    with PolicyBench(tmp_path) as bench:
        contract = contracts.write(robot(), bench.folder / "robot.yaml")
        yield PolicyRig(bench, contract, checkpoint_for(bench, contract, base=True), autostart=True, reset_time=0.1)


def test_an_intruder_is_named_and_the_policy_holds_once_and_lets_go(rig: PolicyRig) -> None:
    rig.running()
    node, since = rig.bench.client.node, rig.policy.mark()
    came = time.monotonic()
    intruder: Any = node.create_publisher(JointState, TOPIC, 10)
    named = rig.policy.expect(f"{WORDS}: held, and let go of", since=since).at
    assert named < rig.bench.gauge.later(came + 0.5)
    until(lambda: rig.value("state") == "idle", "state")
    until(lambda: node.count_publishers(TOPIC) == 1, "it lets go")
    time.sleep(0.5)
    last = [message for message in rig.commands.on(TOPIC) if message.at > came][-1].at
    assert last < rig.bench.gauge.later(named + 0.2), "nothing is sent any more, though it began by itself before"
    assert not rig.commands.on("/cmd_vel")[-1].values.any(), "the base was left at rest"
    answer = rig.call("start")
    assert not answer.success
    assert WORDS in answer.message
    node.destroy_publisher(intruder)
    rig.run()  # alone again, and told to
    assert rig.assert_allowed() > 0


def test_two_policies_of_one_name_do_not_start(rig: PolicyRig) -> None:
    rig.running()
    rig.estop(True)
    rig.estop(False)
    rig.idle()
    rig.bench.module("vgil_ros.nodes.policy", {"robot": rig.contract, "checkpoint": rig.bench.folder / "checkpoint"})
    rig.policy.expect("another node is called /policy too, a call to its services reaches both")
    since = time.monotonic()
    answer = rig.call("start")
    assert not answer.success
    assert "another node is called /policy too" in answer.message
    time.sleep(0.5)
    assert not rig.commands.moved(since)

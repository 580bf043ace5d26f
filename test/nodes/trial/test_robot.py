"""What a trial sees of a robot, beside a node that answers as a policy does."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from std_srvs.srv import Trigger
from support.nodes.bench import Bench
from support.nodes.client import until

from vgil_ros.nodes.dds.profile import profile_variable
from vgil_ros.nodes.trial.robot import TrialRobot


def test_an_attempt_whose_start_was_interrupted_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes before the policy's answer, which starts all the same; once it rests, the attempt is over."""
    for name in ("ROS_DOMAIN_ID", profile_variable(os.environ)):
        monkeypatch.setenv(name, bench.environment[name])
    state = "idle"

    def start(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        nonlocal state
        state = "running"
        os.kill(os.getpid(), signal.SIGINT)
        response.success = True
        return response

    def tell() -> None:
        status.publish(DiagnosticStatus(level=DiagnosticStatus.OK, values=[KeyValue(key="state", value=state)]))

    node: Any = bench.client.node
    status = node.create_publisher(DiagnosticStatus, "policy/status", 10)
    node.create_service(Trigger, "policy/start", start)
    node.create_timer(0.05, tell)
    robot = TrialRobot(None)
    try:
        until(lambda: robot.ready, "the policy's status")
        assert not robot.has_ended
        with pytest.raises(KeyboardInterrupt):
            robot.start()
        until(lambda: not robot.rests, "it moves")
        assert not robot.has_ended
        state = "idle"
        until(lambda: robot.has_ended, "the end")
    finally:
        robot.close()

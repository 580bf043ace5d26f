"""The page's e-stop reaches whatever moves the robot, whatever hangs beside it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("rclpy")

from support import contracts
from support.nodes.bench import Bench
from support.nodes.client import until
from support.process import Process

# a policy that never answers, or never was, beside a teleop node
ROBOT = r"""
import os, sys, threading, rclpy, rclpy.signals
from std_srvs.srv import SetBool, Trigger
rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
def spin(node):
    rclpy.spin(node, executor=rclpy.executors.SingleThreadedExecutor())
def hang(request, response):
    os.write(1, f"policy asked {request.data}\n".encode())  # whole: two threads write
    threading.Event().wait()
def stop(request, response):
    os.write(1, b"teleop stopped\n")
    response.success, response.message = True, "stopped"
    return response
teleop = rclpy.create_node("teleop")
teleop.create_service(Trigger, "teleop/stop", stop)
if "policy" in sys.argv:
    policy = rclpy.create_node("policy")
    policy.create_service(SetBool, "policy/estop", hang)
    threading.Thread(target=spin, args=(policy,), daemon=True).start()
threading.Thread(target=spin, args=(teleop,), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""
PAGE = """
import asyncio, json, sys, threading
from vgil_ros.assets import load_contract
from vgil_ros.nodes.base.node import VgilNode, run
from vgil_ros.nodes.page.robot import PageLink

class Page(VgilNode):
    def __init__(self):
        super().__init__("web")
        contract, _ = load_contract(CONTRACT)
        self.link = PageLink(self, CONTRACT, contract, lambda *_: None, "", "")
        threading.Thread(target=self.obey, daemon=True).start()
    def obey(self):
        for line in sys.stdin:
            if line.strip() == "services":
                print("services", *sorted(self.link.view().services), flush=True)
            else:
                answer = asyncio.run(self.link.estop(line.strip() == "on"))
                print("answer", json.dumps([answer.ok, answer.message]), flush=True)
run(Page)
"""


class Desk:
    """A page's end of the robot, without the page."""

    def __init__(self, bench: Bench, *robot: str) -> None:
        contract = contracts.write(contracts.small_robot(), bench.folder / "robot.yaml")
        self.robot = Process.python(["-c", ROBOT, *robot], bench.environment)
        bench._started(self.robot)
        self.page = Process.python(["-c", PAGE.replace("CONTRACT", repr(str(contract)))], bench.environment)
        bench._started(self.page)
        self.robot.expect("^ready")

    def sees(self, service: str) -> None:
        """Wait until the page sees a service."""

        def seen() -> bool:
            since = self.page.mark()
            self.page.write("services\n")
            return service in self.page.expect("^services", since=since).text.split()

        until(seen, f"{service} is seen")

    def answer(self, since: int) -> tuple[bool, str]:
        """What the page is told."""
        ok, words = json.loads(self.page.expect("^answer", since=since).text.partition(" ")[2])
        return bool(ok), str(words)


def test_a_policy_that_hangs_does_not_keep_teleop_from_being_stopped(bench: Bench) -> None:
    desk = Desk(bench, "policy")
    desk.sees("policy/estop")
    desk.sees("teleop/stop")
    since = desk.page.mark()
    desk.page.write("on\n")
    desk.robot.expect("^policy asked True")
    desk.robot.expect("^teleop stopped")
    assert not any(line.text.startswith("answer") for line in desk.page.lines[since:]), "before the policy was given up"
    ok, words = desk.answer(since)
    assert not ok
    assert "policy/estop did not answer" in words
    assert "stopped" in words


def test_who_has_just_gone_is_no_failure_and_who_is_alone_is_stopped(bench: Bench) -> None:
    desk = Desk(bench)
    desk.sees("teleop/stop")
    since = desk.page.mark()
    desk.page.write("on\n")
    assert desk.answer(since) == (True, "stopped")
    since = desk.page.mark()
    desk.page.write("off\n")
    ok, words = desk.answer(since)
    assert not ok
    assert "this page can stop nothing" in words

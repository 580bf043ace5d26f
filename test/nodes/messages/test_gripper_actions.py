"""A gripper's action over DDS: wanted positions in at 50 Hz, few goals out, and in words what stands in the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("control_msgs")

import rclpy
from control_msgs.action import GripperCommand
from rclpy.action.client import ActionClient
from rclpy.action.server import ActionServer, GoalResponse
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from support.contracts import ARM, small_robot
from support.nodes.domains import free_domain

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.goal_stream import MOST_HZ
from vgil_ros.core.layout import Layout
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.publishers import RobotCommands
from vgil_ros.nodes.simulator.command_decoders import inputs_of
from vgil_ros.nodes.simulator.gripper_server import GripperServer

TICK_S = 0.02


class Rig:
    """A node that commands, and a driver whose gripper goes its way at `speed` a second."""

    def __init__(self, domain: int, kind: str, serve: bool = True) -> None:
        context = self._context = Context()
        rclpy.init(context=context, domain_id=domain)
        apart = {"topic": "/hand/grip", "type": kind, "range": [0.0, 0.8], "max_effort": 20.0}
        arm = {**ARM, "gripper": {**ARM["gripper"], "command": apart}}
        self.contract = validate(Contract, small_robot(arms=[arm]), "hand.yaml", ContractError)
        self.node = VgilNode("commander", context=context)
        self.driver = Node("driver", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        for node in (self.node, self.driver):
            self.executor.add_node(node)
        self.commands = RobotCommands(self.node, Layout(self.contract), TICK_S)
        self.held = self.stands = np.array([0.0, 0.0, 0.1])
        self.driver.create_timer(0.01, self._move)
        topic, action = inputs_of(self.contract.arms[0])
        self.driver.create_subscription(topic.type, topic.topic, lambda message: self._take(topic, message), 10)
        self.server: GripperServer | None = None
        if serve:
            self.server = GripperServer(self.driver, action, lambda: self.held, lambda: self.stands, self._go)

    def _take(self, given: Any, message: Any) -> None:
        self._go(given.decode(message, self.held))

    def _go(self, position: np.ndarray) -> None:
        self.held = position

    def _move(self) -> None:
        self.stands = self.stands + np.clip(self.held - self.stands, -0.003, 0.003)

    def until(self, done: Callable[[], Any], timeout_s: float = 20.0) -> None:
        end = time.monotonic() + timeout_s
        while not done() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.005)
        assert done()

    def take(self) -> None:
        self.until(lambda: not self.commands.missing_subscribers())
        self.commands.take()
        self.until(self.commands.heard)

    def stream(self, widths: np.ndarray) -> None:
        """Send a width (0..1) a tick."""
        due = time.monotonic()
        for width in widths:
            self.commands.send(self.commands.encode(np.array([0.1, 0.2, width])))
            due += TICK_S
            while (left := due - time.monotonic()) > 0:
                self.executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        self.commands.let_go()
        if self.server is not None:
            self.server.destroy()
        self.executor.shutdown()
        self.node.destroy_node()
        self.driver.destroy_node()
        rclpy.try_shutdown(context=self._context)


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with free_domain() as domain:  # one each: two types by one name are never on one
        made = Rig(domain, *getattr(request, "param", ("gripper_command",)))
        yield made
        made.close()


@pytest.mark.parametrize("rig", [("gripper_command",), ("parallel_gripper_command",)], indirect=True)
def test_a_second_of_closing_is_a_few_goals_and_ends_where_it_was_wanted(rig: Rig) -> None:
    assert rig.server is not None
    rig.take()
    closing = np.concatenate([np.linspace(1.0, 0.0, 50), np.zeros(25)])
    began = time.monotonic()
    rig.stream(closing)
    goals = rig.server.goals
    assert 3 <= goals <= MOST_HZ * (time.monotonic() - began) + 1
    rig.until(lambda: abs(rig.stands[2] - 0.02) < 2e-3)
    assert np.allclose(rig.held[:2], [0.1, 0.2]), "the arm's own command goes its own way"
    rig.stream(np.zeros(25))
    assert rig.server.goals == goals, "a hold sends nothing"
    assert not rig.node.active_warnings


@pytest.mark.parametrize("rig", [("gripper_command", False)], indirect=True)
def test_without_a_server_nothing_is_ready_and_it_is_named(rig: Rig) -> None:
    rig.until(lambda: len(rig.commands.missing_subscribers()) == 1)
    (problem,) = rig.commands.missing_subscribers()
    assert problem.detail == "there is no action server /hand/grip"
    rig.commands.take()
    rig.until(lambda: len(rig.commands.unheard()) == 1)
    assert rig.commands.unheard()[0].detail == "the action server /hand/grip is not there"
    assert not rig.commands.heard()


@pytest.mark.parametrize("rig", [("gripper_command", False)], indirect=True)
def test_a_server_that_rejects_is_named_once(rig: Rig) -> None:
    asked: list[float] = []

    def reject(goal: Any) -> GoalResponse:
        asked.append(goal.command.max_effort)
        return GoalResponse.REJECT

    server: Any = ActionServer(rig.driver, GripperCommand, "/hand/grip", lambda handle: None, goal_callback=reject)
    rig.take()
    rig.stream(np.linspace(1.0, 0.2, 70))
    assert asked == [20.0, 20.0]
    server.destroy()
    assert len(rig.node.active_warnings) == 1
    assert "/hand/grip rejected the goal" in rig.node.active_warnings[0]


def test_another_client_of_the_action_is_another_commander(rig: Rig) -> None:
    rig.take()
    other = Node("moveit", context=rig.node.context)
    client: Any = ActionClient(other, GripperCommand, "/hand/grip")
    rig.until(lambda: rig.commands.contested())
    assert "commands on /hand/grip come from node /moveit too" in rig.commands.contested()[0].detail
    client.destroy()
    other.destroy_node()
    rig.until(lambda: not rig.commands.contested())


def test_a_client_that_leaves_while_it_is_looked_for_ends_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.take()
    other = Node("moveit", context=rig.node.context)
    client: Any = ActionClient(other, GripperCommand, "/hand/grip")
    rig.until(lambda: rig.commands.contested())
    names = rig.node.get_node_names_and_namespaces()
    monkeypatch.setattr(rig.node, "get_node_names_and_namespaces", lambda: [("gone", "/"), *names])
    assert "/moveit too" in rig.commands.contested()[0].detail
    client.destroy()
    other.destroy_node()

"""Arrays are by position: the controller is asked for its joints, and another order is refused."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy")

import rclpy
from hypothesis import given
from hypothesis import strategies as st
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from support.contracts import ARM, small_robot
from support.nodes.domains import free_domain

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.graph.controller_joints import disorder
from vgil_ros.core.layout import Layout
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.publishers import RobotCommands

TOPIC = "/forward_position_controller/commands"


class Rig:
    """A node that commands by position, and a controller, or whatever listens in its place."""

    def __init__(self, joints: list[str] | None) -> None:
        self._domain = free_domain()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self._domain.__enter__())
        arm = {**copy.deepcopy(ARM), "command": {"topic": TOPIC, "type": "float64_multi_array"}}
        contract = validate(Contract, small_robot(arms=[arm]), "array.yaml", ContractError)
        self.node = VgilNode("commander", context=self._context)
        self.executor = SingleThreadedExecutor(context=self._context)
        self.executor.add_node(self.node)
        self._listeners: list[Node] = []
        self.controller = self.listener("forward_position_controller", joints)
        self.commands = RobotCommands(self.node, Layout(contract), 0.02)

    def listener(self, name: str, joints: list[str] | None) -> Node:
        """A node that takes the arrays."""
        node = Node(name, context=self._context)
        if joints is not None:
            node.declare_parameter("joints", joints)
        node.create_subscription(Float64MultiArray, TOPIC, lambda message: None, 10)
        self.executor.add_node(node)
        self._listeners.append(node)
        return node

    def settled(self) -> tuple[Any, ...]:
        """Look until there is no answer to wait for."""
        self.until(lambda: not self.commands.missing_subscribers())
        self.until(lambda: self.commands.disorder() is not None and not self.commands.asking())
        return self.commands.disorder()

    def until(self, done: Callable[[], Any]) -> None:
        end = time.monotonic() + 20
        while not done() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)
        assert done()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        for node in self._listeners:
            node.destroy_node()
        rclpy.try_shutdown(context=self._context)
        self._domain.__exit__(None, None, None)


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("rig", [["waist", "elbow", "grip"]], indirect=True)
def test_the_same_order_is_well(rig: Rig) -> None:
    assert rig.settled() == ()
    assert not rig.node.active_warnings


@pytest.mark.parametrize("rig", [["elbow", "waist", "grip"]], indirect=True)
def test_another_order_is_refused_in_words(rig: Rig) -> None:
    (problem,) = rig.settled()
    assert problem.detail == (
        "left/command: /forward_position_controller takes the same joints in another order, ['elbow', 'waist', 'grip']:"
        " value 0 would move elbow and is meant for waist; allowed: its own order"
    )
    assert problem in rig.commands.hindrances()


@pytest.mark.parametrize("rig", [None], indirect=True)
def test_a_listener_that_does_not_tell_is_said_once(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    assert rig.settled() == ()
    assert rig.settled() == ()
    said = capfd.readouterr().err
    assert said.count("/forward_position_controller does not tell its `joints`") == 1


@pytest.mark.parametrize("rig", [None], indirect=True)
def test_a_controller_that_comes_after_another_listener_is_asked_too(rig: Rig) -> None:
    assert rig.settled() == ()
    rig.listener("late_controller", ["elbow", "waist", "grip"])
    rig.until(lambda: rig.commands.mismatched())
    assert "/late_controller takes the same joints in another order" in rig.commands.disorder()[0].detail


@pytest.mark.parametrize("rig", [["elbow", "waist", "grip"]], indirect=True)
def test_what_a_controller_told_is_forgotten_once_it_has_left(rig: Rig) -> None:
    assert rig.settled()
    rig.executor.remove_node(rig.controller)
    rig.controller.destroy_node()
    rig.until(lambda: rig.commands.missing_subscribers())
    (problem,) = rig.commands.disorder()
    assert problem.detail == f"nobody listens on {TOPIC}"
    assert rig.commands.hindrances().count(problem) == 1
    rig.listener("forward_position_controller", ["waist", "elbow", "grip"])
    assert rig.settled() == ()


names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True)


@given(ours=names, theirs=names)
def test_only_the_same_names_in_the_same_order_are_well(ours: list[str], theirs: list[str]) -> None:
    words = disorder(ours, theirs)
    assert (words is None) == (ours == theirs)
    if words is not None:
        assert ("another order" in words) == (sorted(ours) == sorted(theirs))
        assert str(theirs) in words

"""When a robot's command topics are taken, whether anything was sent on them, and how it is held as a process ends."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from support.contracts import small_robot

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.layout import Layout
from vgil_ros.nodes.messages import publishers
from vgil_ros.nodes.messages.publishers import DEAF_S, FINAL_HOLDS, UNHEARD_S, RobotCommands

ACTION = np.array([0.1, 0.2, 0.5])


class Publisher:
    """One that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.listeners = 0

    def publish(self, message: Any) -> None:
        self.sent.append(message)

    def get_subscription_count(self) -> int:
        return self.listeners

    def wait_for_all_acked(self, timeout: Any) -> bool:
        return True


class Node:
    """What `RobotCommands` needs of a node, without DDS."""

    def __init__(self) -> None:
        self.publishers: list[Publisher] = []
        self.lasting: dict[str, str] = {}

    def resolve_topic_name(self, topic: str) -> str:
        return topic

    def create_publisher(self, kind: type, topic: str, depth: int) -> Publisher:
        self.publishers.append(Publisher())
        return self.publishers[-1]

    def destroy_publisher(self, publisher: Publisher) -> None:
        self.publishers.remove(publisher)

    def now_ns(self) -> int:
        return 1

    def warn_once(self, key: str, message: str) -> None:
        self.lasting[key] = message


class Clock:
    """time.monotonic and time.sleep, at will."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def commands_on(node: Node) -> RobotCommands:
    layout = Layout(validate(Contract, small_robot(), "small.yaml", ContractError))
    return RobotCommands(node, layout, 0.04)  # type: ignore[arg-type]


def test_what_was_sent_is_remembered_from_take_to_let_go() -> None:
    node = Node()
    commands = commands_on(node)
    commands.send(commands.encode(ACTION))
    assert not commands.sent, "the topics are not taken: it went nowhere"
    commands.take()
    assert not commands.sent
    commands.send(commands.encode(ACTION))
    assert commands.sent
    commands.take()  # again, as teleop does for the base
    assert commands.sent
    commands.let_go()
    assert not commands.sent
    assert node.publishers == []
    commands.take()
    assert not commands.sent, "a robot that is taken anew was sent nothing"


@pytest.mark.parametrize(("settling", "holds"), [(0, FINAL_HOLDS), (3, FINAL_HOLDS), (40, 41)])
def test_a_robot_is_held_until_its_command_stands(clock: Clock, settling: int, holds: int) -> None:
    commands = commands_on(Node())
    left = iter([True] * settling)
    told: list[bool] = []

    def hold() -> bool:
        told.append(next(left, False))
        return told[-1]

    commands.hold_and_end(hold)
    assert len(told) == holds


def test_a_command_that_never_stands_keeps_no_process_for_ever(clock: Clock) -> None:
    began = clock.now
    commands_on(Node()).hold_and_end(lambda: True)
    assert publishers.SETTLE_S <= clock.now - began < publishers.SETTLE_S + 0.1


def test_a_robot_that_does_not_hear_is_waited_for_named_and_given_up(clock: Clock) -> None:
    node = Node()
    commands = commands_on(node)
    commands.take()
    assert not commands.heard()
    assert commands.wait(node) is None  # type: ignore[arg-type]
    assert node.lasting == {}, "a connection takes a moment"
    clock.now += UNHEARD_S
    assert commands.wait(node) is None  # type: ignore[arg-type]
    assert node.lasting["unheard"].startswith("the robot does not hear /puppet/command, 1 s after")
    clock.now += DEAF_S
    why = commands.wait(node)  # type: ignore[arg-type]
    assert why is not None
    assert "/puppet/command" in why
    assert "start again once its driver listens there" in why
    node.publishers[0].listeners = 1
    assert commands.heard()
    assert commands.unheard() == ()

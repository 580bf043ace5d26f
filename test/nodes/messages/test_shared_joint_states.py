"""Two arms on one topic of joint states, over DDS: one subscription, each arm a stream of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import JointState
from support.contracts import arm_on_shared_topics as arm
from support.contracts import small_robot
from support.nodes.domains import free_domain

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.streams import StreamSpec, policy_streams, streams_of
from vgil_ros.core.sync import Synchronizer
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.subscriptions import StreamInputs


class Ears(VgilNode):
    """Listens as the recorder does."""

    def __init__(self, contract: Contract, context: Context, streams: tuple[StreamSpec, ...] | None = None) -> None:
        super().__init__("ears", context=context)
        self.sync = Synchronizer(streams or streams_of(contract), contract.sync, contract.rate_hz)
        self.inputs = StreamInputs(self, contract, self.sync)


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    with free_domain() as domain:
        made = Context()
        rclpy.init(context=made, domain_id=domain)
        yield made
        rclpy.try_shutdown(context=made)


@pytest.fixture
def ears(context: Context) -> Iterator[Ears]:
    node = Ears(
        validate(Contract, small_robot(arms=[arm("left"), arm("right")], cameras=[]), "two.yaml", ContractError),
        context,
    )
    yield node
    node.destroy_node()


@pytest.fixture
def driver(context: Context) -> Iterator[Node]:
    node = Node("driver", context=context)
    yield node
    node.destroy_node()


def message(node: Node, **positions: float) -> JointState:
    made = JointState(name=list(positions), position=list(positions.values()))
    made.header.stamp = node.get_clock().now().to_msg()
    return made


def joints(name: str, at: float) -> dict[str, float]:
    return {f"{name}_{joint}": at for joint in ("waist", "elbow", "grip")}


def spun(ears: Ears, publisher: Any, made: Any, until: Any) -> None:
    executor = rclpy.executors.SingleThreadedExecutor(context=ears.context)
    executor.add_node(ears)
    end = time.monotonic() + 20
    while not until() and time.monotonic() < end:
        publisher.publish(made())
        executor.spin_once(timeout_sec=0.02)
    executor.remove_node(ears)
    assert until()


def test_one_message_holds_both_arms(ears: Ears, driver: Node) -> None:
    out = driver.create_publisher(JointState, "/joint_states", 10)
    assert len(ears.get_subscriptions_info_by_topic("/joint_states")) == 1
    both = lambda: message(driver, **joints("right", 0.2), **joints("left", 0.05))  # noqa: E731
    spun(ears, out, both, lambda: ears.sync.newest("left/puppet") and ears.sync.newest("right/puppet"))
    for name, at in (("left", 0.05), ("right", 0.2)):
        newest = ears.sync.newest(f"{name}/puppet")
        assert newest is not None
        assert newest[1][0].tolist() == [at] * 3


def test_a_message_of_one_arm_is_no_fault_of_the_others(ears: Ears, driver: Node) -> None:
    out = driver.create_publisher(JointState, "/joint_states", 10)
    spun(ears, out, lambda: message(driver, **joints("left", 0.05)), lambda: ears.sync.newest("left/puppet"))
    assert ears.sync.newest("right/puppet") is None
    assert not ears.active_warnings
    (words,) = [p.detail for p in ears.inputs.missing(ears.now_ns()) if p.detail.startswith("right/puppet")]
    assert "its messages hold ['left_waist', 'left_elbow', 'left_grip']; none of ['right_waist'" in words


def test_half_of_an_arm_is_named(ears: Ears, driver: Node) -> None:
    out = driver.create_publisher(JointState, "/joint_states", 10)
    halves = lambda: message(driver, left_waist=0.1, **joints("right", 0.1))  # noqa: E731
    spun(ears, out, halves, lambda: ears.active_warnings)
    assert "left/puppet: joint ['left_elbow', 'left_grip'] is not in the message" in ears.active_warnings[0]


def test_as_many_drivers_as_arms_may_publish(ears: Ears, driver: Node) -> None:
    two = [driver.create_publisher(JointState, "/joint_states", 10) for _ in range(2)]
    spun(
        ears,
        two[0],
        lambda: message(driver, **joints("left", 0.0)),
        lambda: ears.count_publishers("/joint_states") == 2,
    )
    assert not ears.inputs.duplicate_publishers()
    third = driver.create_publisher(JointState, "/joint_states", 10)
    spun(
        ears, third, lambda: message(driver, **joints("left", 0.0)), lambda: ears.count_publishers("/joint_states") == 3
    )
    assert "3 publishers on /joint_states; allowed: 2; found" in ears.inputs.duplicate_publishers()[0].detail


def test_drivers_of_those_that_are_not_listened_to_may_publish_too(context: Context, driver: Node) -> None:
    made = arm("left")
    made["master"] = {"topic": "/joint_states", "joints": ["m_waist", "m_elbow", "m_grip"]}
    contract = validate(Contract, small_robot(arms=[made], cameras=[]), "one.yaml", ContractError)
    ears = Ears(contract, context, policy_streams(contract, ()))
    two = [driver.create_publisher(JointState, "/joint_states", 10) for _ in range(2)]
    spun(
        ears,
        two[0],
        lambda: message(driver, **joints("left", 0.0)),
        lambda: ears.count_publishers("/joint_states") == 2,
    )
    assert not ears.inputs.duplicate_publishers()
    ears.destroy_node()


def test_a_vector_beside_an_arm_reads_its_own_joints(context: Context, driver: Node) -> None:
    fingers = {"name": "fingers", "topic": "/joint_states", "type": "joint_state", "joints": ["f2", "f1"]}
    own = arm("left")
    own["master"] = {"topic": "/masters/joint_states"}
    contract = validate(Contract, small_robot(arms=[own], vectors=[fingers], cameras=[]), "one.yaml", ContractError)
    ears = Ears(contract, context)
    out = driver.create_publisher(JointState, "/joint_states", 10)
    spun(ears, out, lambda: message(driver, f1=0.1, f2=0.2), lambda: ears.sync.newest("fingers"))
    newest = ears.sync.newest("fingers")
    assert newest is not None
    assert newest[1].tolist() == [0.2, 0.1]
    assert len(ears.get_subscriptions_info_by_topic("/joint_states")) == 1
    spun(ears, out, lambda: message(driver, **joints("left", 0.05)), lambda: ears.sync.newest("left/puppet"))
    assert not ears.sync.refusals.standing(ears.now_ns()), "neither's messages are a fault of the other"
    assert not ears.active_warnings
    ears.destroy_node()

"""A robot's topics as they are, held against its contract, by the same reading and the same words as the recorder's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import rclpy
from rclpy.context import Context

from vgil_ros.core.contract import Contract
from vgil_ros.core.frame import Frame
from vgil_ros.core.graph.commanders import full_name
from vgil_ros.core.graph.service_names import did_you_mean
from vgil_ros.core.streams import StreamSpec, streams_of
from vgil_ros.core.sync import Synchronizer
from vgil_ros.nodes.base.node import VgilNode, make_ros_executor
from vgil_ros.nodes.messages.subscriptions import StreamInputs
from vgil_ros.nodes.query.client import small_segments

OK = "ok"


@dataclass(frozen=True)
class TopicReport:
    """One topic of the contract as it is.

    Attributes:
        stream: what it is in the contract.
        topic: in full.
        publishers: the nodes that publish it.
        type: of its messages, as the graph has it.
        rate_hz: messages a second; None for what is commanded.
        content: what a message holds.
        verdict: "ok", or what differs from the contract.
        bad: whether something differs.
    """

    stream: str
    topic: str
    publishers: tuple[str, ...]
    type: str
    rate_hz: float | None
    content: str
    verdict: str
    bad: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class _Inspector(VgilNode):
    """Subscribes as the recorder does."""

    def __init__(self, context: Context, contract: Contract, namespace: str) -> None:
        super().__init__(f"_vgil_topics_{os.getpid()}", context=context, namespace=namespace)
        self.streams = streams_of(contract)
        self.sync = Synchronizer(self.streams, contract.sync, contract.rate_hz)
        self.sync.start(self.now_ns())
        self.inputs = StreamInputs(self, contract, self.sync)

    def log(self, words: str, *, severity: Any = "info") -> None:
        """Nothing: the report says it."""

    def publishers_of(self, topic: str) -> tuple[str, ...]:
        """The nodes that publish a topic."""
        found = self.get_publishers_info_by_topic(topic)
        return tuple(sorted(full_name(info.node_namespace, info.node_name) for info in found))

    def kinds(self, topic: str) -> str:
        """The types that it is published as."""
        return ", ".join(sorted({info.topic_type for info in self.get_publishers_info_by_topic(topic)}))


def inspect_topics(
    contract: Contract, namespace: str, seconds: float, progress: Callable[[float], None]
) -> list[TopicReport]:
    """Listen to a robot for so many seconds, and report on each topic that its contract names.

    Args:
        contract: the robot.
        namespace: of its nodes; "" for none.
        seconds: to listen.
        progress: called now and then with the seconds that have passed.
    """
    small_segments()
    context = Context()
    rclpy.init(context=context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = _Inspector(context, contract, namespace)
    executor = make_ros_executor(context)
    executor.add_node(node)
    try:
        began = last = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            node.spin_once(executor)
            node.sync.sample(node.now_ns())
            if now - last > 0.2:
                last = now
                progress(now - began)
        return [_stream(node, contract, spec) for spec in node.streams] + _commands(node, contract)
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _stream(node: _Inspector, contract: Contract, spec: StreamSpec) -> TopicReport:
    topic, now = node.resolve_topic_name(spec.topic), node.now_ns()
    publishers, rate = node.publishers_of(topic), node.inputs.rate(spec.name, now)
    missing = [problem.detail for problem in node.inputs.missing(now) if problem.key.startswith(f"{spec.name} ")]
    verdicts = [words.removeprefix(f"{spec.name}: ") for words in missing]
    if not publishers:
        verdicts.append(_suggestion(node, topic, node.inputs.types[spec.name]))
    if len(publishers) > 1:
        verdicts.append(f"{len(publishers)} publishers; allowed: one")
    bad = any(verdicts)
    if not bad and rate < 0.9 * contract.rate_hz:
        verdicts.append(f"slower than the robot's {contract.rate_hz:g} Hz: rows repeat or interpolate it")
    newest = node.sync.newest(spec.name)
    content = _content(newest[1]) if newest is not None else ""
    words = "; ".join(filter(None, verdicts)) or OK
    return TopicReport(spec.name, topic, publishers, node.kinds(topic), rate, content, words, bad)


def _suggestion(node: _Inspector, topic: str, kind: str) -> str:
    """A topic of the right type with a name much like the one that is not there."""
    known = [name for name, kinds in node.get_topic_names_and_types() if kind in kinds and node.count_publishers(name)]
    meant = did_you_mean(topic, known)
    return f"did you mean {meant}?" if meant else f"topics of this type: {', '.join(sorted(known)) or 'none'}"


def _content(payload: Any) -> str:
    if isinstance(payload, Frame):
        return f"{payload.height}x{payload.width} {payload.encoding}"
    return f"{payload.shape[-1]} {'joints' if payload.ndim > 1 else 'velocities'}"


def _commands(node: _Inspector, contract: Contract) -> list[TopicReport]:
    named = [(f"{arm.name}/command", arm.command.topic) for arm in contract.arms if not arm.driver_follows_master]
    if contract.base:
        named.append(("base/command", contract.base.command.topic))
    reports = []
    for name, given in named:
        topic = node.resolve_topic_name(given)
        publishers, heard = node.publishers_of(topic), node.count_subscribers(topic)
        words = [] if heard else ["nobody listens on it: is the robot's driver running?"]
        if len(publishers) > 1:
            words.append(f"{len(publishers)} nodes command it; allowed: one")
        kinds = ", ".join(sorted({info.topic_type for info in node.get_subscriptions_info_by_topic(topic)}))
        content = f"{heard} listener{'' if heard == 1 else 's'}"
        reports.append(TopicReport(name, topic, publishers, kinds, None, content, "; ".join(words) or OK, bool(words)))
    return reports

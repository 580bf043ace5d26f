"""A robot's topics as they are, held against its contract, by the same reading and the same words as the recorder's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from vgil_ros.core.contract import Contract
from vgil_ros.core.frame import Frame
from vgil_ros.core.graph.service_names import did_you_mean
from vgil_ros.core.streams import StreamSpec
from vgil_ros.nodes.query.listening import RobotListener, listen_to

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


class _Inspector(RobotListener):
    """Subscribes as the recorder does."""

    tool = "topics"

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
    return listen_to(lambda c, clock: _Inspector(c, contract, namespace, clock), seconds, progress, _reports)


def _reports(node: _Inspector) -> list[TopicReport]:
    return [_stream(node, node.contract, spec) for spec in node.streams] + _commands(node)


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
    return f"{payload.shape[-1]} {'joints' if payload.ndim > 1 else 'numbers'}"


def _commands(node: _Inspector) -> list[TopicReport]:
    reports = []
    for name, topic, heard in node.commands():
        publishers = node.publishers_of(topic)
        words = [] if heard else ["nobody listens on it: is the robot's driver running?"]
        if len(publishers) > 1:
            words.append(f"{len(publishers)} nodes command it; allowed: one")
        kinds = ", ".join(sorted({info.topic_type for info in node.get_subscriptions_info_by_topic(topic)}))
        content = f"{heard} listener{'' if heard == 1 else 's'}"
        reports.append(TopicReport(name, topic, publishers, kinds, None, content, "; ".join(words) or OK, bool(words)))
    return reports

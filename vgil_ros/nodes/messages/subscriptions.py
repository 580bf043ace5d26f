"""The streams of a robot as subscriptions: bytes in, checked samples into the synchroniser."""

from __future__ import annotations

import importlib
from collections import deque
from typing import Any, Protocol

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.commanders import full_name
from vgil_ros.core.graph.service_names import did_you_mean
from vgil_ros.core.layout import JointError
from vgil_ros.core.messages import cdr
from vgil_ros.core.messages.intake import StreamIntake, by_topic, intakes_of
from vgil_ros.core.streams import Kind, readers_of
from vgil_ros.core.sync import Fault, StreamMiss, Synchronizer
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode

RATE_WINDOW_NS = 1_000_000_000
FLOOD_HZ = 1500.0  # messages a second: the fastest arms report a thousand times
QUIET_NS = 500_000_000  # so long without a bad message, and a stream is well again
CUT_QUIET_NS = 5_000_000_000  # without a cut image: a bad cable cuts one now and then
IMAGES, NUMBERS = 40, 200  # messages that wait for the executor at most


def sensor_qos(depth: int) -> QoSProfile:
    """Best effort: it hears reliable publishers and best-effort ones alike."""
    return QoSProfile(depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)


def message_class(name: str) -> Any:
    """The class of a message, such as "sensor_msgs/msg/Image"."""
    package, _, kind = name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


class Tap(Protocol):
    """Somebody who wants every message as it came, and to know which streams have taken it."""

    def message(self, topic: str, now_ns: int, data: bytes, taken: tuple[str, ...]) -> None:
        """A message came on a topic of the contract, at this time of the node's clock."""


class StreamInputs:
    """Subscribes to each topic of a synchroniser's streams.

    A message that does not fit is not used, and warned of once; the stream's name stands in the warning.

    Attributes:
        intakes: one for each stream.
        tap: is told of every message; None where nobody wants them.
    """

    def __init__(self, node: VgilNode, contract: Contract, sync: Synchronizer) -> None:
        self._node = node
        self._sync = sync
        self._arrivals: dict[str, deque[int]] = {spec.name: deque(maxlen=512) for spec in sync.streams}
        # what was wrong with a stream's last bad message, when, and for how long it is ill with it
        self._refused: dict[str, tuple[str, int, int]] = {}
        self._ahead: set[str] = set()  # streams whose clock is warned of
        self.cut: dict[str, int] = {}  # images that were cut off, by stream
        self._suggestions: dict[str, str | None] = {}  # for a topic without a publisher, one that is there and alike
        self._best: dict[str, float] = {}  # most messages in a second
        self.counts: dict[str, int] = dict.fromkeys(self._arrivals, 0)
        self._readers = readers_of(contract)
        self.intakes = intakes_of(contract, sync)
        self.types = {intake.spec.name: intake.type for intake in self.intakes}
        self.tap: Tap | None = None
        for takers in by_topic(self.intakes).values():
            for kind in dict.fromkeys(taker.type for taker in takers):
                self._subscribe(kind, tuple(taker for taker in takers if taker.type == kind))

    def _subscribe(self, kind: str, takers: tuple[StreamIntake, ...]) -> None:
        """One subscription, though several streams may read a topic."""
        spec = takers[0].spec

        def callback(data: bytes) -> None:
            now = self.now_ns()
            if now == 0:  # by /clock, which has not come yet
                return
            taken = tuple(taker.spec.name for taker in takers if self._take(taker, data, now))
            if self.tap is not None:
                self.tap.message(spec.topic, now, data, taken)

        depth = IMAGES if spec.kind in (Kind.IMAGE, Kind.DEPTH) else NUMBERS
        self._node.create_subscription(message_class(kind), spec.topic, callback, sensor_qos(depth), raw=True)

    def _take(self, intake: StreamIntake, data: bytes, now: int) -> bool:
        """Read a stream's message; what does not fit is not used, and said. Return whether it was read."""
        name = intake.spec.name
        try:
            own, fault = intake.take(data, now)
        except JointError as error:
            self._sync.refusals.refuse(name, error.detail, now)
            self._refuse(name, error.detail)
        except cdr.CutImage as error:
            self._cut_off(name, error.what)
        except VgilError as error:
            self._refuse(name, str(error))
        else:
            if own:
                self._taken(name, now, fault)
            return own
        return False

    def _taken(self, stream: str, now: int, fault: Fault | None) -> None:
        self._arrivals[stream].append(now)
        self.counts[stream] += 1
        if fault is not None:
            self._refuse(stream, fault.message)
            return
        self._sync.refusals.accept(stream, now)
        if self._refused:
            self._well(stream, now)
        self._judge_clock(stream, now)

    def _judge_clock(self, stream: str, now_ns: int) -> None:
        """Name a stream that another clock stamps; whether it can still be used is the synchroniser's to say."""
        if (ahead := self._sync.ahead(stream, now_ns)) is not None:
            self._ahead.add(stream)
            self._node.warn_once(f"{stream} clock", str(ahead))
        elif stream in self._ahead:
            self._ahead.remove(stream)
            self._node.clear(f"{stream} clock")

    def _well(self, stream: str, now_ns: int) -> None:
        """A good message clears a warning after a while: bad ones among good ones must not flood the log."""
        _, last_ns, quiet_ns = self._refused.get(stream, ("", now_ns, QUIET_NS))
        if not 0 <= now_ns - last_ns <= quiet_ns:
            del self._refused[stream]
            self._node.clear(stream)

    def _refuse(self, stream: str, detail: str, quiet_ns: int = QUIET_NS) -> None:
        self._refused[stream] = (detail, self.now_ns(), quiet_ns)
        self._node.warn_once(stream, f"{stream}: {detail}")

    def _cut_off(self, stream: str, what: str) -> None:
        """The image is not used: the stream goes on with the next. Counted, as one lost frame is no matter."""
        count = self.cut[stream] = self.cut.get(stream, 0) + 1
        if stream not in self._refused or self._refused[stream][2] == CUT_QUIET_NS:
            words = f"{count} {what}{'s' if count > 1 else ''} cut off; USB bandwidth or cable? Allowed: whole ones"
            self._refuse(stream, words, CUT_QUIET_NS)

    def scene_was_reset(self) -> None:
        """A simulator puts its robot somewhere else from one message to the next: that is no jump to be refused."""
        for intake in self.intakes:
            if intake.guard is not None:
                intake.guard.reset(self.now_ns())
                self._sync.refusals.forget(intake.spec.name)

    def now_ns(self) -> int:
        """The node's clock, which follows /clock where use_sim_time is set."""
        return self._node.now_ns()

    def rate(self, stream: str, now_ns: int) -> float:
        """Messages a second over the last second."""
        arrivals = self._arrivals[stream]
        rate = float(sum(1 for arrival in arrivals if arrival > now_ns - RATE_WINDOW_NS))
        if rate == arrivals.maxlen:  # there were more than are remembered
            rate = (rate - 1) * RATE_WINDOW_NS / max(now_ns - arrivals[0], 1)
        self._best[stream] = max(rate, self._best.get(stream, 0.0))
        return rate

    def best_rate(self, stream: str) -> float:
        """The highest of the rates that were asked for so far."""
        return self._best.get(stream, 0.0)

    def missing(self, now_ns: int) -> tuple[Problem, ...]:
        """Which streams are not ready, why, and where to look."""
        return tuple(self.problem(miss) for miss in self._sync.missing(now_ns))

    def explain(self, miss: StreamMiss) -> str:
        """A miss in words."""
        return self.problem(miss).detail

    def problem(self, miss: StreamMiss) -> Problem:
        """A miss: the refused message, or what is known of the topic's publishers."""
        _, at_ns, quiet_ns = self._refused.get(miss.stream, ("", 0, QUIET_NS))
        ill = quiet_ns == QUIET_NS or self.now_ns() - at_ns < QUIET_NS  # not by an image that was cut a while ago
        if miss.stream in self._refused and ill:
            return Problem(f"{miss.stream} refused", f"{miss.stream}: {self._refused[miss.stream][0]}")
        spec = next((spec for spec in self._sync.streams if spec.name == miss.stream), None)
        if spec is None or miss.age_ns is not None:
            return Problem(f"{miss.stream} {miss.reason.value}", str(miss))
        topic = self._node.resolve_topic_name(spec.topic)
        kinds = {info.topic_type for info in self._node.get_publishers_info_by_topic(topic)}
        if not kinds:
            words = f"nothing received on {topic} (no publisher)"
            if suggestion := self._suggestions.get(miss.stream):
                words += f"; did you mean {suggestion}?"
        elif self.types[miss.stream] not in kinds:
            words = f"{topic} is {', '.join(sorted(kinds))}; allowed: {self.types[miss.stream]}"
        else:
            joints = next(intake.joints for intake in self.intakes if intake.spec.name == miss.stream)
            strange = joints.unheard_words() if joints else ""
            words = f"nothing received on {topic} ({strange or 'it has a publisher'})"
        return Problem(f"{miss.stream} {words}", f"{miss.stream}: {words}")

    def duplicate_publishers(self) -> tuple[Problem, ...]:
        """Topics with more than one publisher, whose messages would mix, and the nodes that publish."""
        problems = []
        first = {spec.topic: spec for spec in reversed(self._sync.streams)}  # of those that share a topic
        for spec in (spec for spec in self._sync.streams if first[spec.topic] is spec):
            count = self._node.count_publishers(spec.topic)
            most = self._readers[spec.topic]  # also of those that are not listened to here
            if count > most:
                topic = self._node.resolve_topic_name(spec.topic)
                infos = self._node.get_publishers_info_by_topic(topic)
                nodes = sorted(full_name(info.node_namespace, info.node_name) for info in infos)
                words = f"{spec.name}: {count} publishers on {spec.topic}; allowed: {most if most > 1 else 'one'};"
                words += f" found {', '.join(nodes)}"
                problems.append(Problem(f"{spec.name} publishers", words))
        return tuple(problems)

    def floods(self, now_ns: int) -> dict[str, str]:
        """Streams with so many messages that reading them takes the time of all else, and what to say of each."""
        rates = {spec: self.rate(spec.name, now_ns) for spec in self._sync.streams}
        return {
            spec.name: f"{spec.name}: {rate:.0f} messages a second on {self._node.resolve_topic_name(spec.topic)}, "
            f"which a processor spends its time with; allowed: up to {FLOOD_HZ:.0f}, a driver stuck in a loop?"
            for spec, rate in rates.items()
            if rate > FLOOD_HZ
        }

    def look_for_names(self) -> bool:
        """Look for topics that are there under another name; return whether any stream has a publisher.

        For now and then: it looks at everything that is on the network.
        """
        lacking = [spec for spec in self._sync.streams if not self._node.count_publishers(spec.topic)]
        self._suggestions = {}
        if lacking:
            wanted = {self._node.resolve_topic_name(spec.topic) for spec in self._sync.streams}
            there = self._node.get_topic_names_and_types()
            for spec in lacking:
                kind = self.types[spec.name]
                same = [name for name, kinds in there if kind in kinds and name not in wanted]
                published = [name for name in same if self._node.count_publishers(name)]
                self._suggestions[spec.name] = did_you_mean(self._node.resolve_topic_name(spec.topic), published)
        return len(lacking) < len(self._sync.streams)

"""The streams of a robot as subscriptions: bytes in, checked samples into the synchroniser."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from vgil_ros.core.contract import Camera, Contract, Vector
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import COLOR_ENCODINGS, DEPTH_ENCODINGS, DEPTH_FILES, FILE_ENCODINGS, Frame
from vgil_ros.core.graph.commanders import full_name
from vgil_ros.core.graph.service_names import did_you_mean
from vgil_ros.core.guard.reading_guard import guards_of
from vgil_ros.core.layout import POSITION, JointError, JointReader, master_reader, puppet_reader
from vgil_ros.core.streams import Kind, StreamSpec, readers_of, shared_topics
from vgil_ros.core.sync import StreamMiss, Synchronizer
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages import cdr
from vgil_ros.nodes.messages.joint_input import MESSAGES, JointInput, JointSubscriptions
from vgil_ros.nodes.messages.vectors import VectorReader

RATE_WINDOW_NS = 1_000_000_000
FLOOD_HZ = 1500.0  # messages a second: the fastest arms report a thousand times
QUIET_NS = 500_000_000  # so long without a bad message, and a stream is well again
CUT_QUIET_NS = 5_000_000_000  # without a cut image: a bad cable cuts one now and then
READERS = {  # of a camera's messages by its type: message, reader, encodings
    "image": (Image, cdr.read_image, COLOR_ENCODINGS),
    "depth": (Image, cdr.read_image, DEPTH_ENCODINGS),
    "compressed": (CompressedImage, cdr.read_compressed, FILE_ENCODINGS),
    "compressed_depth": (CompressedImage, cdr.read_compressed_depth, DEPTH_FILES),
}


def sensor_qos(depth: int) -> QoSProfile:
    """Best effort: it hears reliable publishers and best-effort ones alike."""
    return QoSProfile(depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)


class StreamInputs:
    """Subscribes to each stream of a synchroniser.

    A message that does not fit is not used, and warned of once; the stream's name stands in the warning.
    """

    def __init__(self, node: VgilNode, contract: Contract, sync: Synchronizer) -> None:
        self._node = node
        self._sync = sync
        self._arrivals: dict[str, deque[int]] = {spec.name: deque(maxlen=512) for spec in sync.streams}
        # what was wrong with a stream's last bad message, when, and for how long it is ill with it
        self._refused: dict[str, tuple[str, int, int]] = {}
        self._ahead: set[str] = set()  # streams whose clock is warned of
        self.cut: dict[str, int] = {}  # images that were cut off, by stream
        self.types: dict[str, str] = {}
        self._suggestions: dict[str, str | None] = {}  # for a topic without a publisher, one that is there and alike
        self._best: dict[str, float] = {}  # most messages in a second
        self.counts: dict[str, int] = dict.fromkeys(self._arrivals, 0)
        cameras = {camera.name: camera for camera in contract.cameras}
        vectors = {vector.name: vector for vector in contract.vectors}
        readers = {f"{arm.name}/puppet": puppet_reader(arm) for arm in contract.arms}
        readers |= {f"{arm.name}/master": master_reader(arm) for arm in contract.arms}
        self._guards = guards_of(contract)
        self._shared, self._readers = shared_topics(contract), readers_of(contract)
        self._joint_topics = JointSubscriptions(node, sensor_qos(200))
        self._joint_inputs: dict[str, JointInput] = {}
        for spec in sync.streams:
            if spec.name in cameras:
                self._subscribe_camera(spec, cameras[spec.name])
            elif spec.name in readers:
                self._subscribe_joints(spec, readers[spec.name])
            elif spec.name in vectors:
                self._subscribe_vector(spec, vectors[spec.name])
            else:
                self._subscribe(spec, Odometry, self._odometry(spec), depth=200, raw=False)

    def _subscribe(self, spec: StreamSpec, kind: Any, read: Callable[[Any], None], *, depth: int, raw: bool) -> None:
        callback = self._guarded(spec, kind, read)
        self._node.create_subscription(kind, spec.topic, callback, sensor_qos(depth), raw=raw)

    def _guarded(self, spec: StreamSpec, kind: Any, read: Callable[[Any], None]) -> Callable[[Any], None]:
        """Read a stream's messages; what does not fit is not used, and said."""

        def callback(message: Any) -> None:
            try:
                read(message)
            except JointError as error:
                self._sync.refusals.refuse(spec.name, error.detail, self.now_ns())
                self._refuse(spec.name, error.detail)
            except cdr.CutImage as error:
                self._cut_off(spec.name, error.what)
            except VgilError as error:
                self._refuse(spec.name, str(error))

        self.types[spec.name] = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        return callback

    def _subscribe_camera(self, spec: StreamSpec, camera: Camera) -> None:
        kind, parse, allowed = READERS[camera.type]

        def read(data: bytes) -> None:
            stamp, frame = parse(data)
            frame.check(camera.height, camera.width, allowed)
            self._push(spec, stamp, frame)

        self._subscribe(spec, kind, read, depth=40, raw=True)

    def _subscribe_joints(self, spec: StreamSpec, reader: JointReader) -> None:
        """An arm's joints, or a vector's, whose payload is the positions alone."""
        joints = JointInput(
            reader, self._guards.get(spec.name), spec.arrival_offset_ns, shared=spec.topic in self._shared
        )
        self._joint_inputs[spec.name] = joints

        def read(data: bytes) -> None:
            if (found := joints.read(data, self.now_ns())) is not None:
                stamp_ns, payload = found
                self._push(spec, stamp_ns, payload if spec.kind is Kind.JOINTS else payload[POSITION])

        self._joint_topics.add(spec.topic, self._guarded(spec, MESSAGES[reader.kind], read), reader.kind)

    def _subscribe_vector(self, spec: StreamSpec, vector: Vector) -> None:
        if vector.joints is not None:
            self._subscribe_joints(spec, JointReader(vector.name, vector.joints))
            return
        reader = VectorReader(vector)
        read = lambda message: self._push(spec, *reader.read(message))  # noqa: E731
        self._subscribe(spec, reader.type, read, depth=200, raw=False)

    def _odometry(self, spec: StreamSpec) -> Callable[[Odometry], None]:
        def read(message: Odometry) -> None:
            stamp = message.header.stamp
            twist = np.array([message.twist.twist.linear.x, message.twist.twist.angular.z])
            if not np.isfinite(twist).all():
                raise VgilError(f"twist {twist.tolist()} is not finite")
            self._push(spec, stamp.sec * 1_000_000_000 + stamp.nanosec, twist)

        return read

    def _push(self, spec: StreamSpec, stamp_ns: int, payload: Any) -> None:
        now = self.now_ns()
        if now == 0:  # by /clock, which has not come yet
            return
        content = payload.fingerprint(depth=spec.kind is Kind.DEPTH) if isinstance(payload, Frame) else None
        fault = self._sync.push(spec.name, stamp_ns, payload, now_ns=now, content=content)
        self._arrivals[spec.name].append(now)
        self.counts[spec.name] += 1
        if fault is not None:
            self._refuse(spec.name, fault.message)
            return
        self._sync.refusals.accept(spec.name, now)
        if self._refused:
            self._well(spec.name, now)
        self._judge_clock(spec.name, now)

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
        for name, guard in self._guards.items():
            guard.reset(self.now_ns())
            self._sync.refusals.forget(name)

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
            strange = self._joint_inputs[miss.stream].unheard_words() if miss.stream in self._joint_inputs else ""
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

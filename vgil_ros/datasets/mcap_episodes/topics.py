"""What an episode's MCAP holds: the robot's own topics, as its contract has them, and the rows themselves.

The robot's topics are for others: units and names are its drivers', stamps are the ticks, so that a synchroniser finds
each row again. The rows stand beside them under `OWN`, number for number; that is what is read back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from vgil_ros.core.contract import Arm, Contract, parse_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import JPEG_START
from vgil_ros.core.layout import ArmLayout, Layout
from vgil_ros.core.messages import encode, joint_input
from vgil_ros.core.messages.intake import CAMERAS, ODOMETRY
from vgil_ros.core.messages.vectors import MESSAGE_WIDTH, TYPES
from vgil_ros.core.streams import StreamSpec, streams_of
from vgil_ros.datasets.mcap_episodes.index import OWN
from vgil_ros.datasets.stored import column
from vgil_ros.episodes.view import Episode

STATE, ACTION, TASK = f"{OWN}/state", f"{OWN}/action", f"{OWN}/task"
BASES = {"base_vel": f"{OWN}/base_velocity", "base_action": f"{OWN}/base_action"}
SYNCS = {"skew_ns": ("Int64", "i8"), "flags": ("UInt8", "u1"), "arrival_ns": ("Int64", "i8")}
# who acted, and what both wanted: only where a human could take over
ACTED = {"intervention": ("UInt8", "u1"), "actor": ("UInt8", "u1")}
ACTED |= {"policy_action": ("Float64", "f8"), "human_action": ("Float64", "f8")}
JOINTS, IMAGE, FILE = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
TWIST, TWIST_STAMPED, STRING = "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped", "std_msgs/msg/String"
# image_transport's words for a JPEG that decodes to RGB where others give BGR: ROS shows its colours right
SWAPPED, ORDINARY, DEPTH = "rgb8; jpeg compressed rgb8", "jpeg", "16UC1; compressedDepth png"
DEPTH_HEADER = bytes(12)  # compressedDepth's: of 16UC1 it says nothing
PNG_LEVEL = 1


class Message(NamedTuple):
    """A message of a row: where, of which type, when it is logged, its bytes."""

    topic: str
    type: str
    log_ns: int
    data: bytes


@dataclass(frozen=True)
class Stamped:
    """How a stream's stamps lie to the ticks: a driver's that is late by its latency, or has none but arrivals."""

    header_ns: int = 0
    log_ns: int = 0

    @classmethod
    def of(cls, spec: StreamSpec) -> Stamped:
        """From its stream: what the synchroniser takes off again."""
        return cls(spec.latency_ns, spec.latency_ns + (spec.arrival_offset_ns or 0))


Stream = Callable[[int, int], Iterator[Message]]  # row, its tick (ns)


def contract_of(episode: Episode) -> Contract | None:
    """The contract that an episode was recorded by, where its columns are the contract's; else None."""
    try:
        contract = parse_contract(str(episode.attrs.get("contract", "")), str(episode.path))
    except VgilError:
        return None
    layout = Layout(contract)
    return contract if layout.joint_names == episode.joint_names and episode.qpos.shape[1] == layout.dim else None


def safe(name: str) -> str:
    """A name as a part of a topic may be."""
    words = re.sub(r"\W", "_", name, flags=re.ASCII)
    return words if re.match(r"[A-Za-z_]", words) else f"_{words}"


# ---- the rows themselves


def row_streams(episode: Episode) -> list[Stream]:
    """Streams of every number that a row has, in the episode's own units."""
    names = episode.joint_names or tuple(f"joint_{i}" for i in range(episode.qpos.shape[1]))
    qpos, qvel, effort = (column(episode, name) for name in ("qpos", "qvel", "effort"))
    action = column(episode, "action")
    assert qpos is not None
    assert action is not None
    beside = names if len(names) == action.shape[1] else tuple(f"action_{i}" for i in range(action.shape[1]))

    def joints(row: int, tick_ns: int) -> Iterator[Message]:
        state = encode.joint_state(tick_ns, names, qpos[row], *(None if v is None else v[row] for v in (qvel, effort)))
        yield Message(STATE, JOINTS, tick_ns, state)
        yield Message(ACTION, JOINTS, tick_ns, encode.joint_state(tick_ns, beside, action[row]))

    streams: list[Stream] = [joints, _tasks(episode)]
    for name, topic in BASES.items():
        if (values := column(episode, name)) is not None:
            streams.append(_base(topic, values))
    for name, (kind, dtype) in {**SYNCS, **ACTED}.items():
        if (values := column(episode, name)) is not None:
            streams.append(_arrays(f"{OWN}/{name}", kind, values.astype(dtype).reshape(episode.rows, -1)))
    for number, name in enumerate(episode.vector_names):
        streams.append(_arrays(vector_topic(number), "Float64", episode.vector(name).astype(np.float64)))
    return streams


def vector_topic(number: int) -> str:
    """Where the rows of a further vector are, by its place."""
    return f"{OWN}/vector_{number}"


def _tasks(episode: Episode) -> Stream:
    """What is to be done in each row."""
    tasks = episode.row_tasks()

    def task(row: int, tick_ns: int) -> Iterator[Message]:
        yield Message(TASK, STRING, tick_ns, encode.text(tasks[row]))

    return task


def _base(topic: str, values: np.ndarray) -> Stream:
    def base(row: int, tick_ns: int) -> Iterator[Message]:
        numbers = encode.twist_of(float(values[row, 0]), float(values[row, 1]))
        yield Message(topic, TWIST_STAMPED, tick_ns, encode.stamped(tick_ns, numbers))

    return base


def _arrays(topic: str, kind: str, values: np.ndarray) -> Stream:
    def array(row: int, tick_ns: int) -> Iterator[Message]:
        yield Message(topic, f"std_msgs/msg/{kind}MultiArray", tick_ns, encode.multi_array(values[row]))

    return array


# ---- the robot's topics


def robot_streams(episode: Episode, contract: Contract) -> list[Stream]:
    """Streams of what the robot's drivers would have sent, images aside."""
    specs = {spec.name: spec for spec in streams_of(contract)}
    streams: list[Stream] = []
    for place in Layout(contract).arms:
        streams.append(_puppet(episode, place, specs[f"{place.arm.name}/puppet"]))
        if place.arm.master:
            streams.append(_master(episode, place, specs[f"{place.arm.name}/master"]))
    for vector in contract.vectors:
        if vector.name in episode.vector_names:
            streams.append(_vector(episode.vector(vector.name), vector.type, vector.joints, specs[vector.name]))
    if contract.base and (measured := column(episode, "base_vel")) is not None:
        streams.append(_odometry(measured, specs["base"]))
    if contract.base and (commanded := column(episode, "base_action")) is not None:
        streams.append(_command(commanded, contract.base.command.topic))
    return streams


def _measured_names(arm: Arm) -> tuple[str, ...]:
    """The joints of a puppet's messages: those of positions, then those that only efforts are read of."""
    return tuple(dict.fromkeys(arm.measured_joints + arm.puppet_joints))


def _puppet(episode: Episode, place: ArmLayout, spec: StreamSpec) -> Stream:
    arm, at = place.arm, Stamped.of(spec)
    names = _measured_names(arm)
    qpos, qvel, effort = (_columns(episode, name, place.columns) for name in ("qpos", "qvel", "effort"))
    assert qpos is not None
    others = [arm.puppet_joints.index(name) for name in names[len(arm.joints) :]]
    told = place.command.restore(qpos)  # where the commanded joint of a gripper is that another one measures
    position = np.concatenate([place.state.restore(qpos), told[:, others]], axis=1)
    velocity = None if qvel is None else _padded(qvel * place.state.scale, len(others))
    force = None
    if effort is not None:
        force = np.full(position.shape, np.nan)
        force[:, [names.index(name) for name in arm.puppet_joints]] = effort
    return _joints(spec, arm.puppet.type, names, (position, velocity, force), at)


def _master(episode: Episode, place: ArmLayout, spec: StreamSpec) -> Stream:
    assert place.arm.master
    action = _columns(episode, "action", place.columns)
    assert action is not None
    position = place.master.restore(action)
    return _joints(spec, place.arm.master.type, place.arm.master_joints, (position, None, None), Stamped.of(spec))


def _columns(episode: Episode, name: str, columns: slice) -> np.ndarray | None:
    values = column(episode, name)
    return None if values is None else values[:, columns].astype(np.float64)


def _padded(values: np.ndarray, more: int) -> np.ndarray:
    return np.concatenate([values, np.full((len(values), more), np.nan)], axis=1)


def _joints(
    spec: StreamSpec,
    kind: str,
    names: Sequence[str],
    numbers: tuple[np.ndarray, np.ndarray | None, np.ndarray | None],
    at: Stamped,
) -> Stream:
    size = joint_input.BYTES.get(kind)

    def joints(row: int, tick_ns: int) -> Iterator[Message]:
        values = [None if one is None else one[row] for one in numbers]
        if size is not None:
            data = encode.number(float(numbers[0][row, 0]), size)
        else:
            data = encode.joint_state(tick_ns + at.header_ns, names, numbers[0][row], *values[1:])
        yield Message(spec.topic, joint_input.TYPES[kind], tick_ns + at.log_ns, data)

    return joints


def _vector(values: np.ndarray, kind: str, joints: Sequence[str] | None, spec: StreamSpec) -> Stream:
    at, told = Stamped.of(spec), TYPES.get(kind)
    message_type = JOINTS if told is None else told.type

    def vector(row: int, tick_ns: int) -> Iterator[Message]:
        stamp_ns = tick_ns + at.header_ns
        if told is None:
            data = encode.joint_state(stamp_ns, joints or (), values[row])
        elif told.columns:
            numbers = np.zeros(MESSAGE_WIDTH[kind])
            numbers[list(told.columns)] = values[row]
            data = encode.stamped(stamp_ns, numbers)
        else:
            data = encode.multi_array(values[row].astype("f4" if told.size == 4 else "f8"))
        yield Message(spec.topic, message_type, tick_ns + at.log_ns, data)

    return vector


def _odometry(values: np.ndarray, spec: StreamSpec) -> Stream:
    at = Stamped.of(spec)

    def base(row: int, tick_ns: int) -> Iterator[Message]:
        data = encode.odometry(tick_ns + at.header_ns, float(values[row, 0]), float(values[row, 1]))
        yield Message(spec.topic, ODOMETRY, tick_ns + at.log_ns, data)

    return base


def _command(values: np.ndarray, topic: str) -> Stream:
    def command(row: int, tick_ns: int) -> Iterator[Message]:
        yield Message(topic, TWIST, tick_ns, encode.twist(float(values[row, 0]), float(values[row, 1])))

    return command


# ---- images


@dataclass(frozen=True)
class CameraTopics:
    """Where a camera's images go: as pixels, or as the file that is stored. Both may be one name."""

    pixels: str
    file: str
    kind: str  # of the contract
    at: Stamped = Stamped()


def camera_topics(episode: Episode, contract: Contract | None) -> dict[str, CameraTopics]:
    """The topics of every camera: the contract's, `compressed` behind it where a file is no message of its type."""
    specs = {} if contract is None else {spec.name: spec for spec in streams_of(contract)}
    known = {} if contract is None else {camera.name: camera for camera in contract.cameras}
    found: dict[str, CameraTopics] = {}
    taken = {spec.topic for spec in specs.values()}
    for name in (*episode.camera_names, *episode.depth_names):
        depth = name in episode.depth_names
        if name in known and known[name].is_depth == depth:
            topic, kind = known[name].topic, known[name].type
            pixels = topic if kind in ("image", "depth") else f"{topic}/pixels"
            file = topic if kind in ("compressed", "compressed_depth") else f"{topic}/compressed"
            found[name] = CameraTopics(pixels, file, kind, Stamped.of(specs[name]))
            continue
        topic = next(one for one in _free_names(safe(name)) if one not in taken)
        taken.add(topic)
        found[name] = CameraTopics(topic, f"{topic}/compressed", "depth" if depth else "image")
    return found


def _free_names(name: str) -> Iterator[str]:
    yield f"/{name}/image_raw"
    yield from (f"/{name}_{number}/image_raw" for number in range(2, 1000))


def image_stream(episode: Episode, name: str, to: CameraTopics, images: str) -> Stream:
    """Colour images: JPEGs as they are stored, and what is none as pixels or PNG (`images`: kept, png, raw)."""
    swapped = episode.is_jpeg(name) and episode.jpeg_order(name) == "bgr"

    def image(row: int, tick_ns: int) -> Iterator[Message]:
        stamp_ns, log_ns = tick_ns + to.at.header_ns, tick_ns + to.at.log_ns
        data = episode.jpeg(name, row) if images == "kept" and episode.is_jpeg(name) else b""
        if data.startswith(JPEG_START):
            kind = SWAPPED if swapped else ORDINARY
            yield Message(to.file, FILE, log_ns, encode.compressed(stamp_ns, kind, data, name))
        elif images == "png" or (images == "kept" and to.kind == "compressed"):
            png = _png(episode.image(name, row)[..., ::-1])
            yield Message(to.file, FILE, log_ns, encode.compressed(stamp_ns, "png", png, name))
        else:
            yield Message(to.pixels, IMAGE, log_ns, encode.image(stamp_ns, episode.image(name, row), "rgb8", name))

    return image


def depth_stream(episode: Episode, name: str, to: CameraTopics) -> Stream:
    """Depth images, mm; in the form that the contract's camera sends."""

    def depth(row: int, tick_ns: int) -> Iterator[Message]:
        stamp_ns, log_ns = tick_ns + to.at.header_ns, tick_ns + to.at.log_ns
        pixels = episode.depth(name, row)
        if to.kind == "compressed_depth":
            data = encode.compressed(stamp_ns, DEPTH, DEPTH_HEADER + _png(pixels), name)
            yield Message(to.file, CAMERAS[to.kind][0], log_ns, data)
        else:
            yield Message(to.pixels, IMAGE, log_ns, encode.image(stamp_ns, pixels, "16UC1", name))

    return depth


def _png(pixels: Any) -> bytes:
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not done:
        raise VgilError(f"an image of shape {pixels.shape} cannot be encoded as PNG; allowed: (H, W, 3) or (H, W)")
    return data.tobytes()

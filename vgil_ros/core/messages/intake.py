"""The way of a message into the synchroniser: bytes in, a checked sample pushed. Recorder and bags take the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vgil_ros.core.contract import Camera, Contract, Vector
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import COLOR_ENCODINGS, DEPTH_ENCODINGS, DEPTH_FILES, FILE_ENCODINGS, Frame
from vgil_ros.core.guard.reading_guard import ReadingGuard, guards_of
from vgil_ros.core.layout import POSITION, JointReader, master_reader, puppet_reader
from vgil_ros.core.messages import cdr, joint_input
from vgil_ros.core.messages.joint_input import JointInput
from vgil_ros.core.messages.vectors import VectorReader
from vgil_ros.core.streams import Kind, StreamSpec, shared_topics
from vgil_ros.core.sync import Fault, Synchronizer

Reading = tuple[int, Any]  # stamp_ns and payload
CAMERAS = {  # of a camera's messages by its type: type, reader, encodings
    "image": ("sensor_msgs/msg/Image", cdr.read_image, COLOR_ENCODINGS),
    "depth": ("sensor_msgs/msg/Image", cdr.read_image, DEPTH_ENCODINGS),
    "compressed": ("sensor_msgs/msg/CompressedImage", cdr.read_compressed, FILE_ENCODINGS),
    "compressed_depth": ("sensor_msgs/msg/CompressedImage", cdr.read_compressed_depth, DEPTH_FILES),
}
ODOMETRY = "nav_msgs/msg/Odometry"


class StreamIntake:
    """Reads one stream's messages and pushes what fits.

    Attributes:
        spec: the stream.
        type: of its messages, as "sensor_msgs/msg/Image".
        joints: reads them, where they are joints'.
        guard: judges joints; None believes everything.
    """

    def __init__(
        self,
        spec: StreamSpec,
        type: str,
        read: Callable[[bytes, int], Reading | None],
        sync: Synchronizer,
        *,
        joints: JointInput | None = None,
        guard: ReadingGuard | None = None,
    ) -> None:
        self.spec, self.type, self.joints, self.guard = spec, type, joints, guard
        self._read, self._sync = read, sync

    def take(self, data: bytes, now_ns: int, *, arrived: bool = True) -> tuple[bool, Fault | None]:
        """Take a message.

        Args:
            data: the message, as it came.
            now_ns: when it came.
            arrived: False where that is not known, and `now_ns` a time beside it.

        Returns:
            Whether it is this stream's (on a shared topic it may be another's), and what the synchroniser has against
            it.

        Raises:
            JointError: for joints that do not fit or are no reading.
            CutImage: for an image that does not reach its end.
            VgilError: for another message that does not fit.
        """
        found = self._read(data, now_ns)
        if found is None:
            return False, None
        stamp_ns, payload = found
        content = payload.fingerprint(depth=self.spec.kind is Kind.DEPTH) if isinstance(payload, Frame) else None
        arrival_ns = now_ns if arrived else None
        return True, self._sync.push(self.spec.name, stamp_ns, payload, now_ns=arrival_ns, content=content)


def intakes_of(contract: Contract, sync: Synchronizer) -> tuple[StreamIntake, ...]:
    """One intake for each stream of a synchroniser, in their order."""
    cameras = {camera.name: camera for camera in contract.cameras}
    vectors = {vector.name: vector for vector in contract.vectors}
    readers = {f"{arm.name}/puppet": puppet_reader(arm) for arm in contract.arms}
    readers |= {f"{arm.name}/master": master_reader(arm) for arm in contract.arms}
    guards, shared = guards_of(contract), shared_topics(contract)

    def joints(spec: StreamSpec, reader: JointReader) -> StreamIntake:
        guard = guards.get(spec.name)
        reads = JointInput(reader, guard, spec.arrival_offset_ns, shared=spec.topic in shared)
        read = reads.read if spec.kind is Kind.JOINTS else _positions(reads)
        return StreamIntake(spec, joint_input.TYPES[reader.kind], read, sync, joints=reads, guard=guard)

    def intake(spec: StreamSpec) -> StreamIntake:
        if spec.name in cameras:
            camera = cameras[spec.name]
            return StreamIntake(spec, CAMERAS[camera.type][0], _images(camera), sync)
        if spec.name in readers:
            return joints(spec, readers[spec.name])
        if spec.name in vectors:
            vector = vectors[spec.name]
            if vector.joints is not None:
                return joints(spec, JointReader(vector.name, vector.joints))
            return _numbers(spec, vector, sync)
        return StreamIntake(spec, ODOMETRY, _odometry, sync)

    return tuple(intake(spec) for spec in sync.streams)


def by_topic(intakes: Sequence[StreamIntake]) -> dict[str, list[StreamIntake]]:
    """The intakes that read each topic of the contract."""
    out: dict[str, list[StreamIntake]] = {}
    for intake in intakes:
        out.setdefault(intake.spec.topic, []).append(intake)
    return out


def _positions(joints: JointInput) -> Callable[[bytes, int], Reading | None]:
    """Of a vector of joints, whose payload is the positions alone."""

    def read(data: bytes, now_ns: int) -> Reading | None:
        found = joints.read(data, now_ns)
        return None if found is None else (found[0], found[1][POSITION])

    return read


def _images(camera: Camera) -> Callable[[bytes, int], Reading]:
    _, parse, allowed = CAMERAS[camera.type]

    def read(data: bytes, now_ns: int) -> Reading:
        stamp_ns, frame = parse(data)
        frame.check(camera.height, camera.width, allowed)
        return stamp_ns, frame

    return read


def _numbers(spec: StreamSpec, vector: Vector, sync: Synchronizer) -> StreamIntake:
    reader = VectorReader(vector)
    return StreamIntake(spec, reader.type, lambda data, now_ns: reader.read(data), sync)


def _odometry(data: bytes, now_ns: int) -> Reading:
    stamp_ns, twist = cdr.read_odometry(data)
    if not np.isfinite(twist).all():
        raise VgilError(f"twist {twist.tolist()} is not finite")
    return stamp_ns, twist

"""Messages as bytes: a small robot's joints and images at a time, which every test can calculate anew."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from support.contracts import HEIGHT, WIDTH

START = 1_700_000_000_000_000_000
MS = 1_000_000
PUPPET, MASTER, CAMERA = "/puppet/joint_states", "/master/joint_states", "/cam_a/image_raw"
NAMES = ("waist", "elbow", "grip")
JOINTS, IMAGE = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"
TYPES = {PUPPET: JOINTS, MASTER: JOINTS, CAMERA: IMAGE}


@dataclass
class Cdr:
    """A message that is being written (plain CDR, little-endian)."""

    data: bytearray = field(default_factory=lambda: bytearray(b"\x00\x01\x00\x00"))

    def put(self, code: str, *values: float) -> Cdr:
        """Numbers of one kind, each aligned to its size."""
        size = struct.calcsize(code)
        self.data += bytes(-(len(self.data) - 4) % size)
        self.data += struct.pack(f"<{len(values)}{code}", *values)
        return self

    def text(self, words: str) -> Cdr:
        """A string."""
        data = words.encode() + b"\0"
        self.put("I", len(data)).data += data
        return self

    def header(self, stamp_ns: int) -> Cdr:
        """std_msgs/Header."""
        return self.put("i", stamp_ns // 10**9).put("I", stamp_ns % 10**9).text("")

    def floats(self, values: Sequence[float]) -> Cdr:
        """A sequence of float64."""
        self.put("I", len(values))
        return self.put("d", *values) if len(values) else self

    def done(self) -> bytes:
        """The message."""
        return bytes(self.data)


def position(stamp_ns: int, *, master: bool = False) -> list[float]:
    """Where the joints are: on straight lines, so that what is interpolated is exact."""
    seconds = (stamp_ns - START) / 1e9
    return [0.2 * seconds, -0.1 * seconds, 0.3 if master else 0.05]


def joints(stamp_ns: int, *, master: bool = False, names: Sequence[str] = NAMES, at: Sequence[float] = ()) -> bytes:
    """sensor_msgs/JointState."""
    message = Cdr().header(stamp_ns).put("I", len(names))
    for name in names:
        message.text(name)
    values = list(at) or position(stamp_ns, master=master)[: len(names)]
    return message.floats(values).floats([]).floats([]).done()


def image(stamp_ns: int, number: int) -> bytes:
    """sensor_msgs/Image of noise that only this number gives."""
    pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    message = Cdr().header(stamp_ns).put("I", HEIGHT, WIDTH).text("rgb8").put("B", 0).put("I", 3 * WIDTH)
    message.put("I", pixels.size).data += pixels.tobytes()
    return message.done()


@dataclass(frozen=True)
class Sent:
    """A message on its way: when it arrives, where, and its bytes."""

    arrival_ns: int
    topic: str
    data: bytes


def robot(seconds: float, *, delay_ns: int = 2 * MS, joint_hz: int = 100, camera_hz: int = 30) -> list[Sent]:
    """What a small robot sends from `START` on, in the order of its arrival."""
    found = []
    for k in range(round(seconds * joint_hz)):
        stamp = START + k * 10**9 // joint_hz
        found.append(Sent(stamp + delay_ns, PUPPET, joints(stamp)))
        found.append(Sent(stamp + delay_ns + 1, MASTER, joints(stamp, master=True)))
    for k in range(round(seconds * camera_hz)):
        stamp = START + k * 10**9 // camera_hz
        found.append(Sent(stamp + delay_ns + 5 * MS, CAMERA, image(stamp, k)))
    return sorted(found, key=lambda one: one.arrival_ns)

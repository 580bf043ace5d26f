"""Bytes that are no ROS messages, as a broken driver or a stranger on the domain sends them: refused, or of the right
size; never an exception that would end a node's callback."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import fuzz
from support.episodes import made_episodes as demo

from vgil_ros.core.frame import COLOR_ENCODINGS, DEPTH_ENCODINGS, FILE_ENCODINGS, PLANES, RAW_ENCODINGS
from vgil_ros.core.layout import JointReader
from vgil_ros.core.messages import cdr
from vgil_ros.episodes import image_codec

SHORT = 100
HEIGHT, WIDTH = 24, 32
JPEG = cv2.imencode(".jpg", demo.image(0, (HEIGHT, WIDTH)))[1].tobytes()


class _Cdr:
    """Writes plain CDR, as a publisher does."""

    def __init__(self, little: bool) -> None:
        self.order = "<" if little else ">"
        self.data = bytearray(b"\0\1\0\0" if little else b"\0\0\0\0")

    def put(self, kind: str, value: object) -> _Cdr:
        size = struct.calcsize(kind)
        self.data += bytes(-(len(self.data) - 4) % size)
        self.data += struct.pack(self.order + kind, value)
        return self

    def text(self, value: str) -> _Cdr:
        raw = value.encode() + b"\0"
        self.put("I", len(raw)).data.extend(raw)
        return self

    def octets(self, value: bytes) -> _Cdr:
        self.put("I", len(value)).data.extend(value)
        return self

    def floats(self, values: list[float]) -> _Cdr:
        self.put("I", len(values))
        for value in values:
            self.put("d", value)
        return self


def _header(little: bool) -> _Cdr:
    return _Cdr(little).put("i", 1_700_000_000).put("I", 5).text("frame")


def joint_state(little: bool) -> bytes:
    message = _header(little).put("I", 3)
    for name in ("waist", "elbow", "gripper"):
        message.text(name)
    return bytes(message.floats([0.1, 0.2, 0.3]).floats([]).floats([1.0, 2.0, 3.0]).data)


def image(little: bool, encoding: str) -> bytes:
    size, channels = RAW_ENCODINGS[encoding]
    step = WIDTH * size * channels
    message = _header(little).put("I", HEIGHT).put("I", WIDTH).text(encoding).put("B", 0).put("I", step)
    return bytes(message.octets(bytes(step * rows(encoding))).data)


def rows(encoding: str) -> int:
    """Rows of bytes: colour may follow in planes of its own."""
    return int(HEIGHT * PLANES.get(encoding, 1))


def compressed(little: bool) -> bytes:
    return bytes(_header(little).text("jpeg").octets(JPEG).data)


def test_the_messages_themselves_are_read() -> None:
    for little in (True, False):
        assert cdr.read_joint_state(joint_state(little)).position.tolist() == [0.1, 0.2, 0.3]
        stamp, frame = cdr.read_compressed(compressed(little))
        assert (stamp, frame.height, frame.width) == (1_700_000_000_000_000_005, HEIGHT, WIDTH)
    for encoding in RAW_ENCODINGS:
        _, frame = cdr.read_image(image(True, encoding))
        frame.check(HEIGHT, WIDTH, (encoding,))
        assert frame.array().shape[:2] == (rows(encoding), WIDTH)


def try_message(case: tuple[str, bytes]) -> None:
    """Read a message as the nodes do, and use what it holds as the recorder does."""
    kind, data = case
    if kind == "joints":
        message = cdr.read_joint_state(data)
        reader = JointReader("arm/puppet", ("waist", "elbow", "gripper"))
        assert reader.read(message.names, message.position, message.velocity, message.effort).shape == (3, 3)
        return
    _, frame = cdr.read_compressed(data) if kind == "compressed" else cdr.read_image(data)
    frame.check(HEIGHT, WIDTH, (*COLOR_ENCODINGS, *DEPTH_ENCODINGS, *FILE_ENCODINGS))
    frame.fingerprint()
    if frame.encoding in DEPTH_ENCODINGS:
        assert image_codec.to_millimetres(frame).shape == (HEIGHT, WIDTH)
    else:
        assert image_codec.to_rgb(frame).shape == (HEIGHT, WIDTH, 3)
        image_codec.encode(frame, 90)


def broken(count: int) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Messages with bytes changed, cut off, with numbers that claim much, and no messages at all."""
    encodings = sorted(RAW_ENCODINGS)
    for seed in range(count):
        rng = np.random.RandomState(seed)
        kind = ("joints", "image", "compressed")[seed % 3]
        little = bool(rng.randint(4))
        whole = {
            "joints": joint_state(little),
            "image": image(little, encodings[rng.randint(len(encodings))]),
            "compressed": compressed(little),
        }[kind]
        way = rng.randint(4)
        if way == 0:
            data = fuzz.flipped(whole, rng)
        elif way == 1:  # the part before the payload, where lengths and names lie
            data = fuzz.flipped(whole[:80], rng) + whole[80:]
        elif way == 2:
            head = bytearray(whole)
            at = rng.randint(0, min(len(head), 120) - 4) & ~3
            head[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 65536])))
            data = bytes(head)
        else:
            data = whole[:4] + rng.bytes(rng.randint(200)) if rng.randint(2) else rng.bytes(rng.randint(200))
        yield f"{kind} seed {seed}", (kind, data)


def test_some_broken_messages(tmp_path: Path) -> None:
    assert not fuzz.failures(fuzz.run(try_message, broken(SHORT), folder=tmp_path))


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_a_thousand_broken_messages(tmp_path: Path) -> None:
    outcomes = fuzz.run(try_message, broken(1000), folder=tmp_path)
    print(f"\nmessages: {fuzz.summary(outcomes)}")
    assert not fuzz.failures(outcomes)

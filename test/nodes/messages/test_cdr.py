"""Our view of serialised messages against rclpy's own, and against bytes that are no message."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PointStamped, PoseStamped, TwistStamped, Vector3Stamped, WrenchStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image, Imu, JointState
from std_msgs.msg import Float32MultiArray, Float64MultiArray, Header, MultiArrayDimension

from vgil_ros.core.contract import Vector
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import DEPTH_FILES, FILE_ENCODINGS, PAIRED, PLANES, RAW_ENCODINGS, FrameError
from vgil_ros.core.messages.cdr import (
    CdrError,
    CutImage,
    read_compressed,
    read_compressed_depth,
    read_image,
    read_joint_state,
    read_odometry,
)
from vgil_ros.core.messages.vectors import VectorReader

words = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
headers = st.builds(
    lambda sec, nanosec, frame: Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**32 - 1),
    words,
)
floats = st.lists(st.floats(width=64), max_size=9)
joint_states = st.builds(
    lambda header, name, position, velocity, effort: JointState(
        header=header, name=name, position=position, velocity=velocity, effort=effort
    ),
    headers,
    st.lists(words, max_size=9),
    floats,
    floats,
    floats,
)


@st.composite
def images(draw: Any) -> Image:
    encoding = draw(st.sampled_from(sorted(RAW_ENCODINGS)))
    size, channels = RAW_ENCODINGS[encoding]
    even = 2 if encoding in PAIRED else 1
    height, width = even * draw(st.integers(1, 9)), even * draw(st.integers(1, 9))
    step = width * size * channels + (0 if encoding == "nv24" else draw(st.integers(0, 5)))
    count = int(step * height * PLANES.get(encoding, 1))
    data = draw(st.binary(min_size=count, max_size=count))
    image = Image(header=draw(headers), height=height, width=width, encoding=encoding, step=step)
    image.data = data
    return image


def stamp_of(header: Header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


@given(joint_states)
def test_joint_states_are_read_as_rclpy_reads_them(message: JointState) -> None:
    data = serialize_message(message)
    reference = deserialize_message(data, JointState)
    found = read_joint_state(data)
    assert found.stamp_ns == stamp_of(reference.header)
    assert found.names == tuple(reference.name)
    for key in ("position", "velocity", "effort"):
        np.testing.assert_array_equal(getattr(found, key), np.array(getattr(reference, key)))


def numbers(message: Any, *paths: str) -> list[float]:
    """Fill the numbers at the ends of paths (`pose.position.x`) with 1, 2, 3 ..., all else with 1000 and more."""
    for i, path in enumerate(paths, 1):
        *where, name = path.split(".")
        place = message
        for word in where:
            place = getattr(place, word)
        setattr(place, name, float(i))
    return [float(i + 1) for i in range(len(paths))]


def fields(path: str, names: str) -> list[str]:
    return [f"{path}.{name}" for name in names]


def imu() -> Imu:
    return Imu(
        orientation_covariance=np.arange(1000.0, 1009.0),
        angular_velocity_covariance=np.arange(2000.0, 2009.0),
        linear_acceleration_covariance=np.arange(3000.0, 3009.0),
    )


LINEAR = "xyz"
STAMPED: dict[str, tuple[Any, list[str]]] = {
    "wrench": (WrenchStamped(), fields("wrench.force", LINEAR) + fields("wrench.torque", LINEAR)),
    "pose": (PoseStamped(), fields("pose.position", LINEAR) + fields("pose.orientation", "xyzw")),
    "imu": (
        imu(),
        fields("orientation", "xyzw") + fields("angular_velocity", LINEAR) + fields("linear_acceleration", LINEAR),
    ),
    "twist": (TwistStamped(), fields("twist.linear", LINEAR) + fields("twist.angular", LINEAR)),
    "point": (PointStamped(), fields("point", LINEAR)),
    "vector3": (Vector3Stamped(), fields("vector", LINEAR)),
}


@pytest.mark.parametrize("kind", list(STAMPED))
@settings(max_examples=20)
@given(header=headers)
def test_vectors_are_read_in_their_order(kind: str, header: Header) -> None:
    message, paths = STAMPED[kind]
    message.header = header
    expected = numbers(message, *paths)
    reader = VectorReader(Vector(name="v", topic="/v", type=kind))
    assert reader.type == f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
    stamp, values = reader.read(serialize_message(message))
    assert stamp == stamp_of(header)
    assert values.tolist() == expected


@settings(max_examples=30)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=9), st.lists(words, max_size=3))
def test_arrays_are_read_whatever_their_layout_says(values: list[float], labels: list[str]) -> None:
    for kind, made in (("float32_multi_array", Float32MultiArray()), ("float64_multi_array", Float64MultiArray())):
        made.layout.dim = [MultiArrayDimension(label=label, size=1, stride=2) for label in labels]
        made.data = values
        vector = Vector(name="v", topic="/v", type=kind, size=max(1, len(values)), stamp="arrival")
        data = serialize_message(made)
        if values:
            assert VectorReader(vector).read(data) == (0, pytest.approx(values))
        else:
            with pytest.raises(VgilError, match="0 numbers in the message; the contract says 1"):
                VectorReader(vector).read(data)


@given(headers, words)
def test_odometry_gives_the_two_velocities(header: Header, child: str) -> None:
    message = Odometry(header=header, child_frame_id=child)
    message.twist.twist.linear.x, message.twist.twist.angular.z = 0.25, -0.5
    message.pose.covariance, message.twist.covariance = np.arange(36.0), np.arange(36.0)
    stamp, twist = read_odometry(serialize_message(message))
    assert (stamp, twist.tolist()) == (stamp_of(header), [0.25, -0.5])


@given(images())
def test_images_are_read_as_rclpy_reads_them(message: Image) -> None:
    data = serialize_message(message)
    stamp, frame = read_image(data)
    reference = deserialize_message(data, Image)
    assert stamp == stamp_of(reference.header)
    assert (frame.height, frame.width, frame.step) == (reference.height, reference.width, reference.step)
    assert frame.encoding == reference.encoding
    assert bytes(frame.data) == bytes(reference.data)
    frame.check(message.height, message.width, tuple(RAW_ENCODINGS))
    size, channels = RAW_ENCODINGS[message.encoding]
    rows = np.frombuffer(bytes(reference.data), np.uint8).reshape(-1, message.step)
    pixels = np.ascontiguousarray(frame.array()).view(np.uint8).reshape(len(rows), -1)
    np.testing.assert_array_equal(pixels, rows[:, : message.width * size * channels])


@given(images())
def test_an_image_lies_in_the_messages_own_bytes(message: Image) -> None:
    data = serialize_message(message)
    _, frame = read_image(data)
    assert frame.data.obj is data
    assert frame.data.readonly


@given(headers, words, st.integers(1, 40), st.integers(1, 40), st.booleans())
@settings(max_examples=50)
def test_jpegs_are_read_with_their_size(header: Header, kind: str, height: int, width: int, progressive: bool) -> None:
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    message = CompressedImage(header=header, format=kind)
    message.data = jpeg
    stamp, frame = read_compressed(serialize_message(message))
    assert stamp == stamp_of(header)
    assert (frame.height, frame.width, frame.encoding) == (height, width, "jpeg")
    assert bytes(frame.data) == jpeg


def compressed(data: bytes, kind: str = "jpeg") -> bytes:
    message = CompressedImage(format=kind)
    message.data = data
    return serialize_message(message)


def jpeg(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_jpeg_that_is_cut_is_never_taken(data: st.DataObject) -> None:
    whole = jpeg()
    size = data.draw(st.integers(2, len(whole) - 1))
    with pytest.raises(CdrError):
        read_compressed(compressed(whole[:size]))
    with pytest.raises(CdrError):  # a buffer of the full size, whose second part never came
        read_compressed(compressed(whole[:size].ljust(len(whole) + 100, b"\0")))


@pytest.mark.parametrize("zeros", [1, 2, 3000, 100_000])
def test_zeros_behind_a_jpeg_are_left_out(zeros: int) -> None:
    """usb_cam's raw_mjpeg, the Raspberry Pi's and ArduCAM's drivers send a whole buffer."""
    frame = read_compressed(compressed(jpeg() + bytes(zeros)))[1]
    assert bytes(frame.data) == jpeg()


@pytest.mark.parametrize("behind", [b"\x01driver", b"\0\0\xff\xd8\xff"])
def test_what_a_driver_writes_behind_a_jpeg_is_left_out(behind: bytes) -> None:
    assert bytes(read_compressed(compressed(jpeg() + behind))[1].data) == jpeg()


def test_a_cut_jpeg_with_a_thumbnail_in_it_is_cut() -> None:
    """The thumbnail's end is no end of the image."""
    small = jpeg(1)
    exif = b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small
    with_thumbnail = jpeg()[:2] + exif + jpeg()[2:]
    assert read_compressed(compressed(with_thumbnail))[1].height == 32
    with pytest.raises(CutImage):
        read_compressed(compressed(with_thumbnail[: len(exif) + 300]))


def png(depth: int = 8) -> bytes:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (32, 48, 3), np.uint8)
    if depth == 16:
        pixels = random.integers(0, 65536, (32, 48), np.uint16)
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_pngs_are_read_with_their_size() -> None:
    for zeros in (0, 77):
        frame = read_compressed(compressed(png() + bytes(zeros), "rgb8; png compressed bgr8"))[1]
        assert (frame.height, frame.width, frame.encoding, bytes(frame.data)) == (32, 48, "png", png())
    with pytest.raises(CutImage):
        read_compressed(compressed(png()[:-20], "png"))


@pytest.mark.parametrize("kind", ["16UC1; compressedDepth", "32FC1; compressedDepth png"])
def test_compressed_depth_is_read_with_its_header(kind: str) -> None:
    data = struct.pack("<iff", 0, 1.0, 2.0) + png(16)
    frame = read_compressed_depth(compressed(data, kind))[1]
    assert (frame.height, frame.width, frame.encoding) == (32, 48, f"compressedDepth {kind[:5]}")
    assert bytes(frame.data) == data
    frame.check(32, 48, DEPTH_FILES)
    with pytest.raises(CutImage):
        read_compressed_depth(compressed(data[:-20], kind))


@pytest.mark.parametrize(
    ("data", "kind"),
    [(bytes(12) + b"\x10rvl", "16UC1; compressedDepth rvl"), (jpeg(), "jpeg"), (bytes(12), "16UC1; compressedDepth")],
)
def test_another_compressed_depth_is_named(data: bytes, kind: str) -> None:
    with pytest.raises(CdrError, match=r"allowed: '16UC1; compressedDepth png' .* `format: png`"):
        read_compressed_depth(compressed(data, kind))


def jpeg_message() -> bytes:
    message = CompressedImage(format="jpeg")
    message.data = cv2.imencode(".jpg", np.full((16, 24, 3), 90, np.uint8))[1].tobytes()
    return serialize_message(message)


def image_message() -> bytes:
    message = Image(height=3, width=4, step=12, encoding="rgb8")
    message.data = bytes(range(36))
    return serialize_message(message)


def joint_message() -> bytes:
    return serialize_message(JointState(name=["a", "bc"], position=[1.0, 2.0], velocity=[3.0, 4.0], effort=[5.0, 6.0]))


READERS: list[tuple[Callable[[bytes], Any], Callable[[], bytes]]] = [
    (read_joint_state, joint_message),
    (read_image, image_message),
    (read_compressed, jpeg_message),
    (read_compressed, lambda: compressed(png(), "png")),
    (read_compressed_depth, lambda: compressed(bytes(12) + png(16), "16UC1; compressedDepth png")),
]
IDS = ["joint_state", "image", "jpeg", "png", "compressed_depth"]


@pytest.mark.parametrize(("read", "make"), READERS, ids=IDS)
def test_a_message_that_was_cut_is_refused_wherever_it_was_cut(
    read: Callable[[bytes], Any], make: Callable[[], bytes]
) -> None:
    data = make()
    read(data)
    for size in range(len(data)):
        with pytest.raises(CdrError):
            read(data[:size])


@pytest.mark.parametrize(("read", "make"), READERS, ids=IDS)
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_bytes_are_read_or_refused_but_never_crash(
    read: Callable[[bytes], Any], make: Callable[[], bytes], flips: list[tuple[int, int]]
) -> None:
    data = bytearray(make())
    for at, value in flips:
        data[at % len(data)] = value
    try:
        found = read(bytes(data))
    except CdrError:
        return
    if isinstance(found, tuple):
        frame = found[1]
        try:
            frame.check(frame.height, frame.width, (*RAW_ENCODINGS, *FILE_ENCODINGS, *DEPTH_FILES))
        except FrameError:
            return
        frame.fingerprint()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read, _ in READERS:
        for header in (b"", b"\0\1\0\0", b"\0\0\0\0"):
            with contextlib.suppress(CdrError):
                read(header + data)


def big_endian_joint_state(sec: int, nanosec: int, names: list[str], arrays: list[list[float]]) -> bytes:
    """A JointState as a big-endian machine writes it."""
    body = struct.pack(">iI", sec, nanosec)

    def number(value: int) -> None:
        nonlocal body
        body += b"\0" * (-len(body) % 4) + struct.pack(">I", value)

    for text in ("", None, *names):
        if text is None:
            number(len(names))
            continue
        number(len(text.encode()) + 1)
        body += text.encode() + b"\0"
    for values in arrays:
        number(len(values))
        if values:
            body += b"\0" * (-len(body) % 8) + struct.pack(f">{len(values)}d", *values)
    return b"\0\0\0\0" + body


@given(st.integers(0, 2**31 - 1), st.lists(words, max_size=5), st.lists(floats, min_size=3, max_size=3))
def test_big_endian_messages_are_read_too(sec: int, names: list[str], arrays: list[list[float]]) -> None:
    found = read_joint_state(big_endian_joint_state(sec, 7, names, arrays))
    assert found.stamp_ns == sec * 10**9 + 7
    assert found.names == tuple(names)
    for got, wanted in zip((found.position, found.velocity, found.effort), arrays, strict=True):
        np.testing.assert_array_equal(got, np.array(wanted))


@pytest.mark.parametrize("header", [b"\0\2\0\0", b"\0\7\0\0", b"\1\1\0\0", b"", b"\0\1"])
def test_another_encapsulation_is_named(header: bytes) -> None:
    with pytest.raises(CdrError, match=r"encapsulation .* is unknown; allowed: plain CDR"):
        read_joint_state(header + joint_message()[4:] if len(header) == 4 else header)


def test_deep_pixels_in_big_endian_order_are_refused() -> None:
    message = Image(height=1, width=1, step=2, encoding="16UC1", is_bigendian=1)
    message.data = b"\0\1"
    with pytest.raises(CdrError, match="16UC1 in big-endian order; allowed: little-endian"):
        read_image(serialize_message(message))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\0\2", b"\xff\xd8" + b"\xff" * 50, b"\x89PNG"])
def test_bytes_that_are_no_whole_jpeg_are_named(data: bytes) -> None:
    message = CompressedImage(format="jpeg")
    message.data = data
    with pytest.raises(CdrError, match=r"neither JPEG nor PNG|cut off"):
        read_compressed(serialize_message(message))

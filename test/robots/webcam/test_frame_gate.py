"""The gate of a webcam's frames: nothing whole is dropped, nothing broken passes, every frame is accounted for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.robots.webcam.frame_gate import QUIET_NS, WRAP, FrameGate, RawFrame
from vgil_ros.robots.webcam.stamps import Clocks, age_ns

PERIOD_NS = 33_333_333
JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))[1].tobytes()
OTHER = cv2.imencode(".jpg", np.zeros((24, 64, 3), np.uint8))[1].tobytes()


def gate() -> FrameGate:
    return FrameGate("cam", "jpeg", 48, 64, 30)


def frame(number: int, data: bytes = JPEG, *, sequence: int | None = None, damaged: bool = False) -> RawFrame:
    count = number if sequence is None else sequence
    return RawFrame(data, count % WRAP, 10**12 + number * PERIOD_NS, damaged)


@given(
    first=st.integers(0, WRAP - 1), gaps=st.lists(st.integers(1, 20), max_size=30), broken=st.sets(st.integers(0, 30))
)
def test_every_frame_is_published_broken_or_lost(first: int, gaps: list[int], broken: set[int]) -> None:
    judged, number = gate(), 0
    for i, gap in enumerate([0, *gaps]):
        number += gap
        data = JPEG[: len(JPEG) // 2] if i in broken else JPEG
        image = judged.take(frame(number, data, sequence=first + number))
        assert (image is None) == (i in broken)
        assert image is None or bytes(image) == JPEG
    assert judged.frames + judged.broken == len(gaps) + 1
    assert judged.frames + judged.broken + judged.lost == number + 1


def test_without_a_count_the_stamps_tell() -> None:
    judged = gate()
    for number in (0, 1, 2, 5, 6):
        judged.take(frame(number, sequence=0))
    assert judged.lost == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (JPEG[:-40], "cut off"),
        (b"\0" * 100, "no JPEG"),
        (OTHER, "of 64x24, and 64x48 was set"),
        (b"\xff\xd8\xff\xd9", "a JPEG without a frame header"),
    ],
    ids=["empty", "cut", "zeros", "size", "header"],
)
def test_what_is_broken_is_named(data: bytes, words: str) -> None:
    judged = gate()
    assert judged.take(frame(0, data)) is None
    [said] = judged.faults(frame(1).stamp_ns).values()
    assert words in said
    assert judged.faults(frame(1).stamp_ns + QUIET_NS) == {}


def test_what_lies_behind_a_jpeg_is_left_out() -> None:
    assert bytes(gate().take(frame(0, JPEG + bytes(999))) or b"") == JPEG


def test_raw_images_are_measured_by_the_drivers_rows() -> None:
    judged = FrameGate("cam", "yuv422_yuy2", 4, 6, 30)
    image = judged.take(frame(0, bytes(16 * 4 + 5)), step=16)
    assert image is not None
    assert (len(image), judged.as_frame(image).step) == (64, 16)
    assert judged.take(frame(1, bytes(60)), step=16) is None


def test_a_slow_camera_is_slow_and_one_that_loses_frames_is_not() -> None:
    slow, losing = gate(), gate()
    for number in range(0, 120, 2):
        slow.take(frame(number, sequence=number // 2))
        losing.take(frame(number))
    now = frame(119).stamp_ns
    assert "sends 15.0 Hz, 30 were set" in slow.faults(now)["rate"]
    assert set(losing.faults(now)) == {"frames"}
    assert losing.rate(now) == pytest.approx(15, rel=0.05)
    slow.begin()
    assert slow.rate(now) == 0.0


@given(age=st.integers(0, 4_000_000_000), wall=st.booleans())
def test_a_stamp_of_either_clock_is_as_old_as_it_is(age: int, wall: bool) -> None:
    now = Clocks(5 * 10**12, 17 * 10**17)
    assert age_ns((now.wall_ns if wall else now.monotonic_ns) - age, now) == age


@pytest.mark.parametrize("stamp", [0, 5 * 10**12 + 10**9, 17 * 10**17 - 10**11])
def test_a_stamp_of_neither_clock_is_none(stamp: int) -> None:
    assert age_ns(stamp, Clocks(5 * 10**12, 17 * 10**17)) is None

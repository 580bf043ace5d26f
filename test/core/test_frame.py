"""Images as they come: padding, sizes, encodings, and the checksum that finds frozen cameras."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.frame import (
    COLOR_ENCODINGS,
    DEPTH_ENCODINGS,
    PAIRED,
    PLANES,
    RAW_ENCODINGS,
    Frame,
    FrameError,
    image_end,
    is_whole_image,
)


def frame(pixels: np.ndarray, encoding: str, padding: int = 0) -> Frame:
    """An image whose rows end in bytes that are no pixels."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1).view(np.uint8)
    padded = np.full((height, rows.shape[1] + padding), 0xAB, np.uint8)
    padded[:, : rows.shape[1]] = rows
    return Frame(height, width, encoding, padded.shape[1], memoryview(padded.tobytes()))


def noise(height: int, width: int, encoding: str, seed: int = 0) -> np.ndarray:
    size, channels = RAW_ENCODINGS[encoding]
    random = np.random.default_rng(seed)
    if size == 1:
        return random.integers(0, 256, (height, width, channels), np.uint8)
    return random.integers(0, 9999, (height, width)).astype(np.uint16 if size == 2 else np.float32)


@given(
    encoding=st.sampled_from(sorted(RAW_ENCODINGS)),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    padding=st.integers(0, 9),
)
def test_pixels_come_out_whatever_the_padding(encoding: str, height: int, width: int, padding: int) -> None:
    if encoding in PLANES:  # rows of colour follow: test/episodes/test_encodings.py
        return
    width += width % 2 if encoding in PAIRED else 0
    pixels = noise(height, width, encoding)
    one = frame(pixels, encoding, padding)
    one.check(height, width, (encoding,))
    array = one.array()
    assert (array == pixels.reshape(array.shape)).all()
    assert array.shape == ((height, width, 3) if encoding in ("rgb8", "bgr8") else array.shape)
    assert array.dtype == pixels.dtype
    assert not array.flags.writeable


def test_an_image_is_looked_at_not_copied() -> None:
    data = bytearray(4 * 5 * 3)
    array = Frame(4, 5, "rgb8", 15, memoryview(data)).array()
    data[0] = 7
    assert array[0, 0, 0] == 7
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (Frame(8, 9, "rgb8", 30, memoryview(bytes(240))), "image is 8x9; the contract says 8x10"),
        (Frame(10, 8, "rgb8", 24, memoryview(bytes(240))), "image is 10x8; the contract says 8x10"),
        (Frame(8, 10, "yuv444", 30, memoryview(bytes(240))), "encoding is 'yuv444'; allowed: ['rgb8', 'bgr8'"),
        (Frame(8, 10, "yuv444", 30, memoryview(bytes(240))), "usb_cam `pixel_format: mjpeg2rgb`"),
        (Frame(8, 10, "nv12", 10, memoryview(bytes(119))), "119 bytes, 10 a row; too few for 8x10 nv12"),
        (Frame(8, 10, "nv24", 12, memoryview(bytes(288))), "12 bytes a row of nv24; allowed: 10, no padding"),
        (Frame(8, 10, "jpeg", 0, memoryview(b"\xff\xd8")), "encoding is 'jpeg'; allowed: ['rgb8'"),
        (Frame(8, 10, "16UC1", 20, memoryview(bytes(160))), "encoding is '16UC1'; allowed: ['rgb8'"),
        (Frame(8, 10, "rgb8", 30, memoryview(bytes(239))), "239 bytes, 30 a row; too few for 8x10 rgb8"),
        (Frame(8, 10, "rgb8", 29, memoryview(bytes(240))), "240 bytes, 29 a row; too few for 8x10 rgb8"),
        (Frame(8, 10, "rgb8", 30, memoryview(b"")), "0 bytes, 30 a row; too few for 8x10 rgb8"),
    ],
)
def test_what_does_not_fit_is_named(made: Frame, words: str) -> None:
    with pytest.raises(FrameError) as error:
        made.check(8, 10, COLOR_ENCODINGS)
    assert words in str(error.value)


def test_depth() -> None:
    for encoding in DEPTH_ENCODINGS:
        frame(noise(8, 10, encoding), encoding).check(8, 10, DEPTH_ENCODINGS)
    with pytest.raises(FrameError, match="encoding is 'rgb8'; allowed:"):
        frame(noise(8, 10, "rgb8"), "rgb8").check(8, 10, DEPTH_ENCODINGS)


def test_jpeg_needs_no_row_length() -> None:
    Frame(480, 640, "jpeg", 0, memoryview(b"\xff\xd8\xff")).check(480, 640, ("jpeg",))


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "16UC1"])
def test_fingerprint_tells_a_living_camera_from_a_frozen_one(encoding: str) -> None:
    same = [frame(noise(48, 64, encoding), encoding).fingerprint() for _ in range(3)]
    living = [frame(noise(48, 64, encoding, seed), encoding).fingerprint() for seed in range(20)]
    assert len(set(same)) == 1
    assert len(set(living)) == 20


@given(st.integers(0, 47), st.integers(0, 191))
def test_fingerprint_sees_every_eighth_row(row: int, column: int) -> None:
    """A speed bought with blindness for the rest: a sensor's noise is on every row."""
    pixels = noise(48, 64, "rgb8").reshape(48, 192)
    other = pixels.copy()
    other[row, column] ^= 1
    prints = [frame(p.reshape(48, 64, 3), "rgb8").fingerprint() for p in (pixels, other)]
    assert (prints[0] != prints[1]) == (row % 8 == 0)


def test_two_pixels_that_share_their_colour_are_both_there() -> None:
    with pytest.raises(FrameError, match="image is 8x9 yuyv; allowed: an even size"):
        Frame(8, 9, "yuyv", 18, memoryview(bytes(144))).check(8, 9, COLOR_ENCODINGS)


@pytest.mark.parametrize("encoding", DEPTH_ENCODINGS)
@pytest.mark.parametrize("value", [0, 700])
def test_a_depth_image_of_one_value_proves_nothing(encoding: str, value: int) -> None:
    pixels = noise(48, 64, encoding)
    blank = np.full_like(pixels, value)
    assert frame(blank, encoding, 3).fingerprint(depth=True) is None
    assert frame(pixels, encoding, 3).fingerprint(depth=True) == frame(pixels, encoding, 3).fingerprint()
    assert frame(blank, encoding).fingerprint() is not None  # of a colour camera: a lens cap is not noiseless
    if encoding == "32FC1":
        assert frame(np.full_like(pixels, np.nan), encoding).fingerprint(depth=True) is None


def test_fingerprint_of_a_jpeg_is_of_the_whole_file() -> None:
    data = bytes(range(256)) * 20
    one = Frame(480, 640, "jpeg", 0, memoryview(data)).fingerprint()
    assert one != Frame(480, 640, "jpeg", 0, memoryview(data[:-1] + b"x")).fingerprint()
    assert one == Frame(480, 640, "jpeg", 0, memoryview(bytes(data))).fingerprint()


def encoded(kind: str, *, progressive: bool = False) -> bytes:
    """An image file of noise, so that its compressed data has every byte, FF too."""
    pixels = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2] if progressive else []
    return cv2.imencode(f".{kind}", pixels, flags)[1].tobytes()


THUMBNAIL = encoded("jpg")
IMAGES = {
    "jpeg": encoded("jpg"),
    "progressive jpeg": encoded("jpg", progressive=True),
    "jpeg with a thumbnail": encoded("jpg")[:2]
    + b"\xff\xe1"
    + (len(THUMBNAIL) + 2).to_bytes(2, "big")
    + THUMBNAIL
    + encoded("jpg")[2:],
    "png": encoded("png"),
}


@pytest.mark.parametrize("name", IMAGES)
@given(behind=st.one_of(st.just(b""), st.binary(max_size=40), st.integers(1, 3000).map(bytes)))
def test_an_image_is_whole_whatever_lies_behind_its_end(name: str, behind: bytes) -> None:
    image = IMAGES[name]
    assert is_whole_image(image + behind)
    end = image_end(memoryview(image + behind))
    assert end is not None
    assert (image + behind)[:end].startswith(image)
    assert cv2.imdecode(np.frombuffer(image + behind, np.uint8), cv2.IMREAD_COLOR) is not None


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("padding", [0, 100])
def test_an_image_that_is_cut_anywhere_is_not_whole(name: str, padding: int) -> None:
    image = IMAGES[name]
    thumbnail = image.find(THUMBNAIL, 2) + len(THUMBNAIL)  # cut there it ends like a whole one; no header follows
    for size in {*range(0, len(image), 7), *range(len(image) - 12, len(image))} - {thumbnail}:
        assert not is_whole_image(image[:size] + bytes(padding)), size


def test_what_is_no_image_is_not_whole() -> None:
    assert [is_whole_image(data) for data in (b"", b"images/0.png", b"\xff\xd8", b"GIF89a\xff\xd9")] == [False] * 4

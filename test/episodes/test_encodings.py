"""Encodings of real drivers become RGB and millimetres: held against calculations that share nothing with OpenCV's."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.episodes import made_episodes as demo

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import BAYER, COLOR_ENCODINGS, DEPTH_FILES, Frame
from vgil_ros.episodes import CameraMeta, EpisodeReader, EpisodeWriter, image_codec

HEIGHT, WIDTH = 12, 16
COLOURS = list(itertools.product((30, 128, 220), (40, 128, 210), (60, 128, 200)))  # (Y, U, V)


def rgb_of(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, studio range, written out."""
    light = 255 / 219 * (y.astype(float) - 16)
    red, blue = (v.astype(float) - 128) * 255 / 224, (u.astype(float) - 128) * 255 / 224
    green = light - 0.344136 * blue - 0.714136 * red
    return np.clip(np.stack([light + 1.402 * red, green, light + 1.772 * blue], axis=-1), 0, 255)


def planes(colour: tuple[int, int, int] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W) Y, and U and V that two by two pixels share; of one colour, or of many."""
    size = (HEIGHT // 2, WIDTH // 2)
    random = np.random.default_rng(3)
    if colour is not None:
        return (np.full((HEIGHT, WIDTH), colour[0], np.uint8), *(np.full(size, c, np.uint8) for c in colour[1:]))
    y = random.integers(40, 200, (HEIGHT, WIDTH), np.uint8)
    return y, random.integers(90, 170, size, np.uint8), random.integers(90, 170, size, np.uint8)


def doubled(plane: np.ndarray) -> np.ndarray:
    return plane.repeat(2, axis=0).repeat(2, axis=1)


def packed(first: np.ndarray, u: np.ndarray, v: np.ndarray, *, colour_first: bool) -> bytes:
    """4:2:2, the colours of each pair between its two pixels or before them."""
    out = bytearray()
    for row in range(HEIGHT):
        for pair in range(WIDTH // 2):
            y0, y1 = first[row, 2 * pair], first[row, 2 * pair + 1]
            cu, cv = u[row // 2, pair], v[row // 2, pair]
            out += bytes((cu, y0, cv, y1) if colour_first else (y0, cu, y1, cv))
    return bytes(out)


def yuv_bytes(encoding: str, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[int, bytes]:
    if encoding in ("yuyv", "yuv422_yuy2", "uyvy", "yuv422"):
        return 2 * WIDTH, packed(y, u, v, colour_first=encoding in ("uyvy", "yuv422"))
    if encoding == "nv24":
        return WIDTH, y.tobytes() + b"".join(
            bytes((a, b)) for a, b in zip(doubled(u).flat, doubled(v).flat, strict=True)
        )
    first, second = (v, u) if encoding == "nv21" else (u, v)
    return WIDTH, y.tobytes() + b"".join(bytes((a, b)) for a, b in zip(first.flat, second.flat, strict=True))


@pytest.mark.parametrize("encoding", ["yuyv", "yuv422_yuy2", "uyvy", "yuv422", "nv12", "nv21", "nv24"])
@pytest.mark.parametrize("colour", [None, *COLOURS])
def test_yuv(encoding: str, colour: tuple[int, int, int] | None) -> None:
    y, u, v = planes(colour)
    step, data = yuv_bytes(encoding, y, u, v)
    one = Frame(HEIGHT, WIDTH, encoding, step, memoryview(data))
    one.check(HEIGHT, WIDTH, COLOR_ENCODINGS)
    found = image_codec.to_rgb(one)
    assert (found.shape, found.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert np.abs(found - rgb_of(y, doubled(u), doubled(v))).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", BAYER)
def test_bayer(order: str, bits: int) -> None:
    """An image whose three channels are planes (linear in x and y): interpolation gives the same planes back."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wanted = np.stack([100 + 4 * columns, 60 + 6 * rows, 20 + 2 * columns + 4 * rows], axis=-1)
    at = {"r": 0, "g": 1, "b": 2}
    pattern = [at[letter] for letter in order.removeprefix("bayer_")]
    mosaic = np.empty((HEIGHT, WIDTH), np.uint8 if bits == 8 else np.uint16)
    for row, column in itertools.product(range(HEIGHT), range(WIDTH)):
        value = wanted[row, column, pattern[2 * (row % 2) + column % 2]]
        mosaic[row, column] = value if bits == 8 else value * 257
    one = Frame(HEIGHT, WIDTH, f"{order}{bits}", WIDTH * bits // 8, memoryview(mosaic.tobytes()))
    one.check(HEIGHT, WIDTH, COLOR_ENCODINGS)
    found = image_codec.to_rgb(one)
    assert found.dtype == np.uint8
    inner = slice(2, -2)
    assert np.abs(found[inner, inner].astype(int) - wanted[inner, inner]).max() <= 1


def test_8uc3_is_opencvs_bgr() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    one = Frame(HEIGHT, WIDTH, "8UC3", 3 * WIDTH, memoryview(pixels.tobytes()))
    np.testing.assert_array_equal(image_codec.to_rgb(one), pixels[..., ::-1])


def test_mono16_is_scaled_to_8_bits() -> None:
    grey = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    found = image_codec.to_rgb(Frame(HEIGHT, WIDTH, "mono16", 2 * WIDTH, memoryview(grey.tobytes())))
    wanted = np.array([int(int(value) * 255 / 65535 + 0.5) for value in grey.flat]).reshape(HEIGHT, WIDTH)
    for channel in range(3):
        assert np.abs(found[..., channel].astype(int) - wanted).max() == 0


def png(pixels: np.ndarray) -> bytes:
    """A PNG written by hand: (H, W, 3) uint8 RGB, or (H, W) uint16."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    depth, colour = (16, 0) if pixels.dtype == np.uint16 else (8, 2)
    lines = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_a_png_keeps_its_colours(tmp_path: Path) -> None:
    pixels = demo.image(1)
    one = Frame(48, 64, "png", 0, memoryview(png(pixels)))
    np.testing.assert_array_equal(image_codec.to_rgb(one), pixels)
    writer = EpisodeWriter(tmp_path, demo.meta(storage="raw"), min_free_bytes=0)
    for t in range(2):
        seen = demo.observation(t, writer.meta)
        seen["images"]["cam_b"] = one
        demo.add(writer, t, seen=seen)
    with EpisodeReader(writer.close()) as episode:
        np.testing.assert_array_equal(episode.image("cam_b", 1), pixels)


def test_compressed_depth_of_16_bits_is_millimetres() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH), np.uint16)
    data = struct.pack("<iff", 0, 0.0, 0.0) + png(pixels)
    found = image_codec.to_millimetres(Frame(HEIGHT, WIDTH, DEPTH_FILES[0], 0, memoryview(data)))
    np.testing.assert_array_equal(found, pixels)


def test_compressed_depth_of_metres_is_quantised_by_its_inverse() -> None:
    """value = A / depth + B, as the transport's encoder does it; 0 is unknown."""
    depth = np.linspace(0.3, 6.0, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    scale, offset = 100.0 * (100.0 + 1), 1.0 - 100.0 * (100.0 + 1) / 10.0
    values = (scale / depth + offset).astype(np.uint16)
    values[0, 0] = 0
    data = struct.pack("<iff", 1, scale, offset) + png(values)
    found = image_codec.to_millimetres(Frame(HEIGHT, WIDTH, DEPTH_FILES[1], 0, memoryview(data)))
    assert found[0, 0] == 0
    step = 1000 * depth**2 / scale  # of one value, mm
    assert (np.abs(found.astype(float) - 1000 * depth) <= step + 1)[1:].all()


@pytest.mark.parametrize("encoding", DEPTH_FILES)
def test_compressed_depth_that_does_not_decode_is_an_error(encoding: str) -> None:
    good = struct.pack("<iff", 0, 1.0, 0.0) + png(np.ones((HEIGHT, WIDTH), np.uint16))
    for data in (good[:60], struct.pack("<iff", 0, 1.0, 0.0) + png(np.zeros((HEIGHT, WIDTH, 3), np.uint8))):
        with pytest.raises(VgilError, match="do not decode as a compressed depth image of 16 bits"):
            image_codec.to_millimetres(Frame(HEIGHT, WIDTH, encoding, 0, memoryview(data)))


def test_a_cameras_own_jpeg_is_stored_in_the_peers_order_where_that_is_asked_for(tmp_path: Path) -> None:
    """act-plus-plus' and Cobot Magic's loaders take what `imdecode` gives for RGB."""
    for folder, storage, order in ((tmp_path / "own", "passthrough", "rgb"), (tmp_path / "peers", "jpeg", "bgr")):
        m = demo.meta(storage=storage)  # type: ignore[arg-type]
        path = demo.write(folder, m, 3, encoding="jpeg")
        with EpisodeReader(path) as episode:
            assert episode.jpeg_order("cam_b") == order
            wanted = demo.image(2).astype(int)
            assert np.abs(episode.image("cam_b", 2) - wanted).mean() < 4
            peers = cv2.imdecode(np.frombuffer(episode.jpeg("cam_b", 2), np.uint8), cv2.IMREAD_COLOR)
            assert (np.abs(peers - wanted).mean() < 4) == (order == "bgr")


def test_depth_cameras_take_both_forms(tmp_path: Path) -> None:
    m = demo.meta(cameras=(), depths=(CameraMeta("depth", HEIGHT, WIDTH, None),))
    pixels = np.random.default_rng(0).integers(1, 9000, (HEIGHT, WIDTH), np.uint16)
    data = struct.pack("<iff", 0, 0.0, 0.0) + png(pixels)
    writer = EpisodeWriter(tmp_path, m, min_free_bytes=0)
    for t in range(2):
        seen = demo.observation(t, m)
        seen["depth"] = {"depth": Frame(HEIGHT, WIDTH, DEPTH_FILES[0], 0, memoryview(data))}
        demo.add(writer, t, seen=seen)
    with EpisodeReader(writer.close()) as episode:
        np.testing.assert_array_equal(episode.depth("depth", 1), pixels)

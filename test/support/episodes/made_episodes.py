"""Made-up episodes for the tests: smooth images whose channels differ, and joints that move."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

import cv2
import dm_env
import numpy as np

from vgil_ros.core.frame import Frame
from vgil_ros.core.streams import Flag
from vgil_ros.episodes import CameraMeta, EpisodeMeta, EpisodeWriter, Overrun, WriteFailed

Storage = Literal["jpeg", "raw", "passthrough"]
STREAMS = ("arm/puppet", "arm/master", "cam_b", "cam_a")
START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 20_000_000
BIG = (CameraMeta("cam_b", 240, 320, "raw"), CameraMeta("cam_a", 240, 320, "raw"))  # fills a small disk soon


def image(t: int, size: tuple[int, int] = (48, 64), shift: int = 0) -> np.ndarray:
    """A smooth RGB image (H, W, 3) that changes with t and whose channels differ."""
    y, x = np.mgrid[: size[0], : size[1]]
    wave = 0.5 + 0.5 * np.sin(x / 9.0 + y / 7.0 + 0.3 * t + shift)
    return (wave[..., None] * np.array([250.0, 150.0, 60.0])).astype(np.uint8)


def frame(pixels: np.ndarray, encoding: str) -> Frame:
    """The image as a camera would send it; rows are padded by 5 bytes where they are raw."""
    if encoding == "jpeg":
        data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        return Frame(pixels.shape[0], pixels.shape[1], "jpeg", 0, memoryview(data))
    code = {"bgr8": cv2.COLOR_RGB2BGR, "rgba8": cv2.COLOR_RGB2RGBA, "bgra8": cv2.COLOR_RGB2BGRA}.get(encoding)
    if encoding == "mono8":
        code = cv2.COLOR_RGB2GRAY
    pixels = pixels if code is None else cv2.cvtColor(pixels, code)
    rows = np.pad(pixels.reshape(pixels.shape[0], -1), ((0, 0), (0, 5)))
    return Frame(pixels.shape[0], pixels.shape[1], encoding, rows.shape[1], memoryview(rows.tobytes()))


def meta(dim: int = 3, storage: Storage = "jpeg", **changes: Any) -> EpisodeMeta:
    """Two cameras whose order is not the alphabet's."""
    fields = {
        "robot": "test",
        "contract": "name: test\n",
        "rate_hz": 50.0,
        "streams": STREAMS,
        "joint_names": tuple(f"arm/joint{i}" for i in range(dim)),
        "cameras": (CameraMeta("cam_b", 48, 64, storage), CameraMeta("cam_a", 48, 64, storage)),
        "has_velocity": True,
        "task": "test",
    }
    fields["has_base_velocity"] = changes.get("has_base", False)
    return EpisodeMeta(**{**fields, **changes})


def observation(t: int, m: EpisodeMeta, encoding: str | None = None) -> OrderedDict:
    """What the robot sees at tick t; encoding None gives arrays."""
    out: OrderedDict = OrderedDict(qpos=np.sin(0.1 * t + np.arange(m.dim)).astype(np.float32))
    if m.has_velocity:
        out["qvel"] = np.cos(0.1 * t + np.arange(m.dim)).astype(np.float32)
    if m.has_effort:
        out["effort"] = out["qpos"] * 2
    out["images"] = OrderedDict()
    for i, camera in enumerate(m.cameras):
        pixels = image(t, (camera.height, camera.width), i)
        out["images"][camera.name] = pixels if encoding is None else frame(pixels, encoding)
    if m.depths:
        out["depth"] = OrderedDict((c.name, np.full((c.height, c.width), 500 + t, np.uint16)) for c in m.depths)
    if m.has_base:
        out["base_vel"] = np.array([0.1, 0.01 * t], np.float32)
    return out


def action(t: int, m: EpisodeMeta) -> np.ndarray:
    """What the master says at tick t."""
    return np.sin(0.1 * t + 0.05 + np.arange(m.dim)).astype(np.float32)


def add(
    writer: EpisodeWriter,
    t: int,
    *,
    last: bool = False,
    encoding: str | None = None,
    seen: OrderedDict | None = None,
    still: int = 0,
    **changes: Any,
) -> None:
    """Append tick t; `seen` in place of its observation; in the first `still` ticks nothing moves."""
    m, at = writer.meta, max(t - still, 0)
    seen = observation(at, m, encoding) if seen is None else seen
    step = dm_env.restart(seen) if t == 0 else dm_env.transition(0.5, seen)
    if last:
        step = dm_env.termination(1.0, seen)
    sync = {
        "stamp_ns": START_NS + t * PERIOD_NS,
        "skew_ns": np.arange(len(m.streams)) * 1000 + 37 * t % 11,
        "flags": np.full(len(m.streams), Flag.NEAREST),
    }
    writer.append(step, None if last else action(at, m), **{**sync, **changes})


def write(folder: Path, m: EpisodeMeta, rows: int, *, success: bool | None = None, encoding: str | None = None) -> Path:
    """Write a whole episode and return its path."""
    writer = EpisodeWriter(folder, m, min_free_bytes=0)
    for t in range(rows):
        add(writer, t, encoding=encoding)
    add(writer, rows, last=True, encoding=encoding)
    return writer.close(success=success)


def fill(writer: EpisodeWriter, rows: int = 200) -> WriteFailed:
    """Append until the writer says that it has stopped."""
    for t in range(rows):
        while True:
            try:
                add(writer, t)
                break
            except Overrun:
                threading.Event().wait(0.02)
            except WriteFailed as error:
                return error
    raise AssertionError("the disk never filled")

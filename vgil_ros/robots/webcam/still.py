"""A still of a camera: one good image of it, set as a contract says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from vgil_ros.core.contract import Camera
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import FrameError
from vgil_ros.episodes.image_codec import to_rgb
from vgil_ros.robots.webcam import controls
from vgil_ros.robots.webcam.device import Device
from vgil_ros.robots.webcam.finding import why
from vgil_ros.robots.webcam.frame_gate import FrameGate
from vgil_ros.robots.webcam.offers import FORMATS, choose_format

SETTLE = 10  # good frames that are left out: exposure and white balance need some
PATIENCE_S = 5.0


def take_still(camera: Camera) -> tuple[bytes, list[str]]:
    """Return (an image as a JPEG, what the controls did not take) of a camera of a contract, set as that says.

    Raises:
        OSError: its device cannot be read.
        Refused: it does not offer what the contract says.
        FrameError: no good image comes.
    """
    assert camera.device is not None
    with Device(camera.device) as device:
        name = choose_format(camera, camera.capture_fps, device.formats(), device.offers())
        device.set_format(name, camera.height, camera.width)
        device.set_rate(camera.capture_fps)
        wrong = controls.apply(device, camera.controls.given() if camera.controls else {})
        device.start()
        encoding = FORMATS[camera.type][name]
        gate = FrameGate(camera.name, encoding, camera.height, camera.width, camera.capture_fps)
        image = _image_of(device, gate)
        if encoding == "jpeg":
            return bytes(image), wrong
        pixels = cv2.cvtColor(to_rgb(gate.as_frame(image)), cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", pixels)[1].tobytes(), wrong


def _image_of(device: Device, gate: FrameGate) -> memoryview:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        frame = device.read() if device.wait(0.1) else None
        image = None if frame is None else gate.take(frame, device.step)
        if image is not None and gate.frames > SETTLE:
            return image
    raise FrameError(
        f"{gate.name}: {gate.frames} good images in {PATIENCE_S:g} s, {gate.broken} broken ones; more than {SETTLE} are"
        " needed: USB cable or bandwidth?"
    )


def write_stills(cameras: Sequence[Camera], folder: Path) -> Iterator[tuple[Camera, Path | None, list[str]]]:
    """Write a still of each camera; (camera, file, what was not as wanted), the file None where there is none.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for camera in cameras:
        jpeg, words = _try(camera)
        path = folder / f"{camera.name}.jpg"
        if jpeg is not None:
            path.write_bytes(jpeg)
        yield camera, None if jpeg is None else path, words


def _try(camera: Camera) -> tuple[bytes | None, list[str]]:
    try:
        return take_still(camera)
    except OSError as error:
        return None, [why(error, camera.device or "")]
    except VgilError as error:
        return None, [str(error)]

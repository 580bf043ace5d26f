"""Pretended webcams (`fake_v4l2.c`): a folder of devices that processes see by LD_PRELOAD, and that can be told off."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from support.paths import ROOT

HEIGHT, WIDTH = 120, 160
FRAMES = 30  # of a camera's film, shown again and again
# id, type, least, most, step, default, how it takes what is set, name
EXPOSURE = "9a0902 1 3 2047 1 157 ok Exposure Time, Absolute"
AUTO_EXPOSURE = "9a0901 3 0 3 1 3 ok Auto Exposure"
GAIN = "980913 1 0 100 4 0 round Gain"
BRIGHTNESS = "980900 1 -64 64 1 0 ok Brightness"
WHITE_BALANCE = "98091a 1 2800 6500 1 4600 ok White Balance Temperature"
AUTO_WHITE_BALANCE = "98090c 2 0 1 1 1 ok White Balance, Automatic"
SHARPNESS = "98091b 1 0 7 1 3 refuse Sharpness"
CONTROLS = (EXPOSURE, AUTO_EXPOSURE, GAIN, BRIGHTNESS, WHITE_BALANCE, AUTO_WHITE_BALANCE, SHARPNESS)
FORMATS = (f"format MJPG {WIDTH} {HEIGHT} 30 15", "format MJPG 320 240 60 30", f"format YUYV {WIDTH} {HEIGHT} 30")


@cache
def library(folder: Path) -> Path:
    """The emulator, compiled."""
    made = folder / "fake_v4l2.so"
    source = ROOT / "test" / "support" / "fake_v4l2.c"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(made), str(source), "-ldl"]
    subprocess.run([*command, "-lpthread"], check=True, timeout=120)
    return made


@dataclass(frozen=True)
class Handed:
    """A frame as the emulator handed it over: the kernel's count and stamp, its length, which of the film it was."""

    sequence: int
    stamp_ns: int
    size: int
    frame: int


class FakeWebcam:
    """One device.

    Attributes:
        path: its by-id link, for a contract.
        film: the JPEGs that it shows.
    """

    def __init__(self, bench: Path, number: int, serial: str) -> None:
        self.node = bench / "dev" / f"video{number}"
        self.path = bench / "dev" / "v4l" / "by-id" / f"usb-Pretended_Cam_{serial}-video-index0"
        self.folder = bench / f"video{number}"
        self.film: list[bytes] = []

    def plug(self) -> None:
        """Put it in, as udev shows it."""
        self.node.touch()
        self.path.symlink_to(f"../../{self.node.name}")

    def unplug(self) -> None:
        """Pull it out."""
        self.path.unlink()
        self.node.unlink()

    def fault(self, name: str, number: int = 1) -> None:
        """Begin a fault of the emulator's."""
        (self.folder / name).write_text(str(number))

    def well(self, name: str) -> None:
        """End it."""
        (self.folder / name).unlink()

    def handed(self) -> list[Handed]:
        """Every frame that was handed over."""
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [Handed(*map(int, line.split())) for line in lines if len(line.split()) == 4]

    def set_controls(self) -> list[tuple[int, int]]:
        """Each control that was set: (id, value)."""
        lines = (self.folder / "controls").read_text().splitlines()
        return [(int(one, 16), int(value)) for one, value in (line.split() for line in lines)]


class FakeWebcams:
    """All devices of a test, and the environment in which processes see them."""

    def __init__(self, folder: Path, compiled: Path | None = None) -> None:
        self.folder = folder
        (folder / "dev" / "v4l" / "by-id").mkdir(parents=True)
        (folder / "dev" / "v4l" / "by-path").mkdir()
        self.environment = {"LD_PRELOAD": str(library(compiled or folder)), "FAKE_V4L2_DIR": str(folder)}
        self.cameras: list[FakeWebcam] = []

    def add(
        self,
        formats: tuple[str, ...] = FORMATS,
        controls: tuple[str, ...] = CONTROLS,
        size: tuple[int, int] = (HEIGHT, WIDTH),
        *,
        plugged: bool = True,
    ) -> FakeWebcam:
        """Make a device that shows a film of this size (height, width)."""
        number = len(self.cameras)
        camera = FakeWebcam(self.folder, number, f"{number:04d}")
        (camera.folder / "frames").mkdir(parents=True)
        lines = ["name Pretended USB webcam", f"bus usb-0000:00:14.0-{number + 1}", *formats]
        (camera.folder / "spec").write_text("\n".join([*lines, *(f"control {one}" for one in controls)]) + "\n")
        random = np.random.default_rng(number)
        for i in range(FRAMES):
            camera.film.append(_frame(random, i, size))
            (camera.folder / "frames" / f"{i:03d}.jpg").write_bytes(camera.film[-1])
            small = _frame(random, i, (240, 320) if size != (240, 320) else (120, 160))
            (camera.folder / "frames" / f"small_{i:03d}.jpg").write_bytes(small)
            raw = random.integers(0, 255, size[0] * size[1] * 2, np.uint8).tobytes()
            (camera.folder / "frames" / f"{i:03d}.yuyv").write_bytes(raw)
        if plugged:
            camera.plug()
        self.cameras.append(camera)
        return camera


def _frame(random: np.random.Generator, number: int, size: tuple[int, int]) -> bytes:
    """A picture of soft blots and a little noise, another for each number: as long as a webcam's."""
    height, width = size
    blots = random.integers(0, 255, (height // 40, width // 40, 3), np.uint8)
    blots[0, 0] = number * 8 % 255
    image = cv2.resize(blots, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = random.integers(0, 6, image.shape, np.uint8)
    return bytes(cv2.imencode(".jpg", cv2.add(image, noise))[1].tobytes())

"""The capture of one camera of the contract: opened, set, read, lost and found again, in a thread of its own."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

from vgil_ros.core.contract import Camera
from vgil_ros.robots.webcam import controls
from vgil_ros.robots.webcam.device import Device
from vgil_ros.robots.webcam.finding import why
from vgil_ros.robots.webcam.frame_gate import FrameGate, RawFrame
from vgil_ros.robots.webcam.offers import FORMATS, Refused, choose_format
from vgil_ros.robots.webcam.stamps import age_ns, read_clocks

RETRY_S = 0.5  # between two looks for a device that is not there
BUSY_S = 1.5  # and more, where another program has it
POLL_S = 0.1
PAUSE_S = 0.002  # where a device says that there is something, and gives nothing
SILENT_S = 2.0  # without a frame, and the stream is begun anew
LOOK_S = 10.0  # between two looks at the controls: other programs may change them
HUNG_S = 3.0  # in a call of the kernel that is to take milliseconds

Deliver = Callable[[memoryview, int], None]  # (the image's bytes, when it was captured in ns of the wall clock)


class Voice(Protocol):
    """What a capture says, from its own thread."""

    def log(self, words: str) -> None:
        """Something that happened."""

    def warn_once(self, key: str, message: str) -> None:
        """A condition that lasts from now on."""

    def clear(self, key: str) -> None:
        """A condition that is over, if it was."""


class Report(NamedTuple):
    """How a capture goes: whether images come, how many a second, counts since the start, and what is wrong by kind."""

    well: bool
    rate_hz: float
    frames: int
    broken: int
    lost: int
    faults: dict[str, str]


class Capture:
    """Reads a camera until it is stopped.

    Args:
        camera: of the contract, with a device.
        deliver: takes each good image, in the capture's thread.
        voice: is told what is wrong, in the capture's thread.

    Attributes:
        gate: judges frames, in the capture's thread.
        format: V4L2's letters of the format; "" before it is known.
        step: bytes a row of a raw image.
        opened: how often the device was found.
        refusal: why the camera cannot be used at all; then the thread has ended.
    """

    def __init__(self, camera: Camera, deliver: Deliver, voice: Voice) -> None:
        assert camera.device is not None
        self.camera, self.path = camera, camera.device
        self.gate = FrameGate(camera.name, "jpeg", camera.height, camera.width, camera.capture_fps)
        self.format = ""
        self.step = 0
        self.opened = 0
        self.refusal: Refused | None = None
        self._deliver, self._voice = deliver, voice
        self._wanted = camera.controls.given() if camera.controls else {}
        self._stop = threading.Event()
        self._lock = threading.Lock()  # around the gate
        self._alive_s = time.monotonic()
        self._stubborn: set[str] = set()  # controls that do not take their value, and are warned of
        self._running = False  # frames have come since the device was found
        self._thread = threading.Thread(target=self._run, name=f"capture {camera.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Stop; False where the device hangs in the kernel, which nothing but the process' end takes it out of."""
        self._stop.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether it still reads: it ends where it is stopped, refuses, or has a fault of its own."""
        return self._thread.is_alive()

    def hung_s(self) -> float | None:
        """How long the device has not answered a call; None where it does."""
        silent = time.monotonic() - self._alive_s
        return silent if silent > HUNG_S and self._thread.is_alive() else None

    def report(self) -> Report:
        """How it goes; may be called from any thread."""
        now = read_clocks(1).monotonic_ns
        with self._lock:
            gate, well = self.gate, self._running and self.hung_s() is None
            faults = gate.faults(now) if self._running else {}
            return Report(well, gate.rate(now) if well else 0.0, gate.frames, gate.broken, gate.lost, faults)

    def _key(self, what: str) -> str:
        return f"{self.camera.name}: {what}"

    def _run(self) -> None:
        while not self._stop.is_set():
            self._alive_s = time.monotonic()
            try:
                with Device(self.path) as device:
                    self._prepare(device)
                    self._read(device)
            except Refused as error:
                if not self.opened:
                    self.refusal = error
                    return
                self._voice.warn_once(self._key("device"), str(error))
            except OSError as error:
                self._voice.warn_once(self._key("device"), f"{self.camera.name}: {why(error, self.path)}")
                if error.errno == errno.EBUSY:  # who has it is looked for in all of /proc
                    self._stop.wait(BUSY_S)
            self._running = False
            self._stop.wait(RETRY_S)

    def _prepare(self, device: Device) -> None:
        """Set what the contract says, and begin."""
        camera, fps = self.camera, self.camera.capture_fps
        offers = device.offers()
        self.format = choose_format(camera, fps, device.formats(), offers)
        device.set_format(self.format, camera.height, camera.width)
        device.set_rate(fps)
        self.step = device.step
        self.gate.encoding = FORMATS[camera.type][self.format]
        with self._lock:
            self.gate.begin()
        self._set_controls(device)
        device.start()
        self._voice.log(f"{camera.name}: {device.name}, {self.format} {camera.width}x{camera.height} at {fps:g} Hz")
        self.opened += 1

    def _set_controls(self, device: Device) -> None:
        wrong = controls.apply(device, self._wanted)
        self._stubborn = set(controls.differing(device, self._wanted))
        if wrong:
            self._voice.warn_once(self._key("controls"), f"{self.camera.name}: {'; '.join(wrong)}")
        else:
            self._voice.clear(self._key("controls"))

    def _read(self, device: Device) -> None:
        """Frames, until the device goes or is silent for too long."""
        heard = time.monotonic()
        look = heard  # some cameras forget their controls as a stream begins
        while not self._stop.is_set():
            now = self._alive_s = time.monotonic()
            if not device.wait(POLL_S) or (frame := device.read()) is None:
                if now - heard > SILENT_S:
                    self._running = False
                    words = f"{self.camera.name}: no image for {SILENT_S:g} s; USB cable, power or bandwidth?"
                    self._voice.warn_once(self._key("silent"), words)
                    return
                self._stop.wait(PAUSE_S)
                continue
            heard = now
            self._take(frame)
            if now >= look and self.gate.frames:
                look = now + LOOK_S
                self._look_at_controls(device)

    def _take(self, frame: RawFrame) -> None:
        """Hand on a good image, with the time of its capture."""
        clocks = read_clocks()
        age = age_ns(frame.stamp_ns, clocks)
        if age is None:
            words = f"{self.camera.name}: its driver stamps no capture times; frames have the time of their arrival"
            self._voice.warn_once(self._key("stamps"), words)
        with self._lock:
            image = self.gate.take(replace(frame, stamp_ns=clocks.monotonic_ns - (age or 0)), self.step)
        if image is not None and not self._stop.is_set():  # a device that hung may come back as all ends
            self._deliver(image, clocks.wall_ns - (age or 0))
            if not self._running:
                self._begun()

    def _begun(self) -> None:
        self._running = True
        for what in ("device", "silent"):
            self._voice.clear(self._key(what))

    def _look_at_controls(self, device: Device) -> None:
        """Set again what has changed, and say so."""
        try:
            changed = controls.differing(device, self._wanted)
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ENXIO):
                raise
            return
        fresh = {name: value for name, value in changed.items() if name not in self._stubborn}
        if not fresh:
            return
        self._set_controls(device)
        if mended := [f"{name} was {value}" for name, value in fresh.items() if name not in self._stubborn]:
            self._voice.log(f"{self.camera.name}: controls had changed and are set again: {', '.join(mended)}")

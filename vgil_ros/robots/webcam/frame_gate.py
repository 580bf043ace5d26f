"""The gate that each frame of a webcam passes: whole and of the right size, or counted; gaps between frames named."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from vgil_ros.core.frame import JPEG_START, RAW_ENCODINGS, FrameError, image_end, jpeg_size

WRAP = 1 << 32  # of sequence numbers
MOST_LOST = 10_000  # a larger step is a counter that began anew
LATE = 1.6  # periods between two stamps, from which on a frame is missing
WINDOW_NS = 2_000_000_000
SLOW, WELL = 0.9, 0.95  # of the rate that was set
QUIET_NS = 5_000_000_000  # without a new one, and a fault is over


@dataclass(frozen=True)
class RawFrame:
    """A frame as the kernel gives it.

    Attributes:
        data: its bytes.
        sequence: the kernel's count of frames.
        stamp_ns: the kernel's stamp, of CLOCK_MONOTONIC as a rule.
        damaged: whether the driver says that a part of it did not come.
    """

    data: bytes
    sequence: int
    stamp_ns: int
    damaged: bool = False


class FrameGate:
    """Judges the frames of one camera.

    Args:
        name: the camera's.
        encoding: of its messages: "jpeg", or a key of RAW_ENCODINGS.
        height, width: pixels.
        fps: frames a second, as set.

    Attributes:
        frames, broken, lost: how many passed, did not, and never came.
    """

    def __init__(self, name: str, encoding: str, height: int, width: int, fps: float) -> None:
        self.name, self.encoding, self.height, self.width, self.fps = name, encoding, height, width, fps
        self.frames = self.broken = self.lost = 0
        self._last: RawFrame | None = None
        self._stamps: deque[int] = deque()
        self._since: int | None = None  # the first stamp since a beginning
        self._slow = False
        self._faults: dict[str, tuple[int, str]] = {}  # kind: when it was met last, and in words

    def begin(self) -> None:
        """The stream starts anew: nothing is held against what came before."""
        self._last, self._since = None, None
        self._stamps.clear()
        self._slow = False

    def take(self, frame: RawFrame, step: int = 0) -> memoryview | None:
        """Return the image's own bytes, None where it is not to be used.

        Args:
            frame: as it came.
            step: bytes a row of a raw image.
        """
        self._count_gap(frame)
        self._last = frame
        found = self._image(frame, step)
        if isinstance(found, str):
            self.broken += 1
            self._faults["broken"] = frame.stamp_ns, found
            return None
        self.frames += 1
        self._stamps.append(frame.stamp_ns)
        return found

    def _image(self, frame: RawFrame, step: int) -> memoryview | str:
        """The image, or what is wrong with it."""
        if not frame.data:
            return "empty"
        if frame.damaged:
            return "marked as damaged by the driver"
        if self.encoding != "jpeg":
            rows = self.height * 3 // 2 if self.encoding == "nv12" else self.height
            size, channels = RAW_ENCODINGS[self.encoding]
            needed = max(step, self.width * size * channels) * rows
            if len(frame.data) < needed:
                return f"of {len(frame.data)} bytes; {needed} are needed"
            return memoryview(frame.data)[:needed]
        if frame.data[:2] != JPEG_START:
            return "no JPEG"
        end = image_end(frame.data)
        if end is None:
            return "cut off"
        try:
            size_found = jpeg_size(frame.data)
        except FrameError as error:
            return str(error)
        if size_found != (self.height, self.width):
            return f"of {size_found[1]}x{size_found[0]}; {self.width}x{self.height} was set"
        return memoryview(frame.data)[:end]

    def _count_gap(self, frame: RawFrame) -> None:
        last = self._last
        if self._since is None:
            self._since = frame.stamp_ns
        if last is None:
            return
        step = (frame.sequence - last.sequence) % WRAP
        missing = step - 1 if 1 < step < MOST_LOST else 0
        if step == 0:  # a driver that does not count
            periods = (frame.stamp_ns - last.stamp_ns) * self.fps / 1e9
            missing = round(periods) - 1 if periods >= LATE else 0
        if missing > 0:
            self.lost += missing
            self._faults["lost"] = frame.stamp_ns, f"{missing} frames in a row" if missing > 1 else "a frame"

    def rate(self, now_ns: int) -> float:
        """Frames a second over the last two seconds; by the clock of the stamps."""
        while self._stamps and now_ns - self._stamps[0] > WINDOW_NS:
            self._stamps.popleft()
        if len(self._stamps) < 2:
            return 0.0
        span = max(self._stamps[-1], now_ns - int(1e9 / self.fps)) - self._stamps[0]
        return (len(self._stamps) - 1) * 1e9 / span if span > 0 else 0.0

    def faults(self, now_ns: int) -> dict[str, str]:
        """What lasts, in words, by kind: "broken", "lost", "slow"."""
        self._faults = {kind: one for kind, one in self._faults.items() if now_ns - one[0] < QUIET_NS}
        found = {}
        if "broken" in self._faults:
            found["broken"] = (
                f"{self.name}: an image is {self._faults['broken'][1]} ({self.broken} so far are not used): USB"
                " bandwidth or cable?"
            )
        if "lost" in self._faults:
            found["lost"] = (
                f"{self.name}: {self._faults['lost'][1]} lost between camera and computer ({self.lost} so far): USB"
                " bandwidth, or a busy machine?"
            )
        if self._is_slow(now_ns):
            found["slow"] = (
                f"{self.name}: sends {self.rate(now_ns):.1f} Hz, {self.fps:g} were set: auto exposure in little light?"
                " give `controls: {exposure: ...}` or `dynamic_framerate: 0`"
            )
        return found

    def _is_slow(self, now_ns: int) -> bool:
        if self._since is not None and now_ns - self._since > WINDOW_NS + 500_000_000:
            self._slow = self.rate(now_ns) < (WELL if self._slow else SLOW) * self.fps
        return self._slow

"""The gate that each frame of a webcam passes: whole and of the right size, or counted; gaps between frames named."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from vgil_ros.core.frame import JPEG_START, PLANES, RAW_ENCODINGS, Frame, FrameError, image_end, jpeg_size

WRAP = 1 << 32  # of sequence numbers
MOST_LOST = 10_000  # a larger step is a counter that began anew
LATE = 1.6  # periods between two stamps, from which on a frame is missing
WINDOW_NS = 2_000_000_000
SETTLE_NS = 2_500_000_000  # after a beginning, before its rate is judged
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


class BrokenImage(NamedTuple):
    """Why an image is not to be used: its kind, the same for all that are broken in one way, and in words."""

    kind: str
    words: str


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
        self._stamps: deque[int] = deque()  # of good images
        self._steps: deque[tuple[int, int]] = deque()  # of all: stamp, and how many the camera made since the last
        self._since: int | None = None  # the first stamp since a beginning
        self._slow = False
        self._faults: dict[str, tuple[int, str]] = {}  # by kind: when it was met last, and in words

    def begin(self) -> None:
        """The stream starts anew: nothing is held against what came before."""
        self._last, self._since = None, None
        self._stamps.clear()
        self._steps.clear()
        self._slow = False

    def take(self, frame: RawFrame, step: int = 0) -> memoryview | None:
        """Return the image's own bytes, None where it is not to be used.

        Args:
            frame: as it came.
            step: bytes a row of a raw image.
        """
        missing = self._missing(frame)
        if missing:
            self.lost += missing
            self._faults["frames"] = frame.stamp_ns, f"{missing} frames in a row" if missing > 1 else "a frame"
        self._steps.append((frame.stamp_ns, 1 + missing))
        self._last = frame
        image = self._image(frame, step)
        if isinstance(image, BrokenImage):
            self.broken += 1
            self._faults[f"image {image.kind}"] = frame.stamp_ns, image.words
            return None
        self.frames += 1
        self._stamps.append(frame.stamp_ns)
        return image

    def _image(self, frame: RawFrame, step: int) -> memoryview | BrokenImage:
        if not frame.data:
            return BrokenImage("empty", "empty")
        if frame.damaged:
            return BrokenImage("damaged", "marked as damaged by the driver")
        if self.encoding == "jpeg":
            return self._jpeg(frame.data)
        size, channels = RAW_ENCODINGS[self.encoding]
        needed = max(step, self.width * size * channels) * self._rows
        if len(frame.data) < needed:
            return BrokenImage("cut off", f"cut off: {len(frame.data)} bytes of {needed}")
        return memoryview(frame.data)[:needed]

    @property
    def _rows(self) -> int:
        """Rows of bytes of a raw image: more than `height` where colour stands in planes of its own."""
        return int(self.height * PLANES.get(self.encoding, 1))

    def as_frame(self, image: memoryview) -> Frame:
        """A good raw image with its size and encoding."""
        return Frame(self.height, self.width, self.encoding, len(image) // self._rows, image)

    def _jpeg(self, data: bytes) -> memoryview | BrokenImage:
        if data[:2] != JPEG_START:
            return BrokenImage("no JPEG", "no JPEG")
        end = image_end(data)
        if end is None:
            return BrokenImage("cut off", "cut off")
        try:
            height, width = jpeg_size(data)
        except FrameError as error:
            return BrokenImage("no JPEG", str(error))
        if (height, width) != (self.height, self.width):
            return BrokenImage("of another size", f"of {width}x{height}, and {self.width}x{self.height} was set")
        return memoryview(data)[:end]

    def _missing(self, frame: RawFrame) -> int:
        """How many frames are missing between the last one and this."""
        if self._since is None:
            self._since = frame.stamp_ns
        last = self._last
        if last is None:
            return 0
        step = (frame.sequence - last.sequence) % WRAP
        if step == 0:  # a driver that does not count
            periods = (frame.stamp_ns - last.stamp_ns) * self.fps / 1e9
            return round(periods) - 1 if periods >= LATE else 0
        return step - 1 if step < MOST_LOST else 0

    def rate(self, now_ns: int) -> float:
        """Good images a second over the last two seconds; by the clock of the stamps."""
        while self._stamps and now_ns - self._stamps[0] > WINDOW_NS:
            self._stamps.popleft()
        return self._per_second(len(self._stamps) - 1, self._stamps[0], now_ns) if len(self._stamps) > 1 else 0.0

    def camera_rate(self, now_ns: int) -> float:
        """Frames a second that the camera made, those that were lost or broken too."""
        while self._steps and now_ns - self._steps[0][0] > WINDOW_NS:
            self._steps.popleft()
        made = sum(steps for _, steps in self._steps) - self._steps[0][1] if self._steps else 0
        return self._per_second(made, self._steps[0][0], now_ns) if len(self._steps) > 1 else 0.0

    def _per_second(self, count: int, first_ns: int, now_ns: int) -> float:
        """The newest frame may be on its way for a period."""
        span = max(self._steps[-1][0] if self._steps else 0, now_ns - int(1e9 / self.fps)) - first_ns
        return count * 1e9 / span if span > 0 else 0.0

    def faults(self, now_ns: int) -> dict[str, str]:
        """What lasts, in words, by a key for each kind of it."""
        self._faults = {key: one for key, one in self._faults.items() if now_ns - one[0] < QUIET_NS}
        found = {key: self._words(key, what) for key, (_, what) in self._faults.items()}
        if self._is_slow(now_ns):
            found["rate"] = self._slow_words(self.camera_rate(now_ns))
        return found

    def _words(self, key: str, what: str) -> str:
        if key == "frames":
            return (
                f"{self.name}: {what} lost between camera and computer ({self.lost} so far): USB bandwidth, or a busy"
                " machine?"
            )
        return f"{self.name}: an image is {what} ({self.broken} so far are not used): USB bandwidth or cable?"

    def _slow_words(self, rate: float) -> str:
        return (
            f"{self.name}: sends {rate:.1f} Hz, {self.fps:g} were set: auto exposure in little light? give `controls:"
            " {exposure: ...}` or `dynamic_framerate: 0`"
        )

    def _is_slow(self, now_ns: int) -> bool:
        if self._since is not None and now_ns - self._since > SETTLE_NS and len(self._steps) > 1:
            self._slow = self.camera_rate(now_ns) < (WELL if self._slow else SLOW) * self.fps
        return self._slow

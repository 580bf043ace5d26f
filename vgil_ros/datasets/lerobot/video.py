"""Videos of single cameras: written frame by frame, joined without decoding, any frame read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.extras import needed_by

# a key frame every second frame, as LeRobot has it: any frame is one or two decoded pictures away
KEYS = "2"
# stitchable: the stream's headers do not depend on the CRF, so that episodes of different ones can be joined;
# mbtree: x264's AVX-512 code for it reads memory that was never written, and the same frames give other bytes
ENCODERS = {
    "h264": ("libx264", {"g": KEYS, "bf": "0", "preset": "veryfast", "x264-params": "stitchable=1:mbtree=0"}),
    "av1": ("libsvtav1", {"g": KEYS, "preset": "12", "svtav1-params": "lp=1"}),
}
MOST_PARTS = 100_000  # of a second, so that 33.3333 does not become 100/3, whose frames move away from the rows' times
USUAL_CRF = {"h264": 18, "av1": 24}
SHARED_COLOUR, FULL_COLOUR = "yuv420p", "yuv444p"  # colour of four pixels together, or of each


@dataclass(frozen=True)
class Encoding:
    """How a video is encoded: the CRF (less is better), and whether each pixel keeps its colour."""

    codec: str
    crf: int
    pixels: str = SHARED_COLOUR


def rate_of(fps: float) -> Fraction:
    """Frames a second as a fraction."""
    return Fraction(fps).limit_denominator(MOST_PARTS)


class VideoWriter:
    """An MP4 of one camera. The same frames give the same bytes: one thread, no time of making.

    Raises:
        DatasetError: for a picture whose sides are odd.
    """

    def __init__(self, path: Path, fps: float, encoding: Encoding) -> None:
        with needed_by("a video"):
            import av
        self._path, self._frame = path, av.VideoFrame.from_ndarray
        name, options = ENCODERS[encoding.codec]
        self._container: Any = av.open(str(path), "w")
        stream: Any = self._container.add_stream(name, rate=rate_of(fps))
        self._stream = stream
        self._stream.pix_fmt, self._stream.options = encoding.pixels, {**options, "crf": str(encoding.crf)}
        self._stream.codec_context.thread_count = 1
        self._size: tuple[int, int] | None = None
        self._count = 0

    def add(self, image: np.ndarray) -> None:
        """Add a frame (H, W, 3) uint8 RGB."""
        if self._size is None:
            height, width = self._size = (image.shape[0], image.shape[1])
            if height % 2 or width % 2:
                raise DatasetError(
                    f"{self._path.stem}: images are {height}x{width}; allowed in a video: even sides; take --images png"
                )
            self._stream.height, self._stream.width = height, width
        frame = self._frame(np.ascontiguousarray(image), format="rgb24")
        frame.pts, self._count = self._count, self._count + 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        if self._size is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


def headers_of(path: Path) -> bytes:
    """What a decoder has to know before the first frame: videos are joined where it is the same."""
    import av

    with av.open(str(path)) as file:
        return bytes(file.streams.video[0].codec_context.extradata or b"")


def join(parts: Sequence[Path], out: Path, fps: float) -> None:
    """Join videos of one camera that have the same headers: frames follow each other, and nothing is decoded."""
    import av

    with av.open(str(out), "w", options={"movflags": "faststart"}) as target:
        stream: Any = None
        count = 0
        for part in parts:
            with av.open(str(part)) as source:
                video = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(video, opaque=True)  # its decoder may be no encoder
                    stream.time_base = 1 / rate_of(fps)
                for packet in source.demux(video):
                    if packet.size == 0:
                        continue
                    packet.time_base = 1 / rate_of(fps)
                    packet.pts = packet.dts = count
                    packet.duration, packet.stream = 1, stream
                    target.mux(packet)
                    count += 1


def describe(path: Path, fps: float) -> dict[str, Any]:
    """What LeRobot's `info.json` says of a video feature."""
    import av

    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return {
            "video.height": stream.height,
            "video.width": stream.width,
            "video.codec": stream.codec.canonical_name,
            "video.pix_fmt": stream.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": int(fps) if float(fps).is_integer() else fps,
            "video.channels": 3,
            "has_audio": False,
        }


class VideoImages:
    """The frames of one episode within a video. Neighbours are decoded in passing, others found from their key frame.

    Args:
        path: the file.
        first: the episode's first frame in it.
        rows: T.
        fps: frames a second.
    """

    costly = True

    def __init__(self, path: Path, first: int, rows: int, fps: float) -> None:
        self.path, self._first, self._rows, self._fps = path, first, rows, fps
        self._container: Any = None
        self._stream: Any = None
        self._frames: Iterator[Any] | None = None
        self._next = -1  # the frame that comes next from `_frames`

    def __len__(self) -> int:
        return self._rows

    def _open(self) -> None:
        with needed_by("reading a video"):
            import av
        try:
            self._container = av.open(str(self.path))
            self._stream = self._container.streams.video[0]
        except (OSError, IndexError, av.error.FFmpegError) as error:
            raise DatasetError(
                f"{self.path}: is no video that can be read ({error}); allowed: what FFmpeg decodes"
            ) from error
        self._stream.codec_context.thread_count = 1

    def rgb(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        result: np.ndarray = self._find(self._first + row).to_ndarray(format="rgb24")
        return result

    def _find(self, number: int) -> Any:
        if self._container is None:
            self._open()
        stream = self._stream
        start = stream.start_time or 0
        if self._frames is None or not self._next <= number <= self._next + 1:
            place = start + round(number / self._fps / stream.time_base)
            self._container.seek(place, stream=stream)
            self._frames = self._container.decode(stream)
        for frame in self._frames:
            here = round((frame.pts - start) * stream.time_base * self._fps)
            self._next = here + 1
            if here == number:
                return frame
            if here > number:
                break
        self._frames = None
        seconds = number / self._fps
        raise DatasetError(f"{self.path}: no frame at {seconds:.3f} s; allowed: one for each row of the table")

    def jpeg(self, row: int) -> bytes | None:
        """None: a frame is no file."""
        return None

    def stored(self) -> Iterator[bytes]:
        """The packets of the episode's frames."""
        if self._container is None:
            self._open()
        stream, self._frames = self._stream, None
        start = stream.start_time or 0
        self._container.seek(start + round(self._first / self._fps / stream.time_base), stream=stream)
        found = 0
        for packet in self._container.demux(stream):
            if packet.pts is None:
                continue
            here = round((packet.pts - start) * stream.time_base * self._fps) - self._first
            if 0 <= here < self._rows:
                found += 1
                yield bytes(packet)
            if found == self._rows:
                break
        if found != self._rows:
            raise DatasetError(
                f"{self.path}: {found} frames of an episode of {self._rows} rows; allowed: one for each row"
            )

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
        self._container = self._frames = None

"""The hub of camera pictures: a robot's side puts JPEGs in, each viewer takes the newest one that it has not seen.

A viewer that is slow leaves pictures out and holds nobody up; what nobody looks at is not made.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass

from vgil_ros.core.errors import VgilError

MOST_HZ = 12.0  # pictures a second that a viewer gets
GLANCE_S = 2.0  # so long a camera is watched for one who asked for a single picture


@dataclass(frozen=True, slots=True)
class Picture:
    """A camera's picture.

    Attributes:
        jpeg: a whole JPEG file.
        stamp_ns: when it was taken, by the robot's clock.
        age_ms: how old it was when it was put in.
        number: counts the camera's pictures.
    """

    jpeg: bytes
    stamp_ns: int
    age_ms: float
    number: int


class UnknownCamera(VgilError):
    """A camera that the robot does not have."""


class FrameHub:
    """The newest picture of each camera.

    Args:
        cameras: the names that there are.
        on_watch: called in the event loop when the first viewer of a camera comes (True) and the last goes (False).
    """

    def __init__(self, cameras: Iterable[str], on_watch: Callable[[str, bool], None]) -> None:
        self._newest: dict[str, Picture | None] = dict.fromkeys(cameras)
        self._on_watch = on_watch
        self._viewers: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()  # by session
        self._glances: dict[str, asyncio.TimerHandle] = {}
        self._waiting: dict[str, set[asyncio.Event]] = {name: set() for name in self._newest}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the hub which event loop its viewers wait in."""
        self._loop = loop

    def put(self, camera: str, jpeg: bytes, stamp_ns: int, age_ms: float) -> None:
        """A new picture. May be called from any thread."""
        before = self._newest[camera]
        self._newest[camera] = Picture(jpeg, stamp_ns, age_ms, before.number + 1 if before else 1)
        if self._loop is not None and self._waiting[camera]:
            self._loop.call_soon_threadsafe(self._wake, camera)

    def newest(self, camera: str) -> Picture | None:
        """The last picture, None where there was none.

        Raises:
            UnknownCamera: for a name that is not one of the robot's.
        """
        if camera not in self._newest:
            raise UnknownCamera(f"camera '{camera}' is unknown; allowed: {', '.join(self._newest) or 'none'}")
        return self._newest[camera]

    def viewers(self, camera: str) -> int:
        """How many look at a camera."""
        return self._viewers[camera]

    def _wake(self, camera: str) -> None:
        for event in self._waiting[camera]:
            event.set()

    def close(self) -> None:
        """Send everybody home, so that the server can end."""
        self.closed = True
        for camera in self._waiting:
            self._wake(camera)

    def streams(self, session: str) -> int:
        """How many streams a visitor's browser has open: it opens six connections to a server, and no more."""
        return self._streams[session]

    def glance(self, camera: str) -> Picture | None:
        """The newest picture, for who asks again and again; the camera is watched for a while yet.

        Raises:
            UnknownCamera: for a name that is not one of the robot's.
        """
        picture = self.newest(camera)
        if self._loop is not None:
            if (before := self._glances.pop(camera, None)) is not None:
                before.cancel()
            else:
                self._comes(camera)
            self._glances[camera] = self._loop.call_later(GLANCE_S, self._glanced, camera)
        return picture

    def _glanced(self, camera: str) -> None:
        del self._glances[camera]
        self._goes(camera)

    def _comes(self, camera: str) -> None:
        self._viewers[camera] += 1
        if self._viewers[camera] == 1:
            self._on_watch(camera, True)

    def _goes(self, camera: str) -> None:
        self._viewers[camera] -= 1
        if self._viewers[camera] == 0:
            self._on_watch(camera, False)

    async def pictures(self, camera: str, session: str = "") -> AsyncGenerator[Picture, None]:
        """Every new picture, or the newest of those that came while the viewer was busy; at most `MOST_HZ`.

        Raises:
            UnknownCamera: for a name that is not one of the robot's.
        """
        self.newest(camera)
        event = asyncio.Event()
        self._waiting[camera].add(event)
        self._streams[session] += 1
        self._comes(camera)
        seen = 0
        try:
            while not self.closed:
                picture = self._newest[camera]
                if picture is None or picture.number == seen:
                    event.clear()
                    await event.wait()
                    continue
                seen = picture.number
                yield picture
        finally:
            self._waiting[camera].discard(event)
            self._streams[session] -= 1
            if not self._streams[session]:
                del self._streams[session]
            self._goes(camera)

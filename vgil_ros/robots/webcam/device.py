"""One V4L2 device: what it is and offers, its controls, and its frames."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from vgil_ros.robots.webcam import v4l2
from vgil_ros.robots.webcam.controls import Control
from vgil_ros.robots.webcam.frame_gate import RawFrame
from vgil_ros.robots.webcam.offers import Offer, Refused, same_rate

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

BUFFERS = 4
MOST_LISTED = 4096  # answers of an enumeration: a driver that never ends one is broken
END = (errno.EINVAL, errno.ENOTTY)  # of an enumeration, and of a call that a driver does not have


class Device:
    """An open device.

    Args:
        path: of the device, or a link to it.

    Raises:
        OSError: it cannot be opened, or has gone (from any method).
        Refused: it is no camera.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._buffers: list[mmap.mmap] = []
        self._controls: list[Control] | None = None
        self.step = 0  # bytes a row of a raw image, as the driver lays it out
        try:
            found = v4l2.Capability()
            self._identify(found)
        except BaseException:
            os.close(self._fd)
            raise
        self.name = found.card.decode("utf-8", "replace")
        self.driver = found.driver.decode("utf-8", "replace")
        self.bus = found.bus_info.decode("utf-8", "replace")

    def _identify(self, found: v4l2.Capability) -> None:
        try:
            self._call(v4l2.QUERYCAP, found)
        except OSError as error:
            if error.errno in END:
                raise Refused(f"{self.path}: is no video device; allowed: one that `vgil cameras` lists") from error
            raise
        own = found.device_caps if found.capabilities & v4l2.CAP_DEVICE_CAPS else found.capabilities
        if not own & v4l2.CAP_CAPTURE or not own & v4l2.CAP_STREAMING:
            raise Refused(f"{self.path}: sends no images; allowed: one that `vgil cameras` lists")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; frames end."""
        for buffer in self._buffers:
            buffer.close()
        self._buffers.clear()
        os.close(self._fd)

    def _call(self, request: int, argument: object) -> None:
        v4l2.call(self._fd, request, argument)

    def _each(self, call: Callable[[int], object]) -> Iterator[int]:
        """Count up for as long as the driver answers."""
        for index in range(MOST_LISTED):
            try:
                call(index)
            except OSError as error:
                if error.errno in END:
                    return
                raise
            yield index

    def formats(self) -> list[str]:
        """The letters of all its formats."""
        found: list[str] = []
        entry = v4l2.FormatDescription()

        def ask(index: int) -> None:
            entry.index, entry.type = index, v4l2.CAPTURE
            self._call(v4l2.ENUM_FMT, entry)

        for _ in self._each(ask):
            found.append(v4l2.letters(entry.pixelformat))
        return found

    def offers(self) -> list[Offer]:
        """All that it offers, as far as its driver tells: formats, sizes, rates."""
        return [offer for name in self.formats() for offer in self._offers_of(name)]

    def _offers_of(self, name: str) -> Iterator[Offer]:
        entry = v4l2.FrameSize()

        def ask(index: int) -> None:
            entry.index, entry.pixel_format = index, v4l2.fourcc(name)
            self._call(v4l2.ENUM_FRAMESIZES, entry)

        for _ in self._each(ask):
            one = list(entry.values)
            if entry.type == v4l2.DISCRETE:
                rates, any_rate = self._rates(name, one[0], one[1])
                yield Offer(name, (one[0], one[0], 1), (one[1], one[1], 1), rates, any_rate)
            else:
                rates, any_rate = self._rates(name, one[1], one[4])
                yield Offer(name, (one[0], one[1], one[2]), (one[3], one[4], one[5]), rates, any_rate)
                return

    def _rates(self, name: str, width: int, height: int) -> tuple[tuple[float, ...], bool]:
        """(frames a second, whether every rate between them is offered)."""
        rates: list[float] = []
        entry = v4l2.FrameInterval()

        def ask(index: int) -> None:
            entry.index, entry.pixel_format = index, v4l2.fourcc(name)
            entry.width, entry.height = width, height
            self._call(v4l2.ENUM_FRAMEINTERVALS, entry)

        for _ in self._each(ask):
            numbers = list(entry.values)
            pairs = [numbers[:2]] if entry.type == v4l2.DISCRETE else [numbers[:2], numbers[2:4]]
            rates += [below / above for above, below in pairs if above and below]
            if entry.type != v4l2.DISCRETE:
                return tuple(sorted(rates, reverse=True)), True
        return tuple(sorted(rates, reverse=True)), False

    def controls(self) -> list[Control]:
        """Its controls; asked for once."""
        if self._controls is None:
            self._controls = list(self._list_controls())
        return self._controls

    def _list_controls(self) -> Iterator[Control]:
        entry = v4l2.QueryControl()

        def ask(index: int) -> None:
            entry.id |= v4l2.NEXT_CONTROL
            self._call(v4l2.QUERYCTRL, entry)

        kinds = (v4l2.TYPE_INTEGER, v4l2.TYPE_BOOLEAN, v4l2.TYPE_MENU, v4l2.TYPE_INTEGER_MENU)
        for _ in self._each(ask):
            if entry.type not in kinds or entry.flags & v4l2.CONTROL_DISABLED:
                continue
            items = self._menu(entry) if entry.type in (v4l2.TYPE_MENU, v4l2.TYPE_INTEGER_MENU) else ()
            yield Control(
                entry.id,
                entry.name.decode("utf-8", "replace"),
                entry.minimum,
                entry.maximum,
                entry.step,
                entry.default,
                items,
            )

    def _menu(self, control: v4l2.QueryControl) -> tuple[int, ...]:
        """The values that a menu has: there may be gaps."""
        found = []
        for index in range(control.minimum, min(control.maximum, control.minimum + 63) + 1):
            entry = v4l2.QueryMenu(id=control.id, index=index)
            try:
                self._call(v4l2.QUERYMENU, entry)
            except OSError as error:
                if error.errno in END:
                    continue
                raise
            found.append(index)
        return tuple(found)

    def get_control(self, identity: int) -> int:
        """Read a control."""
        value = v4l2.ControlValue(id=identity)
        self._call(v4l2.G_CTRL, value)
        return int(value.value)

    def set_control(self, identity: int, value: int) -> None:
        """Set a control; the driver may take another value than this."""
        self._call(v4l2.S_CTRL, v4l2.ControlValue(id=identity, value=value))

    def is_busy(self) -> bool:
        """Whether another program reads it: then it cannot be set, not even to what it is at."""
        setting = v4l2.Format(type=v4l2.CAPTURE)
        try:
            self._call(v4l2.G_FMT, setting)
            self._call(v4l2.S_FMT, setting)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return True
            raise
        return False

    def set_format(self, name: str, height: int, width: int) -> None:
        """Set format and size.

        Raises:
            Refused: the driver gives others.
        """
        setting = v4l2.Format(type=v4l2.CAPTURE)
        self._call(v4l2.G_FMT, setting)
        pix = setting.fmt.pix
        pix.width, pix.height, pix.pixelformat, pix.field = width, height, v4l2.fourcc(name), 0
        pix.bytesperline = pix.sizeimage = 0
        self._call(v4l2.S_FMT, setting)
        pix = setting.fmt.pix
        given = v4l2.letters(pix.pixelformat), int(pix.height), int(pix.width)
        if given != (name, height, width):
            raise Refused(
                f"{self.path}: {name} {width}x{height} was set, the camera gives {given[0]} {given[2]}x{given[1]};"
                " allowed: a size that `vgil cameras` lists"
            )
        self.step = int(pix.bytesperline)

    def set_rate(self, fps: float) -> None:
        """Set the rate; a driver that has none to set is left alone.

        Raises:
            Refused: the driver gives another.
        """
        setting = v4l2.StreamParameters(type=v4l2.CAPTURE)
        try:
            self._call(v4l2.G_PARM, setting)
            if not setting.capability & v4l2.CAP_TIMEPERFRAME:
                return
            setting.numerator, setting.denominator = 1000, round(fps * 1000)
            self._call(v4l2.S_PARM, setting)
        except OSError as error:
            if error.errno in END:
                return
            raise
        given = setting.denominator / setting.numerator if setting.numerator else 0.0
        if given and not same_rate(given, fps):
            raise Refused(
                f"{self.path}: {fps:g} Hz were set, the camera gives {given:g}; allowed: a rate that `vgil cameras`"
                " lists"
            )

    def start(self) -> None:
        """Take buffers and begin."""
        request = v4l2.RequestBuffers(count=BUFFERS, type=v4l2.CAPTURE, memory=v4l2.MMAP)
        self._call(v4l2.REQBUFS, request)
        if request.count < 2:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        for index in range(request.count):
            buffer = self._buffer(index)
            self._call(v4l2.QUERYBUF, buffer)
            self._buffers.append(mmap.mmap(self._fd, buffer.length, offset=buffer.m.offset))
            self._call(v4l2.QBUF, self._buffer(index))
        self._call(v4l2.STREAMON, ctypes.c_int32(v4l2.CAPTURE))

    @staticmethod
    def _buffer(index: int = 0) -> v4l2.Buffer:
        return v4l2.Buffer(index=index, type=v4l2.CAPTURE, memory=v4l2.MMAP)

    def wait(self, timeout_s: float) -> bool:
        """Whether there is something to read within this time: a frame, or that the device has gone."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def read(self) -> RawFrame | None:
        """The next frame, None where there is none yet."""
        buffer = self._buffer()
        try:
            self._call(v4l2.DQBUF, buffer)
        except BlockingIOError:
            return None
        data = self._buffers[buffer.index][: buffer.bytesused]
        self._call(v4l2.QBUF, self._buffer(buffer.index))
        return RawFrame(
            data,
            buffer.sequence,
            buffer.seconds * 1_000_000_000 + buffer.microseconds * 1000,
            damaged=bool(buffer.flags & v4l2.BUFFER_ERROR),
        )

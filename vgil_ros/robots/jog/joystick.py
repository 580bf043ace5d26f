"""A gamepad read from Linux' joystick interface (/dev/input/js0), where no joy node is installed."""

from __future__ import annotations

import contextlib
import os
import struct

from vgil_ros.core.errors import VgilError

_EVENT = struct.Struct("<IhBB")  # linux/joystick.h: time (ms), value, type, number
_BUTTON, _AXIS, _INITIAL = 0x01, 0x02, 0x80
_FULL = 32767.0
_MOST = 256  # a device that has more of either is none


class Joystick:
    """Reads events without waiting; the signs are joy_linux': left and forward are above 0.

    Args:
        path: of the device.

    Attributes:
        axes: -1..1 each.
        buttons: 1 where it is down.

    Raises:
        VgilError: where it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.axes: list[float] = []
        self.buttons: list[int] = []
        self._rest = b""
        try:
            self._file: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise VgilError(
                f"joystick '{path}' cannot be opened ({error.strerror}); allowed: a device that you may read, such as"
                " /dev/input/js0 (`ls -l /dev/input`; the group `input` may read it)"
            ) from error

    def poll(self) -> bool:
        """Take what has come since; False once the device is gone."""
        if self._file is None:
            return False
        try:
            while data := os.read(self._file, 64 * _EVENT.size):
                self._take(data)
            self.close()
        except BlockingIOError:
            return True
        except OSError:
            self.close()
        return False

    def _take(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        for _, value, kind, number in _EVENT.iter_unpack(data[:whole]):
            kind &= ~_INITIAL
            if number >= _MOST:
                continue
            if kind == _AXIS:
                self.axes += [0.0] * (number + 1 - len(self.axes))
                self.axes[number] = -max(value / _FULL, -1.0)
            elif kind == _BUTTON:
                self.buttons += [0] * (number + 1 - len(self.buttons))
                self.buttons[number] = int(bool(value))

    def close(self) -> None:
        """Let go of the device."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

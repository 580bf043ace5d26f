"""A webcam in the contract: the device that a camera is, its rate, and what its controls are set to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import PlainValidator

from vgil_ros.core.config import StrictModel

DEFAULT_FPS = 30.0
LARGEST_VALUE = 2**31 - 1  # of a control, either way
_DEVICE = re.compile(r"/dev/\S+|/(?:[^\s/]+/)*dev/\S+")


def device_path(value: object) -> str:
    """Return a device's path.

    Raises:
        ValueError: for another text, or a number.
    """
    if isinstance(value, str) and value.isprintable() and len(value) < 256 and _DEVICE.fullmatch(value):
        return value
    raise ValueError(f"found {value!r}; allowed: a path such as /dev/v4l/by-id/usb-...-video-index0 (`vgil cameras`)")


def control_value(value: object) -> int:
    """Return a control's value.

    Raises:
        ValueError: for anything but a whole number.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_VALUE:
        return value
    raise ValueError(f"found {value!r}; allowed: a whole number (`vgil cameras` shows each control's range)")


def control_value_or_auto(value: object) -> int | str:
    """Return a control's value, or "auto".

    Raises:
        ValueError: for anything else.
    """
    if value == "auto":
        return "auto"
    try:
        return control_value(value)
    except ValueError as error:
        raise ValueError(f"{str(error).replace('a whole number', 'a whole number, or auto')}") from None


DevicePath = Annotated[str, PlainValidator(device_path)]
Value = Annotated[int, PlainValidator(control_value)]
ValueOrAuto = Annotated[int | str, PlainValidator(control_value_or_auto)]


class CameraControls(StrictModel):
    """What a webcam's controls are set to, in the camera's own units; what is left out stays as it is."""

    exposure: ValueOrAuto | None = None
    gain: ValueOrAuto | None = None
    white_balance: ValueOrAuto | None = None
    focus: ValueOrAuto | None = None
    brightness: Value | None = None
    contrast: Value | None = None
    saturation: Value | None = None
    sharpness: Value | None = None
    zoom: Value | None = None
    power_line: Value | None = None
    dynamic_framerate: Value | None = None

    def given(self) -> dict[str, int | str]:
        """Those that are given, by name."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


def no_shared_devices(cameras: Sequence[tuple[str, str | None]]) -> None:
    """Raise a ValueError that names two (camera, device) of one device: only one program can have it."""
    owners: dict[str, str] = {}
    for name, device in cameras:
        if device is not None and device in owners:
            raise ValueError(
                f"cameras: '{name}' and '{owners[device]}' have the device '{device}' both; allowed: each device once"
            )
        if device is not None:
            owners[device] = name

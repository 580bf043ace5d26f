"""A camera's controls: set as the contract says, read back, and what differs said with the control's range."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

USER, CAMERA = 0x00980900, 0x009A0900  # bases of V4L2's control ids
MANUAL_EXPOSURE, APERTURE_PRIORITY, AUTO_EXPOSURE = 1, 3, 0
# of a control that does not take a value (also: as its automatic works, or another program has it)
REFUSALS = (errno.EINVAL, errno.ERANGE, errno.EACCES, errno.EPERM, errno.EBUSY, errno.EIO)


@dataclass(frozen=True)
class Kind:
    """Where a control of the contract lies in V4L2.

    Attributes:
        value: its id.
        auto: the id of its automatic; None where there is none.
        manual: the automatic's value for manual.
        automatic: its values for automatic; the first that a camera has is taken.
    """

    value: int
    auto: int | None = None
    manual: int = 0
    automatic: tuple[int, ...] = (1,)


KINDS = {
    "exposure": Kind(CAMERA + 2, CAMERA + 1, MANUAL_EXPOSURE, (APERTURE_PRIORITY, AUTO_EXPOSURE)),
    "gain": Kind(USER + 19, USER + 18),
    "white_balance": Kind(USER + 26, USER + 12),
    "focus": Kind(CAMERA + 10, CAMERA + 12),
    "brightness": Kind(USER + 0),
    "contrast": Kind(USER + 1),
    "saturation": Kind(USER + 2),
    "sharpness": Kind(USER + 27),
    "zoom": Kind(CAMERA + 13),
    "power_line": Kind(USER + 24),
    "dynamic_framerate": Kind(CAMERA + 3),
}


@dataclass(frozen=True)
class Control:
    """A control as the driver describes it; `items` are the values that a menu has."""

    id: int
    name: str
    low: int
    high: int
    step: int
    default: int
    items: tuple[int, ...] = ()

    @property
    def range_words(self) -> str:
        """What it takes."""
        if self.items:
            return f"one of {list(self.items)}"
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" if self.step > 1 else "")

    def takes(self, value: int) -> bool:
        """Whether it can have this value."""
        if self.items:
            return value in self.items
        return self.low <= value <= self.high and (value - self.low) % max(self.step, 1) == 0


class HasControls(Protocol):
    """A device whose controls are read and set."""

    def controls(self) -> list[Control]:
        """All that it has."""

    def get_control(self, identity: int) -> int:
        """Read one."""

    def set_control(self, identity: int, value: int) -> None:
        """Set one."""


def apply(device: HasControls, wanted: Mapping[str, int | str]) -> list[str]:
    """Set the controls, each one's automatic before its value, read them back, and say what is not as wanted.

    Raises:
        OSError: the device has gone; a control that the driver does not take is no error of this kind.
    """
    known = {one.id: one for one in device.controls()}
    return [words for name, value in wanted.items() for words in _set(device, known, name, value)]


def differing(device: HasControls, wanted: Mapping[str, int | str]) -> dict[str, int]:
    """The controls, and their automatics, that are not as wanted, with their value; not those that cannot be read now.

    Raises:
        OSError: the device has gone.
    """
    there = {control.id for control in device.controls()}
    found: dict[str, int] = {}
    for name, value in wanted.items():
        kind, number = KINDS[name], isinstance(value, int)
        if number and kind.value not in there:
            continue
        if kind.auto is not None and kind.auto in there:
            now = _get(device, kind.auto)
            if now is not None and now not in ((kind.manual,) if number else kind.automatic):
                found[_automatic_of(name)] = now
        if number:
            now = _get(device, kind.value)
            if now is not None and now != value:
                found[name] = now
    return found


def current(device: HasControls) -> dict[str, tuple[Control, int]]:
    """The contract's controls that a device has, each with its value now."""
    known = {one.id: one for one in device.controls()}
    found = {}
    for name, kind in KINDS.items():
        if kind.value in known:
            value = _get(device, kind.value)
            if value is not None:
                found[name] = known[kind.value], value
    return found


def is_automatic(device: HasControls, name: str) -> bool:
    """Whether a control works by itself."""
    kind = KINDS[name]
    if kind.auto is None or kind.auto not in {one.id for one in device.controls()}:
        return False
    return _get(device, kind.auto) in kind.automatic


def _get(device: HasControls, identity: int) -> int | None:
    """A control's value; None where it cannot be read now, as its automatic works."""
    try:
        return device.get_control(identity)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        return None


def _set(device: HasControls, known: Mapping[int, Control], name: str, value: int | str) -> Iterator[str]:
    kind = KINDS[name]
    if value == "auto":
        yield from _set_auto(device, known, name)
        return
    assert isinstance(value, int)
    if kind.value not in known:
        yield _lacking(known, name)
        return
    if kind.auto is not None and kind.auto in known:
        yield from _put(device, known[kind.auto], _automatic_of(name), kind.manual)
    yield from _put(device, known[kind.value], name, value)


def _set_auto(device: HasControls, known: Mapping[int, Control], name: str) -> Iterator[str]:
    kind = KINDS[name]
    if kind.auto is None or kind.auto not in known:
        if kind.value in known:
            yield f"control `{name}` has no automatic in this camera; allowed: {known[kind.value].range_words}"
        else:
            yield _lacking(known, name)
        return
    control = known[kind.auto]
    yield from _put(device, control, _automatic_of(name), _automatic(control, kind.automatic))


def _automatic_of(name: str) -> str:
    return f"{name}'s automatic"


def _automatic(control: Control, values: tuple[int, ...]) -> int:
    return next((value for value in values if control.takes(value)), values[0])


def _lacking(known: Mapping[int, Control], name: str) -> str:
    there = [one for one, kind in KINDS.items() if kind.value in known]
    return f"this camera has no control `{name}`; allowed: {there}"


def _put(device: HasControls, control: Control, name: str, value: int) -> Iterator[str]:
    """Set one and read it back: a driver may round, or say yes and do nothing."""
    why = ""
    try:
        device.set_control(control.id, value)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        why = f" ({error.strerror})"
    now = _get(device, control.id)
    if now is None:
        yield f"control `{name}`: {value} was wanted, its value cannot be read{why}; allowed: {control.range_words}"
    elif now != value:
        yield f"control `{name}`: {value} was wanted, the camera has {now}{why}; allowed: {control.range_words}"

"""Webcams of this computer: by names that stay the same, with what they offer and who has them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vgil_ros.robots.webcam import controls
from vgil_ros.robots.webcam.controls import Control
from vgil_ros.robots.webcam.device import Device
from vgil_ros.robots.webcam.offers import Offer, Refused

DEV = Path("/dev")


@dataclass(frozen=True)
class Found:
    """A camera that was looked at.

    Attributes:
        path: what to write into the contract: by-id, else by-path, else the device's own.
        device: what that leads to now, such as /dev/video2.
        name, bus: as its driver says.
        formats, offers: what it has.
        controls: by the contract's names: the control, its value, whether it works by itself.
        busy: whether another program reads it.
        holders: the programs that have it open, as far as this user may know.
        fault: why it could not be looked at, in words.
    """

    path: str
    device: str
    name: str = ""
    bus: str = ""
    formats: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    controls: dict[str, tuple[Control, int, bool]] | None = None
    busy: bool = False
    holders: tuple[str, ...] = ()
    fault: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = asdict(self)
        found["controls"] = {
            name: {"value": value, "automatic": auto, "allowed": control.range_words}
            for name, (control, value, auto) in (self.controls or {}).items()
        }
        found["offers"] = [
            {"format": one.format, "size": one.size_words, "rates": list(one.rates), "any_rate": one.any_rate}
            for one in self.offers
        ]
        return found


def device_paths(dev: Path = DEV) -> list[str]:
    """The paths of all video devices: by-id where they have one, else by-path, else video0 and so on."""
    best: dict[str, str] = {}
    for folder in (dev / "v4l" / "by-id", dev / "v4l" / "by-path"):
        for link in _listed(folder):
            target = os.path.realpath(link)
            if os.path.exists(target):
                best.setdefault(target, str(link))
    for node in _listed(dev):
        if node.name.startswith("video") and node.name[5:].isdigit():
            best.setdefault(os.path.realpath(node), str(node))
    return sorted(best.values())


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def look_at(path: str) -> Found | None:
    """Look at a device; None where it sends no images: many cameras have a second one for their metadata."""
    target = os.path.realpath(path)
    try:
        with Device(path) as device:
            has = {
                name: (control, value, controls.is_automatic(device, name))
                for name, (control, value) in controls.current(device).items()
            }
            return Found(
                path,
                target,
                device.name,
                device.bus,
                tuple(device.formats()),
                tuple(device.offers()),
                has,
                device.is_busy(),
                tuple(holders(target)),
            )
    except Refused:
        return None
    except OSError as error:
        return Found(path, target, holders=tuple(holders(target)), fault=why(error, path))


def holders(path: str) -> Iterator[str]:
    """The other programs that have a device open: their names and numbers; those of other users are not seen."""
    target = os.path.realpath(path)
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        try:
            if any(os.path.realpath(one) == target for one in (folder / "fd").iterdir()):
                yield f"{(folder / 'comm').read_text().strip()}, pid {folder.name}"
        except OSError:
            continue


def why(error: OSError, path: str) -> str:
    """In words: why a device cannot be used, and what to do."""
    if error.errno == errno.ENOENT:
        there = device_paths()
        return f"{path}: is not there, it is looked for; allowed: {there or 'none is plugged in'}"
    if error.errno == errno.EACCES:
        return f"{path}: may not be opened; give this user the group video (sudo usermod -aG video $USER, log in anew)"
    if error.errno == errno.EBUSY:
        has = "; ".join(holders(path)) or "another program"
        return f"{path}: is read by {has}; one program alone can: end it, or give cameras:=false and use its topic"
    if error.errno == errno.ENOSPC:
        return (
            f"{path}: the USB bus has no room for its images beside those of other cameras; take a port of another"
            " USB controller, `type: compressed`, or a lower size or fps"
        )
    return f"{path}: has gone ({error.strerror}), it is looked for; see to its cable"

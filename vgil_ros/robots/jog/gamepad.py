"""A gamepad or a SpaceMouse as axes and buttons: which of them move what, and what a hand on them asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.robots.jog.settings import AXES, COMMANDS

HELD = ("deadman", "open", "close")  # buttons that act while they are down
# The order of joy_node and joy_linux for an Xbox pad; of spacenav for a SpaceMouse.
PRESETS: dict[str, tuple[str, str, str]] = {
    "gamepad": (
        "x=1 y=0 z=4 yaw=3 roll=-6 pitch=-7",
        "deadman=5 grip=0 frame=1 arm=2 home=3 slower=6 faster=7",
        "/joy",
    ),
    "spacemouse": ("x=0 y=1 z=2 roll=3 pitch=4 yaw=5", "grip=0 arm=1", "/spacenav/joy"),
}


@dataclass(frozen=True)
class PadMap:
    """Indices into a device's axes and buttons.

    Attributes:
        axes: by name of AXES: (index, sign).
        buttons: by name of COMMANDS or HELD: index.
    """

    axes: Mapping[str, tuple[int, float]]
    buttons: Mapping[str, int]

    @classmethod
    def parse(cls, axes: str, buttons: str) -> PadMap:
        """Read `x=1 y=-0 ...` (a minus turns an axis round) and `deadman=5 ...`.

        Raises:
            VgilError: for what is not laid out so, and for a name that there is not.
        """
        found = {name: (abs(int(text)), -1.0 if text.startswith("-") else 1.0)
                 for name, text in _pairs("axes", axes, AXES)}  # fmt: skip
        pressed = {}
        for name, text in _pairs("buttons", buttons, (*COMMANDS, *HELD)):
            if text.startswith("-"):
                raise VgilError(f"buttons has '{name}={text}'; allowed: numbers from 0")
            pressed[name] = int(text)
        return cls(found, pressed)

    def lacking(self, axes: int, buttons: int) -> str:
        """In words, what a device with so many of each does not have; "" where it has all."""
        words = [f"axis {i} ({name})" for name, (i, _) in self.axes.items() if i >= axes]
        words += [f"button {i} ({name})" for name, i in self.buttons.items() if i >= buttons]
        if not words:
            return ""
        return f"has {axes} axes and {buttons} buttons, and not {', '.join(words)}; give axes and buttons that it has"


def _pairs(key: str, text: str, allowed: Sequence[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for word in text.replace(",", " ").split():
        name, sign, index = word.partition("=")
        if not sign or not index.lstrip("-").isdigit() or index.count("-") > 1:
            raise VgilError(f"{key} has '{word}'; allowed: NAME=NUMBER, with a name of {', '.join(allowed)}")
        if name not in allowed:
            raise VgilError(f"{key} has '{name}'; allowed: {', '.join(allowed)}")
        if name in dict(pairs):
            raise VgilError(f"{key} has '{name}' more than once; allowed: once")
        pairs.append((name, index))
    return pairs


class Pad:
    """What a hand on the device asks for.

    Args:
        mapping: of its axes and buttons.
        deadzone: of an axis, 0..1: what is less is none, and beyond it the way begins at zero.

    Attributes:
        stick: what is asked for, (7,).
        let_go: there is a dead-man button, and it is up, as far as is known.
    """

    def __init__(self, mapping: PadMap, deadzone: float) -> None:
        self.mapping, self._deadzone = mapping, deadzone
        self._down: frozenset[str] | None = None
        self.release()

    def read(self, axes: Sequence[float], buttons: Sequence[int]) -> list[str]:
        """Take the device's state into `stick` (7,); return the commands whose buttons were pressed since the last.

        Where there is a dead-man button and it is up, nothing moves and nothing is commanded but a stop.
        """
        down = frozenset(name for name, i in self.mapping.buttons.items() if i < len(buttons) and buttons[i])
        pressed = down - (down if self._down is None else self._down)  # what is down from the start is no press
        self._down = down
        self.stick = np.zeros(len(AXES))
        self.let_go = "deadman" in self.mapping.buttons and "deadman" not in down
        if self.let_go:
            return [name for name in pressed if name == "stop"]
        for name, (index, sign) in self.mapping.axes.items():
            value = float(axes[index]) if index < len(axes) else 0.0
            if np.isfinite(value):
                self.stick[AXES.index(name)] = sign * self._beyond_deadzone(value)
        self.stick[AXES.index("grip")] += ("open" in down) - float("close" in down)
        self.stick = np.clip(self.stick, -1.0, 1.0)
        return [name for name in COMMANDS if name in pressed]

    def release(self) -> None:
        """The device is silent: nothing is asked for, and what is down when it speaks again is no press."""
        self.stick = np.zeros(len(AXES))
        self._down = None
        self.let_go = "deadman" in self.mapping.buttons

    def _beyond_deadzone(self, value: float) -> float:
        size = min(abs(value), 1.0)
        return 0.0 if size <= self._deadzone else np.copysign((size - self._deadzone) / (1.0 - self._deadzone), value)

"""A gamepad as a browser tells of it (W3C Gamepad, "standard" mapping), in the order that jog's presets are made for.

The order is joy_node's for an Xbox pad: left and up are positive, the triggers are axes, the cross is two axes.
Source: https://www.w3.org/TR/gamepad/#remapping
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

AXES, BUTTONS = 4, 16
# one expression: whether the window has the keyboard, and the first gamepad of the standard layout
ASK = (
    "[document.hasFocus(), [...navigator.getGamepads()].filter(g => g && g.connected && g.mapping === 'standard')"
    ".slice(0, 1).map(g => [g.id, [...g.axes], g.buttons.map(b => b.value)])]"
)


@dataclass(frozen=True)
class BrowserState:
    """What a browser said of itself.

    Attributes:
        focused: whether its window has the keyboard.
        pad: the gamepad's name; "" for none.
        axes, buttons: in joy_node's order.
    """

    focused: bool
    pad: str = ""
    axes: tuple[float, ...] = ()
    buttons: tuple[int, ...] = ()


def browser_state(said: Any) -> BrowserState | None:
    """Read the answer to `ASK`; None where it is none. A browser may say anything: what does not fit is no pad."""
    if not isinstance(said, (list, tuple)) or len(said) != 2 or not isinstance(said[1], (list, tuple)):
        return None
    focused = said[0] is True
    try:
        ((name, axes, buttons),) = said[1]
        axes, buttons = [_number(value) for value in axes], [_number(value) for value in buttons]
    except (TypeError, ValueError):
        return BrowserState(focused)
    if len(axes) < AXES or len(buttons) < BUTTONS:
        return BrowserState(focused)
    return BrowserState(focused, str(name)[:80], joy_axes(axes, buttons), joy_buttons(buttons))


def joy_axes(axes: Sequence[float], buttons: Sequence[float]) -> tuple[float, ...]:
    """Left stick, left trigger, right stick, right trigger, cross."""
    left, right = 1.0 - 2.0 * buttons[6], 1.0 - 2.0 * buttons[7]  # 1 let go, -1 pressed
    return (
        *(-axes[0], -axes[1], left, -axes[2], -axes[3], right),
        *(buttons[14] - buttons[15], buttons[12] - buttons[13]),
    )


def joy_buttons(buttons: Sequence[float]) -> tuple[int, ...]:
    """A, B, X, Y, the two in front, back and start."""
    return tuple(int(buttons[i] > 0.5) for i in (0, 1, 2, 3, 4, 5, 8, 9))


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not finite; allowed: numbers that are")
    return min(max(number, -1.0), 1.0)

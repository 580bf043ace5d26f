"""Keys that move: which does what, and for how long one is held on a terminal, which tells of no key that is let go.

None of them is a key of the recorder's that `jog` hands on (s d r y n m), nor q.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vgil_ros.robots.jog.settings import AXES

MOTIONS: dict[str, tuple[int, float]] = {
    "i": (0, 1.0),
    "k": (0, -1.0),
    "j": (1, 1.0),
    "l": (1, -1.0),
    "u": (2, 1.0),
    "o": (2, -1.0),
    "up": (0, 1.0),
    "down": (0, -1.0),
    "left": (1, 1.0),
    "right": (1, -1.0),
    "page up": (2, 1.0),
    "page down": (2, -1.0),
    "v": (3, 1.0),
    "b": (3, -1.0),
    "g": (4, 1.0),
    "t": (4, -1.0),
    "f": (5, 1.0),
    "h": (5, -1.0),
    "x": (6, 1.0),
    "z": (6, -1.0),
}
COMMAND_KEYS = {
    " ": "grip",
    "\t": "arm",
    "c": "frame",
    "+": "faster",
    "=": "faster",
    "-": "slower",
    "e": "steps",
    "w": "home",
    "home": "home",
    "a": "align",
    ".": "stop",
    "esc": "stop",
}
HELP = (  # keys, and what they do
    ("i k", "forward, back"),
    ("j l", "left, right"),
    ("u o", "up, down"),
    ("t g", "pitch up, down"),
    ("f h", "turn left, right"),
    ("v b", "roll"),
    ("space", "gripper: close, open"),
    ("z x", "close, open while held"),
    ("Tab", "next arm"),
    ("c", "base or tool frame"),
    ("+ -", "faster, slower"),
    ("e", "steps or speed"),
    ("w", "slowly home"),
    ("a", "to where the puppet is"),
    (".", "stop at once"),
)
_SEQUENCES = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "5~": "page up", "6~": "page down"}
_SEQUENCES |= {"1~": "home", "7~": "home"}
_LONGEST = 6


@dataclass(frozen=True)
class Pace:
    """What a key press is: a step or a motion, and which share of the highest speed level's."""

    steps: bool
    share: float


class KeyNames:
    """Makes key names of a terminal's characters: arrows and the like come as several."""

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, characters: Iterable[str]) -> list[str]:
        """Return the keys that are complete. To be called once a tick, as an Esc is one that nothing follows."""
        found, came = [], list(characters)
        if not came and self._pending:
            found, self._pending = ["esc"], ""
        for character in came:
            if self._pending:
                found += self._continued(character)
            elif character == "\x1b":
                self._pending = character
            else:
                found.append(character.lower())
        return found

    def _continued(self, character: str) -> list[str]:
        if len(self._pending) == 1 and character not in "[O":
            self._pending = "\x1b" if character == "\x1b" else ""
            return ["esc"] if self._pending else ["esc", character.lower()]
        self._pending += character
        if len(self._pending) > 2 and (character.isalpha() or character == "~"):
            name, self._pending = _SEQUENCES.get(self._pending[2:]), ""
            return [name] if name else []
        if len(self._pending) > _LONGEST:
            self._pending = ""
        return []


class HeldKeys:
    """What the keys that are down ask for.

    A terminal repeats a key that is held, after a pause, and says nothing when it is let go. So a key counts as held
    until `first_s` after it was pressed, and until `repeat_s` after each repeat. In step mode each press is a step.

    Args:
        first_s: longer than the keyboard's pause before it repeats.
        repeat_s: longer than the time between two repeats.
        step_s: (7,) for how long a full stick at the highest speed level makes one of its steps, on each axis.
    """

    def __init__(self, first_s: float, repeat_s: float, step_s: np.ndarray) -> None:
        self._first_s, self._repeat_s, self._step_s = first_s, repeat_s, step_s
        self._left: dict[str, float] = {}
        self._owed = np.zeros(len(AXES))  # s of a full stick at the highest level; below 0 the other way

    def press(self, key: str, pace: Pace) -> None:
        """Take a press, or a repeat, of a key of MOTIONS."""
        axis, sign = MOTIONS[key]
        if pace.steps:
            self._owed[axis] += sign * self._step_s[axis] * (1.0 if AXES[axis] == "grip" else pace.share)
            return
        for other in [other for other in self._left if MOTIONS[other] == (axis, -sign)]:
            del self._left[other]
        self._left[key] = self._repeat_s if key in self._left else self._first_s

    def stick(self, dt: float, pace: Pace) -> np.ndarray:
        """Return what they ask for over the coming `dt` seconds, (7,), -1..1 of the speed at that pace."""
        stick = np.zeros(len(AXES))
        if dt <= 0.0:
            return stick
        for key, left in list(self._left.items()):
            axis, sign = MOTIONS[key]
            stick[axis] += sign * min(1.0, left / dt)
            self._left[key] = left - dt
            if left <= dt:
                del self._left[key]
        most = dt * np.array([1.0 if name == "grip" else pace.share for name in AXES])
        wanted = within_one(np.clip(stick + self._owed / most, -1.0, 1.0))
        paid = np.clip(wanted - stick, np.minimum(self._owed / most, 0.0), np.maximum(self._owed / most, 0.0))
        self._owed -= paid * most  # steps on several axes at once take longer, and arrive all the same
        return wanted

    def release(self) -> None:
        """Let go of all, and forget the steps that are still owed."""
        self._left.clear()
        self._owed[:] = 0.0


def within_one(stick: np.ndarray) -> np.ndarray:
    """A stick (7,) whose way and whose turn are no longer than 1 each: across two axes one is not faster."""
    sizes = np.repeat([np.linalg.norm(stick[:3]), np.linalg.norm(stick[3:6]), 1.0], [3, 3, 1])
    result: np.ndarray = stick / np.maximum(sizes, 1.0)
    return result

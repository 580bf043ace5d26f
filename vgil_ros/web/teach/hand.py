"""The hand of an operator in a browser: what it holds, and which twist and gripper opening that asks of a leader.

A browser tells of keys that go down and up, which a terminal does not; but an "up" may be lost (another window took
it). So a key that the keyboard repeated counts as held no longer once the repeats end, and `release` lets go of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.robots.jog.jogger import FRAMES
from vgil_ros.robots.jog.keys import MOTIONS, within_one
from vgil_ros.robots.jog.settings import AXES, LEVELS, JogSettings

REPEAT_LOST_S = 0.8  # the newest key's repeats come every 30 ms or so; without one for so long it is up
FOLLOW = 4.0  # 1/s: a gripper that is dragged goes towards the hand by its distance times this
NEAR = 0.002  # m; and stands where it is so near
GRIP = AXES.index("grip")
GRIP_SPARE_S = 0.4  # a wish for an opening is said for so much longer than its way takes


@dataclass(frozen=True, eq=False)
class Wish:
    """What a leader is to do now.

    Attributes:
        arm: its name.
        twist: (6,) m/s, rad/s.
        gripper: opening 0..1; None: as it is.
        frame: of the twist, "base" or "tool".
    """

    arm: str
    twist: np.ndarray
    gripper: float | None
    frame: str


@dataclass(frozen=True, eq=False)
class Leader:
    """Where the leader of the chosen arm is.

    Attributes:
        tip: (3,) m, in the axes of the arm's base; None where that is not known.
        opening: of its gripper, 0..1; None where that is not known, or it has none.
    """

    tip: np.ndarray | None = None
    opening: float | None = None


class Hand:
    """Times are seconds of a clock that nobody sets.

    Args:
        arms: names of the arms that can be led.
        settings: jog's speeds; jog itself limits them once more.
        level: index of LEVELS to begin with.

    Attributes:
        arm: the name of the one that is led.
        frame: "base" or "tool".
        level: index of LEVELS.
        stick: (7,) of a gamepad, -1..1.
        target: (3,) m, where a dragged gripper is to go, in the axes of the arm's base; None: none is dragged.
    """

    def __init__(self, arms: Sequence[str], settings: JogSettings | None = None, level: int = 2) -> None:
        if not arms:
            raise VgilError("no arm can be led: none of the contract's has a master and a urdf; allowed: one or more")
        self.arms, self.settings = tuple(arms), settings or JogSettings()
        self.arm, self.frame, self.level = self.arms[0], FRAMES[0], level
        self.stick = np.zeros(len(AXES))
        self.target: np.ndarray | None = None
        self._down: dict[str, float | None] = {}  # keys, oldest first: when each was repeated last, if it was
        self._opening: tuple[float, float] | None = None  # that is wanted, and until when it is said
        self._last_s: float | None = None

    @property
    def speed(self) -> tuple[float, float]:
        """What is asked for at this level at most: m/s and rad/s."""
        share = LEVELS[self.level]
        return self.settings.linear * share, self.settings.angular * share

    def press(self, key: str, now_s: float, *, repeated: bool = False) -> None:
        """A key of `MOTIONS` went down, or was repeated by the keyboard."""
        if key not in MOTIONS:
            raise VgilError(f"key '{key}' moves nothing; allowed: {', '.join(MOTIONS)}")
        if not repeated:
            self._down.pop(key, None)
        self._down[key] = now_s if repeated else None

    def let_go(self, key: str) -> None:
        """A key went up."""
        self._down.pop(key, None)

    def release(self) -> None:
        """Nothing is held any more, by whatever; a gripper on its way stands."""
        self._down.clear()
        self.stick = np.zeros(len(AXES))
        self.target = self._opening = None

    @property
    def holds(self) -> bool:
        """Whether anything is held, or under way."""
        return bool(self._down) or self.target is not None or self._opening is not None or bool(self.stick.any())

    def choose(self, arm: str) -> None:
        """Lead another arm; what is held was meant for the one before.

        Raises:
            VgilError: where none has the name.
        """
        if arm not in self.arms:
            raise VgilError(f"arm '{arm}' is unknown; allowed: {', '.join(self.arms)}")
        self.release()
        self.arm = arm

    def next_arm(self) -> None:
        """Lead the next one."""
        self.choose(self.arms[(self.arms.index(self.arm) + 1) % len(self.arms)])

    def turn_frame(self) -> None:
        """Base to tool, tool to base."""
        self.release()
        self.frame = FRAMES[1 - FRAMES.index(self.frame)]

    def quicken(self, by: int) -> None:
        """The next speed level, or the one before."""
        self.level = min(max(self.level + by, 0), len(LEVELS) - 1)

    def grip_to(self, opening: float, now_s: float, at: float | None = None) -> None:
        """Bring the gripper to an opening, 0..1; `at`: where it is now."""
        opening = min(max(opening, 0.0), 1.0)
        way = 1.0 if at is None else abs(opening - at)
        self._opening = opening, now_s + way / self.settings.gripper_speed + GRIP_SPARE_S

    def grip_toggle(self, now_s: float, at: float | None) -> None:
        """Close a gripper that is more than half open, or opening; open it otherwise."""
        now = self._opening[0] if self._opening is not None else at
        self.grip_to(0.0 if (now or 0.0) > 0.5 else 1.0, now_s, at)

    def wish(self, now_s: float, leader: Leader) -> Wish | None:
        """What the hand asks for now; None where it asks for nothing.

        Args:
            now_s: the time.
            leader: where the arm's leader is.
        """
        dt = 0.0 if self._last_s is None else min(max(now_s - self._last_s, 0.0), 0.1)
        self._last_s = now_s
        stick = self._stick(now_s)
        if stick[GRIP] and (leader.opening is not None or self._opening is not None):
            begun = self._opening[0] if self._opening is not None else float(leader.opening or 0.0)
            self.grip_to(begun + stick[GRIP] * self.settings.gripper_speed * dt, now_s, begun)
        frame, twist = self.frame, stick[:6] * np.repeat(self.speed, 3)
        if self.target is not None:
            frame, twist = FRAMES[0], self._towards(leader)
        moves = bool(twist.any())
        if self._opening is not None and not moves and not stick[GRIP] and now_s > self._opening[1]:
            self._opening = None
        opening = None if self._opening is None else self._opening[0]
        if not moves and opening is None and self.target is None:
            return None
        return Wish(self.arm, twist, opening, frame)

    def _stick(self, now_s: float) -> np.ndarray:
        newest = next(reversed(self._down), None)
        if newest is not None and (repeated := self._down[newest]) is not None and now_s - repeated > REPEAT_LOST_S:
            del self._down[newest]
        stick = self.stick.copy()
        for axis, sign in (MOTIONS[key] for key in self._down):
            stick[axis] += sign
        return within_one(np.clip(stick, -1.0, 1.0))

    def _towards(self, leader: Leader) -> np.ndarray:
        """The twist (6,) towards where the gripper was dragged, no faster than the speed level has it."""
        twist = np.zeros(6)
        if self.target is None or leader.tip is None:
            return twist
        way = self.target - leader.tip
        distance = float(np.linalg.norm(way))
        if distance > NEAR:
            twist[:3] = way / distance * min(FOLLOW * distance, self.speed[0])
        return twist

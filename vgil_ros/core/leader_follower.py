"""The law by which a puppet follows its master: aligned gently first, then within limits, never on a stale one.

The rule is ALOHA's: the puppet must not jump to where the master happens to be ("opening ceremony"). A puppet that
rests outside its limits, in a cradle, is aligned from where it is.
"""

from __future__ import annotations

import math
from enum import Enum

import numpy as np

from vgil_ros.core.gripper_trigger import GripperTrigger
from vgil_ros.core.guard.following import FollowingMonitor, following_monitor
from vgil_ros.core.layout import ArmLayout, Layout

ALIGN_SPEED = 0.25  # share of the velocity limits while aligning
ALIGNED = 0.05  # rad (or share of the gripper's travel): near enough to follow
REALIGN = 0.2  # a gap wider than this after a pause is closed gently again
GRIP_MOVED = 0.05  # share of the travel by which a master must move its gripper away before a kept one follows it


class Phase(str, Enum):
    """Where a follower stands."""

    WAITING = "waiting"  # a state is missing or stale; the puppet holds
    READY = "ready"  # waits for the operator to close the grippers
    ALIGNING = "aligning"
    FOLLOWING = "following"
    BLOCKED = "blocked"  # the puppet does not come after its commands; it holds until the master comes to it


class FollowerController:
    """One arm's law. All arrays are (J,), in units of the action (rad; grippers 0..1).

    Args:
        lower, upper: position limits; a gripper's end at 0 and 1.
        velocity: velocity limits, a second.
        gripper: the gripper's index among the joints, or None.
        stale_ns: age of a state, or time that it is ahead, from which on the puppet holds.
        wait_for_trigger: wait for the master's gripper to be closed before moving.
        monitor: of the arm's joints; None where nothing looks at whether they follow.
        gentle: align whenever it begins, be the master near or far, and after each pause that is not brief. Its gripper
            stays as it was commanded then, until the master's has moved away from that by more than `GRIP_MOVED`,
            counted from the nearest that it came: the command goes only the way that the operator's hand goes. What
            the puppet held before it keeps: a master that was brought to where the gripper was measured, on the thing
            that it holds, would let go of it.

    Attributes:
        blocked: (J,) bool, the joints that did not follow.
        commanded, measured: (J,) each, as it was found.
    """

    def __init__(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        velocity: np.ndarray,
        *,
        gripper: int | None = None,
        stale_ns: int = 200_000_000,
        wait_for_trigger: bool = False,
        monitor: FollowingMonitor | None = None,
        gentle: bool = False,
    ) -> None:
        self.lower, self.upper, self.velocity = lower.copy(), upper.copy(), velocity
        self.gripper = gripper
        if gripper is not None:  # one measured beyond its range is closed, or open, and no more than that
            self.lower[gripper], self.upper[gripper] = max(lower[gripper], 0.0), min(upper[gripper], 1.0)
        self.stale_ns = stale_ns
        self.phase = Phase.WAITING
        self._wait_for_trigger = wait_for_trigger and gripper is not None
        self._trigger = GripperTrigger() if self._wait_for_trigger else None
        self._target: np.ndarray | None = None
        self._paused_ns: int | None = None  # since when nothing is sent
        self._monitor, self._gentle = monitor, gentle
        self._followed = False  # before the pause
        # the nearest that the master came to a kept gripper; None: the gripper follows
        self._grip_gap = math.inf if gentle else None
        self.blocked = np.zeros(len(self.lower), bool)
        self.commanded = self.measured = np.zeros(len(self.lower))

    def step(
        self,
        now_ns: int,
        dt: float,
        master: tuple[np.ndarray, int] | None,
        puppet: tuple[np.ndarray, int] | None,
    ) -> np.ndarray | None:
        """Return the puppet's next target, or None: send nothing, the puppet holds.

        Args:
            now_ns: the time.
            dt: seconds since the last step.
            master, puppet: (positions, when they were measured); None before the first.
        """
        if master is None or puppet is None or self._stale(now_ns, master[1]) or self._stale(now_ns, puppet[1]):
            if self.phase is not Phase.WAITING:
                self._followed = self.phase is Phase.FOLLOWING
            self.phase = Phase.WAITING
            self._paused_ns = now_ns if self._paused_ns is None else self._paused_ns
            return None
        goal = np.clip(master[0], self.lower, self.upper)
        if self.phase is Phase.BLOCKED and self._met(goal, puppet[0]):
            self.phase = Phase.WAITING
        if self.phase is Phase.WAITING:
            brief = self._paused_ns is not None and 0 <= now_ns - self._paused_ns <= self.stale_ns
            self._resume(goal, puppet[0], brief=brief)
        if self.phase is Phase.READY:
            assert self._trigger is not None
            assert self.gripper is not None
            if not self._trigger.update(now_ns, master[0][self.gripper : self.gripper + 1]):
                return None
            self._trigger = None
            self._resume(goal, puppet[0], brief=False)  # it may have been moved while it waited
        assert self._target is not None
        goal = self._gripping_on(goal, self._target)
        if self._stuck(now_ns, puppet[0]):
            goal = self._hold_at
        speed = self.velocity * (ALIGN_SPEED if self.phase is Phase.ALIGNING else 1.0)
        self._target = self._target + np.clip(goal - self._target, -speed * dt, speed * dt)
        if self.phase is Phase.ALIGNING and np.abs(goal - self._target).max() < ALIGNED:
            self.phase = Phase.FOLLOWING
        return self._target.copy()

    def release(self) -> None:
        """The puppet is not this law's any more: whoever has it may bring it anywhere and let go of what it holds.

        The next step begins from where the puppet is then, and waits for the gripper's trigger anew.
        """
        self.scene_was_reset()
        if self._wait_for_trigger:
            self._trigger = GripperTrigger()

    def scene_was_reset(self) -> None:
        """A simulator has put the puppet somewhere else: the next step begins from where it is then."""
        self.phase, self._paused_ns, self._target = Phase.WAITING, None, None
        self._followed, self._grip_gap = False, math.inf if self._gentle else None
        self.blocked = np.zeros_like(self.blocked)
        self._forget_commands()

    def _stuck(self, now_ns: int, measured: np.ndarray) -> bool:
        """Whether the puppet is held because it does not follow; where it does not, its target is where it is."""
        if self.phase is Phase.BLOCKED:
            return True
        assert self._target is not None
        if self._monitor is None:
            return False
        blocked = self._monitor.update(now_ns, self._target, measured)
        if not blocked.any():
            return False
        self.phase, self.blocked = Phase.BLOCKED, blocked
        self.commanded, self.measured = self._target.copy(), measured.copy()
        self._hold_at = np.where(blocked, measured, self._target)
        return True

    def _met(self, goal: np.ndarray, measured: np.ndarray) -> bool:
        """Whether the operator has brought the master to the joints that did not follow."""
        return bool((np.abs(goal - measured)[self.blocked] < REALIGN).all())

    def _gripping_on(self, goal: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The goal, with the gripper at its target for as long as it is kept."""
        if self.gripper is None or self._grip_gap is None:
            return goal
        gap = abs(float(goal[self.gripper] - target[self.gripper]))
        if gap > self._grip_gap + GRIP_MOVED:
            self._grip_gap = None
            return goal
        self._grip_gap = min(gap, self._grip_gap)
        kept = goal.copy()
        kept[self.gripper] = target[self.gripper]
        return kept

    def _forget_commands(self) -> None:
        if self._monitor is not None:
            self._monitor.reset()

    def _resume(self, goal: np.ndarray, measured: np.ndarray, *, brief: bool) -> None:
        """Begin from where the puppet is: gently when that is far from the master, or outside the limits.

        After a `brief` pause go on from the target that the puppet's driver still holds: a puppet in motion is behind
        it, and to begin from there would be a jerk for one message that was lost.
        """
        self._paused_ns = None
        begin, before = measured.copy(), self._target
        if brief and before is not None:
            begin = before.copy()
        elif self.gripper is not None:  # one that holds a thing must not be told to open as far as it stands open
            inside = np.clip(measured, self.lower, self.upper)
            begin[self.gripper] = (inside if before is None else before)[self.gripper]
        self._target = begin
        if not brief:
            self._forget_commands()
        if not self._met(goal, measured):  # a message that was lost meanwhile lets nobody off
            self.phase, self._hold_at = Phase.BLOCKED, np.where(self.blocked, measured, begin)
            return
        self.blocked = np.zeros_like(self.blocked)
        if self._gentle and not brief:
            self._grip_gap = math.inf
        goal = self._gripping_on(goal, begin)
        outside = np.abs(begin - np.clip(begin, self.lower, self.upper)).max() > ALIGNED
        anew = self._gentle and not (brief and self._followed)
        far = np.abs(goal - begin).max() > REALIGN or outside or anew
        self.phase = Phase.READY if self._trigger else Phase.ALIGNING if far else Phase.FOLLOWING

    def _stale(self, now_ns: int, stamp_ns: int) -> bool:
        return abs(now_ns - stamp_ns) > self.stale_ns  # one from the future is no sign of life: a clock was set


def follower_of(
    layout: Layout, arm: ArmLayout, *, wait_for_trigger: bool = False, gentle: bool = False, watched: bool = True
) -> FollowerController:
    """The follower of one arm of a robot, by the limits of its contract.

    Args:
        wait_for_trigger, gentle: see the class.
        watched: look at whether its joints follow; not where a safety pipeline does.
    """
    part, velocity = arm.columns, layout.limit("velocity")
    assert velocity is not None
    gripper = None if arm.gripper_column is None else arm.gripper_column - part.start
    lower, upper = layout.lower[part], layout.upper[part]
    return FollowerController(
        lower,
        upper,
        velocity[part],
        gripper=gripper,
        wait_for_trigger=wait_for_trigger,
        monitor=following_monitor(layout, part) if watched else None,
        gentle=gentle,
    )

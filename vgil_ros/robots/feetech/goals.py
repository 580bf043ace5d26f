"""Where a follower's joints are told to be: within their ranges, at bounded speed, and nowhere new while in doubt."""

from __future__ import annotations

import numpy as np

RETURN_SHARE = 0.25  # of a robot's velocity limits, from a hold until the command is reached
NEAR = 0.02  # rad: reached


class GoalKeeper:
    """Goals of an arm, (J,) rad. Time is an argument, ns.

    A goal goes towards the last command only in a cycle that is asked for, that is after a whole reading; from a hold
    on it goes slowly until it has caught up.

    Args:
        lower, upper: (J,) the range of the goals.
        velocity: (J,) the fastest that they move, rad/s.
        slow: (J,) the same from a hold on.
        stale_ns: a command older than this is no command.

    Attributes:
        goal: where the joints are told to be; None before `begin`.
    """

    def __init__(
        self, lower: np.ndarray, upper: np.ndarray, velocity: np.ndarray, slow: np.ndarray, stale_ns: int
    ) -> None:
        self._lower, self._upper, self._stale_ns = lower, upper, stale_ns
        self._velocity, self._slow_velocity = velocity, slow
        self.goal: np.ndarray | None = None
        self._target: np.ndarray | None = None
        self._command_ns = 0
        self._slow = True

    @property
    def commanded(self) -> bool:
        """Whether a command is followed."""
        return self._target is not None

    def begin(self, goal: np.ndarray) -> None:
        """The joints are told to be here; what was commanded before does not count."""
        self.goal = np.clip(goal, self._lower, self._upper)
        self.hold()

    def hold(self) -> None:
        """Stay; commands that come from now on are approached slowly."""
        self._target, self._slow = None, True

    def give_way(self, joints: np.ndarray, measured: np.ndarray) -> None:
        """Tell joints (J,) bool to be where they are: they no longer push."""
        if self.goal is not None:
            self.goal = np.where(joints, np.clip(measured, self._lower, self._upper), self.goal)

    def take(self, command: np.ndarray, now_ns: int) -> np.ndarray:
        """Take a command (J,) rad, NaN for a joint that it leaves alone; return which were beyond their range."""
        before = self._target if self._target is not None else self.goal
        if before is None:
            return np.zeros(len(command), bool)
        wanted = np.where(np.isnan(command), before, command)
        self._target = np.clip(wanted, self._lower, self._upper)
        self._command_ns = now_ns
        beyond: np.ndarray = np.abs(wanted - self._target) > 1e-3  # less is the rounding of messages
        return beyond

    def next(self, now_ns: int, dt_s: float) -> np.ndarray | None:
        """The goal after `dt_s` more; the same while there is no fresh command, None before `begin`."""
        if self.goal is None:
            return None
        if self._target is not None and now_ns - self._command_ns > self._stale_ns:
            self.hold()
        if self._target is not None:
            step = (self._slow_velocity if self._slow else self._velocity) * dt_s
            self.goal = self.goal + np.clip(self._target - self.goal, -step, step)
            if self._slow and np.abs(self._target - self.goal).max() <= NEAR:
                self._slow = False
        return self.goal

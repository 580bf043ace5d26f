"""A stream of wanted positions as goals of an action: as few as follow it, and never one on top of another.

A gripper's action server is made for "close", not for 50 positions a second. A new goal is sent when the wanted
position has left the last goal by a deadband, or rests beside it, at most `MOST_HZ` times a second, and never while one
waits for its answer. What is wanted again and again, as a hold is, sends nothing: the goal before stays.

ros2_control's servers let a new goal take the place of the one before. One that refuses or aborts a goal since another
is on its way does not: from then on each goal waits until the one before has ended.
"""

from __future__ import annotations

import math

MOST_HZ = 10.0
RETRY_S = 1.0  # after a goal that was refused
REST_S = 0.3  # unchanged for so long, a wanted position is meant to the last digit
LOST_S = 1.0  # without an answer: the server has gone, or the answer was lost
ENDLESS_S = 15.0  # without a result: no gripper takes so long, and the result was lost
DEADBAND_SHARE = 0.01  # of the gripper's travel


class GoalStream:
    """Decides which wanted positions become goals.

    Args:
        deadband: by how much a wanted position must differ from the last goal, in its units.

    Attributes:
        preempts: whether a new goal takes the place of one that is on its way, as far as is known.
    """

    def __init__(self, deadband: float) -> None:
        self.deadband, self.preempts = deadband, True
        self._number = 0  # never begun anew: answers to goals of before may be on their way
        self.reset()

    def reset(self) -> None:
        """Nothing was sent, and nothing is on its way: the server, or who commands it, is another."""
        self._goal = self._last = math.nan
        self._sent_s = self._refused_s = self._since_s = -math.inf
        self._answer_open = self._before_open = False
        self._open: dict[int, float] = {}  # goals that the server has taken and not ended, and when they were sent

    def want(self, position: float, now_s: float) -> int | None:
        """Return the number of the goal to send for a wanted position, None where none is to be sent now.

        Args:
            position: finite, in the driver's units.
            now_s: a clock that only goes forward, s.
        """
        if position != self._last:
            self._last, self._since_s = position, now_s
        rests = now_s - self._since_s >= REST_S
        if self._answer_open and now_s - self._sent_s >= LOST_S:
            self._goal, self._answer_open = math.nan, False  # who knows whether it came
        if abs(position - self._goal) <= (0.0 if rests else self.deadband):
            return None
        if now_s - self._sent_s < 1.0 / MOST_HZ or now_s - self._refused_s < RETRY_S:
            return None
        if self._answer_open:
            return None
        self._open = {number: sent_s for number, sent_s in self._open.items() if now_s - sent_s < ENDLESS_S}
        if self._open and not self.preempts:
            return None
        self._goal, self._sent_s, self._answer_open = position, now_s, True
        self._before_open = bool(self._open)
        self._number += 1
        return self._number

    def taken(self, number: int) -> None:
        """The server has accepted a goal."""
        self._answered(number)
        self._open[number] = self._sent_s

    def refused(self, number: int, now_s: float) -> bool:
        """The server has rejected a goal; return whether that says that it does not preempt, and did not before."""
        self._answered(number)
        if number == self._number:
            self._goal, self._refused_s = math.nan, now_s  # it is wanted still
        return self._learn()

    def ended(self, number: int, *, aborted: bool = False) -> bool:
        """A goal has ended; return whether that says that the server does not preempt, and did not before."""
        newest = number == self._number
        self._open.pop(number, None)
        if not (aborted and newest and self._open):
            return False
        self._goal = math.nan
        return self._learn()

    def is_newest(self, number: int) -> bool:
        """Whether no goal was sent after this one."""
        return number == self._number

    def _answered(self, number: int) -> None:
        if number == self._number:
            self._answer_open = False

    def _learn(self) -> bool:
        learned = self.preempts and self._before_open
        if learned:
            self.preempts, self._refused_s = False, -math.inf
        return learned

"""Scheduler of a node: control timers on absolute deadlines, background timers in quiet moments."""

from __future__ import annotations

from collections.abc import Callable


class PeriodicTimer:
    """A callback and the time it is due next."""

    def __init__(self, period_s: float, callback: Callable[[], None]) -> None:
        self.period_s, self.callback = period_s, callback
        self.due_s: float | None = None  # before it is first asked for

    def begin(self, now_s: float) -> float:
        """Return when it is due; one period from the first call on."""
        if self.due_s is None:
            self.due_s = now_s + self.period_s
        return self.due_s

    def advance(self, now_s: float) -> None:
        """Go to the next deadline of the same grid that is still to come; what was missed is left out."""
        due = self.begin(now_s)
        self.due_s = due + self.period_s * (1.0 + max(0.0, (now_s - due) // self.period_s))


class DeadlineScheduler:
    """Control timers, which come at their time, and background timers, which do not get in their way.

    A background timer that is due runs right after a control timer, one after each, when the next deadline is farthest.
    Without any control timer it runs when it is due. Time is any clock that nobody sets.
    """

    def __init__(self) -> None:
        self._control: list[PeriodicTimer] = []
        self._background: list[PeriodicTimer] = []

    def control_timer(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back at its time."""
        self._control.append(PeriodicTimer(period_s, callback))

    def background_timer(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back about as often."""
        self._background.append(PeriodicTimer(period_s, callback))

    def wait_s(self, now_s: float, most_s: float) -> float:
        """How long nothing is to be done, at most `most_s`."""
        for timer in self._background:
            timer.begin(now_s)
        next_s = min((one.begin(now_s) for one in self._control or self._background), default=now_s + most_s)
        return min(max(0.0, next_s - now_s), most_s)

    def run(self, now_s: float) -> None:
        """Do what is due."""
        turned = not self._control
        for timer in self._control:
            if timer.begin(now_s) <= now_s:
                timer.advance(now_s)
                timer.callback()
                turned = True
        if not turned:
            return
        waiting = [timer for timer in self._background if timer.begin(now_s) <= now_s]
        if waiting:
            first = min(waiting, key=lambda timer: timer.begin(now_s))
            first.advance(now_s)
            first.callback()

"""What a node does again and again on absolute deadlines, and what may wait for a quiet moment."""

from __future__ import annotations

from collections.abc import Callable


class Periodic:
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


class Periodics:
    """Turns, which come at their time, and chores, which do not get in their way.

    A chore that is due is done right after a turn, one after each, when the next deadline is farthest. Without any
    turns it is done when it is due. Time is any clock that nobody sets.
    """

    def __init__(self) -> None:
        self._turns: list[Periodic] = []
        self._chores: list[Periodic] = []

    def turn(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back at its time."""
        self._turns.append(Periodic(period_s, callback))

    def chore(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back about as often."""
        self._chores.append(Periodic(period_s, callback))

    def wait_s(self, now_s: float, most_s: float) -> float:
        """How long nothing is to be done, at most `most_s`."""
        for chore in self._chores:
            chore.begin(now_s)
        next_s = min((one.begin(now_s) for one in self._turns or self._chores), default=now_s + most_s)
        return min(max(0.0, next_s - now_s), most_s)

    def run(self, now_s: float) -> None:
        """Do what is due."""
        turned = not self._turns
        for turn in self._turns:
            if turn.begin(now_s) <= now_s:
                turn.advance(now_s)
                turn.callback()
                turned = True
        if not turned:
            return
        waiting = [chore for chore in self._chores if chore.begin(now_s) <= now_s]
        if waiting:
            first = min(waiting, key=lambda chore: chore.begin(now_s))
            first.advance(now_s)
            first.callback()

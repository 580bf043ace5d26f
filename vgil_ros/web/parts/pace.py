"""How far a browser is behind: what it is shown waits for it, what it asks too late is refused. No clock, no I/O."""

from __future__ import annotations

BEHIND_S = 1.0  # an answer that is due for so long: the browser still draws what it was sent before
SELDOM_S = 2.0  # and yet it is shown something as often as this: a slow line is no reason to stand still
CUT_OFF_S = 10.0  # no question of that time was answered yet: what comes was meant for a robot of that time ago


class Pace:
    """Questions to a browser, which it answers once it has drawn all that was sent before.

    A slow one that is sent more than it can draw falls ever further behind, until it hears neither keys nor its server.
    One whose connection was lost keeps what was pressed, and tells it when the connection is back.
    Times are seconds of a clock that nobody sets.

    Args:
        now_s: when the page was made.
    """

    def __init__(self, now_s: float) -> None:
        self._asked: dict[int, float] = {}
        self._number = 0
        self._heard_s, self._joined = now_s, False

    def joined(self, now_s: float) -> None:
        """It has its connection: what was pressed until the first time is not old."""
        if not self._joined:
            self._joined, self._heard_s = True, now_s

    def asked(self, now_s: float) -> int:
        """A question is sent; returns its number."""
        self._number += 1
        self._asked[self._number] = now_s
        return self._number

    def answered(self, number: int) -> None:
        """It was answered, and with it all that were asked before, whose answers may be lost.

        The browser was there when it was asked; when the answer set out, it does not tell.
        """
        self._heard_s = max(self._heard_s, self._asked.get(number, self._heard_s))
        for earlier in [one for one in self._asked if one <= number]:
            del self._asked[earlier]

    def gave_up(self, number: int) -> None:
        """Its answer is waited for no more."""
        self._asked.pop(number, None)

    @property
    def open(self) -> int:
        """Questions without an answer yet."""
        return len(self._asked)

    def behind(self, now_s: float) -> bool:
        """Whether the browser has yet to draw what it was sent."""
        return bool(self._asked) and now_s - min(self._asked.values()) > BEHIND_S

    def may_show(self, now_s: float, shown_s: float) -> bool:
        """Whether to show it something that was last shown at `shown_s`."""
        return not self.behind(now_s) or now_s - shown_s >= SELDOM_S

    def cut_off(self, now_s: float) -> float | None:
        """For how many seconds it may have been away, where that is too long to do what it asks for; else None."""
        silent = now_s - self._heard_s
        return silent if silent > CUT_OFF_S else None

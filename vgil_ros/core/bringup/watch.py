"""What the other nodes make of the bring-up node's status: whether they may move the robot."""

from __future__ import annotations

SILENT_S = 3.0  # a status comes twice a second
WAKING, UP, SLEEPING = "waking", "up", "sleeping"
ENDED = "ended"  # the node's last word: nothing watches over the motors any more, and that is in order


class BringupWatch:
    """Remembers the newest status. Where none was ever heard nothing is held: others may have brought the robot up.

    A hold lasts until a newer status ends it: what was wrong is not over because the node that saw it was killed.
    """

    def __init__(self) -> None:
        self._heard_s: float | None = None
        self._state, self._failed, self._words = "", False, ""

    def heard(self, now_s: float, state: str, failed: bool, words: str) -> None:
        """Take a status: its `state`, whether its level is ERROR, and its message."""
        self._heard_s, self._state, self._failed, self._words = now_s, state, failed, words

    @property
    def _speaks(self) -> bool:
        return self._heard_s is not None and self._state != ENDED

    def silent(self, now_s: float) -> str:
        """In words: that nothing watches over the motors any more although it should; "" where that is not so."""
        if self._heard_s is None or not self._speaks or now_s - self._heard_s <= SILENT_S:
            return ""
        return f"bringup: silent for {now_s - self._heard_s:.0f} s; nothing watches over the motors"

    def hold(self, now_s: float) -> str:
        """In words: why the robot must not be moved now; "" where it may be."""
        if not self._speaks or (self._state == UP and not self._failed):
            return ""
        words = self._words if self._failed else f"the robot is not up yet ({self._state}): {self._words}"
        last = "; its last word before it fell silent: start it anew" if self.silent(now_s) else ""
        return f"bringup: {words}{last}"

    def moves(self, now_s: float) -> str:
        """In words: that the bring-up node itself commands the robot; "" where it does not."""
        if not self._speaks or self.silent(now_s) or self._state not in (WAKING, SLEEPING):
            return ""
        return f"bringup commands the robot ({self._state}); only one may command"

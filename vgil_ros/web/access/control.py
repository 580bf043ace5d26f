"""Control of the robot: one operator at a time has it, and loses it when the page falls silent. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from vgil_ros.web.access.visitors import Role, Visitor

LOST_S = 10.0  # a page that is silent for so long has no control any more
LOST_LEADING_S = 2.0  # and so soon while it moves a leader


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has control, since when it was last heard, and whether it moves a leader."""

    visitor: Visitor
    heard_s: float
    leading: bool = False


class Control:
    """Says who may act. Times are seconds of a clock that nobody sets."""

    def __init__(self) -> None:
        self._holder: Holder | None = None

    def holder(self, now_s: float) -> Visitor | None:
        """Who has control; None where nobody has."""
        if self._holder is not None and now_s - self._holder.heard_s > self._patience:
            self._holder = None
        return self._holder.visitor if self._holder else None

    @property
    def _patience(self) -> float:
        return LOST_LEADING_S if self._holder is not None and self._holder.leading else LOST_S

    def leading(self, now_s: float) -> Visitor | None:
        """Who moves a leader; None where nobody does, or its page fell silent."""
        return self._holder.visitor if self.holder(now_s) and self._holder and self._holder.leading else None

    def hindrance(self, visitor: Visitor, now_s: float) -> str | None:
        """Why this visitor may not act, in words; None where it may."""
        if visitor.role is not Role.OPERATE:
            return "this link looks on only; the link that operates was printed where the page was started"
        holder = self.holder(now_s)
        if holder is not None and holder.session != visitor.session:
            return f"{holder.name} has control; allowed once it is handed on, or that page is gone for {LOST_S:g} s"
        return None

    def take(self, visitor: Visitor, now_s: float, *, leading: bool | None = None) -> str | None:
        """Take control, or keep it. Returns why not, None where it is taken.

        Args:
            leading: whether it moves a leader from now on; None: as before.
        """
        if (why := self.hindrance(visitor, now_s)) is not None:
            return why
        before = self._holder is not None and self._holder.leading
        self._holder = Holder(visitor, now_s, before if leading is None else leading)
        return None

    def heard(self, visitor: Visitor, now_s: float) -> None:
        """The page of a visitor is alive."""
        if (holder := self.holder(now_s)) is not None and holder.session == visitor.session and self._holder:
            self._holder = Holder(visitor, now_s, self._holder.leading)

    def give(self, visitor: Visitor) -> None:
        """Give control up, if this visitor has it."""
        if self._holder is not None and self._holder.visitor.session == visitor.session:
            self._holder = None

"""Readings that are none hold the robot at once, and by name; to wait until they are stale would be to follow them."""

from __future__ import annotations

from vgil_ros.core.safety.types import Command, Hold, Pass, SafetyContext, Verdict


class ReadingsLimit:
    """Holds while a stream's readings are refused (see `core.guard`)."""

    name = "readings"

    def reset(self) -> None:
        """Nothing is remembered: what is refused is in the context."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold."""
        if not context.refused:
            return Pass(command)
        return Hold("; ".join(f"{stream}: {words}" for stream, words in context.refused.items()))

"""Observations that are too old, by stamp, hold the robot."""

from __future__ import annotations

from collections.abc import Mapping

from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety.types import Command, Hold, Pass, SafetyContext, Verdict


class StaleLimit:
    """Holds while any stream is older than it may be, has not come at all, or is stamped as far in the future."""

    name = "stale"

    def __init__(self, max_age_ns: Mapping[str, int]) -> None:
        for stream, age in max_age_ns.items():
            if age <= 0:
                raise VgilError(f"stale: max age of {stream} is {age} ns, it must be above zero")
        self._max_age_ns = dict(max_age_ns)

    def reset(self) -> None:
        """Nothing is remembered."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold."""
        ages = context.stream_ages_ns
        wrong = [
            reason
            for stream, most in self._max_age_ns.items()
            if (reason := _judge(stream, ages.get(stream), most)) is not None
        ]
        return Hold("; ".join(wrong)) if wrong else Pass(command)


def _judge(stream: str, age_ns: int | None, most_ns: int) -> str | None:
    if age_ns is None:
        return f"{stream} has not come yet"
    if age_ns > most_ns:
        return f"{stream} is {age_ns / 1e6:.0f} ms old, allowed are {most_ns / 1e6:.0f} ms"
    if age_ns < -most_ns:
        return f"{stream} is stamped {-age_ns / 1e6:.0f} ms in the future, allowed are {most_ns / 1e6:.0f} ms"
    return None

"""A policy that is silent for too long holds the robot."""

from __future__ import annotations

from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety.types import Command, Hold, Pass, SafetyContext, Verdict

REMEDY = "give it a faster device, execution:=async, or a longer watchdog_ms"


class WatchdogLimit:
    """Holds while the policy thread has not been well for `max_silence_ns` (see Context.last_policy_ns)."""

    name = "watchdog"

    def __init__(self, max_silence_ns: int) -> None:
        if max_silence_ns <= 0:
            raise VgilError(f"watchdog: max silence is {max_silence_ns} ns, it must be above zero")
        self._max_silence_ns = max_silence_ns

    def reset(self) -> None:
        """Nothing is remembered."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold. A sign of life from the future is none: the clock has jumped back."""
        if context.last_policy_ns is None:
            return Hold("the policy has given no result yet")
        silence = context.now_ns - context.last_policy_ns
        if silence < 0:
            return Hold(f"the policy's last result is {-silence / 1e6:.0f} ms in the future: the clock jumped back")
        if silence > self._max_silence_ns:
            allowed = self._max_silence_ns / 1e6
            return Hold(
                f"the policy has been silent for {silence / 1e6:.0f} ms, allowed are {allowed:.0f} ms: {REMEDY}"
            )
        return Pass(command)

"""The streams whose readings are refused now. A tick's grace, so that one lost packet among good ones holds nothing."""

from __future__ import annotations


class Refusals:
    """Which streams say what is no reading, since when, and why.

    Args:
        patience_ns: how long a stream may say nothing else before it stands as refused.
    """

    def __init__(self, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self._refused: dict[str, tuple[int, str]] = {}

    def refuse(self, stream: str, words: str, now_ns: int) -> None:
        """A message came that is no reading; the reason that is told is the newest."""
        since_ns, _ = self._refused.get(stream, (now_ns, ""))
        self._refused[stream] = since_ns, words

    def accept(self, stream: str) -> None:
        """A reading came."""
        self._refused.pop(stream, None)

    def standing(self, now_ns: int) -> dict[str, str]:
        """The streams that are refused, and why. A time before the first refusal is a clock that was set back."""
        return {
            stream: words
            for stream, (since_ns, words) in self._refused.items()
            if not 0 <= now_ns - since_ns < self._patience_ns
        }


def one_tick(period_ns: int) -> Refusals:
    """Refusals that stand from the second tick on: a tick that comes a little early is one all the same."""
    return Refusals(period_ns * 3 // 4)

"""The streams whose readings are refused now. A moment's grace: one lost packet among good ones holds nothing."""

from __future__ import annotations

SLOWEST_NS = 200_000_000  # between two messages of a stream; longer is a pause, and everybody holds by then
SHARE = 0.2  # of the newest interval in a stream's period
PERIODS = 1.5  # of the stream's own: the next message is late, or is refused too


class Refusals:
    """Which streams say what is no reading, since when, and why.

    Args:
        patience_ns: how long a stream may say nothing else before it stands as refused. One whose messages come more
            seldom, as was measured, may for as long as its next one takes.
    """

    def __init__(self, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self._refused: dict[str, tuple[int, str]] = {}
        self._arrived_ns: dict[str, int] = {}
        self._period_ns: dict[str, float] = {}

    def refuse(self, stream: str, words: str, now_ns: int) -> None:
        """A message came that is no reading; the reason that is told is the newest."""
        self._came(stream, now_ns)
        since_ns, _ = self._refused.get(stream, (now_ns, ""))
        self._refused[stream] = since_ns, words

    def accept(self, stream: str, now_ns: int) -> None:
        """A reading came."""
        self._came(stream, now_ns)
        self._refused.pop(stream, None)

    def forget(self, stream: str) -> None:
        """What was refused of a stream is none of its faults: the scene was reset."""
        self._refused.pop(stream, None)

    def _came(self, stream: str, now_ns: int) -> None:
        interval_ns = now_ns - self._arrived_ns.get(stream, now_ns)
        self._arrived_ns[stream] = now_ns
        if 0 < interval_ns <= SLOWEST_NS:
            period_ns = self._period_ns.get(stream, interval_ns)
            self._period_ns[stream] = period_ns + SHARE * (interval_ns - period_ns)

    def _patience(self, stream: str) -> float:
        return max(self._patience_ns, PERIODS * self._period_ns.get(stream, 0.0))

    def standing(self, now_ns: int) -> dict[str, str]:
        """The streams that are refused, and why. A time before the first refusal is a clock that was set back."""
        return {
            stream: words
            for stream, (since_ns, words) in self._refused.items()
            if not 0 <= now_ns - since_ns < self._patience(stream)
        }


def one_tick(period_ns: int) -> Refusals:
    """Refusals that stand from the second tick on: one that comes a little early is one all the same."""
    return Refusals(period_ns * 3 // 4)

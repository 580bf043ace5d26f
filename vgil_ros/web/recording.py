"""What a recorder's status means to an operator: a word, a colour, what is asked for next. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vgil_ros.web.link import ERROR, STALE, WARN, NodeStatus

SILENT = "recorder silent"
WORDS = {
    "idle": ("ready", "positive"),
    "preparing": ("resetting the scene", "info"),
    "waiting": ("waiting", "warning"),
    "recording": ("recording", "negative"),
    "saving": ("saving", "info"),
    "pause": ("pause", "info"),
    "done": ("done", "positive"),
}
# a key of the page, and the recorder's service; s starts or stops
KEYS = {
    "s": "toggle",
    "PageDown": "toggle",
    "d": "discard",
    "PageUp": "discard",
    "r": "redo",
    "y": "label_success",
    "n": "label_failure",
    "u": "label_unsure",
}


@dataclass(frozen=True)
class Banner:
    """What stands in the banner.

    Attributes:
        word: in large letters.
        detail: below it.
        color: a name of Quasar's.
        recording: whether an episode runs.
    """

    word: str
    detail: str
    color: str
    recording: bool = False


def banner(status: NodeStatus | None, rate_hz: float) -> Banner:
    """The banner for a recorder's status.

    Args:
        status: None where no recorder was heard.
        rate_hz: rows a second.
    """
    if status is None or status.level == STALE:
        return Banner(SILENT, "" if status is None else f"last heard {status.age_s:.0f} s ago", "grey-7")
    state = status.values.get("state", "")
    word, color = WORDS.get(state, (state or "?", "grey-7"))
    detail = status.message
    if state == "recording":
        rows = status.number("rows") or 0.0
        dropped = status.number("rows_dropped") or 0.0
        lost = f", {dropped:.0f} left out" if dropped else ""
        detail = f"{rows / rate_hz:.1f} s, {rows:.0f} rows{lost}"
        if status.level in (WARN, ERROR):
            detail += f" - {status.message}"
    elif state == "idle" and status.level in (WARN, ERROR):
        word, color = "not ready", "warning"
    return Banner(word, detail, color, state == "recording")


def counter(status: NodeStatus | None) -> str:
    """How many episodes are done, of how many."""
    if status is None:
        return "-"
    done, wanted = status.values.get("episodes_done", "0"), status.values.get("episodes_wanted", "0")
    return f"{done} of {wanted}" if wanted != "0" else done


def progress(status: NodeStatus | None) -> float | None:
    """Share of the goal that is done; None without a goal."""
    wanted = status.number("episodes_wanted") if status is not None else None
    done = status.number("episodes_done") if status is not None else None
    return None if not wanted or done is None else min(1.0, done / wanted)


@dataclass(frozen=True)
class Verdict:
    """What the check said of the last episode."""

    good: bool
    words: str
    file: str


def verdict(status: NodeStatus | None) -> Verdict | None:
    """Of the last episode; None while there is none."""
    if status is None or "last_verdict" not in status.values:
        return None
    values = status.values
    return Verdict(values["last_verdict"] == "ok", values.get("last_words", ""), values.get("last_episode", ""))


class SoundWatch:
    """Which sound an operator is to hear, by what has changed since the last status."""

    def __init__(self) -> None:
        self._last: Mapping[str, str] | None = None

    def heard(self, status: NodeStatus | None) -> str | None:
        """The sound's name, None where nothing is to be heard."""
        if status is None:
            return None
        before, self._last = self._last, dict(status.values)
        now = status.values
        if before is None:
            return None
        if now.get("last_words") != before.get("last_words") and "last_verdict" in now:
            return "saved" if now["last_verdict"] == "ok" else "bad"
        started = now.get("state") == "recording" != before.get("state")
        stopped = before.get("state") == "recording" != now.get("state")
        return "start" if started else "stop" if stopped else None

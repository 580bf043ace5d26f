"""What a check of the computer found: a level, what it is about, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Health:
    """One line of the doctor's.

    Attributes:
        topic: what it is about.
        level: "ok", "warn" (some of the package will not work, or not well) or "bad" (nodes will not run).
        words: what was found.
        remedy: what to do; "" where nothing is to be done.
    """

    topic: str
    level: Level
    words: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def ok(topic: str, words: str) -> Health:
    """All is well."""
    return Health(topic, "ok", words)


def warn(topic: str, words: str, remedy: str) -> Health:
    """Something will not work, or not well."""
    return Health(topic, "warn", words, remedy)


def bad(topic: str, words: str, remedy: str) -> Health:
    """Nodes will not run."""
    return Health(topic, "bad", words, remedy)

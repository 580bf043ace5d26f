"""The label of an episode: what an operator says of it while it is recorded, or after it, until the next begins."""

from __future__ import annotations

from enum import Enum
from typing import Literal, get_args

Verdict = Literal["success", "failure", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

LONGEST = 1000  # letters of a text beside it; an attribute of HDF5 ends at 64 KiB
TEXTS = f"up to {LONGEST} letters that can be printed, and line breaks"


def text_fault(text: str) -> str | None:
    """What of a note, an operator's name or the like cannot be kept, in words; None where all can."""
    if len(text) > LONGEST:
        return f"has {len(text)} letters"
    for place, letter in enumerate(text):
        if not letter.isprintable() and letter != "\n":
            return f"has {letter!r} at letter {place + 1}"
    return None


class _Phase(Enum):
    NONE = "none"  # there is no episode, or it is thrown away
    OPEN = "open"  # it is recorded
    CLOSING = "closing"  # its file is being closed, with the label that it had when that began
    KEPT = "kept"  # there is a file of it


class EpisodeLabel:
    """Whether an episode can be labelled now, and what is said of it.

    Attributes:
        verdict: what the operator said; None where nobody has.
    """

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self._phase = _Phase.NONE
        self._late = False

    @property
    def possible(self) -> bool:
        """Whether there is an episode to label."""
        return self._phase is not _Phase.NONE

    @property
    def running(self) -> bool:
        """Whether that one is still recorded."""
        return self._phase is _Phase.OPEN

    def begin(self) -> None:
        """An episode begins, and nobody has said anything of it."""
        self.verdict, self._late, self._phase = None, False, _Phase.OPEN

    def close(self) -> None:
        """It has ended, and is to be kept."""
        self._late, self._phase = False, _Phase.CLOSING

    def drop(self) -> None:
        """It is thrown away."""
        self.verdict, self._late, self._phase = None, False, _Phase.NONE

    def closed(self, *, kept: bool) -> bool:
        """Its file is closed; returns whether a label came meanwhile, which is still to be written into it."""
        if self._phase is not _Phase.CLOSING or not kept:
            self.drop()
            return False
        self._phase = _Phase.KEPT
        return self._late

    def say(self, verdict: Verdict) -> bool:
        """Label it; returns whether that is to be written into its file now.

        Args:
            verdict: takes the place of what was said before.
        """
        self.verdict = verdict
        self._late = self._late or self._phase is _Phase.CLOSING
        return self._phase is _Phase.KEPT

    def words(self) -> str:
        """For the end of a line: ", labelled success"; empty where nobody has said anything."""
        return f", labelled {self.verdict}" if self.verdict else ""

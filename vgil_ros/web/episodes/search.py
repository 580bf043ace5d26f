"""The search field of episodes: a sentence of `vgil episodes filter --where`, or words that stand in the row."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.curation.where import Where
from vgil_ros.web.episodes.listing import Row

MEANT = re.compile(r"[<>=()]|\b(and|or|not|in)\b|\btag:")  # what is written like this is meant as a sentence


@dataclass(frozen=True)
class Search:
    """What is searched for.

    Attributes:
        where: a sentence; None where words are searched for.
        words: each of them stands in the row, in lower case.
        fault: why what is meant as a sentence cannot be read.
    """

    where: Where | None = None
    words: tuple[str, ...] = ()
    fault: str | None = None

    def matches(self, row: Row) -> bool:
        """Whether a row is to be shown; one that nobody has looked into yet matches by its name alone.

        Raises:
            VgilError: where a sentence compares what cannot be compared.
        """
        if self.where is not None:
            return row.facts is not None and self.where.matches(row.facts)
        text = text_of(row) if self.words else ""
        return all(word in text for word in self.words)


def search_of(text: str) -> Search:
    """Read what was typed."""
    text = text.strip()
    if not text:
        return Search()
    try:
        return Search(where=Where(text))
    except VgilError as error:
        fault = str(error).removeprefix("--where ") if MEANT.search(text) else None
        return Search(words=tuple(text.lower().split()), fault=fault)


def text_of(row: Row) -> str:
    """All words of a row, in lower case."""
    line = row.line
    if line is None:
        return row.name.lower()
    words = (row.name, line.task, line.robot, line.label, *line.tags, line.operator, line.object, line.scene, line.note)
    return " ".join(word for word in (*words, *line.problems) if word).lower()

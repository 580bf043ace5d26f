"""Task text: missing in some episodes, written in two ways, or another one among many of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher

from vgil_ros.datasets.quality.data_set import DataSet, Found, plain
from vgil_ros.episodes.checks.findings import Finding

ALIKE = 0.85  # of the letters: two spellings of one task
MOST, FEW = 0.8, 0.1  # shares of the episodes: a set of one task; a text that strayed into it
FEWEST = 5  # episodes


def check(data: DataSet) -> Iterator[Found]:
    """Name episodes whose task is not said, or said in other words than the others' same one."""
    texts = Counter(one.task or "" for one in data.summaries)
    said = Counter({text: count for text, count in texts.items() if plain(text)})
    if not said:
        message = "no episode says what is shown; policies that read a task need it"
        yield Found(None, Finding("info", "task", "task", message), "say it: `vgil episodes label FOLDER --task '...'`")
        return
    usual, times = said.most_common(1)[0]
    for one in data.summaries:
        text = one.task or ""
        if not plain(text):
            message = f"task is not stated, and needed in all episodes; most often it is '{usual}'"
            advice = f"say it: `vgil episodes label FILE --task '{usual}'`"
            yield Found(one.number, Finding("warning", "task", "task", message), advice)
        elif (other := _other_spelling(text, said)) is not None:
            message = (
                f"task is '{text}'; '{other}' in {said[other]} others looks like the same: one spelling in all episodes"
            )
            advice = f"write it as the others: `vgil episodes label FILE --task '{other}'`"
            yield Found(one.number, Finding("warning", "task", "task", message), advice)
        elif text != usual and _strayed(said[text], times, len(data.summaries)):
            message = (
                f"task is '{text}'; in {times} of {len(data.summaries)} it is '{usual}'; allowed: tasks that many show"
            )
            advice = "keep it in a data set of its own, or mend its text"
            yield Found(one.number, Finding("warning", "task", "task", message), advice)


def _other_spelling(text: str, said: Counter[str]) -> str | None:
    """A more frequent text that means the same."""
    for other, count in said.most_common():
        if other == text or count < said[text] or (count == said[text] and other > text):
            continue
        if plain(other) == plain(text) or SequenceMatcher(None, plain(other), plain(text)).ratio() > ALIKE:
            return other
    return None


def _strayed(count: int, times: int, episodes: int) -> bool:
    return episodes >= FEWEST and times >= MOST * episodes and count <= max(1, FEW * episodes)

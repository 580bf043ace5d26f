"""Conflicting labels: two episodes that show the same, and say different things of it."""

from __future__ import annotations

from collections.abc import Iterator

from vgil_ros.datasets.quality.data_set import DataSet, Found, plain
from vgil_ros.datasets.quality.features.summary import Summary
from vgil_ros.datasets.quality.twins import twins_of
from vgil_ros.episodes.checks.findings import Finding


def check(data: DataSet) -> Iterator[Found]:
    """Name both episodes of a pair whose success or task differ."""
    for group in data.robots:
        for pair in twins_of(group):
            for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
                for what, ours, theirs in _conflicts(one, other):
                    message = f"{what} is {ours}; {other.name}, which shows the same, says {theirs}"
                    advice = f"watch both and mend the wrong one: `vgil episodes label FILE {_words(what)}`"
                    yield Found(one.number, Finding("warning", "labels", what, message), advice)


def _conflicts(one: Summary, other: Summary) -> Iterator[tuple[str, str, str]]:
    if None not in (one.success, other.success) and one.success != other.success:
        words = {True: "success", False: "failure"}
        yield "success", words[bool(one.success)], words[bool(other.success)]
    if plain(one.task) and plain(other.task) and plain(one.task) != plain(other.task):
        yield "task", f"'{one.task}'", f"'{other.task}'"


def _words(what: str) -> str:
    return "success|failure" if what == "success" else "--task '...'"

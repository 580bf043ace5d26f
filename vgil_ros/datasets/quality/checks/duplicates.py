"""Near-duplicates: an episode that is there twice, whole, trimmed, or written anew."""

from __future__ import annotations

from collections.abc import Iterator

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.twins import twins_of
from vgil_ros.episodes.checks.findings import Finding


def check(data: DataSet) -> Iterator[Found]:
    """Name the later episode of each pair."""
    for group in data.robots:
        for pair in twins_of(group):
            other = pair.first.name
            if pair.shared:
                message = f"has {pair.shared:.0%} of its rows in common with {other}; allowed: each demonstration once"
            else:
                message = f"moves and looks like {other}, closer than any two others; allowed: each demonstration once"
            advice = (
                "delete one of the two: what is there twice weighs twice, and may be validated on what it trained on"
            )
            yield Found(pair.second.number, Finding("warning", "duplicate", "episode", message), advice)

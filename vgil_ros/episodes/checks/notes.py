"""What the recorder itself wrote into the file: why it ended early, and what was not as it should be."""

from __future__ import annotations

from collections.abc import Iterator

from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.view import Episode


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name an episode that was aborted, and repeat the recorder's warnings."""
    if episode.aborted is not None:
        message = f"aborted: {episode.aborted}; leave it out: the task was not shown to its end"
        yield Finding("error", "notes", "episode", message)
    for words in episode.warnings:
        yield Finding("warning", "notes", "recorder", words)

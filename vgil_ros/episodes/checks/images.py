"""Every camera's images lie in the file in a form that is read: their shape and type."""

from __future__ import annotations

from collections.abc import Iterator

from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.reader import EpisodeReader


def check(episode: EpisodeReader, scan: Scan) -> Iterator[Finding]:
    """Name cameras whose images cannot be read."""
    for name, reason in episode.unusable.items():
        yield Finding("error", "images", name, reason)

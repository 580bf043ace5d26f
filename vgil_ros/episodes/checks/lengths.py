"""Every dataset has one row a tick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vgil_ros.episodes.checks import quick_check
from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.reader import EpisodeReader


def check(episode: EpisodeReader, scan: Scan) -> Iterator[Finding]:
    """Name every dataset whose length is not that of most."""
    lengths = quick_check.lengths(episode.structure)
    if not any(lengths.values()):
        yield Finding("error", "lengths", "episode", "has no row")
        return
    usual = Counter(lengths.values()).most_common(1)[0][0]
    for name, length in lengths.items():
        if length != usual:
            yield Finding("error", "lengths", name, f"has {length} rows; most datasets have {usual}")
    state, action = episode.qpos.shape[1:], episode.action.shape[1:]
    if state != action:
        yield Finding("warning", "lengths", "action", f"has rows of shape {action}; qpos has {state}")
    names = episode.joint_names
    if names is not None and (len(names),) != state:
        yield Finding("error", "lengths", "joint_names", f"names {len(names)} columns; qpos has {state}")
    if not episode.camera_names and not episode.depth_names:
        yield Finding("warning", "lengths", "images", "there is no camera")

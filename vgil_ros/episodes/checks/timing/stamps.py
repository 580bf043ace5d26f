"""Ticks follow each other at the rate that the file states."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.checks.timing.gaps import find_gaps
from vgil_ros.episodes.view import Episode


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name rows that go back in time or come after a gap, and a rate that is not the one stated."""
    stamps, rate = episode.stamp_ns, episode.rate_hz
    if stamps is None or rate is None:
        yield Finding("info", "stamps", "stamps", f"the layout '{episode.layout}' stores none: timing is not checked")
        return
    steps, period = np.diff(stamps), 1e9 / rate
    gaps = find_gaps(stamps, period)
    if len(gaps.backward):
        yield Finding("error", "stamps", "stamps", "do not increase", spans(gaps.backward))
    if len(gaps.rows):
        message = f"{gaps.missing} ticks missing; the longest gap is {gaps.longest_ns / 1e6:.0f} ms at {rate:g} Hz"
        yield Finding("warning", "stamps", "stamps", message, spans(gaps.rows))
    if len(steps) > 10 and abs(np.median(steps) / period - 1) > 0.05:
        message = f"ticks come at {1e9 / np.median(steps):.1f} Hz; the file says {rate:g} Hz"
        yield Finding("error", "stamps", "rate_hz", message)
    dropped = int(episode.attrs.get("rows_dropped", 0))
    if dropped:
        yield Finding("warning", "stamps", "episode", f"the recorder left out {dropped} rows")
    if "left_out" in episode.attrs:
        yield Finding("warning", "stamps", "episode", f"the recorder left out {episode.attrs['left_out']}")
    if "stopped" in episode.attrs:
        yield Finding("warning", "stamps", "episode", f"recording ended early: {episode.attrs['stopped']}")
    if "repaired" in episode.attrs:
        yield Finding("info", "stamps", "episode", f"repaired: {episode.attrs['repaired']}")

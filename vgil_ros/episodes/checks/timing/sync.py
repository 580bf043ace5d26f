"""Each stream's samples lie close to the tick, and none had to be held."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.core.streams import Flag
from vgil_ros.episodes.checks.findings import Finding, Severity, spans
from vgil_ros.episodes.checks.frames import held_rows, streams_of_file
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.view import Episode

MANY_HELD = 0.1  # of the rows


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name held rows, and rows whose skew is beyond the stream's tolerance."""
    if episode.skew_ns is None or episode.flags is None:
        return
    tolerances = tolerances_of(episode)
    for i, stream in enumerate(episode.streams):
        held = held_rows(episode, stream)
        if len(held):
            severity: Severity = "error" if len(held) > MANY_HELD * episode.rows else "warning"
            message = f"held (the last value repeated) in {len(held)} of {episode.rows} rows"
            yield Finding(severity, "sync", stream, message, spans(held))
        skew = np.abs(episode.skew_ns[:, i])
        free = (episode.flags[:, i] & (Flag.HELD | Flag.LATEST)) == 0
        far = np.flatnonzero((skew > tolerances.get(stream, np.inf)) & free)
        if len(far):
            message = (
                f"samples up to {skew[far].max() / 1e6:.1f} ms from their tick; tolerance {tolerances[stream] / 1e6:g}"
            )
            yield Finding("error", "sync", stream, message, spans(far))
    if episode.skew_ns.size:
        worst = np.percentile(np.abs(episode.skew_ns), 99, axis=0) / 1e6
        text = ", ".join(f"{name} {value:.1f}" for name, value in zip(episode.streams, worst, strict=False))
        yield Finding("info", "sync", "skew", f"99 % of samples within (ms): {text}")


def tolerances_of(episode: Episode) -> dict[str, int]:
    """By stream (ns), from the contract in the file; none where it is not a contract."""
    return {stream.name: stream.tolerance_ns for stream in streams_of_file(episode)}

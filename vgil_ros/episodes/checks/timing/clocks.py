"""Check of the clocks behind the stamps: no sample arrived before it was taken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.core.sync.clocks import AHEAD_NS, ENOUGH
from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.checks.timing.sync import tolerances_of
from vgil_ros.episodes.view import Episode


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name streams that another clock stamped, an error where it is further ahead than their tolerance."""
    stamps, skew, arrival = episode.stamp_ns, episode.skew_ns, episode.arrival_ns
    if stamps is None or skew is None or arrival is None or arrival.shape != skew.shape:
        return
    tolerances = tolerances_of(episode)
    delay = arrival - stamps[:, None] - skew
    shortest = {}
    for i, stream in enumerate(episode.streams):
        known = np.flatnonzero(arrival[:, i] > 0)
        if not len(known):
            continue
        shortest[stream] = delay[known, i].min() / 1e6
        ahead = known[delay[known, i] < -AHEAD_NS]
        if len(ahead) < ENOUGH:
            continue
        far = np.sort(-delay[ahead, i])[-ENOUGH] > tolerances.get(stream, np.inf)
        message = (
            f"stamped up to {-shortest[stream]:.0f} ms ahead of its arrival, by another clock: rows pair old images"
            f" with new joints; allowed: up to {AHEAD_NS / 1e6:.0f} ms"
        )
        if far:
            yield Finding("error", "clocks", stream, message, spans(ahead))
        else:
            yield Finding("warning", "clocks", stream, message, spans(ahead))
    if shortest:
        text = ", ".join(f"{name} {value:.1f}" for name, value in shortest.items())
        yield Finding("info", "clocks", "delay", f"shortest time from stamp to arrival (ms): {text}")

"""Cameras live: no frozen image, no frame lost between camera and file, none shown twice beyond its rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.core.streams import Flag, StreamSpec, streams_of
from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.motion.contract import contract_of
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.view import Episode

FROZEN_S, FROZEN_ROWS = 0.5, 15  # the second where the rate is not known
GAP = 1.6  # periods of a camera between two of its frames: one is lost


def check(episode: EpisodeReader, scan: Scan) -> Iterator[Finding]:
    """Look at each camera's contents, and at its frames' own stamps where they are known."""
    for name, content in scan.content.items():
        if len(content) < 2:
            continue
        stamps = source_stamps(episode, name)
        same = content[1:] == content[:-1]
        yield from _frozen(episode, name, same, scan.blank.get(name), stamps)
        if stamps is None:
            yield from _doubled(name, same)
        else:
            yield from _dropped(name, stamps, 1e9 / (episode.rate_hz or np.inf))


def source_stamps(episode: Episode, stream: str) -> np.ndarray | None:
    """(T,) the stamps of a stream's own samples, or None where the file does not tell."""
    if episode.stamp_ns is None or episode.skew_ns is None or stream not in episode.streams:
        return None
    result: np.ndarray | None = episode.stamp_ns + episode.skew_ns[:, episode.streams.index(stream)]
    return result


def _frozen(
    episode: EpisodeReader, name: str, same: np.ndarray, blank: np.ndarray | None, stamps: np.ndarray | None
) -> Iterator[Finding]:
    if name in _may_stand_still(episode):
        return
    if same.all() and _moves(episode):
        message = "shows one image from first row to last while joints move"
        if name in episode.camera_names:
            yield Finding("error", "frames", name, message)
        else:  # much of a depth image may be 0
            yield Finding("warning", "frames", name, message)
        return
    if blank is not None:  # depth with nothing within reach, as when a gripper closes
        same = same & ~blank[1:]
    limit = max(2, round(FROZEN_S * episode.rate_hz)) if episode.rate_hz else FROZEN_ROWS
    runs = [(a, b + 1) for a, b in spans(np.flatnonzero(same)) if b + 1 - a >= limit]
    if runs:
        how = "" if stamps is None else " under new stamps" if all(stamps[a] != stamps[b] for a, b in runs) else ""
        message = f"the same image{how} for up to {max(b - a + 1 for a, b in runs)} rows: frozen, or nothing moves"
        yield Finding("warning", "frames", name, message, tuple(runs))


def _may_stand_still(episode: EpisodeReader) -> frozenset[str]:
    """Cameras of which the contract says so: `frozen_ms: off`."""
    streams = streams_of_file(episode)
    return frozenset(spec.name for spec in streams if not spec.kind.interpolated and spec.frozen_ns is None)


def _moves(episode: EpisodeReader) -> bool:
    return bool(np.any(np.ptp(np.nan_to_num(episode.qpos), axis=0) > 0.05))


def _doubled(name: str, same: np.ndarray) -> Iterator[Finding]:
    """Without stamps a repeated image may be a slower camera or a lost frame; only regular ones are harmless."""
    if same.any() and not same.all():
        share = float(same.mean())
        message = f"{share:.0%} of the rows repeat the image before: a slower camera, or lost frames"
        yield Finding("info", "frames", name, message, spans(np.flatnonzero(same) + 1))


def _dropped(name: str, stamps: np.ndarray, tick_ns: float) -> Iterator[Finding]:
    steps = np.diff(stamps)
    if np.any(steps < 0):
        yield Finding("error", "frames", name, "frames go back in time", spans(np.flatnonzero(steps < 0) + 1))
    new = np.flatnonzero(steps > 0)
    if len(new) < 3:
        return
    regular = steps[new][steps[new] <= GAP * np.median(steps[new])]
    period = float(regular.mean())  # a driver's own grid may show one of 33 ms as 30, 30, 40: no median is that
    # where the camera is faster than the tick, frames between two ticks are left out as they should be
    longest = GAP * period if period > 0.95 * tick_ns else 1.1 * tick_ns + period
    lost = [int(row) for row in new if steps[row] > longest]
    if lost:
        count = sum(round(steps[row] / period) - 1 for row in lost)
        message = f"about {count} frames missing between camera and file, at {1e9 / period:.1f} frames/s"
        yield Finding("warning", "frames", name, message, spans(row + 1 for row in lost))


def streams_of_file(episode: Episode) -> tuple[StreamSpec, ...]:
    """The streams of the contract in the file; none where it is not a contract."""
    contract = contract_of(episode)
    return () if contract is None else streams_of(contract)


def held_rows(episode: Episode, stream: str) -> np.ndarray:
    """Rows where a stream was held, none where the file does not tell."""
    if episode.flags is None or stream not in episode.streams:
        return np.zeros(0, int)
    return np.flatnonzero(episode.flags[:, episode.streams.index(stream)] & Flag.HELD)

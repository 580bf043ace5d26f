"""Images lie in a form that is read; JPEGs are whole, decode to one size a camera, and are as long as is stated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader


def check(episode: EpisodeReader, scan: Scan) -> Iterator[Finding]:
    """Name cameras that cannot be read, broken rows, cameras that change size, and lengths that are not right."""
    for place, reason in episode.unusable.items():
        yield Finding("error", "images", place, reason)
    for name, rows in scan.broken.items():
        if rows:
            reason = f": {scan.reasons[name]}" if name in scan.reasons else ""
            yield Finding("error", "jpegs", name, f"images cannot be read or are no whole JPEG{reason}", spans(rows))
    for name in scan.lengths:
        yield from _decode(episode, name, set(scan.broken[name]), scan.decoded)
    if episode.compress_len is not None and scan.lengths:
        yield from _compress_len(episode, scan, episode.compress_len)


def _decode(episode: EpisodeReader, name: str, broken: set[int], count: int) -> Iterator[Finding]:
    failed, sizes = [], set()
    for row in sorted(set(np.linspace(0, episode.rows - 1, min(episode.rows, count)).astype(int)) - broken):
        try:
            sizes.add(episode.image(name, row).shape)
        except EpisodeError:
            failed.append(row)
    if failed:
        yield Finding("error", "jpegs", name, "images do not decode", spans(failed))
    if len(sizes) > 1:
        yield Finding("error", "jpegs", name, f"images have sizes {sorted(sizes)}; allowed: one")


def _compress_len(episode: EpisodeReader, scan: Scan, stated: np.ndarray) -> Iterator[Finding]:
    if stated.ndim != 2 or stated.shape[1] != episode.rows:
        return  # the lengths' check says so
    for name, lengths in scan.lengths.items():
        if episode.layout == "vgil":
            wrong = np.flatnonzero(stated[episode.camera_names.index(name)] != lengths)
        else:  # peers' rows are in their task's order or the alphabet's, and no file says in which
            wrong = min((np.flatnonzero(row != lengths) for row in stated), key=len)
        if len(wrong):
            yield Finding("error", "jpegs", name, "compress_len is not the length of the JPEG", spans(wrong))

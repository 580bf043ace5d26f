"""Chunks: an episode shorter than the action chunk that a policy is to learn."""

from __future__ import annotations

from collections.abc import Iterator

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.episodes.checks.findings import Finding


def check(data: DataSet) -> Iterator[Found]:
    """Name episodes with fewer rows than a chunk: all their chunks are padded."""
    short = [one for one in data.summaries if one.rows < data.chunk]
    if short and len(short) == len(data.summaries):
        longest = max(one.rows for one in short)
        message = f"no episode has {data.chunk} rows, as many as a chunk; the longest has {longest}"
        advice = "take a policy with a smaller chunk_size (and give it as --chunk), or record at a higher rate"
        yield Found(None, Finding("warning", "chunk", "episode", f"{message}; allowed: a chunk or more"), advice)
        return
    for one in short:
        message = f"has {one.rows} rows; needed: {data.chunk}, as many as a chunk, or more"
        advice = "delete it, or take a policy with a smaller chunk_size (and give it as --chunk)"
        yield Found(one.number, Finding("warning", "chunk", "episode", message), advice)

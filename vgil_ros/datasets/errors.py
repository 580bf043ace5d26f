"""Errors of data sets."""

from __future__ import annotations

from vgil_ros.episodes.errors import EpisodeError


class DatasetError(EpisodeError):
    """A data set that cannot be read, written or converted; the message names the file."""

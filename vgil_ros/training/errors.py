"""Errors of training."""

from __future__ import annotations

from vgil_ros.core.errors import VgilError


class TrainingError(VgilError):
    """Data that cannot be trained from, a wrong configuration, or a run that cannot go on."""

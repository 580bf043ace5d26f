"""Errors of the policy package."""

from __future__ import annotations

from vgil_ros.core.errors import VgilError


class PolicyError(VgilError):
    """A policy was given something it cannot use: wrong cameras, shapes, dtypes or settings."""


class CheckpointError(PolicyError):
    """A checkpoint cannot be read, written or trusted: unknown, missing or mismatched content."""

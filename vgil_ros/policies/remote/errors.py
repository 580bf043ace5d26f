"""Errors of policies that run elsewhere. Both are of the moment: the next request may succeed."""

from __future__ import annotations

from vgil_ros.policies.errors import PolicyError


class RemoteError(PolicyError):
    """A server that cannot be reached, does not answer, or answers with something else than a chunk."""


class WireError(RemoteError):
    """A message that does not follow the wire's description."""

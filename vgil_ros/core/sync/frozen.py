"""Tells a stream that freezes: new stamps, the same content."""

from __future__ import annotations


class FrozenDetector:
    """Remembers since which stamp a stream's content is the same."""

    def __init__(self, limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._content: int | None = None
        self._since_ns = 0
        self._until_ns = 0

    def saw(self, stamp_ns: int, content: int) -> None:
        """A sample came with this checksum of its content."""
        if content != self._content:
            self._content, self._since_ns = content, stamp_ns
        self._until_ns = stamp_ns

    def frozen_for(self, stamp_ns: int) -> int | None:
        """How long (ns) the content has been the same at a sample's stamp, None while that is short enough."""
        if not self._since_ns <= stamp_ns <= self._until_ns:
            return None
        same = stamp_ns - self._since_ns
        return same if same >= self.limit_ns else None

    def clear(self) -> None:
        """Start anew."""
        self._content = None

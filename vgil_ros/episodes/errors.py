"""Errors of episodes."""

from __future__ import annotations

from vgil_ros.core.errors import VgilError


class EpisodeError(VgilError):
    """An episode file that cannot be read, or a row that does not fit its episode."""


class Overrun(VgilError):
    """Rows come faster than they can be encoded and written; this row was not taken."""


class WriteFailed(VgilError):
    """The file could not be written; what was recorded up to here is kept as far as the disk took it."""


class NothingSaved(EpisodeError):
    """The episode had no row, so there is no file of it."""


class DiskFull(WriteFailed):
    """Too little room on the disk; what was recorded up to here is kept.

    Attributes:
        room_left: whether recording was stopped in time to finish the file properly.
    """

    def __init__(self, message: str, *, room_left: bool = False) -> None:
        super().__init__(message)
        self.room_left = room_left

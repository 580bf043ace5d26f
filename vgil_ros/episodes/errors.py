"""Errors of episodes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

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


@contextlib.contextmanager
def naming_file(path: Path, doing: str = "read") -> Iterator[None]:
    """Guard the work on one file: whatever h5py, numpy or we stumble over in it becomes an error that names the file.

    A file that others made, or that is damaged, may break any line that touches it; no list of exceptions is complete.

    Args:
        path: the file.
        doing: what was being done, in the past participle.

    Raises:
        EpisodeError: in place of any exception that is not an error of ours.
    """
    try:
        yield
    except VgilError:
        raise
    except MemoryError as error:
        raise EpisodeError(f"{path}: cannot be {doing}, it needs more memory than there is") from error
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise EpisodeError(f"{path}: cannot be {doing}, it is damaged or no episode ({why[:300]})") from error

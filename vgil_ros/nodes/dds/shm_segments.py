"""Fast DDS' segments in shared memory: which have lost their owner, and may go.

A process that is killed leaves its segment behind, 67 MiB each with our profile, until the next one finds no room. An
owner holds a lock (flock) on `SEGMENT_el` for as long as it lives. A segment is removed only where the lock is free,
no process that we can see maps it, it is ours, and it is not just being made. The small port files are left alone:
a process that starts now may be opening one.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

_SEGMENT = re.compile(r"fast(?:dds|rtps)_[0-9a-f]{16}")
MIN_AGE_S = 5.0  # an owner makes the segment a moment before it locks it


@dataclass(frozen=True)
class Segment:
    """A segment in shared memory.

    Attributes:
        path: the file.
        size: bytes that it occupies.
        owner: user id.
        alive: whether a process holds or maps it, or may be making it just now.
    """

    path: Path
    size: int
    owner: int
    alive: bool


def find(folder: Path, *, now: float | None = None) -> list[Segment]:
    """Return the segments in a folder.

    Args:
        folder: usually /dev/shm.
        now: seconds since 1970; the present by default.
    """
    mapped = _mapped(folder)
    moment = time.time() if now is None else now
    segments = []
    for path in sorted(folder.glob("fast*")) if folder.is_dir() else []:
        if not _SEGMENT.fullmatch(path.name):
            continue
        try:
            status = path.stat()
        except OSError:  # its owner removed it meanwhile
            continue
        young = moment - status.st_mtime < MIN_AGE_S
        alive = young or str(path) in mapped or _locked(path.with_name(path.name + "_el"))
        segments.append(Segment(path, status.st_blocks * 512, status.st_uid, alive))
    return segments


def clean(folder: Path, *, now: float | None = None) -> list[str]:
    """Remove what has lost its owner, and return what to say about it. What may not be removed is named."""
    dead = [segment for segment in find(folder, now=now) if not segment.alive]
    removed = [segment for segment in dead if segment.owner == os.getuid() and _remove(segment)]
    left = [segment for segment in dead if segment not in removed]
    messages = []
    if removed:
        messages.append(f"removed {_sum(removed)} that killed processes had left in {folder}")
    if left:
        users = sorted({segment.owner for segment in left})
        paths = f"{folder}/{left[0].path.name}" + (", ..." if len(left) > 1 else "")
        messages.append(
            f"{_sum(left)} of user id {users} lie in {folder} without an owner; remove them by hand: {paths}"
        )
    return messages


def _sum(segments: list[Segment]) -> str:
    size = sum(segment.size for segment in segments) / (1 << 20)
    return f"{len(segments)} shared-memory segment{'s' if len(segments) > 1 else ''} ({size:.1f} MiB)"


def _remove(segment: Segment) -> bool:
    try:
        segment.path.unlink()
        segment.path.with_name(segment.path.name + "_el").unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _locked(lock: Path) -> bool:
    """Whether a process holds this lock; also when that cannot be found out."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _mapped(folder: Path) -> set[str]:
    """Paths in a folder that a process maps, as far as we may look."""
    paths = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            text = maps.read_text(errors="replace")
        except OSError:  # it ended, or belongs to another user
            continue
        paths |= {line[line.index("/") :] for line in text.splitlines() if f" {folder}/fast" in line}
    return paths

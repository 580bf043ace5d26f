"""Differences between a file and its edited copy: enough to give back the file's bytes, at a fraction of its size.

A patch is a line of JSON (sizes, hash, places) and the old bytes of every block that differs, one after the other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from vgil_ros.episodes.errors import EpisodeError

BLOCK = 1 << 16
SUFFIX = ".patch"


def patch_of(old: Path) -> Path:
    """Where the patch lies that stands for an old file."""
    return old.with_name(old.name + SUFFIX)


def keep_difference(old: Path, new: Path) -> None:
    """Put a patch beside an old file (`old.patch`) in its place. It may be called again after a crash."""
    if not old.is_file():
        return  # it was done
    size, places, digest = old.stat().st_size, [], hashlib.sha256()
    with old.open("rb") as before, new.open("rb") as after:
        for at, block in _blocks(before):
            digest.update(block)
            if after.read(len(block)) != block:
                places.append(at)
    half = old.with_name(f"{old.name}.half")
    with half.open("wb") as patch, old.open("rb") as before:
        head = {"size": size, "block": BLOCK, "sha256": digest.hexdigest(), "places": places}
        patch.write(json.dumps(head).encode() + b"\n")
        for at in places:
            before.seek(at)
            patch.write(before.read(BLOCK))
        patch.flush()
        os.fsync(patch.fileno())
    os.replace(half, patch_of(old))
    old.unlink()


def restore(new: Path, old: Path) -> None:
    """Make an old file again from the edited one and the patch beside it.

    Raises:
        EpisodeError: where the edited file was changed since, so that the old one does not come out.
    """
    patch_path = patch_of(old)
    if not patch_path.is_file():
        return  # the old file itself was kept
    with patch_path.open("rb") as patch:
        head = json.loads(patch.readline())
        changed = {at: patch.read(min(head["block"], head["size"] - at)) for at in head["places"]}
    half, digest = old.with_name(f"{old.name}.half"), hashlib.sha256()
    with new.open("rb") as after, half.open("wb") as out:
        for at in range(0, head["size"], head["block"]):
            after.seek(at)
            unchanged = after.read(min(head["block"], head["size"] - at))
            block = changed.get(at, unchanged)
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != head["sha256"]:
        half.unlink()
        raise EpisodeError(f"{new}: was changed since by other means; what it was before cannot be given back")
    os.replace(half, old)


def _blocks(file) -> Iterator[tuple[int, bytes]]:  # type: ignore[no-untyped-def]
    at = 0
    while block := file.read(BLOCK):
        yield at, block
        at += len(block)

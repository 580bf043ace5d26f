"""A first look at a file of weights: is it one at all? What is said of files that people mistake for one."""

from __future__ import annotations

import zipfile
from pathlib import Path

from vgil_ros.policies.errors import CheckpointError

LOOKED_AT = 512  # bytes from the beginning
LFS = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doctype", b"<html", b"<?xml")
SPARE = 1 << 20  # bytes that an archive may unpack to beyond its own size; torch stores numbers as they are


def require_weights_file(path: Path) -> None:
    """Refuse what is no file of weights, in words.

    Raises:
        CheckpointError: it is not there, empty, a folder, a web page, a Git LFS pointer, or unpacks to far more than it
            is, as nothing does that torch or safetensors wrote.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(LOOKED_AT)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from None
    if fault := not_weights(head):
        raise CheckpointError(f"{path} {fault}")
    if head.startswith(b"PK"):
        _require_plain_archive(path, size)


def not_weights(head: bytes) -> str | None:
    """What a file is, in words, that begins so and holds no weights; None where it may."""
    start = head.lstrip().lower()
    if not head:
        return "is empty: was the disk full, or the download broken off?"
    if head.startswith(LFS):
        return "is a Git LFS pointer, not the file itself: run `git lfs pull` in its repository"
    if start.startswith(PAGES):
        return "is a web page, not weights: the download gave an error page, or the page about the file"
    return None


def _require_plain_archive(path: Path, size: int) -> None:
    """torch writes its archives without compression: one that grows is not torch's, and may fill the memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is a damaged archive ({error}): fetch it anew") from None
    if unpacked > size + SPARE:
        raise CheckpointError(
            f"{path}: {size >> 10} KiB that unpack to {unpacked >> 20} MiB: refused, allowed is an archive "
            "without compression, as torch writes it"
        )

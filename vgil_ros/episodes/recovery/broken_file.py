"""Reading what a killed writer or a cut copy left.

HDF5 refuses a file whose writer never closed it, and one that is shorter than it should be (and waits for minutes
where asked to read it as one still being written). Here such a file is shown to HDF5 as closed and whole: the mark of
the writer is taken off its superblock, and what is missing at its end reads as zeros. The file itself is not touched.

Source: HDF5 File Format Specification 3.0, II.A (superblock versions 0 to 3); Jenkins' lookup3 for its checksum.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

SIGNATURE = b"\x89HDF\r\n\x1a\n"
V2_SIZE, FLAGS_AT, V2_EOF_AT, V0_EOF_AT = 48, 11, 28, 40
MASK = 0xFFFFFFFF


class BrokenFile(io.RawIOBase):
    """A read-only file object for h5py.

    Attributes:
        missing: bytes that the file should have and has not.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            ValueError: where it does not begin like an HDF5 file.
        """
        super().__init__()
        self._file = path.open("rb")
        self._at = 0
        head = self._file.read(V2_SIZE)
        self.present = self._file.seek(0, io.SEEK_END)
        if len(head) < V2_SIZE or not head.startswith(SIGNATURE):
            self._file.close()
            raise ValueError("it does not begin like an HDF5 file")
        version = head[8]
        (end,) = struct.unpack_from("<Q", head, V0_EOF_AT if version < 2 else V2_EOF_AT)
        self._head = head if version < 2 else _as_closed(head)
        self._size = max(end, self.present)
        self.missing = self._size - self.present

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; the end is where it should be."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Fill a buffer, with zeros beyond what is there."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._at)
        count = self._file.readinto(view) if self._at < self.present else 0
        view[count:] = bytes(len(view) - count)
        if self._at < len(self._head):
            piece = self._head[self._at : self._at + len(view)]
            view[: len(piece)] = piece
        self._at += len(view)
        return len(view)

    def close(self) -> None:
        """Close it."""
        self._file.close()
        super().close()


def _as_closed(head: bytes) -> bytes:
    """Return a superblock (version 2 or 3) without its writer's mark."""
    body = head[:FLAGS_AT] + b"\0" + head[FLAGS_AT + 1 : V2_SIZE - 4]
    return body + struct.pack("<I", lookup3(body))


def lookup3(data: bytes) -> int:
    """Return Bob Jenkins' lookup3 `hashlittle` of some bytes, with initial value 0: HDF5's metadata checksum."""
    a = b = c = (0xDEADBEEF + len(data)) & MASK
    while len(data) > 12:
        x, y, z = struct.unpack_from("<III", data)
        a, b, c = _mix((a + x) & MASK, (b + y) & MASK, (c + z) & MASK)
        data = data[12:]
    if not data:
        return c
    x, y, z = struct.unpack("<III", data.ljust(12, b"\0"))
    return _final((a + x) & MASK, (b + y) & MASK, (c + z) & MASK)


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for first, second, third in ((4, 6, 8), (16, 19, 4)):
        a = ((a - c) & MASK) ^ _rotate(c, first)
        c = (c + b) & MASK
        b = ((b - a) & MASK) ^ _rotate(a, second)
        a = (a + c) & MASK
        c = ((c - b) & MASK) ^ _rotate(b, third)
        b = (b + a) & MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for first, second, third in ((14, 11, 25), (16, 4, 14)):
        c = ((c ^ b) - _rotate(b, first)) & MASK
        a = ((a ^ c) - _rotate(c, second)) & MASK
        b = ((b ^ a) - _rotate(a, third)) & MASK
    return ((c ^ b) - _rotate(b, 24)) & MASK

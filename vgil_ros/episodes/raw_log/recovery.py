"""The end of a raw log whose recorder was killed: what is whole stays, and gets the summary that readers look for."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vgil_ros import __version__
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import EpisodeError, WriteFailed
from vgil_ros.episodes.raw_log import mcap_writer as mcap
from vgil_ros.extras import needed_by


def finish_log(part: Path, final: Path) -> int:
    """Write what is whole of an unfinished log to its final name, and remove the `.part`.

    Args:
        part: a log of our recorder.
        final: the new file.

    Returns:
        Its messages.

    Raises:
        EpisodeError: where it is no log, a record of it is damaged, or it is still being written.
        WriteFailed: where the new file cannot be written.
    """
    copy = final.with_name(f".repair_{final.name}{naming.HALF}")
    with naming.not_being_written(part):
        try:
            with part.open("rb") as source, copy.open("wb") as out:
                count = _copy(source, out)
                os.fsync(out.fileno())
            naming.publish(copy, final)
            part.unlink()
        except OSError as error:
            raise WriteFailed(f"{final}: cannot be written ({error.strerror})") from error
        except VgilError as error:
            raise EpisodeError(f"{part}: {error}") from error
        except (struct.error, ValueError, LookupError, ArithmeticError, MemoryError) as error:
            raise EpisodeError(
                f"{part}: holds a damaged record ({error}); allowed: whole ones, of which the last may be cut off; it"
                " stays as it is"
            ) from error
        finally:
            copy.unlink(missing_ok=True)
    return count


def _copy(source: BinaryIO, out: BinaryIO) -> int:
    if source.read(len(mcap.MAGIC)) != mcap.MAGIC:
        raise EpisodeError("cannot be read as a raw log: it does not begin as an MCAP")
    with needed_by("repairing a raw log"):
        import zstandard

    unpack = zstandard.ZstdDecompressor()
    writer = mcap.McapWriter(out, profile="ros2", library=f"vgil_ros {__version__}")
    for opcode, content in read_records(source):
        if opcode == mcap.SCHEMA:
            at, name = read_text(content, 2)
            at, encoding = read_text(content, at)
            writer.schema(name, encoding, content[at + 4 :])
        elif opcode == mcap.CHANNEL:
            at, topic = read_text(content, 4)
            at, encoding = read_text(content, at)
            writer.channel(topic, struct.unpack_from("<H", content, 2)[0], encoding, read_map(content, at))
        elif opcode == mcap.METADATA:
            at, name = read_text(content, 0)
            writer.metadata(name, read_map(content, at))
        elif opcode == mcap.CHUNK:
            size, crc = struct.unpack_from("<QI", content, 16)
            at, compression = read_text(content, 28)
            try:
                packed = content[at + 8 :]
                messages = unpack.decompress(packed, max_output_size=size) if compression else packed
            except zstandard.ZstdError:
                break  # a computer that lost its power: what came later is no better
            if zlib.crc32(messages) != crc:
                break
            writer.compress = bool(compression)
            for channel, log_ns, data in _messages(messages):
                writer.message(channel, log_ns, data)
            writer.end_chunk()
    writer.finish()
    return writer.count


def read_records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(opcode, content) of each record that is whole."""
    while len(head := file.read(9)) == 9:
        opcode, length = struct.unpack("<BQ", head)
        if opcode in (0, mcap.DATA_END) or length > os.fstat(file.fileno()).st_size - file.tell():
            return
        yield opcode, file.read(length)


def _messages(chunk: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(channel, log time, message) of each of a chunk's messages."""
    at = 0
    while at + 9 <= len(chunk):
        _, length = struct.unpack_from("<BQ", chunk, at)
        channel, _, log_ns, _ = struct.unpack_from("<HIQQ", chunk, at + 9)
        yield channel, log_ns, chunk[at + 9 + 22 : at + 9 + length]
        at += 9 + length


def read_text(data: bytes, at: int) -> tuple[int, str]:
    """(where it ends, a string) of a record."""
    size = struct.unpack_from("<I", data, at)[0]
    return at + 4 + size, data[at + 4 : at + 4 + size].decode()


def read_map(data: bytes, at: int) -> dict[str, str]:
    """Strings by their names, of a record."""
    end = at + 4 + struct.unpack_from("<I", data, at)[0]
    out, at = {}, at + 4
    while at < end:
        at, key = read_text(data, at)
        at, out[key] = read_text(data, at)
    return out

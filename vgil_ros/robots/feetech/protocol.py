"""Feetech's bus protocol 0 (STS and SMS servos) as bytes: no I/O, no clock.

A packet is FF FF, id, length, instruction or error, parameters, checksum; the length counts what follows it, and the
checksum is the inverted low byte of the sum from the id on. Words are little-endian.

The SDK on PyPI (feetech-servo-sdk 1.0.0) is not used: its sync read gives up on all further servos at the first that is
silent and then hands out 0 for what it does not have, its receiver drops a whole answer at a wrong byte, and it waits
by spinning on the wall clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

HEADER = b"\xff\xff"
BROADCAST = 0xFE
HIGHEST_ID = 0xFD
LONGEST = 250  # parameters of a packet; the length is one byte
SHORTEST = 6  # bytes of a packet without parameters


class Instruction(IntEnum):
    """What a packet asks a servo to do."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83


@dataclass(frozen=True)
class Status:
    """A servo's answer: its id, its error bits (`registers.ERRORS`), and the bytes it was asked for."""

    id: int
    error: int
    data: bytes


def checksum(body: bytes | bytearray) -> int:
    """The checksum of a packet's bytes from its id to its last parameter."""
    return ~sum(body) & 0xFF


def packet(servo: int, second: int, parameters: bytes = b"") -> bytes:
    """Return a packet; `second` is its instruction, or the error bits of an answer.

    Raises:
        ValueError: for an id or a length that no packet can have.
    """
    if not 0 <= servo <= BROADCAST or len(parameters) > LONGEST:
        raise ValueError(
            f"id {servo} with {len(parameters)} parameters; allowed: 0 to {BROADCAST}, up to {LONGEST} parameters"
        )
    body = bytes([servo, len(parameters) + 2, second]) + parameters
    return HEADER + body + bytes([checksum(body)])


def ping(servo: int) -> bytes:
    """Ask a servo whether it is there."""
    return packet(servo, Instruction.PING)


def read(servo: int, address: int, count: int) -> bytes:
    """Ask a servo for `count` bytes from an address on."""
    return packet(servo, Instruction.READ, bytes([address, count]))


def write(servo: int, address: int, data: bytes) -> bytes:
    """Write bytes from an address on."""
    return packet(servo, Instruction.WRITE, bytes([address]) + data)


def sync_read(servos: Sequence[int], address: int, count: int) -> bytes:
    """Ask several servos for the same bytes; they answer one after the other, in this order."""
    return packet(BROADCAST, Instruction.SYNC_READ, bytes([address, count, *servos]))


def sync_write(address: int, data: Mapping[int, bytes]) -> bytes:
    """Write bytes of one length from the same address on, to several servos at once; none answers.

    Raises:
        ValueError: for none, or for bytes of several lengths.
    """
    counts = {len(one) for one in data.values()}
    if len(counts) != 1:
        raise ValueError(f"sync write of {sorted(counts)} bytes; allowed: one length for all servos")
    parameters = b"".join(bytes([servo]) + one for servo, one in data.items())
    return packet(BROADCAST, Instruction.SYNC_WRITE, bytes([address, *counts]) + parameters)


class StatusParser:
    """Finds answers in whatever bytes a bus brings; what is none is left out and counted.

    Attributes:
        noise: bytes that belonged to no answer.
        broken: ids in the headers of packets whose checksum was wrong, in their order.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.noise = 0
        self.broken: list[int] = []

    def feed(self, data: bytes) -> list[Status]:
        """Take bytes; return the answers that are complete by now."""
        self._bytes += data
        return self._parse(last=False)

    def finish(self) -> list[Status]:
        """No more bytes come: return answers that stand behind the beginning of one that was cut, and forget all."""
        found = self._parse(last=True)
        self.noise += len(self._bytes)
        self._bytes.clear()
        return found

    def _parse(self, *, last: bool) -> list[Status]:
        found = []
        while (begin := self._begin()) is not None:
            del self._bytes[:begin]
            self.noise += begin
            size = self._bytes[3] + 4 if len(self._bytes) > 3 else SHORTEST
            if len(self._bytes) < size:
                if not last:
                    break
                self._drop()
            elif checksum(self._bytes[2 : size - 1]) != self._bytes[size - 1]:
                self.broken.append(self._bytes[2])
                self._drop()
            else:
                found.append(Status(self._bytes[2], self._bytes[4], bytes(self._bytes[5 : size - 1])))
                del self._bytes[:size]
        return found

    def _drop(self) -> None:
        """A header that began no packet."""
        del self._bytes[:1]
        self.noise += 1

    def _begin(self) -> int | None:
        """Where a packet may begin; None where none does, and what cannot be part of one is dropped."""
        at = self._bytes.find(HEADER)
        while at >= 0:
            header = self._bytes[at : at + 4]
            if (len(header) < 3 or header[2] <= HIGHEST_ID) and (len(header) < 4 or 2 <= header[3] <= LONGEST + 2):
                return at
            at = self._bytes.find(HEADER, at + 1)
        keep = 1 if self._bytes[-1:] == b"\xff" else 0
        self.noise += len(self._bytes) - keep
        del self._bytes[: len(self._bytes) - keep]
        return None

"""A serial port with Feetech's servos on it: a request goes out, answers come until all are there or their time is up.

What is silent, broken or doubled is told, never filled in. A port that has gone is `PortLost`: it is to be closed and
opened again.
"""

from __future__ import annotations

import errno
import glob
import os
import select
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.extras import needed_by
from vgil_ros.robots.feetech import protocol
from vgil_ros.robots.feetech.protocol import Status, StatusParser
from vgil_ros.robots.feetech.registers import BAUD_RATES, Register, error_words

REPLY_S = 0.02  # an FTDI adapter keeps what came for up to 16 ms
TRIES = 3  # of what is asked while nothing moves; a byte that was lost is no fault of a robot
LINGER_S = 0.003  # for a second servo's answer to a ping
PORTS = ("/dev/serial/by-id/*", "/dev/ttyACM*", "/dev/ttyUSB*")


class BusError(VgilError):
    """A servo that does not answer as it should."""


class PortLost(BusError):
    """The port itself has gone."""


@dataclass(frozen=True)
class Exchange:
    """What came after a request.

    Attributes:
        answers: by id.
        silent: ids that gave none, in their order.
        broken: ids in headers of packets whose checksum was wrong.
        doubled: ids that answered more than once.
        noise: bytes that were no answer.
    """

    answers: Mapping[int, Status]
    silent: tuple[int, ...]
    broken: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()
    noise: int = 0


@dataclass
class _Gathering:
    expected: Mapping[int, int]
    parser: StatusParser = field(default_factory=StatusParser)
    answers: dict[int, Status] = field(default_factory=dict)
    doubled: list[int] = field(default_factory=list)

    def take(self, found: Sequence[Status]) -> None:
        for status in found:
            if self.expected.get(status.id) != len(status.data):
                self.parser.noise += len(status.data) + protocol.SHORTEST
            elif status.id in self.answers:
                self.doubled.append(status.id)
            else:
                self.answers[status.id] = status

    def result(self) -> Exchange:
        self.take(self.parser.finish())
        silent = tuple(servo for servo in self.expected if servo not in self.answers)
        return Exchange(
            self.answers, silent, tuple(self.parser.broken), tuple(dict.fromkeys(self.doubled)), self.parser.noise
        )


class Bus:
    """An open port, for one process alone.

    Args:
        path: the device, best a name under /dev/serial/by-id.
        baud: its rate; an SO-101's servos have 1000000.
        names: joints by id, for errors.
        reply_s: how long answers may take.

    Raises:
        PortLost: where it cannot be opened.
    """

    def __init__(self, path: str, baud: int, names: Mapping[int, str] | None = None, reply_s: float = REPLY_S) -> None:
        self.path, self.baud, self.names, self.reply_s = path, baud, dict(names or {}), reply_s
        with needed_by("Feetech's bus"):
            import serial
        self._errors: tuple[type[Exception], ...] = (OSError, serial.SerialException, termios.error)
        try:
            self._port: Any = serial.Serial(path, baud, timeout=0, write_timeout=0.2, exclusive=True)
        except (*self._errors, ValueError) as error:
            raise PortLost(f"{path}: {_opening(path, baud, error)}") from error
        self._file: int = self._port.fileno()

    def close(self) -> None:
        """Let go of the port."""
        try:
            self._port.close()
        except self._errors:  # it has gone already
            return

    def set_baud(self, baud: int) -> None:
        """Speak at another rate.

        Raises:
            PortLost: where the port does not take it, or has gone.
        """
        refusals: tuple[type[Exception], ...] = (*self._errors, ValueError)
        try:
            self._port.baudrate = baud
        except refusals as error:
            raise PortLost(f"{self.path}: {_opening(self.path, baud, error)}") from error
        self.baud = baud

    def called(self, servo: int) -> str:
        """`PATH: JOINT (id 3)`, as errors begin."""
        name = self.names.get(servo)
        return f"{self.path}: {name} (id {servo})" if name else f"{self.path}: id {servo}"

    def exchange(
        self, request: bytes, expected: Mapping[int, int], *, wait_s: float | None = None, linger_s: float = 0.0
    ) -> Exchange:
        """Send a request and gather the answers.

        Args:
            request: a packet.
            expected: how many bytes of data each id answers with.
            wait_s: how long to wait for all of them after the request has gone out; None: `reply_s`.
            linger_s: how long to listen on once all are there.

        Raises:
            PortLost: where the port has gone.
        """
        gathering = _Gathering(expected)
        try:
            self._forget_late_answers()
            self._port.write(request)
            wait_s = self.reply_s if wait_s is None else wait_s
            end = time.monotonic() + wait_s + len(request) * 10 / self.baud
            while (left := end - time.monotonic()) > 0 and expected:
                if select.select([self._file], [], [], left)[0]:
                    gathering.take(gathering.parser.feed(self._received()))
                if len(gathering.answers) == len(expected):
                    end, linger_s = min(end, time.monotonic() + linger_s), 0.0
        except self._errors as error:
            raise PortLost(f"{self.path}: the port has gone ({error}); is its USB cable plugged in?") from error
        return gathering.result()

    def _received(self) -> bytes:
        data = os.read(self._file, 4096)
        if not data:  # it was readable
            raise OSError(errno.EIO, "nothing can be read; bytes were expected")
        return data

    def _forget_late_answers(self) -> None:
        """Answers to an earlier request that came after their time are no answers to this one."""
        while select.select([self._file], [], [], 0)[0]:
            self._received()

    def ping(self, servo: int, *, tries: int = TRIES, wait_s: float | None = None) -> Exchange:
        """Ask a servo whether it is there, and listen for a second of the same id.

        Two answers may be a late one to an earlier ping: only a second servo gives two again.
        """
        for _ in range(tries):
            found = self.exchange(protocol.ping(servo), {servo: 0}, wait_s=wait_s, linger_s=LINGER_S)
            if found.doubled:
                time.sleep(self.reply_s)
            elif found.answers:
                break
        return found

    def read(self, servo: int, address: int, count: int) -> bytes:
        """Return bytes of a servo.

        Raises:
            BusError: where it does not give them.
        """
        for _ in range(TRIES):
            found = self.exchange(protocol.read(servo, address, count), {servo: count})
            if servo in found.answers:
                return found.answers[servo].data
        raise BusError(f"{self.called(servo)}: {no_answer(found, servo)}")

    def get(self, servo: int, register: Register) -> int:
        """Return a register's value. Raises as `read`."""
        return register.decode(self.read(servo, register.address, register.size), register.address)

    def put(self, servo: int, register: Register, value: int) -> None:
        """Write a register and read it back.

        Raises:
            BusError: where it has another value afterwards.
        """
        data = register.encode(value)
        for _ in range(TRIES):
            self.exchange(protocol.write(servo, register.address, data), {servo: 0})
            found = self.get(servo, register)  # a lost answer to the write is no matter: this is what counts
            if found == value:
                return
        raise BusError(
            f"{self.called(servo)}: {register.name} is {found} after {value} was written; allowed: what was written"
        )

    def sync_read(self, servos: Sequence[int], address: int, count: int) -> Exchange:
        """Ask several servos for the same bytes, once."""
        return self.exchange(protocol.sync_read(servos, address, count), dict.fromkeys(servos, count))

    def sync_write(self, register: Register, values: Mapping[int, int]) -> None:
        """Write a register of several servos at once; none answers."""
        data = {servo: register.encode(value) for servo, value in values.items()}
        self.exchange(protocol.sync_write(register.address, data), {})

    def error_of(self, status: Status) -> str:
        """A servo's error bits in words, "" for none."""
        return ", ".join(error_words(status.error))

    def answering_bauds(self, servos: Sequence[int]) -> dict[int, list[int]]:
        """The other rates at which some of the servos answer, and which: for the words of an error."""
        was, found = self.baud, {}
        try:
            for baud in BAUD_RATES:
                if baud == was:
                    continue
                try:
                    self.set_baud(baud)
                except PortLost:  # not every adapter has every rate
                    continue
                there = [servo for servo in servos if self.ping(servo, tries=1, wait_s=0.01).answers]
                if there:
                    found[baud] = there
        finally:
            self.set_baud(was)
        return found


def no_answer(found: Exchange, servo: int) -> str:
    """Why there is none, in words."""
    if servo in found.broken:
        return "answers with a wrong checksum; look at its cable, and for a second servo with this id"
    if found.broken or found.noise:
        return f"no answer, {found.noise} bytes of noise; look at its cable"
    return "no answer; look at its cable and its power"


def _opening(path: str, baud: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if not os.path.exists(path):
        found = sorted({path for pattern in PORTS for path in glob.glob(pattern)})
        return f"no such port; found: {found or 'none: is the USB cable plugged in?'}"
    if number == errno.EACCES:
        return "you may not open it; join its group (sudo usermod -aG dialout $USER), and log in anew"
    if number in (errno.EAGAIN, errno.EBUSY) or "lock" in str(error):
        return "another program has it open; allowed: one; end that"
    return f"cannot be opened at {baud} baud ({error}); allowed: a serial port"

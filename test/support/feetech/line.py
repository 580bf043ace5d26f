"""A pseudo terminal with servos on it, as a USB adapter shows them, and the cable's faults."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import select
import termios
import time
import tty
from pathlib import Path

from support.feetech.servo import Servo

STEP_S = 0.002
BAUDS = {0: termios.B1000000, 1: termios.B500000, 4: termios.B115200}


def framed(body: bytes) -> bytes:
    """A packet around its bytes from the id to the last parameter."""
    return b"\xff\xff" + body + bytes([~sum(body) & 0xFF])


class ServoLine:
    """Servos at the end of a port.

    Args:
        port: the path that becomes the serial port.
        servos: what hangs there.
    """

    def __init__(self, port: Path, servos: list[Servo], seed: int = 0) -> None:
        self.port, self.servos = port, servos
        self.mute = False  # the whole bus
        self.silent: set[int] = set()
        self.lost = 0.0  # share of the bytes of answers that get lost
        self.noise = 0  # bytes before each answer
        self.cut: dict[int, int] = {}  # bytes that are left of a servo's answers
        self.flipped: set[int] = set()  # servos whose answers have a wrong byte
        self.twins: dict[int, Servo] = {}  # second servos of an id, that answer right after the first
        self.collide = False  # the twins answer at the same time instead
        self._random = random.Random(seed)
        self._master = self._slave = -1
        self._request = bytearray()
        self._last = time.monotonic()
        self._begin: list[float] = []
        self.travel: list[float] = []  # ticks, one a servo, since `track`
        self.back()

    def back(self) -> None:
        """The adapter is plugged in."""
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        with contextlib.suppress(FileNotFoundError):
            self.port.unlink()
        self.port.symlink_to(os.ttyname(self._slave))

    def gone(self) -> None:
        """The adapter is pulled out."""
        if self._master >= 0:
            os.close(self._master)
            os.close(self._slave)
            self.port.unlink()
        self._master = self._slave = -1

    def track(self) -> None:
        """From now on remember how far each servo comes from where it is."""
        self._begin = [servo.actual for servo in self.servos]
        self.travel = [0.0] * len(self._begin)

    def turn(self, wait_s: float, *others: int) -> list[int]:
        """Answer what came, and let time pass; return those of the other files that are readable."""
        files = [*([self._master] if self._master >= 0 else []), *others]
        ready = select.select(files, [], [], min(wait_s, STEP_S))[0]
        self._pass_time()
        if self._master in ready:
            with contextlib.suppress(OSError):  # EIO while nobody has the port open
                self._request += os.read(self._master, 4096)
            self._answer()
        return [file for file in ready if file != self._master]

    def _pass_time(self) -> None:
        now = time.monotonic()
        if (dt := now - self._last) < STEP_S / 2:
            return
        self._last = now
        for servo in (*self.servos, *self.twins.values()):
            servo.step(min(dt, 0.05))
        for i, (servo, begin) in enumerate(zip(self.servos, self._begin, strict=False)):
            self.travel[i] = max(self.travel[i], abs(servo.actual - begin))

    def _answer(self) -> None:
        while (at := self._request.find(b"\xff\xff")) >= 0 and len(self._request) >= at + 6:
            size = self._request[at + 3] + 4
            if len(self._request) < at + size:
                return
            packet = bytes(self._request[at : at + size])
            del self._request[: at + size]
            if packet == framed(packet[2:-1]) and not self.mute:
                self._obey(packet[2], packet[4], packet[5:-1])

    def _obey(self, number: int, instruction: int, parameters: bytes) -> None:
        if instruction == 0x82:
            for one in parameters[2:]:
                self._each(one, 0x02, parameters[:2])
        elif instruction == 0x83:
            address, count = parameters[:2]
            for at in range(2, len(parameters), count + 1):
                for servo in self._named(parameters[at]):
                    servo.write(address, parameters[at + 1 : at + 1 + count])
        elif number == 0xFE and instruction == 0x01:
            for servo in self.servos:
                self._each(servo.id, 0x01, b"")
        else:
            self._each(number, instruction, parameters)

    def _named(self, number: int) -> list[Servo]:
        """The servos with this id that hear the line: those of its rate, if they are not cut off."""
        rate = termios.tcgetattr(self._master)[5]
        if number in self.silent:
            return []
        there = [servo for servo in self.servos if servo.id == number]
        there += [self.twins[number]] if number in self.twins else []
        return [servo for servo in there if BAUDS.get(servo.get(6, 1)) == rate]

    def _each(self, number: int, instruction: int, parameters: bytes) -> None:
        answers = []
        for servo in self._named(number):
            data = b""
            if instruction == 0x02:
                data = bytes(servo.memory[parameters[0] : parameters[0] + parameters[1]])
            elif instruction == 0x03:
                servo.write(parameters[0], parameters[1:])
            elif instruction != 0x01:
                return
            if instruction != 0x03 or servo.get(8, 1) == 1:
                answers.append(framed(bytes([servo.id, len(data) + 2, servo.get(65, 1)]) + data))
        if self.collide and len(answers) == 2:  # whoever pulls the line low wins
            answers = [bytes(a & b for a, b in zip(*answers, strict=True))]
        for answer in answers:
            self._send(number, answer)

    def _send(self, number: int, answer: bytes) -> None:
        data = bytearray(answer)
        if number in self.flipped:
            data[-2] ^= 0x10
        if number in self.cut:
            del data[self.cut[number] :]
        if self.lost:
            data = bytearray(byte for byte in data if self._random.random() >= self.lost)
        data = bytearray(self._random.randbytes(self.noise)) + data
        with contextlib.suppress(OSError):
            os.write(self._master, data)

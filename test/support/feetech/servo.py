"""A pretended STS3215: its memory, what it refuses, and a joint that moves.

Written from Feetech's memory table and not from this project's own `registers`, so that a wrong address shows.
"""

from __future__ import annotations

TICKS = 4096
MULTI_TURN = 0x10  # of the byte at 18: it counts on over the ends of a turn
TOP_SPEED = 3000.0  # ticks/s: 4.6 rad/s, a 12 V servo's 44 turns a minute
BLOCKED_S = 0.4  # against a stop, until it protects itself
EEPROM = 40
READ_ONLY = frozenset((*range(5), *range(56, 71)))


class Servo:
    """One servo.

    Args:
        number: its id.
        actual: where its shaft is, ticks of the encoder.
        homing: what is taken off that.
        low, high: its position limits, as it reports positions.
    """

    def __init__(self, number: int, actual: float, homing: int = 0, low: int = 0, high: int = 4095) -> None:
        self.actual = actual
        self.stop: float | None = None  # present ticks that it cannot go below
        self.hand: tuple[float, float] | None = None  # (present ticks, ticks/s) that somebody moves it to
        self.errors = 0  # bits that a test holds set
        self.weak = False  # its torque does not go on
        self._blocked = 0.0
        self.eeprom = bytearray(EEPROM)
        for address, size, value in (
            (0, 1, 3), (1, 1, 10), (3, 2, 777), (5, 1, number), (6, 1, 0), (7, 1, 250), (8, 1, 1), (9, 2, low),
            (11, 2, high), (13, 1, 70), (14, 1, 140), (15, 1, 40), (16, 2, 1000), (18, 1, 12), (19, 1, 44),
            (20, 1, 47), (21, 1, 32), (22, 1, 32), (23, 1, 0), (24, 2, 16), (28, 2, 500), (30, 1, 1),
            (31, 2, abs(homing) | (0x800 if homing < 0 else 0)), (33, 1, 0), (34, 1, 20), (35, 1, 200), (36, 1, 80),
        ):  # fmt: skip
            self.eeprom[address : address + size] = value.to_bytes(size, "little")
        self.power_on()

    def power_on(self) -> None:
        """What it holds in its RAM is as at its birth: no torque, the lock shut."""
        self.memory = bytearray(self.eeprom) + bytearray(256 - EEPROM)
        self.set(55, 1, 1)
        self.set(48, 2, self.get(16, 2))
        self.set(62, 1, 120)
        self.set(63, 1, 31)
        self.set(85, 1, 50)
        self._blocked = 0.0
        self.measure(0.0)
        self.set(42, 2, self.get(56, 2))

    @property
    def id(self) -> int:
        """Its id."""
        return self.get(5, 1)

    def get(self, address: int, size: int) -> int:
        """A value of its memory."""
        return int.from_bytes(self.memory[address : address + size], "little")

    def set(self, address: int, size: int, value: int) -> None:
        """Put a value there, whatever it would refuse."""
        self.memory[address : address + size] = value.to_bytes(size, "little")

    @property
    def homing(self) -> int:
        """What it takes off its encoder's ticks."""
        raw = self.get(31, 2)
        return -(raw & 0x7FF) if raw & 0x800 else raw & 0x7FF

    @property
    def present(self) -> float:
        """Ticks as it reports them."""
        return self._counted(self.actual - self.homing)

    def _counted(self, ticks: float) -> float:
        return ticks if self.get(18, 1) & MULTI_TURN else ticks % TICKS

    @property
    def torque(self) -> bool:
        """Whether it holds its goal."""
        return self.get(40, 1) == 1

    def write(self, address: int, data: bytes) -> None:
        """What a bus writes; silently not what is read-only."""
        was_on = self.torque
        if self.weak and not was_on and address <= 40 < address + len(data):
            return
        for at, byte in enumerate(data, address):
            if at in READ_ONLY or at >= len(self.memory):
                continue
            self.memory[at] = byte
            if at < EEPROM and self.get(55, 1) == 0:
                self.eeprom[at] = byte
        if was_on and not self.torque:
            self._blocked = 0.0
        self._show_position()

    def step(self, dt: float) -> None:
        """Time passes."""
        before = self.actual
        if self.hand is not None and not self.torque:
            goal, speed = self.hand
            self._go(goal, speed * dt)
        elif self.torque and self.get(33, 1) == 0:
            goal = min(max(self.get(42, 2) & 0x7FFF, self.get(9, 2)), self.get(11, 2))
            limit = self.get(46, 2) & 0x7FFF
            self._go(goal, (min(limit, TOP_SPEED) if limit else TOP_SPEED) * dt)
            pushing = self.stop is not None and goal < self.stop - 20 and self.present <= self.stop + 1
            self._blocked = self._blocked + dt if pushing else 0.0
        self.measure((self.actual - before) / dt if dt > 0 else 0.0)

    def _go(self, goal: float, most: float) -> None:
        wanted = self.present + min(max(goal - self.present, -most), most)
        if self.stop is not None and wanted < self.stop:
            wanted = min(self.present, self.stop)
        self.actual += wanted - self.present

    def _show_position(self) -> None:
        at = int(self._counted(round(self.present)))
        self.set(56, 2, abs(at) | (0x8000 if at < 0 else 0))

    def measure(self, speed: float) -> None:
        """Bring what it reports up to date."""
        self._show_position()
        self.set(58, 2, min(round(abs(speed)), 0x7FFF) | (0x8000 if speed < 0 else 0))
        pushing = self._blocked > 0.0
        protected = self._blocked > BLOCKED_S
        load = self.get(48, 2) if pushing else 30
        self.set(60, 2, min(load, 200) if protected else load)
        self.set(69, 2, load // 4)
        too_hot = self.get(63, 1) > self.get(13, 1)
        voltage = not self.get(15, 1) <= self.get(62, 1) <= self.get(14, 1)
        self.set(65, 1, self.errors | (0x20 if protected else 0) | (0x04 if too_hot else 0) | (0x01 if voltage else 0))
        self.set(66, 1, int(abs(speed) > 1))

"""The codec, by laws: what was sent is found, whatever noise, cuts and doubles come with it; registers keep values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.robots.feetech import protocol
from vgil_ros.robots.feetech.protocol import Status, StatusParser
from vgil_ros.robots.feetech.registers import REGISTERS, Register, error_words

statuses = st.builds(Status, st.integers(0, 0xFD), st.integers(0, 0x7F), st.binary(max_size=20))
harmless = st.binary(max_size=12).map(lambda noise: noise.replace(b"\xff", b"\x00"))  # begins no packet


def encoded(status: Status) -> bytes:
    return protocol.packet(status.id, status.error, status.data)


def fed(parser: StatusParser, data: bytes, cuts: list[int]) -> list[Status]:
    """What a parser finds in bytes that come in pieces."""
    found, at = [], 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        found += parser.feed(data[at:cut])
        at = cut
    return found + parser.finish()


def test_packets_of_the_manual() -> None:
    assert protocol.ping(1) == bytes.fromhex("ffff010201fb")
    assert protocol.read(1, 56, 2) == bytes.fromhex("ffff0104023802be")
    assert protocol.write(1, 5, b"\x02") == bytes.fromhex("ffff0104030502f0")
    assert protocol.sync_read([1, 2], 56, 8) == bytes.fromhex("fffffe06823808010236")
    assert protocol.sync_write(42, {1: b"\x00\x08", 2: b"\x01\x09"}) == bytes.fromhex("fffffe0a832a0201000802010933")


@given(st.lists(st.tuples(harmless, statuses), max_size=6), harmless, st.lists(st.integers(0, 400), max_size=5))
def test_every_answer_is_found_among_noise_and_in_pieces(
    sent: list[tuple[bytes, Status]], tail: bytes, cuts: list[int]
) -> None:
    parser = StatusParser()
    data = b"".join(noise + encoded(status) for noise, status in sent) + tail
    assert fed(parser, data, cuts) == [status for _, status in sent]
    assert parser.noise == sum(len(noise) for noise, _ in sent) + len(tail)
    assert not parser.broken


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=8))
def test_any_bytes_do_no_harm_and_pieces_do_not_matter(data: bytes, cuts: list[int]) -> None:
    whole, parts = StatusParser(), StatusParser()
    found = fed(whole, data, [])
    assert fed(parts, data, cuts) == found
    assert parts.noise == whole.noise == len(data) - sum(len(encoded(status)) for status in found)


@given(statuses, st.data())
def test_a_cut_answer_hides_none_that_follows(status: Status, data: st.DataObject) -> None:
    """The cut one's length reaches into the next; that one is found all the same, at the latest at the end."""
    packet = encoded(status)
    cut = packet[: data.draw(st.integers(2, len(packet) - 1))]
    after = Status(7, 0, bytes.fromhex("0102030405"))
    found = fed(StatusParser(), cut + encoded(after), [])
    chance = _by_chance(cut + encoded(after))  # what the cut one and the next happen to make together: nobody can tell
    assert after in found or chance
    assert all(one == after or one in chance for one in found)


def _by_chance(data: bytes) -> list[Status]:
    """Every status that stands somewhere in bytes with a right checksum, found the plain way."""
    found = []
    for at in range(len(data) - 5):
        size = data[at + 3] + 4
        body = data[at + 2 : at + size - 1]
        begins = data[at : at + 2] == b"\xff\xff" and size >= 6 and data[at + 2] <= 0xFD
        if begins and len(data) >= at + size and protocol.checksum(body) == data[at + size - 1]:
            found.append(Status(body[0], body[2], body[3:]))
    return [one for one in found if one != Status(7, 0, bytes.fromhex("0102030405"))]


@given(statuses, st.integers(0, 7), st.data())
def test_a_wrong_bit_is_no_answer(status: Status, bit: int, data: st.DataObject) -> None:
    """One flipped bit always shows in the checksum; only the header, id and length may make another packet of it."""
    packet = bytearray(encoded(status))
    at = data.draw(st.integers(4, len(packet) - 1))
    packet[at] ^= 1 << bit
    parser = StatusParser()
    assert status not in fed(parser, bytes(packet), [])
    assert status.id in parser.broken


@given(statuses)
def test_an_answer_that_comes_twice_is_found_twice(status: Status) -> None:
    assert fed(StatusParser(), encoded(status) * 2, []) == [status, status]


@given(st.sampled_from(sorted(REGISTERS.values(), key=lambda one: one.address)), st.integers(-70_000, 70_000))
def test_registers_keep_what_they_can_hold_and_refuse_the_rest(register: Register, value: int) -> None:
    most = (1 << (8 * register.size if register.sign is None else register.sign)) - 1
    if (0 if register.sign is None else -most) <= value <= most:
        assert register.decode(b"\x00\x00" + register.encode(value), register.address - 2) == value
    else:
        with pytest.raises(ValueError, match=rf"{register.name} cannot hold {value}; allowed"):
            register.encode(value)


def test_homing_offsets_have_their_sign_in_bit_11() -> None:
    assert REGISTERS["homing_offset"].encode(-1365) == (0x800 | 1365).to_bytes(2, "little")


def test_error_bits_have_words() -> None:
    assert error_words(0x24) == ["too hot", "overload"]
    assert error_words(0x50) == ["error bits 0x50"]
    assert error_words(0) == []


def test_wrong_packets_are_refused() -> None:
    with pytest.raises(ValueError, match="id 300 with 0 parameters; allowed"):
        protocol.packet(300, 1)
    with pytest.raises(ValueError, match="allowed: one length"):
        protocol.sync_write(42, {1: b"\x00", 2: b"\x00\x00"})

"""Teleoperation without robots or time: what the joint streams of a robot say while somebody leads it for a while.

A person moves the master from place to place, now slowly, now as fast as its puppet's limits, and pauses; the grippers'
triggers are pressed and let go of at once. The puppet follows by teleop's own law, a little behind. Messages carry what
an encoder counts, with stamps that jitter; some are lost, some late, and those behind a late one come with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.guard.ranges import Ranges, master_ranges, puppet_ranges
from vgil_ros.core.guard.reading_guard import guards_of
from vgil_ros.core.guard.refusals import one_tick
from vgil_ros.core.layout import POSITION, ArmLayout, Layout, master_reader, puppet_reader
from vgil_ros.core.leader_follower import follower_of

START_NS = 10**18
COUNT = 2 * np.pi / 4096  # rad, of an encoder
JITTER_S = 0.003
LATE_S = (0.02, 0.2)
LOST, LATE = 0.01, 0.05
APART_NS = 50_000  # no two messages are read at once
TRAILS_S = 0.05  # the puppet its commands


@dataclass(frozen=True)
class Message:
    """One message of joint states: when it was measured and when it came, ns; positions (J,) in its own units."""

    stamp_ns: int
    arrival_ns: int
    positions: np.ndarray


@dataclass
class Figures:
    """What a guard made of a stream: messages that came, were lost, were late; refusals, in words; ticks held."""

    messages: int = 0
    lost: int = 0
    late: int = 0
    refused: tuple[str, ...] = ()
    held_ticks: int = 0


def led(ranges: Ranges, seconds: float, rate: float, random: np.random.Generator) -> np.ndarray:
    """Positions of a master, (T, J), in the messages' units: minimum-jerk moves between places, and pauses."""
    count, at = round(seconds * rate), random.uniform(ranges.lower, ranges.upper)
    rows: list[np.ndarray] = []
    have = 0
    while have < count:
        to = random.uniform(ranges.lower, ranges.upper)
        way = np.abs(to - at)[ranges.arm] / ranges.velocity[ranges.arm]
        share = random.choice([0.1, 0.3, 0.6, 1.0])
        steps = max(round(max(1.875 * float(way.max(initial=0.0)) / share, 0.2) * rate), 2)
        s = np.linspace(0, 1, steps)[:, None]
        move = at + (10 * s**3 - 15 * s**4 + 6 * s**5) * (to - at)
        move[:, ~ranges.arm] = to[~ranges.arm]
        pause = np.repeat(move[-1:], round(random.uniform(0, 0.5) * rate), axis=0)
        rows += [move, pause]
        have += len(move) + len(pause)
        at = to
    return np.concatenate(rows)[:count]


def followed(layout: Layout, arm: ArmLayout, master: np.ndarray, rate: float) -> np.ndarray:
    """Positions of the puppet, (T, J), in units of the state: teleop's law, and a first-order lag behind it."""
    law, wanted = follower_of(layout, arm), arm.master.normalise(master)
    at = np.clip(wanted[0], law.lower, law.upper)
    out, share = np.empty_like(wanted), 1 - np.exp(-1 / (rate * TRAILS_S))
    for i, goal in enumerate(wanted):
        now = START_NS + round(i / rate * 1e9)
        target = law.step(now, 1 / rate, (goal, now), (at, now))
        at = at if target is None else at + share * (target - at)
        out[i] = at
    return arm.state.restore(out)


def sent(positions: np.ndarray, rate: float, random: np.random.Generator) -> Iterator[Message | None]:
    """The messages of a stream in the order of their arrival; None for one that was lost."""
    arrived = 0
    for i, row in enumerate(np.round(positions / COUNT) * COUNT):
        if random.random() < LOST:
            yield None
            continue
        taken = START_NS + round(i / rate * 1e9)
        late = random.uniform(*LATE_S) if random.random() < LATE else random.uniform(0.0005, 0.002)
        arrived = max(arrived + APART_NS, taken + round(late * 1e9))
        yield Message(taken + round(random.uniform(-JITTER_S, JITTER_S) * 1e9), arrived, row)


def streams(
    contract: Contract, seconds: float, seed: int = 0, rate: float | None = None
) -> Iterator[tuple[str, float, list[Message | None]]]:
    """Each joint stream of a robot with its messages, (name, hz, messages), by default at the contract's rate."""
    layout, random, rate = Layout(contract), np.random.default_rng(seed), rate or contract.rate_hz
    for arm in layout.arms:
        master = led(master_ranges(arm.arm, contract.guard), seconds, rate, random)
        puppet = followed(layout, arm, master, rate)
        for kind, positions in (("master", master), ("puppet", puppet)):
            yield f"{arm.arm.name}/{kind}", rate, [*sent(positions, rate, random)]


def judged(contract: Contract, seconds: float, seed: int = 0) -> dict[str, Figures]:
    """What the guards make of a robot that is led for so long, by stream."""
    readers = {r.stream: r for arm in contract.arms for r in (puppet_reader(arm), master_reader(arm))}
    guards, out = guards_of(contract), {}
    for name, rate, messages in streams(contract, seconds, seed):
        reader, guard, figures, refused = readers[name], guards[name], Figures(), []
        refusals, period_ns = one_tick(round(1e9 / rate)), round(1e9 / rate)
        tick = START_NS
        for message in messages:
            if message is None:
                figures.lost += 1
                continue
            while tick <= message.arrival_ns:
                figures.held_ticks += name in refusals.standing(tick)
                tick += period_ns
            figures.messages += 1
            figures.late += message.arrival_ns - message.stamp_ns > LATE_S[0] * 1e9
            payload = reader.read(names_of(reader.joints, reader.effort_joints), values_of(reader, message))
            words = guard.judge(message.stamp_ns, message.arrival_ns, payload[POSITION])
            if words is None:
                refusals.accept(name, message.arrival_ns)
            else:
                refusals.refuse(name, words, message.arrival_ns)
                refused.append(words)
        figures.refused = tuple(refused)
        out[name] = figures
    return out


def names_of(joints: tuple[str, ...], efforts: tuple[str, ...] | None) -> tuple[str, ...]:
    """Every name that a reader wants, each once, as a driver would have them."""
    return tuple(dict.fromkeys(joints + (efforts or ())))


def values_of(reader: object, message: Message) -> np.ndarray:
    """The positions for those names; of a joint whose effort alone is read, 0."""
    names = names_of(reader.joints, reader.effort_joints)  # type: ignore[attr-defined]
    values = np.zeros(len(names))
    values[: len(message.positions)] = message.positions
    return values


def ranges_of(contract: Contract, stream: str) -> Ranges:
    """What a stream's messages can say."""
    name, kind = stream.split("/")
    arm = next(arm for arm in contract.arms if arm.name == name)
    return (master_ranges if kind == "master" else puppet_ranges)(arm, contract.guard)

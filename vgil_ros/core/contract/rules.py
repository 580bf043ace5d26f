"""The kinds of values in a contract, and the rules that several of its parts share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, PlainValidator, Strict, StringConstraints

AnyNumber = TypeVar("AnyNumber", int, float)
LARGEST = 1e6  # of any number: no joint, speed or time of a robot is beyond it in rad, m, s or ms
CLOSEST = 1e-6  # ends of a range that lie closer together are one place


def _printable(name: str) -> str:
    if not name or name != name.strip() or not name.isprintable() or len(name) > 100:
        raise ValueError(f"found {name[:100]!r}; allowed: a name of up to 100 letters that can be printed")
    return name


def _bounded(value: AnyNumber) -> AnyNumber:
    if abs(value) > LARGEST:
        found = f"{value:.3g}" if abs(value) < 1e308 else "more"
        raise ValueError(f"found {found}; allowed: {-LARGEST:g} to {LARGEST:g}")
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)]
JointName = Annotated[str, AfterValidator(_printable)]
TopicName = Annotated[
    str,
    StringConstraints(pattern=r"^(~?/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*$", max_length=255),
]
# Strict: "50" and `yes` are no numbers, 480.0 is no count of pixels. Lists stay welcome where a tuple is meant.
# (The bound is a validator, since a field's own `ge` and `le` would take the place of these.)
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), AfterValidator(_bounded)]
Count = Annotated[int, Strict(), AfterValidator(_bounded)]
Floats = tuple[Number, ...]
Range = tuple[Number, Number]
Vector3 = tuple[Number, Number, Number]


_ARRIVAL = re.compile(r"arrival(?:\s*-\s*(\d+(?:\.\d+)?))?")


def stamp_policy(value: object) -> str:
    """Return where a stream's stamps come from: "header", "arrival", or "arrival - 30" (ms before its arrival).

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, str) and (value == "header" or _ARRIVAL.fullmatch(value)):
        return value
    raise ValueError(f"found {value!r}; allowed: header, arrival, or arrival - MILLISECONDS")


def arrival_offset_ms(stamp: str) -> float | None:
    """Return by how much (ms) a stamp is before the arrival, None where it is the header's."""
    found = _ARRIVAL.fullmatch(stamp)
    return None if found is None else float(found[1] or 0)


def milliseconds_or_off(value: object) -> float | str:
    """Return milliseconds above 0, or "off" (which YAML reads as a no).

    Raises:
        ValueError: for anything else.
    """
    if value is False or value == "off":
        return "off"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf"):
        return float(value)
    raise ValueError(f"found {value!r}; allowed: milliseconds above 0, or off")


StampPolicy = Annotated[str, PlainValidator(stamp_policy)]
MillisecondsOrOff = Annotated[float | str, PlainValidator(milliseconds_or_off)]


def two_values(value: Range) -> Range:
    """Return a (closed, open) range whose ends differ.

    Raises:
        ValueError: where they do not.
    """
    if value[0] == value[1]:
        raise ValueError(f"closed and open are both {value[0]}; allowed: two different values")
    if abs(value[0] - value[1]) < CLOSEST:
        raise ValueError(f"closed and open are {value[0]} and {value[1]}; allowed: at least {CLOSEST} apart")
    return value


def one_spelling(values: object, aliases: Mapping[str, str]) -> object:
    """Return an entry's keys and values with each alias called by its own name; what is no mapping is left alone.

    Raises:
        ValueError: where a key and its alias are both given.
    """
    if not isinstance(values, dict):
        return values
    for alias, name in aliases.items():
        if alias in values and name in values:
            raise ValueError(f"{alias} and {name} are both given and mean the same; allowed: one of them")
    return {aliases.get(key, key): value for key, value in values.items()}


def no_duplicates(what: str, names: Sequence[str]) -> None:
    """Raise a ValueError that lists the names which stand there more than once."""
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ValueError(f"{what}: {duplicates} stands there more than once; allowed: each name once")


def no_shared_topics(topics: Iterable[tuple[str, str]]) -> None:
    """Raise a ValueError that names both keys of a (key, topic) whose topic another key has."""
    keys: dict[str, str] = {}
    for key, topic in topics:
        if topic in keys:
            raise ValueError(f"{key} is '{topic}', which {keys[topic]} is too; allowed: each topic once")
        keys[topic] = key


def no_shared_joints(readers: Iterable[tuple[str, str, tuple[str, ...]]]) -> None:
    """Raise a ValueError that names both keys of a (key, topic, joints) of whose joints another key reads some there:
    what is matched by name must have a name of its own."""
    taken: dict[tuple[str, str], str] = {}
    for key, topic, joints in readers:
        for other in dict.fromkeys(taken[topic, joint] for joint in joints if (topic, joint) in taken):
            both = [joint for joint in joints if taken.get((topic, joint)) == other]
            raise ValueError(
                f"{key} reads the joints {both} on '{topic}', which {other} reads there too; allowed: names of their"
                " own (`joints` beside the topic, as the driver has them)"
            )
        taken |= {(topic, joint): key for joint in joints}

"""Topics of a bag held against those of a contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vgil_ros.core.graph.service_names import did_you_mean
from vgil_ros.core.messages.intake import StreamIntake
from vgil_ros.datasets.bags.files import BagTopic
from vgil_ros.datasets.errors import DatasetError

ENCODING = "cdr"


def parse_renames(given: Sequence[str]) -> dict[str, str]:
    """Return the contract's topic by the bag's, of words `BAG:=CONTRACT`.

    Raises:
        DatasetError: for other words, or a topic that is given twice.
    """
    out: dict[str, str] = {}
    for words in given:
        bag, sign, contract = words.partition(":=")
        if not sign or not bag.strip("/") or not contract.strip("/"):
            raise DatasetError(f"--topics is '{words}'; allowed: BAG_TOPIC:=CONTRACT_TOPIC")
        if _full(bag) in out:
            raise DatasetError(f"--topics names '{bag}' twice; allowed: once")
        out[_full(bag)] = _full(contract)
    if len(set(out.values())) != len(out):
        raise DatasetError(f"--topics gives {sorted(out.values())}; allowed: each of the contract's topics once")
    return out


def _full(topic: str) -> str:
    return "/" + topic.strip("/")


def match_topics(
    topics: Mapping[str, BagTopic], intakes: Sequence[StreamIntake], renames: Mapping[str, str]
) -> dict[str, list[StreamIntake]]:
    """Return the intakes of each of the bag's topics that the contract has.

    Args:
        topics: the bag's, by name.
        intakes: of the contract's streams.
        renames: the contract's topic by the bag's.

    Raises:
        DatasetError: naming every topic that is missing or of another type, and every name that is nowhere.
    """
    wanted = {_full(intake.spec.topic): intake for intake in intakes}
    last = sorted(topics.values(), key=lambda topic: _full(topic.name) in renames)  # what is renamed goes before
    there = {contract_topic(topic, renames): topic for topic in last}
    bag = {_full(name) for name in topics}
    wrong = [f"--topics names {name}, which the bag has not" for name in renames if name not in bag]
    wrong += [f"--topics names {name}, which the contract has not" for name in renames.values() if name not in wanted]
    for name, intake in wanted.items():
        if name not in there:
            wrong.append(_missing(name, intake, topics, wanted))
        elif there[name].type != intake.type:
            wrong.append(f"{there[name].name} is {there[name].type or 'of no type'}; allowed: {intake.type}")
        elif there[name].encoding != ENCODING:
            wrong.append(f"{there[name].name} is encoded as '{there[name].encoding}'; allowed: {ENCODING}")
    if wrong:
        raise DatasetError("; ".join(wrong))
    out: dict[str, list[StreamIntake]] = {}
    for intake in intakes:
        out.setdefault(there[_full(intake.spec.topic)].name, []).append(intake)
    return out


def contract_topic(topic: BagTopic, renames: Mapping[str, str]) -> str:
    """The contract's topic that a bag's is taken for."""
    if (new := renames.get(_full(topic.name))) is not None:
        return new
    return _full(topic.contract_topic or topic.name)


def _missing(
    name: str, intake: StreamIntake, topics: Mapping[str, BagTopic], wanted: Mapping[str, StreamIntake]
) -> str:
    same = [topic.name for topic in topics.values() if topic.type == intake.type and _full(topic.name) not in wanted]
    words = f"{name} ({intake.spec.name}, {intake.type}) is not in the bag"
    if not same:
        return words
    guess = did_you_mean(name, same) or same[0]
    return f"{words}; of this type it has {', '.join(same[:4])}: --topics {guess}:={name}?"

"""A bag to an episode: of our own raw log the rows of the live recording, of any other bag what a recorder would have
written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from vgil_ros.core.contract import Contract, parse_contract
from vgil_ros.core.streams import streams_of
from vgil_ros.core.sync import Synchronizer
from vgil_ros.datasets.bags.compressed import in_usual_colours, with_compressed
from vgil_ros.datasets.bags.episode import ALL_OF_IT, BagEpisode
from vgil_ros.datasets.bags.files import Bag, Progress
from vgil_ros.datasets.bags.replay import LogReplay, beginning, recorded_with
from vgil_ros.datasets.bags.synchronise import BagSynchronisation
from vgil_ros.datasets.bags.topics import match_topics
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.same_setup import differences, setup_of_contract, setup_of_episode
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.writing.disk import DEFAULT_MIN_FREE
from vgil_ros.episodes.writing.sink import EpisodeEnd, Recording

PATIENCE_MS = 1000.0  # of stamps, not of anybody's time


@dataclass(frozen=True)
class BagSettings:
    """What is asked for.

    Attributes:
        out: the folder of episodes.
        robot: the contract and its YAML; None takes that of our own raw log.
        task: written into the episode; None takes the log's.
        rate_hz: ticks a second; None: the contract's.
        topics: the contract's topic by the bag's, where they differ.
        stamps: "header", or "log" for the times at which messages were logged.
    """

    out: Path
    robot: tuple[Contract, str] | None = None
    task: str | None = None
    rate_hz: float | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    stamps: Literal["header", "log"] = "header"


@dataclass(frozen=True)
class FromBag:
    """What came of a bag.

    Attributes:
        end: the episode's file.
        replayed: whether it is our own log, replayed as it was recorded.
        whole: whether nothing was missing of it.
        notes: what is not as it should be, in words.
    """

    end: EpisodeEnd
    replayed: bool
    whole: bool
    notes: tuple[str, ...]


def from_bag(path: Path, settings: BagSettings, *, progress: Progress | None = None) -> FromBag:
    """Write the episode of one bag.

    Args:
        path: a file, or rosbag2's folder.
        settings: what is asked for.
        progress: wraps the messages, such as `tqdm`.

    Raises:
        DatasetError: where there is no bag, its topics are not the contract's, or not one row is complete.
        WriteFailed: where the episode cannot be written.
    """
    with Bag(path) as bag:
        try:
            return _convert(bag, settings, progress)
        except DatasetError as error:
            words = str(error)
            raise DatasetError(words if words.startswith(str(path)) else f"{path}: {words}") from error


def _convert(bag: Bag, settings: BagSettings, progress: Progress | None) -> FromBag:
    ours = bag.ours()
    contract, text = _robot(bag.words(), settings)
    exact = ours is not None and _as_recorded(ours, text, settings)
    told = recorded_with(ours) if ours is not None else {}
    if settings.task is not None or not told:
        told["task"] = bag.words().get("task", "") if settings.task is None else settings.task
    contract = contract.with_jpeg_order(told.get("jpeg_order", "contract"))
    _same_setup(settings.out, contract)
    contract = contract if exact else with_compressed(contract, bag.topics(), settings.topics)
    streams = streams_of(contract)
    if settings.stamps == "log":
        streams = tuple(replace(spec, arrival_offset_ns=spec.arrival_offset_ns or 0) for spec in streams)
    recording = Recording(contract, text, streams, settings.out, min_free_bytes=DEFAULT_MIN_FREE, **told)
    if exact:
        assert ours is not None
        sync = Synchronizer(streams, contract.sync, contract.rate_hz, simulated=ours["simulated"] == "true")
    else:
        patient = contract.sync.model_copy(update={"max_wait_ms": max(PATIENCE_MS, contract.sync.max_wait_ms)})
        sync = Synchronizer(streams, patient, contract.rate_hz, capacity=ALL_OF_IT)
    episode = BagEpisode(recording, sync)
    topics = match_topics(bag.topics(), episode.intakes, settings.topics)
    if exact:
        return _replay(bag, episode, topics, progress)
    begin_ns = beginning(bag.messages()) if ours is not None else 0
    try:
        by_log = settings.stamps == "log"
        messages = in_usual_colours(bag.messages(progress))
        BagSynchronisation(episode, topics, by_log=by_log, begin_ns=begin_ns).run(messages)
    except BaseException:
        episode.sink.discard().result()
        raise
    return _close(bag, episode, {}, replayed=False)


def _replay(bag: Bag, episode: BagEpisode, topics: Mapping[str, Any], progress: Progress | None) -> FromBag:
    places: dict[str, list[Any]] = {}
    for intake in episode.intakes:  # as the recorder numbers them
        places.setdefault(intake.spec.topic, []).append(intake)
    replay = LogReplay(episode, topics, list(places.values()))
    try:
        replay.run(bag.messages(progress))
    except BaseException:
        episode.sink.discard().result()
        raise
    return _close(bag, episode, replay.end or {}, replayed=True)


def _close(bag: Bag, episode: BagEpisode, told: Mapping[str, Any], *, replayed: bool) -> FromBag:
    lacking = (*bag.notes, *episode.lacking)
    notes = (*lacking, *episode.notes, *(() if replayed else episode.refused.lines()))
    warnings = (*told.get("warnings", ()), *notes)
    end = episode.close(told.get("success"), told.get("label"), warnings, from_bag=bag.path.name)
    if end is None:
        raise DatasetError("no row: it is over before two ticks were complete; at least two are needed")
    return FromBag(end, replayed, not lacking and episode.aborted is None, notes)


def _robot(words: Mapping[str, str], settings: BagSettings) -> tuple[Contract, str]:
    """The contract, at the rate that is asked for, and its text; `words` are what a file of ours says."""
    if settings.robot is not None:
        contract, text = settings.robot
    elif words:
        text = words.get("contract", "")
        contract = parse_contract(text, "the bag's contract")
    else:
        raise DatasetError("give --robot: the bag is no raw log of ours, which would hold its contract")
    if without := [arm.name for arm in contract.arms if not arm.master]:
        raise DatasetError(f"robot '{contract.name}': arm {without} has no master; an episode needs one each")
    if settings.rate_hz is None or settings.rate_hz == contract.rate_hz:
        return contract, text
    line = f"rate_hz: {settings.rate_hz:g}"
    text, found = re.subn(r"(?m)^rate_hz\s*:.*$", line, text)
    return parse_contract(text if found else f"{text}\n{line}\n", f"{contract.name} at --rate"), text


def _as_recorded(ours: Mapping[str, str], text: str, settings: BagSettings) -> bool:
    """Whether nothing else is asked for than what was recorded."""
    return text == ours.get("contract") and not settings.topics and settings.stamps == "header"


def _same_setup(folder: Path, contract: Contract) -> None:
    """Refuse a folder whose newest episode is of another set-up, as the recorder does.

    Raises:
        DatasetError: naming the differences.
    """
    newest = naming.newest_in(folder)
    if newest is None:
        return
    with EpisodeReader(newest) as episode:
        found = differences(setup_of_contract(contract), setup_of_episode(episode), newest.name)
    if found:
        raise DatasetError(f"{folder} holds episodes of another set-up: {'; '.join(found)}; give another --out")

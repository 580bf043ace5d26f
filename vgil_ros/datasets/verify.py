"""Whether a converted data set still is what its manifest says: each stream's hash, each fact, every image decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.manifest import read_manifest
from vgil_ros.datasets.proof import digests, facts_of
from vgil_ros.datasets.source import Source, open_source
from vgil_ros.episodes.errors import naming_file
from vgil_ros.episodes.layouts import LAYOUTS
from vgil_ros.episodes.reading.columns import ACTING
from vgil_ros.parallel import Work, WorkerKilled, executor

Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]
SHOWN = 80  # characters of a value in an error


def verify(folder: Path, progress: Progress = lambda items, what, count: items, *, workers: int = 1) -> list[str]:
    """Hold a data set against its manifest; gives what is wrong, one line each, [] where all is as it was written.

    Args:
        progress: wraps the episodes, such as `tqdm`.
        workers: processes, an episode each.

    Raises:
        DatasetError: there is no manifest, or the data set cannot be opened at all.
    """
    manifest = read_manifest(folder)
    layout = manifest["to"] if manifest["to"] in LAYOUTS else None
    source = open_source(folder, layout)
    told = {episode["name"]: episode for episode in manifest["episodes"]}
    names = source.names()
    there = set(names)
    wrong = [f"{folder}: lacks {name}, which the manifest speaks of" for name in told if name not in there]
    wrong += [f"{folder}: {name} is not in the manifest; it was added later" for name in names if name not in told]
    places = [number for number, name in enumerate(names) if name in told]
    work = VerifyWork(folder, layout, tuple((names[number], told[names[number]]) for number in places), tuple(places))
    with executor(workers) as pool, closing(pool.map(work, range(len(places)))) as outcomes:
        for outcome in progress(outcomes, "verify", len(places)):
            wrong += [str(outcome.error)] if isinstance(outcome.error, WorkerKilled) else outcome.result()
    return wrong


@dataclass(frozen=True)
class VerifyWork(Work[int, list[str]]):
    """Holds episodes against what the manifest says of them.

    Attributes:
        told: name and entry of each. places: of each in the data set.
    """

    folder: Path
    layout: str | None
    told: tuple[tuple[str, dict[str, Any]], ...]
    places: tuple[int, ...]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], list[str]]]:
        """See `Work.open`."""
        source = open_source(self.folder, self.layout)
        yield lambda item: _verify_one(source, self.places[item], self.told[item][1])

    def name(self, item: int) -> str:
        """See `Work.name`."""
        return str(self.folder / self.told[item][0])


def _verify_one(source: Source, number: int, told: dict[str, Any]) -> list[str]:
    where = source.path / told["name"]
    try:
        with naming_file(where), source.open(number) as episode:
            if episode.rows != told["rows"]:
                return [f"{where}: has {episode.rows} rows; the manifest speaks of {told['rows']}"]
            found, said = digests(episode), facts_of(episode)
            for camera in episode.camera_names:
                for row in range(episode.rows):
                    episode.image(camera, row)
    except VgilError as error:
        return [str(error)]
    wrong = [
        f"{where}: {name} is {_short(said.get(name))}; the manifest speaks of {_short(value)}"
        for name, value in told.get("facts", {}).items()  # an older manifest has none
        if said.get(name) != value
    ]
    return wrong + [
        f"{where}: {name} is not what was written (its hash differs from the manifest's)"
        for name, stream in told["streams"].items()
        if stream["sha256"] is not None and found.get(name) != stream["sha256"] and not _filled(name, stream, found)
    ]


def _filled(name: str, stream: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    """Whether a column was filled in for other episodes' sake: older manifests have it, and it is not read any more."""
    return name in ACTING and name not in found and stream["largest_error"] is None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."

"""Whether a converted data set still is what its manifest says: every stream's hash, every image decoded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.convert import FORMAT, MANIFEST
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.proof import digests
from vgil_ros.datasets.source import Source, open_source
from vgil_ros.episodes.errors import naming_file
from vgil_ros.episodes.layouts import LAYOUTS

Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a data set's manifest.

    Raises:
        DatasetError: there is none, or it is not one of ours.
    """
    file = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(
            f"{file}: cannot be read ({error.strerror}); only what `vgil dataset convert` wrote can be verified"
        ) from error
    except ValueError as error:
        raise DatasetError(f"{file}: is damaged ({error}); allowed: as it was written") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DatasetError(f"{file}: is no manifest of {FORMAT}; allowed: as it was written")
    return manifest


def verify(folder: Path, progress: Progress = lambda items, what, count: items) -> list[str]:
    """Hold a data set against its manifest; gives what is wrong, one line each, [] where all is as it was written.

    Raises:
        DatasetError: there is no manifest, or the data set cannot be opened at all.
    """
    manifest = read_manifest(folder)
    layout = manifest["to"] if manifest["to"] in LAYOUTS else None
    source = open_source(folder, layout)
    told = {episode["name"]: episode for episode in manifest["episodes"]}
    names = source.names()
    wrong = [f"{folder}: lacks {name}, which the manifest speaks of" for name in told if name not in names]
    wrong += [f"{folder}: {name} is not in the manifest; it was added later" for name in names if name not in told]
    places = [number for number, name in enumerate(names) if name in told]
    for number in progress(places, "verify", len(places)):
        wrong += _verify_one(source, number, told[names[number]])
    return wrong


def _verify_one(source: Source, number: int, told: dict[str, Any]) -> list[str]:
    where = source.path / told["name"]
    try:
        with naming_file(where), source.open(number) as episode:
            if episode.rows != told["rows"]:
                return [f"{where}: has {episode.rows} rows; the manifest speaks of {told['rows']}"]
            found = digests(episode)
            for camera in episode.camera_names:
                for row in range(episode.rows):
                    episode.image(camera, row)
    except VgilError as error:
        return [str(error)]
    return [
        f"{where}: {name} is not what was written (its hash differs from the manifest's)"
        for name, stream in told["streams"].items()
        if stream["sha256"] is not None and found.get(name) != stream["sha256"]
    ]

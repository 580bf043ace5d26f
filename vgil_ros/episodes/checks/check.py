"""Hold an episode against everything that is known to go wrong. A new check is one new file in `checks/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.checks import alignment, colour, frames, jpegs, lengths, notes, numbers, states
from vgil_ros.episodes.checks.findings import Facts, Finding, Report
from vgil_ros.episodes.checks.motion import limits, rates
from vgil_ros.episodes.checks.same_setup import setup_of_episode
from vgil_ros.episodes.checks.scan import Scan, scan_images
from vgil_ros.episodes.checks.timing import clocks, stamps, sync
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.layouts import Layout
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.view import Episode

Check = Callable[[EpisodeReader, Scan], Iterator[Finding]]
E = TypeVar("E", bound=Episode)
AnyCheck = Callable[[Episode, Scan], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    notes.check,
    lengths.check,
    numbers.check,
    states.check,
    limits.check,
    jpegs.check,
    frames.check,
    stamps.check,
    sync.check,
    rates.check,
    clocks.check,
    colour.check,
    alignment.check,
)
OF_ANY_SOURCE: tuple[AnyCheck, ...] = (  # what looks at numbers alone, wherever these lie
    notes.check,
    numbers.check,
    states.check,
    limits.check,
    stamps.check,
    sync.check,
    rates.check,
    clocks.check,
    alignment.check,
)
AT_LEISURE: tuple[Check, ...] = (colour.check, alignment.check)  # not while an operator waits for the verdict


def check_episode(
    path: Path | str, *, layout: Layout | None = None, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Report:
    """Return what is wrong, doubtful, or worth knowing about an episode of any layout.

    Args:
        path: the file; one that cannot be read at all is one error in the report.
        layout: where the caller knows it better than `layouts.detect`.
        progress: wraps the rows whose images are read, such as `tqdm`.
    """
    path = Path(path)
    return _report(path, layout, lambda episode: scan_images(episode, progress), CHECKS)


def check_saved(path: Path, scan: Scan) -> Report:
    """Return what is wrong with a file that was just written, within a fraction of a second whatever its length.

    Every check but those of colours and of the follower's lag, which find no errors; a few images are decoded instead
    of 64.

    Args:
        path: the file.
        scan: of its images, made while they were written.
    """
    return _report(path, None, lambda _: scan, tuple(check for check in CHECKS if check not in AT_LEISURE))


def check_opened(episode: Episode) -> Report:
    """Return what the numbers of an open episode of any source show: an HDF5 file, LeRobot's tables, zarr.

    How images are stored is looked at in HDF5 files alone, by `check_episode`.
    """
    findings = [finding for check in OF_ANY_SOURCE for finding in _findings(check, episode, Scan())]
    findings.sort(key=lambda finding: finding.rank)
    return Report(episode.path, tuple(findings), _facts(episode))


def _report(
    path: Path, layout: Layout | None, look: Callable[[EpisodeReader], Scan], checks: tuple[Check, ...]
) -> Report:
    findings: list[Finding] = []
    facts: Facts | None = None
    try:
        with naming_file(path, "checked"), EpisodeReader(path, layout=layout) as episode:
            scan = look(episode)
            facts = _facts(episode)
            for check in checks:
                findings += _findings(check, episode, scan)
    except EpisodeError as error:
        findings.append(_unreadable(path, error))
    findings.sort(key=lambda finding: finding.rank)
    return Report(path, tuple(findings), facts)


def _facts(episode: Episode) -> Facts | None:
    qpos = episode.qpos[: episode.rows].astype(np.float64)
    qpos = qpos[np.isfinite(qpos).all(axis=1)]
    if not len(qpos):
        return None
    setup = {} if episode.aborted is not None else setup_of_episode(episode)
    names, told = episode.joint_names, (episode.success, episode.task)
    return Facts(len(qpos), qpos.mean(axis=0), qpos.std(axis=0), names, *told, setup)


def _findings(check: Callable[[E, Scan], Iterator[Finding]], episode: E, scan: Scan) -> list[Finding]:
    """Run one check; where it stumbles over the file, that is a finding, and the other checks go on."""
    found: list[Finding] = []
    try:
        with naming_file(episode.path, "checked"):
            for finding in check(episode, scan):
                found.append(finding)
    except VgilError as error:
        found.append(_unreadable(episode.path, error))
    return found


def _unreadable(path: Path, error: VgilError) -> Finding:
    return Finding("error", "file", path.name, str(error).removeprefix(f"{path}: "))

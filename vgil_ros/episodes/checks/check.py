"""Hold an episode against everything that is known to go wrong. A new check is one new file in `checks/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vgil_ros.episodes.checks import alignment, colour, frames, jpegs, lengths, notes, numbers, stamps, states, sync
from vgil_ros.episodes.checks.findings import SEVERITIES, Finding, Report
from vgil_ros.episodes.checks.scan import Scan, scan_images
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.layouts import Layout
from vgil_ros.episodes.reader import EpisodeReader

Check = Callable[[EpisodeReader, Scan], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    notes.check,
    lengths.check,
    numbers.check,
    states.check,
    jpegs.check,
    frames.check,
    stamps.check,
    sync.check,
    colour.check,
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


def _report(
    path: Path, layout: Layout | None, look: Callable[[EpisodeReader], Scan], checks: tuple[Check, ...]
) -> Report:
    try:
        with EpisodeReader(path, layout=layout) as episode:
            scan = look(episode)
            findings = [finding for check in checks for finding in check(episode, scan)]
    except EpisodeError as error:
        findings = [Finding("error", "file", path.name, str(error).removeprefix(f"{path}: "))]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(path, tuple(findings))

"""Hold an episode against everything that is known to go wrong. A new check is one new file in `checks/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vgil_ros.episodes.checks import alignment, clocks, colour, frames, jpegs, lengths, numbers, stamps, states, sync
from vgil_ros.episodes.checks.findings import SEVERITIES, Finding, Report
from vgil_ros.episodes.checks.scan import Scan, scan_images
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.layouts import Layout
from vgil_ros.episodes.reader import EpisodeReader

Check = Callable[[EpisodeReader, Scan], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    lengths.check,
    numbers.check,
    states.check,
    jpegs.check,
    frames.check,
    stamps.check,
    sync.check,
    clocks.check,
    colour.check,
    alignment.check,
)


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
    try:
        with EpisodeReader(path, layout=layout) as episode:
            scan = scan_images(episode, progress)
            findings = [finding for check in CHECKS for finding in check(episode, scan)]
    except EpisodeError as error:
        findings = [Finding("error", "file", path.name, str(error).removeprefix(f"{path}: "))]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(path, tuple(findings))

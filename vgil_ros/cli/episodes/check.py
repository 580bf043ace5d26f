"""`vgil episodes check`: hold episodes against all that is known to go wrong, by one process or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer
from tqdm import tqdm

from vgil_ros.cli.episodes.options import LayoutName, Paths, bar_of_rows, files_of, known_layout
from vgil_ros.cli.options import RayAddress, Workers
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.checks.findings import Finding, Report
from vgil_ros.episodes.checks.motion.outliers import compare
from vgil_ros.episodes.checks.same_setup import check_folder
from vgil_ros.parallel import Executor, InProcess, Outcome, Work, executor

BAD = 1


@dataclass(frozen=True)
class CheckWork(Work[Path, Report]):
    """Checks episodes.

    Attributes:
        folder: that files are named from; empty on this machine.
        bars: show how far each one is, in the process that has the terminal.
    """

    layout: Any
    folder: Path
    bars: bool

    @contextmanager
    def open(self) -> Iterator[Callable[[Path], Report]]:
        """See `Work.open`."""
        yield self._check

    def _check(self, path: Path) -> Report:
        progress = bar_of_rows(path.name) if self.bars else iter
        return replace(check_episode(self.folder / path, layout=self.layout, progress=progress), path=path)


def check(
    paths: Paths,
    layout: LayoutName = None,
    workers: Workers = None,
    ray: RayAddress = None,
    json: JsonFile = None,
    quiet: bool = False,
) -> None:
    """Check episodes, and those of a folder against each other; exit code 1 where any has an error.

    Aborted episodes, which lie apart in a folder's `aborted`, are checked where they are given by name.
    """
    chosen, files = known_layout(layout), files_of(paths)
    with executor(workers, ray) as pool:
        work = CheckWork(chosen, Path() if ray is None else Path.cwd(), bars=isinstance(pool, InProcess))
        reports = compare(_reports(pool, work, files))
    by_path = {report.path: report for report in reports}
    folders = [
        check_folder(path, [by_path[file] for file in naming.episodes_in(path) if file in by_path])
        for path in paths
        if path.is_dir()
    ]
    folders = [report for report in folders if report.findings]
    write_json(json, [report.as_dict() for report in (*reports, *folders)])
    for report in (*reports, *folders):
        _print(report, quiet)
    bad = sum(not report.ok for report in reports)
    apart = sum(len(naming.aborted_in(path)) for path in paths if path.is_dir())
    typer.echo(f"{len(reports)} checked, {bad} bad" + (f"; {apart} aborted ones lie apart" if apart else ""))
    raise typer.Exit(BAD if bad or not all(report.ok for report in folders) else 0)


def _reports(pool: Executor, work: CheckWork, files: list[Path]) -> list[Report]:
    with closing(pool.map(work, files)) as outcomes:
        return [
            _report(outcome) for outcome in tqdm(outcomes, "check", len(files), unit="episode", delay=2, leave=False)
        ]


def _report(outcome: Outcome[Path, Report]) -> Report:
    """An episode whose process was killed is a bad one; what else goes wrong is in the check's own report."""
    if outcome.error is None:
        return outcome.result()
    words = str(outcome.error).removeprefix(f"{outcome.item}: ")
    return Report(outcome.item, (Finding("error", "check", outcome.item.name, words),))


def _print(report: Report, quiet: bool) -> None:
    word = "BAD" if not report.ok else f"ok, {len(report.warnings)} warnings" if report.warnings else "ok"
    typer.echo(f"{report.path}: {word}")
    for finding in report.findings:
        if not quiet or finding.severity != "info":
            typer.echo(f"  {finding}")

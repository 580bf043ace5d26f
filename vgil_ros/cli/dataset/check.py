"""`vgil dataset check`: the episodes of a data set by themselves and against each other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vgil_ros.cli.dataset.commands import BAD, Workers, app, bar, losses
from vgil_ros.cli.dataset.quality_page import write_page
from vgil_ros.cli.report import JsonFile, can_be_written, write_json
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.manifest import MANIFEST, read_manifest
from vgil_ros.datasets.quality.check import check_dataset
from vgil_ros.datasets.quality.data_set import Found
from vgil_ros.datasets.quality.keep import check_new, keep_good
from vgil_ros.datasets.quality.report import QualityReport
from vgil_ros.episodes.checks.findings import Severity
from vgil_ros.episodes.layouts import LAYOUTS
from vgil_ros.extras import need
from vgil_ros.training.data.sampling import split_episodes

FAIL_ON: dict[str, Severity] = {"error": "error", "warn": "warning"}


@app.command("check")
def check_command(
    source: Annotated[Path, typer.Argument(help="Episodes (a folder), a LeRobotDataset, a zarr folder.")],
    fail_on: Annotated[
        str, typer.Option(help="error or warn: what makes the exit code 1, and an episode none of the good ones.")
    ] = "error",
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page with images, distributions and a ranked table here.", callback=can_be_written),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep-good", help="Write the good episodes into this new folder.")
    ] = None,
    chunk: Annotated[int, typer.Option(min=1, help="Rows of the action chunk that a policy is to learn.")] = 100,
    validation: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share that training keeps for validation, as `data.validation`.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of a training, by which it chooses them.")] = 0,
    layout: Annotated[
        str | None, typer.Option("--layout", help=f"Read HDF5 files as: {', '.join(LAYOUTS)}. Found out by itself.")
    ] = None,
    workers: Workers = None,
    json: JsonFile = None,
) -> None:
    """Check a data set: each episode by itself, then all against each other; exit code 1 where something is bad.

    Nothing in the data set is changed.
    """
    if fail_on not in FAIL_ON:
        raise DatasetError(f"--fail-on is '{fail_on}'; allowed: {list(FAIL_ON)}")
    if keep is not None:
        check_new(keep, source)
    if report is not None:
        need("vgil dataset check --report", "matplotlib")
    count = workers or len(os.sched_getaffinity(0))
    result = check_dataset(
        source,
        layout=layout,
        chunk=chunk,
        validation=lambda episodes: split_episodes([0] * episodes, validation, seed)[1],
        workers=count,
        progress=bar,
    )
    write_json(json, result.as_dict())
    grave = FAIL_ON[fail_on]
    _print(result, grave)
    if report is not None:
        write_page(result, report)
        typer.echo(f"the report: {report}")
    if keep is not None:
        left = {verdict.number for verdict in result.bad(grave)}
        good = [verdict.name for verdict in result.verdicts if verdict.number not in left]
        keep_good(source, good, keep, layout=layout, workers=count, progress=bar)
        for line in losses(read_manifest(keep)) if (keep / MANIFEST).is_file() else ():
            typer.echo(line)
        typer.echo(f"{len(good)} of {len(result.verdicts)} episodes in {keep}")
    raise typer.Exit(0 if result.ok(grave) else BAD)


def _print(result: QualityReport, grave: Severity) -> None:
    for verdict in result.ranked:
        errors, warnings = len(verdict.of("error")), len(verdict.of("warning"))
        words = f"BAD, {errors} errors, {warnings} warnings" if errors else f"{warnings} warnings"
        typer.echo(f"{verdict.name}: {words}")
        for found in verdict.of("error", "warning"):
            _print_one(found)
    if result.whole:
        typer.echo(f"{result.path}:")
        for found in result.whole:
            _print_one(found)
    counts = ", ".join(f"{check} {count}" for check, count in result.counts().most_common())
    named = f" ({counts})" if counts else ""
    bad = len(result.bad(grave))
    typer.echo(f"{len(result.verdicts)} episodes, {len(result.ranked)} with findings{named}; {bad} bad")


def _print_one(found: Found) -> None:
    typer.echo(f"  {found.finding}")
    if found.advice:
        typer.echo(f"    -> {found.advice}")

"""`vgil episodes from-bag`: bags and raw logs to episodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from tqdm import tqdm

from vgil_ros.assets import load_contract
from vgil_ros.cli.episodes.commands import app
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.bags.files import BagMessage
from vgil_ros.datasets.bags.from_bag import BagSettings, FromBag, from_bag
from vgil_ros.datasets.bags.topics import parse_renames
from vgil_ros.datasets.errors import DatasetError

BAD = 1
STAMPS = ("header", "log")


def _bar(messages: Iterator[BagMessage], count: int | None) -> Any:
    return tqdm(messages, total=count, desc="from-bag", unit=" messages", delay=1, leave=False)


@app.command("from-bag")
def from_bag_command(
    bags: Annotated[list[Path], typer.Argument(help="MCAP files, rosbag2 folders, raw logs (episode_N.mcap).")],
    out: Annotated[Path, typer.Option("--out", help="The folder that the episodes go to, one for each bag.")],
    robot: Annotated[
        str | None, typer.Option(help="Contract: a name in config/robots, or a path; a raw log has its own.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Rows a second; the contract's.")] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option(help="BAG:=CONTRACT, a topic of the bag and what the contract calls it; several times."),
    ] = None,
    stamps: Annotated[
        str, typer.Option(help="header: when it was captured; log: when it was logged, for messages without a stamp.")
    ] = "header",
    task: Annotated[str | None, typer.Option(help="What was shown; a raw log says it itself.")] = None,
    json: JsonFile = None,
) -> None:
    """Write episodes from recorded messages, by the recorder's own synchroniser; ROS is not needed.

    From a raw log of ours the rows are those of the live recording, bit by bit. Exit code 1 where a bag gave no
    episode, or one that is not whole or in which the check finds errors: each is named, and what is whole is kept.
    """
    if stamps not in STAMPS:
        raise DatasetError(f"--stamps is '{stamps}'; allowed: {list(STAMPS)}")
    if rate is not None and not rate > 0:
        raise DatasetError(f"--rate is {rate:g}; allowed: above 0 Hz")
    kind: Literal["header", "log"] = "log" if stamps == "log" else "header"
    contract = load_contract(robot) if robot is not None else None
    settings = BagSettings(out, contract, task, rate, parse_renames(topics or ()), kind)
    reports, failed = [], 0
    for path in bags:
        try:
            done = from_bag(path, settings, progress=_bar)
        except VgilError as error:
            if len(bags) == 1:
                raise
            failed += 1
            typer.echo(f"error: {error}", err=True)
            continue
        failed += not _said(path, done)
        reports.append(_report(path, done))
    write_json(json, reports)
    raise typer.Exit(BAD if failed else 0)


def _said(path: Path, done: FromBag) -> bool:
    """Say what came of a bag; return whether all is well."""
    words, _ = done.end.words(None, None, "look at the bag")
    typer.echo(f"{path}: {words}{'; replayed as it was recorded' if done.replayed and done.whole else ''}")
    for note in done.notes:
        typer.echo(f"  warning: {note}", err=True)
    return done.whole and done.end.report.ok


def _report(path: Path, done: FromBag) -> dict[str, Any]:
    return {
        "bag": str(path),
        "episode": str(done.end.path),
        "rows": done.end.rows,
        "aborted": done.end.aborted,
        "replayed": done.replayed,
        "whole": done.whole,
        "notes": list(done.notes),
    }

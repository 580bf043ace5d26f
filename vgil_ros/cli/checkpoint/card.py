"""`vgil checkpoint card`: the README of a checkpoint, from the reports of its training and evaluations."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from vgil_ros.assets import checkpoint_path
from vgil_ros.core.config import load_yaml
from vgil_ros.core.errors import VgilError


def card(
    checkpoint: Annotated[Path, typer.Argument(help="a checkpoint folder; README.md is written there")],
    report: Annotated[
        list[Path] | None,
        typer.Option(help="what vgil eval --json wrote; several times for several"),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="the training's folder")] = None,
    hours: Annotated[float | None, typer.Option(help="of training; from the run's log if left out")] = None,
    data: Annotated[str, typer.Option(help="the episodes, in words")] = "",
    command: Annotated[
        list[str] | None,
        typer.Option(help="a command that made it; several times, in order"),
    ] = None,
    note: Annotated[list[str] | None, typer.Option(help="a paragraph more; several times for several")] = None,
) -> None:
    """Write a checkpoint's card: what it is, how it was made, what it scored."""
    from vgil_ros.evaluation.model_card import CardContent
    from vgil_ros.evaluation.model_card import model_card as text
    from vgil_ros.evaluation.report import read_report
    from vgil_ros.policies import describe_checkpoint

    folder = checkpoint_path(checkpoint)
    info = describe_checkpoint(folder)
    reports = [(path, read_report(path)) for path in report or ()]
    for path, one in reports:
        pairs = {"policy": (one.policy, info.config.type), "fingerprint": (one.fingerprint, info.config.fingerprint)}
        for what, (found, own) in pairs.items():
            if found is not None and own is not None and found != own:
                raise VgilError(
                    f"--report {path} is of another policy: its {what} is {found}; allowed: {own}, as {folder} has it"
                )
    settings, logged = _training(run) if run else (None, None)
    content = CardContent(
        name=folder.resolve().name,
        config=info.config,
        parameters=info.parameters,
        megabytes=info.weight_bytes / 1e6,
        settings=settings,
        hours=hours if hours is not None else logged,
        data=data,
        commands=tuple(command or ()),
        reports=tuple(one for _, one in reports),
        notes=tuple(note or ()),
    )
    (folder / "README.md").write_text(text(content), encoding="utf-8")
    typer.echo(f"{folder / 'README.md'}")


def _training(run: Path) -> tuple[dict[str, Any], float | None]:
    """The run's settings, and the hours in its log."""
    from vgil_ros.training.run_log import CONFIG, LOG, read_log

    if not (run / CONFIG).is_file():
        raise VgilError(f"--run {run}: holds no {CONFIG}; allowed: a folder that vgil train wrote")
    settings = load_yaml(run / CONFIG)
    seconds = [float(one["seconds"]) for one in read_log(run / LOG) if one.get("seconds") is not None]
    return settings, _total(seconds) / 3600 if seconds else None


def _total(seconds: list[float]) -> float:
    """The sum over a run that was resumed: its clock begins anew each time."""
    ends = [a for a, b in pairwise(seconds) if b < a]
    return sum(ends) + seconds[-1]

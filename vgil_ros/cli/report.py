"""The option `--json FILE` of every command that reports."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from vgil_ros.core.errors import VgilError


def can_be_written(path: Path | None) -> Path | None:
    """Make the report's folder, and refuse a place that takes no file before the work begins, not after it."""
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{path}: its folder cannot be made ({error.strerror})") from error
    if path.is_dir():
        raise typer.BadParameter(f"{path}: is a folder; allowed: a file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise typer.BadParameter(f"{path}: may not be written")
    return path


def folder_can_be_made(path: Path | None, option: str) -> Path | None:
    """Make a folder, and refuse a place that takes none, or no files, before the work begins."""
    if path is None:
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VgilError(f"{option} {path}: its folder cannot be made ({error.strerror})") from error
    if not os.access(path, os.W_OK):
        raise VgilError(f"{option} {path}: may not be written; allowed: a folder one may write to")
    return path


JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="write the report here as JSON", metavar="FILE", callback=can_be_written),
]


def write_json(path: Path | None, report: Any) -> None:
    """Write a report, if a file was asked for; arrays become lists, NaN null.

    Raises:
        VgilError: it cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(_plain(report), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise VgilError(f"--json {path}: cannot be written ({error.strerror})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value

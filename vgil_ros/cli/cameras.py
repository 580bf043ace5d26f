"""`vgil cameras`: the webcams of this computer, what they offer, and the lines of a contract for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from vgil_ros.assets import load_contract
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.contract import Camera
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.webcam.finding import DEV, Found, device_paths, look_at
from vgil_ros.robots.webcam.offers import Refused, choose_format, slow_for
from vgil_ros.robots.webcam.still import write_stills
from vgil_ros.robots.webcam.suggestion import as_camera, contract_lines


def cameras(
    devices: Annotated[
        list[str] | None,
        typer.Argument(help="devices, or folders as /dev; all of /dev if left out", metavar="[DEVICE]..."),
    ] = None,
    robot: Annotated[
        str | None, typer.Option(help="hold the devices of this contract against what they offer", metavar="ROBOT")
    ] = None,
    still: Annotated[
        Path | None, typer.Option(help="write an image of each into this folder", metavar="DIR", file_okay=False)
    ] = None,
    json: JsonFile = None,
) -> None:
    """List webcams: formats, sizes, rates, controls, who reads them; and the lines of a contract. 1 where one is bad.

    ROS is not needed. For example: `vgil cameras --still /tmp/stills`.
    """
    contract = load_contract(robot)[0] if robot else None
    wanted = [camera for camera in contract.cameras if camera.device] if contract else []
    if contract and not wanted:
        raise VgilError(f"robot '{contract.name}': no camera has a `device`; allowed: a contract in which one has")
    paths = [str(camera.device) for camera in wanted] if contract else _paths(devices or [str(DEV)])
    found = [one for one in (look_at(path) for path in paths) if one is not None]
    for one in found:
        _show(one)
    if contract:
        faults = [words for camera in wanted for words in _against(camera, found)]
        slow = [slow_for(camera, camera.capture_fps, contract) for camera in wanted]
        for words in (*faults, *(words for words in slow if words)):
            typer.echo(words)
    else:
        names = [as_camera(one, f"cam_{i}") for i, one in enumerate(found)]
        wanted = [camera for camera in names if camera is not None]
        faults = [one.fault for one in found if one.fault]
        if wanted:
            typer.echo(
                "\n".join(["# for a contract; give names, and what each one shall be set to:", *contract_lines(wanted)])
            )
    if not found:
        faults.append(
            "no camera is plugged in here; in a container, give it the devices: docker run --device /dev/video0"
        )
        typer.echo(faults[-1])
    stills = _stills(wanted, still, faults) if still else {}
    write_json(json, {"cameras": [one.as_dict() for one in found], "stills": stills, "faults": faults})
    raise typer.Exit(1 if faults else 0)


def _paths(given: list[str]) -> list[str]:
    return [path for one in given for path in (device_paths(Path(one)) if Path(one).is_dir() else [one])]


def _show(one: Found) -> None:
    typer.echo(f"{one.path}")
    if one.fault:
        typer.echo(f"  {one.fault}\n")
        return
    taken = f"; read by {'; '.join(one.holders) or 'another program'}" if one.busy else ""
    typer.echo(f"  {one.name}, {one.device}, {one.bus}{taken}")
    table = Table(box=None, show_header=False, padding=(0, 2))
    for offer in one.offers:
        table.add_row(offer.format, offer.size_words, offer.rate_words)
    for name in [name for name in one.formats if name not in {offer.format for offer in one.offers}]:
        table.add_row(name, "sizes that it does not tell", "")
    for name, (control, value, automatic) in (one.controls or {}).items():
        table.add_row(name, f"{value}{', automatic' if automatic else ''}", control.range_words)
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)
    typer.echo("")


def _against(camera: Camera, found: list[Found]) -> list[str]:
    """What a device cannot give of what the contract wants."""
    one = next((one for one in found if one.path == camera.device), None)
    if one is None:
        return [f"{camera.name}: {camera.device} sends no images; allowed: one that `vgil cameras` lists"]
    if one.fault:
        return [f"{camera.name}: {one.fault}"]
    try:
        choose_format(camera, camera.capture_fps, one.formats, one.offers)
    except Refused as error:
        return [str(error)]
    lacking = [
        name for name in (camera.controls.given() if camera.controls else {}) if name not in (one.controls or {})
    ]
    return (
        [f"{camera.name}: this camera has no control {lacking}; allowed: {list(one.controls or {})}"] if lacking else []
    )


def _stills(wanted: list[Camera], folder: Path, faults: list[str]) -> dict[str, str]:
    """Write them, say where; what fails is added to the faults."""
    written = {}
    try:
        for camera, path, words in write_stills(wanted, folder):
            if path is None:
                faults += words
            else:
                written[camera.name] = str(path)
                typer.echo(f"{path}: {camera.device}")
            for line in words:
                typer.echo(line if line.startswith(f"{camera.name}: ") else f"{camera.name}: {line}")
    except OSError as error:
        raise VgilError(f"--still {folder}: cannot be written ({error.strerror})") from error
    return written

"""`vgil robot calibrate`: the middle and the ends of an arm's joints, shown by hand, into its servos and a file."""

from __future__ import annotations

import select
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from vgil_ros.assets import load_contract
from vgil_ros.cli.robot import app
from vgil_ros.core.contract import Arm, Contract
from vgil_ros.core.contract.bus import ROLES, SIDES
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.drivers import driven_arm, port_and_file
from vgil_ros.robots.feetech.bus import Bus
from vgil_ros.robots.feetech.calibration import save_calibration
from vgil_ros.robots.feetech.recording import Calibrator

PERIOD_S = 0.05
PATIENT_S = 0.1  # for an answer: nothing moves by itself here


@app.command()
def calibrate(
    robot: Annotated[str, typer.Argument(help="a robot's name in config/robots, or a path", metavar="ROBOT")],
    side: Annotated[str, typer.Argument(help="follower or leader", metavar="SIDE")],
    arm: Annotated[str, typer.Option(help="the contract's arm; empty: its first with a bus")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the file that is there")] = False,
) -> None:
    """Calibrate an arm of a contract with a bus: it goes limp, you show each joint's middle and both its ends."""
    contract, _ = load_contract(robot)
    spec, port, path = _where(contract, side, arm)
    if path.exists() and not overwrite:
        raise VgilError(f"{path} is there already, not overwritten; give --overwrite to replace it")
    assert spec.bus is not None
    bus = Bus(port, spec.bus.baud, reply_s=PATIENT_S)
    try:
        calibrator = Calibrator(bus, spec.joints)
        _wait(f"{side} on {port}. Hold the arm: it goes limp. Enter")
        calibrator.let_go()
        _wait("Put every joint into the middle of its range. Enter")
        for words in calibrator.take_middle():
            typer.echo(words)
        typer.echo("Move every joint to both its ends, slowly. Enter when all are done")
        _record(calibrator)
        motors = calibrator.finish()
    finally:
        bus.close()
    save_calibration(path, motors)
    typer.echo(f"{path}: written, and into the servos")


def _where(contract: Contract, side: str, name: str) -> tuple[Arm, str, Path]:
    """The arm, its port and its file."""
    side = ROLES.get(side, side)
    if side not in SIDES:
        raise VgilError(f"SIDE is '{side}'; allowed: {', '.join(ROLES)}")
    arm = driven_arm(contract, name)
    port, file = port_and_file(contract, arm, side)
    return arm, port, Path(file).expanduser()


def _wait(words: str) -> None:
    typer.echo(words)
    if not sys.stdin.readline():
        raise VgilError("the input ended before the calibration did; nothing is written; allowed: a terminal")


def _record(calibrator: Calibrator) -> None:
    """Look at the joints until Enter."""
    with Live(_table(calibrator), refresh_per_second=10, transient=True) as live:
        while not select.select([sys.stdin], [], [], PERIOD_S)[0]:
            calibrator.look()
            live.update(_table(calibrator))
    sys.stdin.readline()


def _table(calibrator: Calibrator) -> Table:
    ranges = calibrator.ranges
    table = Table("joint", "from", "to", box=None)
    for joint in calibrator.motors:
        table.add_row(joint, str(ranges.low.get(joint, "")), str(ranges.high.get(joint, "")))
    return table

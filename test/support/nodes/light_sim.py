"""A simulated robot that a slow machine keeps in real time: small images, seldom, and a synchroniser that allows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from vgil_ros.assets import contract_path

SIZE = {"height": 60, "width": 80}
RATE_HZ = 20
SYNC = {"method": "clock", "tolerance_ms": 100, "max_wait_ms": 250, "on_miss": "hold", "max_hold": 10}
PARAMETERS = {"camera_rate": 20.0, "joint_rate": 60.0}  # of the node `sim`


def light_robot(
    folder: Path, robot: str = "sim_single", change: Callable[[dict[str, Any]], None] | None = None
) -> Path:
    """Write a simulated robot's contract, made light and then changed, into a folder."""
    raw = yaml.safe_load(contract_path(robot).read_text())
    raw |= {"rate_hz": RATE_HZ, "sync": dict(SYNC)}
    for camera in raw["cameras"]:
        camera |= SIZE
    if change is not None:
        change(raw)
    path = folder / f"light_{robot}.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path

"""Calibrations of a follower and a leader, as LeRobot writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
_ROWS = {
    "follower": (
        (-1365, 746, 3477), (-1200, 822, 3211), (-986, 901, 3110), (-1696, 849, 3216), (-375, 135, 3984),
        (1871, 1975, 3565),
    ),
    "leader": (
        (-1196, 725, 3449), (1989, 862, 3253), (-1190, 842, 3047), (1761, 909, 3254), (-678, 139, 3971),
        (1181, 2032, 3288),
    ),
}  # fmt: skip


def calibration(role: str) -> dict[str, dict[str, Any]]:
    """The entries of an arm, by joint."""
    return {
        joint: {"id": i, "drive_mode": 0, "homing_offset": offset, "range_min": low, "range_max": high}
        for i, (joint, (offset, low, high)) in enumerate(zip(JOINTS, _ROWS[role], strict=True), 1)
    }


def write_calibration(role: str, folder: Path) -> Path:
    """Write the file of an arm."""
    path = folder / f"{role}.json"
    path.write_text(json.dumps(calibration(role)), encoding="utf-8")
    return path

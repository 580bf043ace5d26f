"""A glance at an episode file of ours: what a list shows of it, in a third of the time that opening it takes.

It is for files that are as our writer leaves them. Any other is opened by `EpisodeReader`, which says what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgil_ros.episodes import h5, layouts
from vgil_ros.episodes.reading.attributes import read_attributes
from vgil_ros.episodes.reading.cameras import find_cameras
from vgil_ros.episodes.reading.columns import check_column
from vgil_ros.episodes.reading.structure import glimpse

LOOKED_AT = (
    "format", "robot", "task", "rate_hz", "success", "aborted", "stopped", "repaired", "rows_held", "rows_dropped",
    "warnings", "camera_names", "depth_names", "label", "tags", "operator", "object", "scene", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Glance:
    """What was seen.

    Attributes:
        attrs: those asked for that are there.
        rows: T.
        cameras: colour and depth, as `EpisodeReader` orders them.
    """

    attrs: dict[str, Any]
    rows: int
    cameras: tuple[str, ...]


def glance(path: Path, more: tuple[str, ...] = ()) -> Glance | None:
    """Look at a file; None where anything in sight is not as our writer leaves it.

    Args:
        path: the file.
        more: attributes beside `LOOKED_AT`.
    """
    try:
        with h5.open_briefly(path) as file:
            attrs = read_attributes(file, path, (*LOOKED_AT, *more))
            if not str(attrs.get("format", "")).startswith("vgil/"):
                return None
            structure = glimpse(file, path, path.stat().st_size)
            for name in ("observations/qpos", "action"):
                check_column(path, name, structure.datasets[name])
                if structure.disbelief(name):
                    return None
            cameras = find_cameras(structure, path)
            if cameras.unusable:
                return None
    except Exception:  # whatever it is, `EpisodeReader` has words for it
        return None
    names = layouts.camera_order(cameras.colours, attrs.get("camera_names", ()))
    names += layouts.camera_order(cameras.depths, attrs.get("depth_names", ()))
    rows = min(structure.datasets[name].shape[0] for name in ("observations/qpos", "action"))
    return Glance(attrs, rows, names)

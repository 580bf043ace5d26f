"""Summary of one episode: all that the checks of a data set know of it, some tens of kilobytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vgil_ros.datasets.quality.features.look import Look, look_at
from vgil_ros.datasets.quality.features.motion import ASSUMED_HZ, Motion, grippers_of, motion_of
from vgil_ros.episodes.view import Episode


@dataclass(frozen=True, eq=False)
class Summary:
    """One episode.

    Attributes:
        number: its place in the data set. name: by which the data set knows it.
        rows: T. rate_hz: None where it is not stored.
        task, success, operator, created, seed: as stated, or None; `seed` is the simulated scene's.
        joints: names of qpos' columns. grippers: those of them that are grippers.
        motion: None where too few rows hold numbers.
        looks: by camera.
    """

    number: int
    name: str
    rows: int
    rate_hz: float | None
    task: str | None
    success: bool | None
    operator: str | None
    created: str | None
    seed: str | None
    joints: tuple[str, ...]
    grippers: tuple[int, ...]
    motion: Motion | None
    looks: dict[str, Look]

    @property
    def rate(self) -> float:
        """Rows a second, the usual where it is not stored."""
        return self.rate_hz or ASSUMED_HZ

    def column(self, index: int) -> str:
        """A column's name."""
        return self.joints[index] if index < len(self.joints) else f"column {index}"


def summarise(episode: Episode, number: int, name: str) -> Summary:
    """Go through an open episode once; in memory are its numbers, and one image at a time."""
    looks = {}
    for camera in episode.camera_names:
        look = look_at(episode, camera)
        if look is not None:
            looks[camera] = look
    columns = episode.qpos.shape[1] if episode.qpos.ndim == 2 else 0
    return Summary(
        number=number,
        name=name,
        rows=episode.rows,
        rate_hz=episode.rate_hz,
        task=episode.task,
        success=episode.success,
        operator=_text(episode.attrs.get("operator")),
        created=_text(episode.attrs.get("created")),
        seed=_text(episode.attrs.get("seed")),
        joints=tuple(episode.joint_names or (f"column {i}" for i in range(columns))),
        grippers=grippers_of(episode),
        motion=motion_of(episode),
        looks=looks,
    )


def _text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None

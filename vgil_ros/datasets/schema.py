"""What the episodes of a data set have in common: a layout of tables holds one kind of row, so all must agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgil_ros.core.config import StrictModel
from vgil_ros.episodes.convert import KEPT
from vgil_ros.episodes.view import Episode

BESIDE = ("qvel", "effort", "base_vel", "base_action")  # numbers that an episode may lack: NaN in its rows then
FLAGS = ("intervention", "actor")  # numbers that an episode may lack: 0 in its rows then, see `Shape.told`
WANTED = ("policy_action", "human_action")
SYNC = ("skew_ns", "flags", "arrival_ns")


class Shape(StrictModel):
    """One episode's shape; of a data set, that of its first episode, with the columns of any.

    Attributes:
        rate_hz: rows a second. state, action: columns of qpos and action.
        cameras: height and width by name. columns: numbers beside state and action.
        streams: columns of the sync datasets; none where they are not stored.
        success: whether any episode says so.
        robot, contract: None where episodes are of several; each says its own then.
        action_names: of the columns of action, where they may differ from the joints'.
    """

    rate_hz: float | None
    state: int
    action: int
    joint_names: tuple[str, ...] | None
    cameras: dict[str, tuple[int, int]]
    columns: tuple[str, ...]
    streams: tuple[str, ...]
    success: bool
    robot: str | None
    contract: str | None
    action_names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, episode: Episode, rate_hz: float | None) -> Shape:
        """The shape of an open episode, `rate_hz` where it does not store its rate.

        Raises:
            EpisodeError: its first images cannot be read.
        """
        sizes = {name: episode.image(name, 0).shape[:2] for name in episode.camera_names} if episode.rows else {}
        synced = bool(episode.streams) and episode.skew_ns is not None and episode.flags is not None
        every = (*BESIDE, *FLAGS, *WANTED, "stamp_ns")
        beside = [name for name in every if getattr(episode, name) is not None]
        beside += [name for name in SYNC if synced and getattr(episode, name) is not None]
        return cls(
            rate_hz=episode.rate_hz or rate_hz,
            state=episode.qpos.shape[1],
            action=episode.action.shape[1],
            joint_names=episode.joint_names,
            cameras={name: (int(size[0]), int(size[1])) for name, size in sizes.items()},
            columns=tuple(beside),
            streams=episode.streams if synced else (),
            success=episode.success is not None,
            robot=episode.robot,
            contract=str(episode.attrs["contract"]) if "contract" in episode.attrs else None,
            action_names=names
            if len(names := episode.attrs.get("action_names", ())) == episode.action.shape[1]
            else None,
        )

    def told(self, episode: Episode) -> dict[str, Any]:
        """What an episode says of its making beside the shape of all, as far as JSON holds it.

        One with `intervention` of its own is a rollout, also where its file was repaired and does not say so: one
        without gets that column too where another has it (`FLAGS`), and must still be known as a demonstration.
        """
        kept = {key: episode.attrs[key] for key in (*KEPT, "created", "warnings") if key in episode.attrs}
        if episode.intervention is not None:
            kept.setdefault("rollout", True)
        if episode.stamp_ns is None:
            kept["stamps"] = "nominal"
        if self.contract is None and "contract" in episode.attrs:
            kept["contract"] = str(episode.attrs["contract"])
        if self.robot is None and episode.robot is not None:
            kept["robot"] = episode.robot
        return {key: value for key, one in kept.items() if (value := _plain(one)) is not None}

    def differs(self, other: Shape) -> str | None:
        """What of another episode does not fit into one table with this one, in words."""
        for what in ("rate_hz", "state", "action", "joint_names", "cameras"):
            ours, theirs = getattr(self, what), getattr(other, what)
            if ours != theirs and not (what == "joint_names" and None in (ours, theirs)):
                return f"{what} is {_short(theirs)}; the first episode has {_short(ours)}"
        return None

    def with_another(self, other: Shape) -> Shape:
        """The shape of both: numbers that one of them has, sync and stamps that both have."""
        names = [n for n in (*BESIDE, *FLAGS, *WANTED) if n in self.columns or n in other.columns]
        both = set(self.columns) & set(other.columns)
        same = self.streams == other.streams
        names += [name for name in ("stamp_ns", *(SYNC if same else ())) if name in both]
        return self.model_copy(
            update={
                "columns": tuple(names),
                "streams": self.streams if same else (),
                "success": self.success or other.success,
                "joint_names": self.joint_names or other.joint_names,
                "robot": self.robot if self.robot == other.robot else None,
                "contract": self.contract if self.contract == other.contract else None,
                "action_names": self.action_names if self.action_names == other.action_names else None,
            }
        )


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, tuple):
        value = list(value)
    return value if isinstance(value, (str, int, float, bool, list)) else None


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {height}x{width}" for name, (height, width) in value.items()) + "}"
    return repr(value)

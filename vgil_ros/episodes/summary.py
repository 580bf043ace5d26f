"""One episode in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from vgil_ros.core.control.takeover import Actor
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader


def describe(episode: EpisodeReader) -> dict[str, Any]:
    """Return what an episode says of itself: its attributes, datasets, ranges of joints, cameras."""
    names = episode.joint_names or tuple(f"column {i}" for i in range(episode.qpos.shape[-1]))
    attributes = {key: value for key, value in episode.attrs.items() if key != "contract"}
    ended = {} if episode.aborted is None else {"aborted": episode.aborted}  # before all the rest
    return {
        "file": str(episode.path),
        **ended,
        "layout": episode.layout,
        "rows": episode.rows,
        "seconds": episode.seconds,
        "action_alignment": episode.action_alignment,
        **_acting(episode),
        "attributes": {key: _plain(value) for key, value in attributes.items()},
        "cameras": {name: _camera(episode, name) for name in episode.camera_names},
        "depth": list(episode.depth_names),
        "vectors": {
            name: [_range(values, i) for i in range(values.shape[1])]
            for name, values in ((name, episode.vector(name)) for name in episode.vector_names)
        },
        "joints": {
            name: {"qpos": _range(episode.qpos, i), "action": _range(episode.action, i)} for i, name in enumerate(names)
        },
        "datasets": {
            name: f"{stored.dtype}{stored.shape}" for name, stored in sorted(episode.structure.datasets.items())
        },
    }


def _acting(episode: EpisodeReader) -> dict[str, Any]:
    """Of a rollout that a human could take over: rows of each actor, and how often the human led."""
    actor, intervention = episode.actor, episode.intervention
    if actor is None or intervention is None:
        return {}
    rows = {one.words: int((actor == one).sum()) for one in Actor}
    began = np.diff(np.concatenate([[0], intervention.astype(np.int8)])) == 1
    return {"takeover": {"interventions": int(began.sum()), "intervention_rows": int(intervention.sum()), **rows}}


def _camera(episode: EpisodeReader, name: str) -> dict[str, Any]:
    if reason := episode.unusable.get(episode.place(name)):
        return {"unusable": reason}
    jpeg = episode.is_jpeg(name)
    try:
        size = list(episode.image(name, 0).shape[:2]) if episode.rows else None
    except EpisodeError as error:
        return {"unusable": str(error).removeprefix(f"{episode.path}: ")}
    return {"size": size, "stored": "jpeg" if jpeg else "raw", "jpeg_order": episode.jpeg_order(name) if jpeg else None}


def _range(values: np.ndarray, column: int) -> list[float] | None:
    if values.ndim != 2 or column >= values.shape[1] or not len(values):
        return None
    return [float(values[:, column].min()), float(values[:, column].max())]


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, tuple, list)):
        return [_plain(x) for x in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)

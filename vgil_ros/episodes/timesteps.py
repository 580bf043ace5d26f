"""An episode's rows as dm_env TimeSteps, images decoded when they are looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import dm_env
import h5py
import numpy as np

from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reading.attributes import read_attributes
from vgil_ros.episodes.reading.structure import Structure

FINAL = "final_observation"


class EpisodeRows(Protocol):
    """What is read of an open episode; `EpisodeReader` is one. Arrays are (T, ...), None where nothing was measured."""

    path: Path
    file: h5py.File
    structure: Structure
    rows: int
    camera_names: tuple[str, ...]
    depth_names: tuple[str, ...]
    vector_names: tuple[str, ...]

    def vector(self, name: str) -> np.ndarray:
        """(T, n) float64."""
        ...

    @property
    def qpos(self) -> np.ndarray:
        """(T, D) rad."""

    @property
    def qvel(self) -> np.ndarray | None:
        """(T, D) rad/s."""

    @property
    def effort(self) -> np.ndarray | None:
        """(T, D) as the robot gives it."""

    @property
    def base_vel(self) -> np.ndarray | None:
        """(T, 2) [m/s, rad/s]."""

    def image(self, camera: str, row: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""

    def depth(self, camera: str, row: int) -> np.ndarray:
        """(H, W) uint16 mm."""

    def final_image(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the observation after the last action."""

    def dataset(self, name: str) -> np.ndarray | None:
        """A small dataset by its path."""


class LazyImages(Mapping[str, np.ndarray]):
    """Images of one moment by camera, read from the open file each time."""

    def __init__(self, names: tuple[str, ...], read: Callable[[str], np.ndarray]) -> None:
        self._names, self._read = names, read

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def timesteps_of(episode: EpisodeRows) -> list[dm_env.TimeStep]:
    """Return FIRST, MID, ..., LAST.

    T+1 of them where the final observation is stored. The peers drop it, and a repaired episode has lost it: then
    there are T, and the last row is LAST. Rewards and discounts are None where the file has none.
    """
    reward, discount = _column(episode, "reward"), _column(episode, "discount")
    out = [
        dm_env.TimeStep(dm_env.StepType.MID, reward[t], discount[t], _observation(episode, t))
        for t in range(episode.rows)
    ]
    if FINAL in episode.structure.groups:
        attributes = read_attributes(episode.file[FINAL], episode.path)
        values = [_number(attributes.get(key, np.nan)) for key in ("reward", "discount")]
        out.append(dm_env.TimeStep(dm_env.StepType.LAST, *values, _final(episode)))
    if out:
        out[-1] = out[-1]._replace(step_type=dm_env.StepType.LAST)
        out[0] = out[0]._replace(step_type=dm_env.StepType.FIRST)
    return out


def _column(episode: EpisodeRows, key: str) -> list[float | None]:
    values = episode.dataset(f"timesteps/{key}")
    return [None] * episode.rows if values is None else [_number(value) for value in values]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _observation(episode: EpisodeRows, row: int) -> OrderedDict[str, Any]:
    out: OrderedDict[str, Any] = OrderedDict(qpos=episode.qpos[row])
    for key in ("qvel", "effort"):
        if (values := getattr(episode, key)) is not None:
            out[key] = values[row]
    if episode.camera_names:
        out["images"] = LazyImages(episode.camera_names, lambda name: episode.image(name, row))
    if episode.depth_names:
        out["depth"] = LazyImages(episode.depth_names, lambda name: episode.depth(name, row))
    if episode.vector_names:
        out["vectors"] = OrderedDict((name, episode.vector(name)[row]) for name in episode.vector_names)
    if episode.base_vel is not None:
        out["base_vel"] = episode.base_vel[row]
    return out


def _final(episode: EpisodeRows) -> OrderedDict[str, Any]:
    known = ((key, episode.dataset(f"{FINAL}/{key}")) for key in ("qpos", "qvel", "effort", "base_vel"))
    values = {key: value for key, value in known if value is not None}
    out: OrderedDict[str, Any] = OrderedDict((k, values[k]) for k in ("qpos", "qvel", "effort") if k in values)
    if episode.camera_names:
        out["images"] = LazyImages(episode.camera_names, episode.final_image)
    if episode.depth_names:
        out["depth"] = LazyImages(episode.depth_names, lambda name: _final_depth(episode, name))
    vectors = ((name, episode.dataset(f"{FINAL}/{name}")) for name in episode.vector_names)
    if known_vectors := OrderedDict((name, value) for name, value in vectors if value is not None):
        out["vectors"] = known_vectors
    if "base_vel" in values:
        out["base_vel"] = values["base_vel"]
    return out


def _final_depth(episode: EpisodeRows, name: str) -> np.ndarray:
    image = episode.dataset(f"{FINAL}/images_depth/{name}")
    if image is None:
        raise EpisodeError(f"{episode.path}: lacks {FINAL}/images_depth/{name}")
    return image

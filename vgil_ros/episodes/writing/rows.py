"""One TimeStep to one row: held against the episode's meta, so that a wrong value is named before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dm_env
import numpy as np

from vgil_ros.core.frame import COLOR_ENCODINGS, DEPTH_FILES, FILE_ENCODINGS, Frame
from vgil_ros.core.frame import DEPTH_ENCODINGS as DEPTH
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.meta import CameraMeta, EpisodeMeta
from vgil_ros.episodes.reading.columns import ACTING
from vgil_ros.episodes.schema import STAMPS

_WORDS = {"qvel": "velocity", "effort": "effort"}
BESIDE = ("qvel", "effort")  # measured beside the state: a row without them is still a row


def small_values(
    meta: EpisodeMeta,
    step: dm_env.TimeStep,
    action: np.ndarray | None,
    *,
    stamp_ns: int,
    skew_ns: Sequence[int] | np.ndarray,
    flags: Sequence[int] | np.ndarray,
    base_action: np.ndarray | None,
    arrival_ns: Sequence[int] | np.ndarray = (),
    beside: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a row's small arrays by dataset; actions are left out of the last one.

    Velocity and effort that the first row had are NaN where this one has none; others are left out.

    Raises:
        EpisodeError: naming a value that is missing, not expected, or of another shape than the meta's.
    """
    wanted = {"qpos": meta.dim}
    wanted.update({"qvel": meta.dim} if meta.has_velocity else {})
    wanted.update({"effort": meta.dim} if meta.has_effort else {})
    wanted.update({"base_vel": 2} if meta.has_base_velocity else {})
    observation = {**dict.fromkeys(BESIDE, np.full(meta.dim, np.nan)), **step.observation}
    measured = [
        key for key in ("qpos", *BESIDE, "base_vel") if key in observation and (key not in BESIDE or key in wanted)
    ]
    if measured != list(wanted):
        raise EpisodeError(f"the observation has {measured}; this episode has {list(wanted)}, from its first row on")
    values: dict[str, Any] = {
        f"observations/{key}": _vector(key, observation[key], size) for key, size in wanted.items()
    }
    values |= _vectors(meta, observation.get("vectors", {}))
    if action is not None:
        values["action"] = _vector("action", action, meta.dim)
        if meta.has_base:
            given = observation.get("base_vel") if base_action is None else base_action
            if given is None:
                raise EpisodeError("base_action is missing, and the base's velocity is not measured; allowed: (2,)")
            values["base_action"] = _vector("base_action", given, 2)
        values |= _acting(meta, beside or {})
    if meta.streams:
        values["sync/skew_ns"] = _vector("skew_ns", skew_ns, len(meta.streams), np.int64)
        values["sync/flags"] = _vector("flags", flags, len(meta.streams), np.uint8)
        known = arrival_ns if len(arrival_ns) else np.zeros(len(meta.streams))
        values["sync/arrival_ns"] = _vector("arrival_ns", known, len(meta.streams), np.int64)
    values["timesteps/step_type"] = int(step.step_type)
    values["timesteps/reward"] = np.nan if step.reward is None else step.reward
    values["timesteps/discount"] = np.nan if step.discount is None else step.discount
    values[STAMPS] = int(stamp_ns)
    return values


def _acting(meta: EpisodeMeta, given: Mapping[str, Any]) -> dict[str, Any]:
    """Who acted; an action that there was none of is NaN."""
    wanted = ACTING if meta.has_takeover else ()
    if set(given) != set(wanted):
        raise EpisodeError(f"beside the action are {sorted(given)}; this episode has {sorted(wanted)}")
    if not wanted:
        return {}
    nothing = np.full(meta.dim, np.nan)
    flags = {name: int(given[name]) for name in ACTING[:2]}
    actions = ((name, nothing if given[name] is None else given[name]) for name in ACTING[2:])
    return flags | {name: _vector(name, values, meta.dim) for name, values in actions}


def _vectors(meta: EpisodeMeta, given: Mapping[str, Any]) -> dict[str, Any]:
    if set(given) != set(meta.vector_names):
        names = [sorted(given), sorted(meta.vector_names)]
        raise EpisodeError(f"vectors are {names[0]}; this episode has {names[1]}, from its first row on")
    return {f"observations/{v.name}": _vector(v.name, given[v.name], v.size, np.float64) for v in meta.vectors}


class BesideCounts:
    """Counts in how many rows velocity and effort were not measured, joint by joint, and where they came too late."""

    def __init__(self, meta: EpisodeMeta) -> None:
        self._meta = meta
        self._rows = 0
        here = {"qvel": meta.has_velocity, "effort": meta.has_effort}
        self._missing = {key: np.zeros(meta.dim, np.int64) for key in BESIDE if here[key]}
        self._late = {key: 0 for key in BESIDE if not here[key]}

    def add(self, observation: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """A row was taken: what was measured, and what is written of it."""
        self._rows += 1
        for key, counts in self._missing.items():
            counts += np.isnan(values[f"observations/{key}"])
        for key in self._late:
            self._late[key] += key in observation

    def late(self) -> str:
        """In words: what was measured, though not in the first row, and so is not written; "" where nothing."""
        found = [f"{_WORDS[key]} in {n} of {self._rows} rows" for key, n in self._late.items() if n]
        return _not_recorded(found) if found else ""

    def words(self) -> tuple[str, ...]:
        """Everything in words, arm by arm."""
        found: dict[tuple[str, str, int], list[str]] = {}
        for key, counts in self._missing.items():
            for name, count in zip(self._meta.joint_names, counts.tolist(), strict=True):
                arm, _, joint = name.rpartition("/")
                if count:
                    found.setdefault((arm, _WORDS[key], count), []).append(joint)
        lines = [_not_measured(*where, self._rows, joints) for where, joints in found.items()]
        return (*lines, *filter(None, [self.late()]))


def damaged(reasons: list[str]) -> str:
    """In words: rows that are left out because an image of theirs does not decode; "" where none is."""
    if not reasons:
        return ""
    return f"{len(reasons)} row{'s' if len(reasons) > 1 else ''} whose image is damaged: {reasons[0]}"


def _not_recorded(found: list[str]) -> str:
    return f"{', '.join(found)}: not recorded, as the first row had none"


def _not_measured(arm: str, what: str, count: int, rows: int, joints: list[str]) -> str:
    if count == rows:
        return f"{arm}/puppet: {what} of {joints} is not measured (NaN in the file)"
    return f"{arm}/puppet: {what} of {joints} is not measured in {count} of {rows} rows (NaN in the file)"


def _vector(key: str, value: Any, size: int, dtype: type = np.float32) -> np.ndarray:
    out: np.ndarray = np.array(value, dtype)  # a copy: the caller may use its array again
    if out.shape != (size,):
        raise EpisodeError(f"{key} has shape {out.shape}; allowed: ({size},)")
    return out


def images(cameras: tuple[CameraMeta, ...], given: Mapping[str, Any], what: str) -> list[Frame | np.ndarray]:
    """Return one image for each camera, in the meta's order.

    Raises:
        EpisodeError: naming the camera that is missing, not expected, or of another size or encoding.
    """
    names = [camera.name for camera in cameras]
    if set(given) != set(names):
        raise EpisodeError(f"{what} are {sorted(given)}; this episode has {sorted(names)}, from its first row on")
    for camera in cameras:
        _check_image(camera, given[camera.name])
    return [given[name] for name in names]


def _check_image(camera: CameraMeta, image: Frame | np.ndarray) -> None:
    if isinstance(image, Frame):
        try:
            image.check(camera.height, camera.width, _allowed(camera))
        except Exception as error:
            raise EpisodeError(f"{camera.name}: {error}") from error
        return
    size = (camera.height, camera.width)
    shape, dtype = (size, np.uint16) if camera.storage is None else ((*size, 3), np.uint8)
    if camera.storage == "passthrough" or image.shape != shape or image.dtype != dtype:
        wanted = "a JPEG frame" if camera.storage == "passthrough" else f"{np.dtype(dtype)} {shape}"
        raise EpisodeError(f"{camera.name}: image is {image.dtype} {image.shape}; allowed: {wanted}")


def _allowed(camera: CameraMeta) -> tuple[str, ...]:
    if camera.storage is None:
        return (*DEPTH, *DEPTH_FILES)
    return ("jpeg",) if camera.storage == "passthrough" else (*COLOR_ENCODINGS, *FILE_ENCODINGS)

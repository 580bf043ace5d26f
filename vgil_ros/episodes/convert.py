"""An episode of any layout as a new file in another: ours, or one of the peers'."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import h5py
import numpy as np

from vgil_ros.episodes import h5, naming
from vgil_ros.episodes.curation.labels import LABELLED, tags_of
from vgil_ros.episodes.errors import EpisodeError, WriteFailed, naming_file
from vgil_ros.episodes.meta import DEFAULT_QUALITY, CameraMeta, EpisodeMeta, Storage, VectorMeta
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.reading.columns import ACTING
from vgil_ros.episodes.schema import FINAL, RowFile, RowSchema, columns, finish
from vgil_ros.episodes.view import Episode
from vgil_ros.episodes.writing.peers import PEERS, Progress, peers_jpeg, write_peer

Target = Literal["vgil", "aloha", "mobile_aloha", "act_plus_plus", "cobot_magic"]
KEPT = (  # what an episode says of its making
    "success",
    "aborted",
    "stopped",
    "repaired",
    "rows_held",
    "rows_dropped",
    "left_out",
    "final_left_out",
    "rollout",
    "seed",
    "stamps",
    *LABELLED,
)
REWARDS = ("timesteps/reward", "timesteps/discount")  # of TimeSteps; NaN where one has none
MOST_RATE = 100_000  # Hz
FLUSHED = 32  # rows, which are in memory with their images until then
TARGETS: tuple[str, ...] = get_args(Target)


def convert(
    episode: Episode,
    out: Path,
    target: Target,
    *,
    rate_hz: float | None = None,
    quality: int = DEFAULT_QUALITY,
    storage: Literal["jpeg", "raw"] = "jpeg",
    progress: Progress = iter,
) -> Path:
    """Write an episode in another layout. Actions are stored so that its trainer pairs them with their observations.

    JPEGs that are in the peers' order stay byte for byte where the target stores JPEG; all else is decoded first.

    Args:
        episode: what to convert.
        out: the new file; it must not exist.
        target: "vgil", or a layout in `PEERS`: raw images ("aloha", "cobot_magic") or JPEG.
        rate_hz: for "vgil", where the episode does not store its rate.
        quality: of JPEGs that are encoded anew.
        storage: for "vgil", how images are stored; the peers' layouts have their own way.
        progress: wraps the rows.

    Raises:
        EpisodeError: for an unknown target, a file that exists, or a rate that nobody knows.
        WriteFailed: where the file cannot be written.
    """
    if target not in TARGETS:
        raise EpisodeError(f"target is '{target}'; allowed: {list(TARGETS)}")
    if episode.rows == 0:
        raise EpisodeError(f"{episode.path}: has no row to convert")
    for place, reason in episode.unusable.items():
        raise EpisodeError(f"{episode.path}: {place} {reason}")
    if out.exists():
        raise EpisodeError(f"{out}: is there already; nothing is ever overwritten")
    with naming_file(episode.path, "converted"):
        try:
            with _half_of(out) as half:
                if target == "vgil":
                    _to_vgil(episode, half, rate_hz, quality, storage, progress)
                else:
                    write_peer(episode, half, PEERS[target], quality, progress)
                naming.publish(half, out)
        except OSError as error:
            raise WriteFailed(f"{out}: cannot be written ({error})") from error
    return out


@contextlib.contextmanager
def _half_of(out: Path) -> Iterator[Path]:
    """Make the hidden file that becomes a new one, held by this process alone; what a killed one left there is lost."""
    half = out.with_name(f".{out.name}{naming.HALF}")
    try:
        handle = naming.lock(half)
    except BlockingIOError as error:
        raise EpisodeError(f"{out}: another process makes this file; allowed: one at a time, let it end") from error
    try:
        yield half
    finally:
        half.unlink(missing_ok=True)
        os.close(handle)


def left_out(episode: Episode, target: Target) -> tuple[str, ...]:
    """Return what of an episode a layout has no place for."""
    if target == "vgil":
        return ()
    beside = tuple(f"vector {name}" for name in episode.vector_names)
    depth = () if PEERS[target].depth else tuple(f"depth images of {name}" for name in episode.depth_names)
    depth += beside
    if episode.intervention is not None:
        depth += ("who acted (intervention, actor), and what policy and human wanted",)
    return depth if episode.aborted is None else (*depth, f"the word that it was aborted ({episode.aborted})")


def _to_vgil(
    episode: Episode, part: Path, rate_hz: float | None, quality: int, storage: Storage, progress: Progress
) -> None:
    rate = episode.rate_hz or rate_hz
    if rate is None:
        raise EpisodeError(f"{episode.path}: the layout '{episode.layout}' stores no rate; say it (--rate)")
    if not (math.isfinite(rate) and 0 < rate <= MOST_RATE):
        raise EpisodeError(f"{episode.path}: rate is {rate} Hz; allowed: above 0, up to {MOST_RATE}")
    meta = _meta(episode, rate, quality, storage)
    rewards = _rewards(episode)
    file = RowFile(part, meta)
    try:
        for row in progress(range(episode.rows)):
            images: tuple[bytes | np.ndarray, ...] = tuple(
                episode.image(name, row) if storage == "raw" else peers_jpeg(episode, name, row, quality)
                for name in episode.camera_names
            )
            depths = tuple(episode.depth(name, row) for name in episode.depth_names)
            beside = {name: values[row] for name, values in rewards.items()}
            file.append(RowSchema(_values(episode, row, meta, rate) | beside, images, depths))
            if row % FLUSHED == FLUSHED - 1:
                file.flush()
        file.close()
    except BaseException:
        file.abandon()
        raise
    attributes: dict[str, object] = {"converted": f"{episode.layout}: {episode.path.name}"}
    if episode.stamp_ns is None:
        attributes["stamps"] = "nominal"  # row times period: the layout stores no stamps
    attributes |= {key: episode.attrs[key] for key in KEPT if key in episode.attrs}
    if "tags" in attributes:
        attributes["tags"] = h5.text_array(tags_of(attributes))
    if episode.warnings:
        attributes["warnings"] = h5.text_array(episode.warnings)
    if meta.streams and "min_delay_ms" in episode.attrs:  # one for each of them
        attributes["min_delay_ms"] = episode.attrs["min_delay_ms"]
    finish(part, attributes, None, meta, _later_tasks(episode, rate))
    with h5.amend(part) as written:
        if "created" in episode.attrs:
            written.attrs["created"] = episode.attrs["created"]
        if isinstance(episode, EpisodeReader) and episode.layout == "vgil" and FINAL in episode.structure.groups:
            _copy_final(episode, written)


def _later_tasks(episode: Episode, rate: float) -> list[tuple[int, str]]:
    """(stamp_ns of its first row, words) of each task that came after the first one."""
    tasks, stamps = episode.row_tasks(), episode.stamp_ns
    before = (episode.task or "", *tasks)
    return [
        (_stamp(row, rate) if stamps is None else int(stamps[row]), task)
        for row, task in enumerate(tasks)
        if task != before[row]
    ]


def _stamp(row: int, rate: float) -> int:
    """The stamp (ns) of a row whose layout stores none."""
    return round(row * 1e9 / rate)


def _copy_final(episode: EpisodeReader, written: h5py.File) -> None:
    """The last observation as it is: its images say themselves in which order they decode."""
    for path in episode.structure.datasets:
        if path.startswith(f"{FINAL}/") and (reason := episode.structure.disbelief(path)):
            raise EpisodeError(f"{episode.path}: {path} {reason}")
    episode.file.copy(FINAL, written)


def _meta(episode: Episode, rate: float, quality: int, storage: Storage) -> EpisodeMeta:
    width = episode.qpos.shape[1]
    if episode.action.shape[1] != width:
        raise EpisodeError(f"{episode.path}: actions have {episode.action.shape[1]} columns; qpos has {width}")
    return EpisodeMeta(
        robot=episode.robot or episode.layout,
        contract=str(episode.attrs.get("contract", "")),
        rate_hz=rate,
        streams=episode.streams if episode.skew_ns is not None else (),
        joint_names=episode.joint_names or tuple(f"joint_{i}" for i in range(width)),
        cameras=tuple(_camera(n, episode.image(n, 0), storage) for n in episode.camera_names),
        depths=tuple(_camera(n, episode.depth(n, 0), None) for n in episode.depth_names),
        has_velocity=episode.qvel is not None,
        has_effort=episode.effort is not None,
        has_base=episode.base_action is not None,
        has_base_velocity=episode.base_vel is not None,
        task=episode.task or "",
        quality=quality,
        vectors=tuple(VectorMeta(n, episode.vector(n).shape[1]) for n in episode.vector_names),
        has_takeover=all(getattr(episode, name) is not None for name in ACTING),
    )


def _camera(name: str, image: np.ndarray, storage: Storage | None) -> CameraMeta:
    return CameraMeta(name, image.shape[0], image.shape[1], storage)


def _values(episode: Episode, row: int, meta: EpisodeMeta, rate: float) -> dict[str, object]:
    known = {
        "observations/qpos": episode.qpos,
        "observations/qvel": episode.qvel,
        "observations/effort": episode.effort,
        "observations/base_vel": episode.base_vel,
        **{f"observations/{name}": episode.vector(name) for name in episode.vector_names},
        "base_action": episode.aligned_base_action(),
        "action": episode.aligned_action(),
        **{name: getattr(episode, name) for name in ACTING if meta.has_takeover},
        "sync/stamp_ns": episode.stamp_ns,
        "sync/skew_ns": episode.skew_ns,
        "sync/flags": episode.flags,
        "sync/arrival_ns": episode.arrival_ns,
    }
    made: dict[str, object] = {"sync/stamp_ns": _stamp(row, rate), "timesteps/step_type": min(row, 1)}
    made["sync/arrival_ns"] = np.zeros(len(meta.streams), np.int64)
    unknown = {name: np.full(shape, np.nan) for name, (shape, _) in columns(meta).items()}
    return {**unknown, **made, **{name: values[row] for name, values in known.items() if values is not None}}


def _rewards(episode: Episode) -> dict[str, np.ndarray]:
    """(T,) rewards and discounts, of our own file alone: other layouts store none."""
    if not isinstance(episode, EpisodeReader) or episode.layout != "vgil":
        return {}
    stored = {name: episode.dataset(name) for name in REWARDS}
    return {name: values for name, values in stored.items() if values is not None and len(values) >= episode.rows}

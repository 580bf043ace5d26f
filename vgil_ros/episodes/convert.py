"""An episode of any layout as a new file in another: ours, ALOHA's (raw) or Mobile ALOHA's (JPEG)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

import h5py
import numpy as np

from vgil_ros.episodes import h5, image_codec, naming
from vgil_ros.episodes.errors import EpisodeError, WriteFailed
from vgil_ros.episodes.meta import DEFAULT_QUALITY, CameraMeta, EpisodeMeta, Storage
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.schema import RowFile, RowSchema, columns, finish, write_image, write_jpeg

Target = Literal["vgil", "aloha", "mobile_aloha"]
TARGETS: tuple[str, ...] = get_args(Target)
Progress = Callable[[Iterable[int]], Iterable[int]]


def convert(
    episode: EpisodeReader,
    out: Path,
    target: Target,
    *,
    rate_hz: float | None = None,
    quality: int = DEFAULT_QUALITY,
    progress: Progress = iter,
) -> Path:
    """Write an episode in another layout. Actions are stored aligned with their observations, so no reader shifts them.

    JPEGs that are in the peers' order stay byte for byte where the target stores JPEG; all else is decoded first.

    Args:
        episode: what to convert.
        out: the new file; it must not exist.
        target: "vgil", "aloha" (raw images) or "mobile_aloha" (JPEG).
        rate_hz: for "vgil", where the episode does not store its rate.
        quality: of JPEGs that are encoded anew.
        progress: wraps the rows.

    Raises:
        EpisodeError: for an unknown target, a file that exists, or a rate that nobody knows.
        WriteFailed: where the file cannot be written.
    """
    if target not in TARGETS:
        raise EpisodeError(f"target is '{target}'; allowed: {list(TARGETS)}")
    if episode.rows == 0:
        raise EpisodeError(f"{episode.path}: has no row to convert")
    part = out.with_name(out.name + naming.PART)
    if out.exists() or part.exists():
        raise EpisodeError(f"{out}: is there already; nothing is ever overwritten")
    try:
        if target == "vgil":
            _to_vgil(episode, part, rate_hz, quality, progress)
        else:
            _to_peer(episode, part, target == "mobile_aloha", quality, progress)
        naming.publish(part, out)
    except OSError as error:
        raise WriteFailed(f"{out}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)
    return out


def _image(episode: EpisodeReader, name: str, row: int, quality: int) -> bytes:
    """Return a JPEG in the peers' order."""
    if episode.is_jpeg(name) and episode.jpeg_order(name) == "bgr":
        return episode.jpeg(name, row).tobytes().rstrip(b"\0")
    return image_codec.encode(episode.image(name, row), quality)


def _to_peer(episode: EpisodeReader, part: Path, compress: bool, quality: int, progress: Progress) -> None:
    names, rows = episode.camera_names, episode.rows
    with h5py.File(part, "w-", locking=False) as file:
        # `sim` tells the peers' readers not to shift actions: ours are aligned
        file.attrs.update({"sim": True, "compress": compress})
        for key, values in (("qpos", episode.qpos), ("qvel", episode.qvel), ("effort", episode.effort)):
            if values is not None:
                file[f"observations/{key}"] = values[:rows].astype(np.float32)
        file["action"] = episode.aligned_action()[:rows].astype(np.float32)
        if episode.base_action is not None:
            file["base_action"] = episode.base_action[:rows].astype(np.float32)
        made = [_peer_images(file, episode, name, compress) for name in names]
        lengths, longest = np.zeros((len(names), rows), np.float32), 1
        for row in progress(range(rows)):
            for i, (name, dataset) in enumerate(zip(names, made, strict=True)):
                if not compress:
                    write_image(dataset, row, episode.image(name, row))
                    continue
                data = _image(episode, name, row, quality)
                lengths[i, row], longest = len(data), max(longest, len(data))
                dataset.id.set_extent((row + 1, max(longest, dataset.shape[1])))
                write_jpeg(dataset, row, data)
        if compress:
            for dataset in made:  # padded to the longest of all cameras
                dataset.id.set_extent((rows, longest))
            file["compress_len"] = lengths


def _peer_images(file: h5py.File, episode: EpisodeReader, name: str, compress: bool) -> h5py.Dataset:
    group = file.require_group("observations/images")
    if compress:
        return group.create_dataset(name, (0, 0), np.uint8, maxshape=(None, None), chunks=(1, 4096))
    size = episode.image(name, 0).shape
    return group.create_dataset(name, (0, *size), np.uint8, maxshape=(None, *size), chunks=(1, *size))


def _to_vgil(episode: EpisodeReader, part: Path, rate_hz: float | None, quality: int, progress: Progress) -> None:
    rate = episode.rate_hz or rate_hz
    if rate is None:
        raise EpisodeError(f"{episode.path}: the layout '{episode.layout}' stores no rate; say it (--rate)")
    meta = _meta(episode, rate, quality)
    file = RowFile(part, meta)
    try:
        for row in progress(range(episode.rows)):
            images = tuple(_image(episode, name, row, quality) for name in episode.camera_names)
            depths = tuple(episode.depth(name, row) for name in episode.depth_names)
            file.append(RowSchema(_values(episode, row, meta, rate), images, depths))
            if row % 100 == 99:
                file.flush()
        file.close()
    except BaseException:
        file.abandon()
        raise
    attributes: dict[str, object] = {"converted": f"{episode.layout}: {episode.path.name}"}
    if episode.stamp_ns is None:
        attributes["stamps"] = "nominal"  # row times period: the layout stores no stamps
    if episode.success is not None:
        attributes["success"] = episode.success
    finish(part, attributes, None, meta)
    with h5.amend(part) as written:
        if "created" in episode.attrs:
            written.attrs["created"] = episode.attrs["created"]


def _meta(episode: EpisodeReader, rate: float, quality: int) -> EpisodeMeta:
    width = episode.qpos.shape[1]
    if episode.action.shape[1] != width:
        raise EpisodeError(f"{episode.path}: actions have {episode.action.shape[1]} columns; qpos has {width}")
    return EpisodeMeta(
        robot=episode.robot or episode.layout,
        contract=str(episode.attrs.get("contract", "")),
        rate_hz=rate,
        streams=episode.streams if episode.skew_ns is not None else (),
        joint_names=episode.joint_names or tuple(f"joint_{i}" for i in range(width)),
        cameras=tuple(_camera(n, episode.image(n, 0), "jpeg") for n in episode.camera_names),
        depths=tuple(_camera(n, episode.depth(n, 0), None) for n in episode.depth_names),
        has_velocity=episode.qvel is not None,
        has_effort=episode.effort is not None,
        has_base=episode.base_action is not None,
        has_base_velocity=episode.base_vel is not None,
        task=episode.task or "",
        quality=quality,
    )


def _camera(name: str, image: np.ndarray, storage: Storage | None) -> CameraMeta:
    return CameraMeta(name, image.shape[0], image.shape[1], storage)


def _values(episode: EpisodeReader, row: int, meta: EpisodeMeta, rate: float) -> dict[str, object]:
    known = {
        "observations/qpos": episode.qpos,
        "observations/qvel": episode.qvel,
        "observations/effort": episode.effort,
        "observations/base_vel": episode.base_vel,
        "base_action": episode.base_action,
        "action": episode.aligned_action(),
        "sync/stamp_ns": episode.stamp_ns,
        "sync/skew_ns": episode.skew_ns,
        "sync/flags": episode.flags,
        "sync/arrival_ns": episode.arrival_ns,
    }
    made: dict[str, object] = {"sync/stamp_ns": round(row * 1e9 / rate), "timesteps/step_type": min(row, 1)}
    made["sync/arrival_ns"] = np.zeros(len(meta.streams), np.int64)
    unknown = {name: np.full(shape, np.nan) for name, (shape, _) in columns(meta).items()}
    return {**unknown, **made, **{name: values[row] for name, values in known.items() if values is not None}}

"""An episode in a peer's layout: what each of them holds, and the writing of it.

Source: reference/episode_formats.md of this project's specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from vgil_ros.core.frame import JPEG_START
from vgil_ros.episodes import image_codec
from vgil_ros.episodes.layouts import aligned
from vgil_ros.episodes.schema import DEPTHS, IMAGES, write_image, write_jpeg
from vgil_ros.episodes.view import Episode

Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Peer:
    """A layout.

    Attributes:
        compress: JPEG in place of raw images.
        pad_each: JPEGs padded to the longest of their own camera, not of all; lengths in the alphabet's order.
        next_frame: the trainer pairs observation k with action k+1, whatever `sim` says; else `sim` says "no shift".
        depth: there is a place for depth images.
        base: `/base_action` must be there; zeros where the robot has no base, as the layout's own writer has it.
    """

    compress: bool = False
    pad_each: bool = False
    next_frame: bool = False
    depth: bool = False
    base: bool = False


PEERS = {
    "aloha": Peer(),
    "mobile_aloha": Peer(compress=True),
    "act_plus_plus": Peer(compress=True, pad_each=True),
    "cobot_magic": Peer(next_frame=True, depth=True, base=True),
}


def peers_jpeg(episode: Episode, name: str, row: int, quality: int) -> bytes:
    """Return an image as JPEG in the peers' order; one that is in it already stays byte for byte. A PNG is none."""
    if episode.is_jpeg(name) and episode.jpeg_order(name) == "bgr":
        stored = episode.jpeg(name, row)
        if stored.startswith(JPEG_START):
            return stored
    return image_codec.encode(episode.image(name, row), quality)


def write_peer(episode: Episode, part: Path, peer: Peer, quality: int, progress: Progress) -> None:
    """Write a peer's file; actions lie so that its trainer pairs them with the observations they belong to."""
    with h5py.File(part, "w", locking=False) as file:
        file.attrs.update({"sim": not peer.next_frame, "compress": peer.compress})
        _write_numbers(episode, file, peer)
        if peer.compress:
            _write_jpegs(episode, file, peer, quality, progress)
        else:
            _write_pixels(episode, file, peer, progress)


def _write_numbers(episode: Episode, file: h5py.File, peer: Peer) -> None:
    rows = episode.rows
    for key, values in (("qpos", episode.qpos), ("qvel", episode.qvel), ("effort", episode.effort)):
        if values is not None:
            file[f"observations/{key}"] = values[:rows].astype(np.float32)
    base = episode.aligned_base_action()
    if base is None and peer.base:
        base = np.zeros((rows, 2), np.float32)
    for key, values in (("action", episode.aligned_action()), ("base_action", base)):
        if values is not None:
            # for Cobot Magic, which takes action[1:]: row k+1 is observation k's; the last one's has no place
            stored = aligned(values[:rows], "after_observation") if peer.next_frame else values[:rows]
            file[key] = stored.astype(np.float32)


def _write_pixels(episode: Episode, file: h5py.File, peer: Peer, progress: Progress) -> None:
    reads = [(f"{IMAGES}/{name}", episode.image, name) for name in episode.camera_names]
    if peer.depth:
        reads += [(f"{DEPTHS}/{name}", episode.depth, name) for name in episode.depth_names]
    made = []
    for path, read, name in reads:
        first = read(name, 0)
        chunks, limit = (1, *first.shape), (None, *first.shape)
        made.append(file.create_dataset(path, (0, *first.shape), first.dtype, maxshape=limit, chunks=chunks))
    for row in progress(range(episode.rows)):
        for dataset, (_, read, name) in zip(made, reads, strict=True):
            write_image(dataset, row, read(name, row))


def _write_jpegs(episode: Episode, file: h5py.File, peer: Peer, quality: int, progress: Progress) -> None:
    names = sorted(episode.camera_names) if peer.pad_each else list(episode.camera_names)
    made = [
        file.create_dataset(f"{IMAGES}/{name}", (0, 0), np.uint8, maxshape=(None, None), chunks=(1, 4096))
        for name in names
    ]
    lengths = np.zeros((len(names), episode.rows), np.float32)
    longest = np.ones(len(names), int)
    for row in progress(range(episode.rows)):
        for i, (name, dataset) in enumerate(zip(names, made, strict=True)):
            data = peers_jpeg(episode, name, row, quality)
            lengths[i, row], longest[i] = len(data), max(longest[i], len(data))
            dataset.id.set_extent((row + 1, max(longest[i], dataset.shape[1])))
            write_jpeg(dataset, row, data)
    for i, dataset in enumerate(made):
        dataset.id.set_extent((episode.rows, longest[i] if peer.pad_each else longest.max()))
    if names:
        file["compress_len"] = lengths

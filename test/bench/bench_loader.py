"""Loader: samples/s against one that opens the file for each sample and reads as ACT's own data set does, in ratio.

python test/bench/bench_loader.py [--episodes 4] [--rows 60] [--size 480 640] [--workers 2] [--epochs 20]

The peer follows the reading steps of act's and act-plus-plus' data sets: open, shape, one row of qpos and of each
camera, all actions from the row on, JPEG decoded, stacked, channels first, float32 / 255, normalised numbers. Ours
gives uint8, as the device does the rest, and keeps what it has decoded: the first pass over the episodes is told apart
from later ones, and what counts is a training of several epochs. The ratio of CPU time holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from vgil_ros.training.data.dataset import EpisodeDataset, Loader, SampleSpec
from vgil_ros.training.data.image_cache import DecodedImages
from vgil_ros.training.data.scan import scan_folder

CAMERAS, DIM, CHUNK, BATCH = ("cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist"), 14, 100, 8


def write(folder: Path, episodes: int, rows: int, size: tuple[int, int], *, jpeg: bool) -> None:
    """Write episodes in ALOHA's or act-plus-plus' layout, of images about as hard as a room."""
    random = np.random.default_rng(0)
    base = sum(
        w * cv2.GaussianBlur(random.standard_normal((*size, 3)).astype(np.float32), (0, 0), s) * s
        for s, w in ((40, 1.0), (10, 0.4), (3, 0.15), (1, 0.05))
    )
    scene = cv2.normalize(base, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    folder.mkdir()
    for number in range(episodes):
        with h5py.File(folder / f"episode_{number}.hdf5", "w") as file:
            file.attrs["sim"], file.attrs["compress"] = False, jpeg
            for name in ("observations/qpos", "observations/qvel", "action"):
                file[name] = random.standard_normal((rows, DIM)).astype(np.float32)
            for c, name in enumerate(CAMERAS):
                images = [np.roll(scene, 7 * t + 31 * c + 101 * number, axis=1) for t in range(rows)]
                if jpeg:
                    coded = [cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 50])[1].ravel() for p in images]
                    width = max(map(len, coded))
                    data = np.stack([np.pad(one, (0, width - len(one))) for one in coded])
                else:
                    data = np.stack(images)
                file.create_dataset(f"observations/images/{name}", data=data, chunks=(1, *data.shape[1:]))


class PeerDataset(Dataset):
    """Reads a sample as the peers do."""

    def __init__(self, paths: list[Path], rows: int) -> None:
        self.paths, self.rows = paths, rows

    def __len__(self) -> int:
        return len(self.paths) * self.rows

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        row = index % self.rows
        with h5py.File(self.paths[index // self.rows], "r") as file:
            shape = file["/action"].shape
            qpos = file["/observations/qpos"][row]
            images = [file[f"/observations/images/{name}"][row] for name in CAMERAS]
            if file.attrs["compress"]:
                images = [cv2.imdecode(image, 1) for image in images]
            action = file["/action"][max(0, row - 1) :]
        padded = np.zeros(shape, np.float32)
        padded[: len(action)] = action
        is_pad = np.zeros(shape[0])
        is_pad[len(action) :] = 1
        frames = torch.einsum("k h w c -> k c h w", torch.from_numpy(np.stack(images))) / 255.0
        return frames, torch.from_numpy(qpos) / 1.0, torch.from_numpy(padded) / 1.0, torch.from_numpy(is_pad).bool()


class Epochs:
    """All rows in batches; each time it is gone through, in another order."""

    def __init__(self, rows: int) -> None:
        self._rows, self._random = rows, np.random.default_rng(1)

    def __iter__(self) -> Iterator[list[int]]:
        order = self._random.permutation(self._rows)
        return iter([order[i : i + BATCH].tolist() for i in range(0, self._rows, BATCH)])

    def __len__(self) -> int:
        return -(-self._rows // BATCH)


def cost_of(batches: Iterable) -> tuple[float, float]:
    """Seconds by the clock, and of CPU in this process and its workers, that it takes to go through all batches."""
    start, cpu = time.perf_counter(), cpu_seconds()
    for _ in batches:
        pass
    return time.perf_counter() - start, cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Of this process and those that it has started and still has."""
    here = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in [here, *here.children(recursive=True)])


def measure(folder: Path, rows: int, workers: int, epochs: int) -> dict[str, float]:
    """Samples/s of the peer and of ours: in the first pass, in later ones, over all epochs; and the ratios.

    The two take turns, epoch by epoch, so that a machine's moods meet both.
    """
    stats = scan_folder(folder)
    total = rows * len(stats)
    kept: dict[str, Any] = {"persistent_workers": True} if workers else {}
    peer = DataLoader(
        PeerDataset([one.path for one in stats], rows), batch_sampler=Epochs(total), num_workers=workers, **kept
    )
    data = EpisodeDataset(stats, SampleSpec(CAMERAS, CHUNK), DecodedImages(stats, CAMERAS, 8 << 30))
    ours = Loader(data, Epochs(total), workers, torch.device("cpu"))
    costs = np.array([(cost_of(peer), cost_of(ours)) for _ in range(epochs)])  # (epochs, 2, seconds and CPU seconds)
    theirs, mine = costs[:, 0], costs[:, 1]
    found = {
        "peer": total * epochs / theirs[:, 0].sum(),
        "ours_first_pass": total / mine[0, 0],
        "ours_later_passes": total * (epochs - 1) / mine[1:, 0].sum(),
        "ours_all": total * epochs / mine[:, 0].sum(),
    }
    for place, name in enumerate(("ratio", "cpu_ratio")):
        found[f"{name}_first_pass"] = theirs[0, place] / mine[0, place]
        found[f"{name}_later_passes"] = theirs[1:, place].sum() / mine[1:, place].sum()
        found[f"{name}_all"] = theirs[:, place].sum() / mine[:, place].sum()
    return found


def run(episodes: int, rows: int, size: tuple[int, int], workers: int, epochs: int) -> dict[str, dict[str, float]]:
    """Both kinds of episode."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("jpeg", "raw"):
            write(Path(folder) / kind, episodes, rows, size, jpeg=kind == "jpeg")
            found[kind] = measure(Path(folder) / kind, rows, workers, epochs)
            print(json.dumps({kind: {key: round(value, 2) for key, value in found[kind].items()}}))
    return found


@pytest.mark.bench
def test_loader_against_opening_for_each_sample() -> None:
    found = run(4, 60, (480, 640), 2, 5)
    assert all(one["ours_all"] > 0 for one in found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    run(arguments.episodes, arguments.rows, tuple(arguments.size), arguments.workers, arguments.epochs)


if __name__ == "__main__":
    main()

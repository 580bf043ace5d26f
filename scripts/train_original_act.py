"""The original ACT code's own training loop on a CPU, for as long as it is given: what `vgil train` is compared with.

    vgil dataset convert EPISODES ALOHA --to aloha
    OMP_NUM_THREADS=1 python scripts/train_original_act.py --code ACT --data ALOHA --out RUN --hours 1
    vgil checkpoint import RUN/policy_last.ckpt --robot gym_aloha --cameras top --out THEIRS

ACT is a checkout of github.com/tonyzhaozh/act, which is neither copied nor changed. Its loop (`train_bc`), loader, loss
and network run as they are. What is set from here: no `.cuda()`, no weights from ImageNet where there is no network,
no simulator and no plots; and the loop over epochs ends when its time is up, its last weights saved.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import pickle
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch

SETTINGS = {"lr": 1e-5, "num_queries": 100, "kl_weight": 10, "hidden_dim": 512, "dim_feedforward": 3200}  # its README's
FIXED = {"lr_backbone": 1e-5, "backbone": "resnet18", "enc_layers": 4, "dec_layers": 7, "nheads": 8}  # its main's
NOT_NEEDED = ("IPython", "einops", "sim_env", "visualize_episodes", "constants")


class Anything(types.ModuleType):
    """A module of which nothing is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


class Epochs:
    """Their `tqdm(range(n))`, until the time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.done = seconds, 0

    def __call__(self, epochs: range) -> Iterator[int]:
        began = time.monotonic()
        for epoch in epochs:
            if time.monotonic() - began > self.seconds:
                return
            yield epoch
            self.done += 1


def train(code: Path, data: Path, out: Path, hours: float, batch_size: int, pretrained: bool) -> dict[str, Any]:
    """Run their loop; gives what it did."""
    cameras, episodes = _what_is_there(data)
    sys.path[:0] = [str(code), str(code / "detr")]
    for name in NOT_NEEDED:
        sys.modules[name] = Anything(name)
    theirs = importlib.import_module("imitate_episodes")
    backbone = importlib.import_module("detr.models.backbone")
    epochs = Epochs(hours * 3600)
    policy = {**FIXED, **SETTINGS, "camera_names": cameras}
    config = {"num_epochs": 10**9, "ckpt_dir": str(out), "seed": 1, "policy_class": "ACT", "policy_config": policy}
    command = ["imitate_episodes.py", "--policy_class", "ACT", "--ckpt_dir", str(out), "--task_name", "sim_"]
    command += ["--seed", "1", "--num_epochs", "1"]  # what detr/main.py reads from the command line, and does not use
    with contextlib.ExitStack() as patches:
        for patch in (
            mock.patch.object(torch.Tensor, "cuda", lambda self: self),
            mock.patch.object(torch.nn.Module, "cuda", lambda self: self),
            mock.patch.object(backbone, "is_main_process", return_value=pretrained),
            mock.patch.object(theirs, "plot_history"),
            mock.patch.object(theirs, "tqdm", epochs),
            mock.patch.object(sys, "argv", command),
        ):
            patches.enter_context(patch)
        theirs.set_seed(1)
        loader, validation, statistics, _ = theirs.load_data(str(data), episodes, cameras, batch_size, batch_size)
        out.mkdir(parents=True, exist_ok=True)
        (out / "dataset_stats.pkl").write_bytes(pickle.dumps(statistics))
        began = time.monotonic()
        theirs.train_bc(loader, validation, config)
    seconds = time.monotonic() - began
    samples = epochs.done * len(loader.dataset)
    return {"samples": samples, "seconds": round(seconds), "samples_per_s": round(samples / seconds, 2)}


def _what_is_there(data: Path) -> tuple[list[str], int]:
    """(cameras, number of episodes) of a folder as they want it."""
    import h5py

    files = sorted(data.glob("episode_*.hdf5"))
    if not files:
        raise SystemExit(
            f"{data}: found no episode_N.hdf5, needed are some, as `vgil dataset convert --to aloha` writes them"
        )
    with h5py.File(files[0]) as root:
        return sorted(root["observations/images"]), len(files)


def main() -> None:
    """Train, and write what was done to OUT/done.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--pretrained", action="store_true", help="with torchvision's weights, which it downloads")
    given = parser.parse_args()
    done = train(given.code.resolve(), given.data, given.out, given.hours, given.batch_size, given.pretrained)
    (given.out / "done.json").write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
    print(done)


if __name__ == "__main__":
    main()

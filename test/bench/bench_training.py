"""A training step on this machine: milliseconds of its parts and samples a second, on images that are made up.

python test/bench/bench_training.py [--config sim_pick_place_act ...] [--threads 1 2] [--steps 25] [--device cpu]

Two cameras 240x320, seven joints, as `sim_single` has them. Loading is not in it: see `bench_loader.py`, and the share
of waiting that `vgil train` shows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from vgil_ros.policies.config import CameraSpec
from vgil_ros.policies.registry import policy_class
from vgil_ros.training.config import load_config
from vgil_ros.training.data.dataset import Batch
from vgil_ros.training.distributed import make_accelerator
from vgil_ros.training.optimization import TrainStep
from vgil_ros.training.precision import choose_precision

CAMERAS, SIZE, JOINTS = ("cam_high", "cam_wrist"), (240, 320), 7
WARM_UP = 3


def made_up(policy: Any, size: int) -> Batch:
    """A batch as the loader gives it."""
    generator = torch.Generator().manual_seed(0)
    past = len(policy.config.obs_offsets)

    def images(*more: int) -> dict[str, torch.Tensor]:
        shape = (size, *more, *SIZE, 3)
        return {name: torch.randint(0, 255, shape, generator=generator, dtype=torch.uint8) for name in CAMERAS}

    horizon = policy.config.chunk_size
    batch: Batch = {
        "qpos": torch.randn(size, JOINTS, generator=generator),
        "images": images(),
        "action": torch.randn(size, horizon, JOINTS, generator=generator),
        "is_pad": torch.zeros(size, horizon, dtype=torch.bool),
        "index": torch.arange(size),
    }
    if past:
        batch["past"] = {
            "qpos": torch.randn(size, past, JOINTS, generator=generator),
            "action": torch.randn(size, past, JOINTS, generator=generator),
            "known": torch.ones(size, past, dtype=torch.bool),
            "images": images(past),
        }
    return batch


def measure(name: str, steps: int, device: str, batch_size: int | None = None) -> dict[str, float]:
    """Median step of a configuration, in ms, and samples a second."""
    config = load_config(name, ["data.folders=[{path: none}]", "out=none"])
    accelerator = make_accelerator(device)
    precision, _ = choose_precision(config.precision, accelerator.device)
    config = config.model_copy(
        update={"precision": precision, "batch_size": batch_size or config.batch_size, "device": device}
    )
    kind = policy_class(str(config.policy["type"]))
    cameras = tuple(CameraSpec(name=one, height=SIZE[0], width=SIZE[1]) for one in CAMERAS)
    sizes = {"state_dim": JOINTS, "action_dim": JOINTS, "cameras": cameras, "rate_hz": 50.0}
    torch.manual_seed(0)
    policy = kind(kind.config_class(**{**config.policy, **sizes}))
    for part in (policy.normalizer.qpos, policy.normalizer.action):
        for key, value in part.named_buffers():
            value.fill_(0.0 if key in ("mean", "low", "min", "q01") else 1.0)
    policy.normalizer.image_mean.fill_(0.5)
    policy.normalizer.image_std.fill_(0.25)
    step = TrainStep(policy.to(accelerator.device), config, accelerator, None)
    batch = made_up(policy, config.batch_size)
    taken = []
    for number in range(WARM_UP + steps):
        began = time.perf_counter()
        step.learn(batch, number)
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    median = statistics.median(taken[WARM_UP:])
    return {"ms": round(median * 1e3, 1), "samples_per_s": round(config.batch_size / median, 1)}


@pytest.mark.bench
def test_a_step_is_taken() -> None:
    assert measure("sim_pick_place_act", 3, "cpu")["samples_per_s"] > 1.0


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="*", default=["sim_pick_place_act", "sim_pick_place_flow_matching"])
    parser.add_argument("--threads", nargs="*", type=int, default=[1, torch.get_num_threads()])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for threads in dict.fromkeys(given.threads):
        torch.set_num_threads(threads)
        for name in given.config:
            found[f"{name}, {threads}"] = one = measure(name, given.steps, given.device, given.batch_size)
            print(
                f"{name:32s} {threads} threads: {one['ms']:7.1f} ms, {one['samples_per_s']:6.1f} samples/s", flush=True
            )
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

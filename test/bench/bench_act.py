"""ACT, 4 cameras 480x640: from uint8 images to a NumPy chunk, beside a straightforward implementation.

Run it as a script (`PYTHONPATH=test`, `--json FILE`, `--device cuda`) or with pytest, where it is marked `bench`. The
two take turns, so that a busy machine disturbs both alike; the ratio is that of the medians. Libraries that do the same
are in `bench_backends.py`.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.benchmarks.original_act import OriginalAct

from vgil_ros.policies import load_policy
from vgil_ros.policies.importers import import_checkpoint
from vgil_ros.policies.inference.runtime import InferenceRuntime

CAMERAS = ("cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist")
SIZE = (480, 640)
TOLERANCE = 1e-4


def make_opponents(folder: Path, device: str) -> tuple[OriginalAct, dict[str, np.ndarray], InferenceRuntime]:
    """Random weights in the original's format, and the same file imported here."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    original = OriginalAct(len(CAMERAS), dim=512, ff=3200, enc=4, dec=7, chunk=100).eval()
    torch.save(original.state_dict(), folder / "policy_best.ckpt")
    stats = {f"{name}_mean": random.normal(size=14).astype(np.float32) for name in ("qpos", "action")}
    stats |= {f"{name}_std": random.uniform(0.2, 1, 14).astype(np.float32) for name in ("qpos", "action")}
    (folder / "dataset_stats.pkl").write_bytes(pickle.dumps(stats))
    sizes = dict.fromkeys(CAMERAS, SIZE)
    import_checkpoint(folder / "policy_best.ckpt", folder / "ours", cameras=CAMERAS, image_sizes=sizes)
    runtime = InferenceRuntime(load_policy(folder / "ours"), device)
    runtime.warm_up()
    return original.to(device), stats, runtime


def take_turns(runs: dict[str, Callable[[], np.ndarray]], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds of each call, (rounds, 2): by the clock and of CPU time. One call before them does not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            begun, spent = time.perf_counter(), time.process_time()
            run()
            if turn:
                times[name].append(((time.perf_counter() - begun) * 1e3, (time.process_time() - spent) * 1e3))
    return {name: np.array(values) for name, values in times.items()}


def bench(device: str = "cpu", rounds: int = 9) -> dict[str, Any]:
    """Measure, and say what came out."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # exact float32 on both sides
    random = np.random.default_rng(1)
    images = {name: random.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for name in CAMERAS}
    qpos = random.normal(size=14).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        original, stats, runtime = make_opponents(Path(folder), device)
    with torch.inference_mode():  # as the original's evaluation loop does
        runs = {
            "original": lambda: original.act(qpos, list(images.values()), stats, device),
            "vgil": lambda: runtime({"qpos": qpos, "images": images}),
        }
        difference = float(np.abs(runs["original"]() - runs["vgil"]()).max())
        times = take_turns(runs, rounds)
    result: dict[str, Any] = {"device": device, "threads": torch.get_num_threads(), "max_difference": difference}
    for name, values in times.items():
        result[f"{name}_ms_p50"], result[f"{name}_ms_p99"] = np.percentile(values[:, 0], [50, 99]).round(2).tolist()
        result[f"{name}_ms_best"] = round(float(values[:, 0].min()), 2)
        result[f"{name}_cpu_ms_p50"] = round(float(np.median(values[:, 1])), 2)
    result["ratio"] = round(result["original_ms_p50"] / result["vgil_ms_p50"], 2)
    result["ratio_of_best"] = round(result["original_ms_best"] / result["vgil_ms_best"], 2)  # least disturbed
    result["ratio_of_cpu_time"] = round(result["original_cpu_ms_p50"] / result["vgil_cpu_ms_p50"], 2)
    return result


def bench_low_precision(device: str = "cpu", rounds: int = 5) -> dict[str, Any]:
    """Time and difference of bf16 (and fp16 on CUDA) on the same network."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        make_opponents(Path(folder), "cpu")
        for precision in ("tf32", "bf16", "fp16") if device == "cuda" else ("bf16",):
            runtime = InferenceRuntime(load_policy(Path(folder) / "ours"), device, precision)
            report = runtime.warm_up()
            observation = load_policy(Path(folder) / "ours").example_observation()
            times = take_turns({precision: partial(runtime, observation)}, rounds)[precision]
            found[precision] = {
                "ms_p50": round(float(np.median(times[:, 0])), 2),
                "max_difference": report.max_difference,
            }
    return found


@pytest.mark.bench
def test_bench_act() -> None:
    result = bench()
    print(json.dumps(result, indent=1))
    assert result["max_difference"] < TOLERANCE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, help="of torch; on a busy machine 1 disturbs least")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    result = bench(args.device, args.rounds)
    result["low_precision"] = bench_low_precision(args.device)
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")
    if result["max_difference"] >= TOLERANCE:
        sys.exit(1)


if __name__ == "__main__":
    main()

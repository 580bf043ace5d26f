"""What optical flow costs for each camera: `python test/bench/bench_flow.py [--raft] [--threads N]`.

RAFT-small is timed with random weights: they do not change what it computes, only what comes out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torchvision.models.optical_flow import raft_small

from vgil_ros.policies.optical_flow import FlowField, FlowSettings

SIZES = ((240, 320), (480, 640))


def scene(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images (1, H, W, 3) of a textured scene, 5 px right and 3 px up of each other."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    return torch.from_numpy(smooth)[None], torch.from_numpy(np.roll(smooth, (-3, 5), (0, 1)).copy())[None]


def main() -> None:
    """Print p50 and p99 for each method and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raft", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    torch.set_num_threads(options.threads)
    for method in ("dis", "raft_small") if options.raft else ("dis",):
        field = FlowField(FlowSettings.model_validate({"method": method}))
        with tempfile.TemporaryDirectory() as folder:
            torch.save(raft_small(weights=None).state_dict(), Path(folder) / "raft.pth")
            field.fill(str(Path(folder) / "raft.pth"))
        for height, width in SIZES:
            pair = scene(height, width)
            field(*pair)
            seconds, worked = [], []
            for _ in range(options.count if method == "dis" else max(5, options.count // 40)):
                began, cpu = time.perf_counter(), time.process_time()
                flow = field(*pair)
                seconds.append(time.perf_counter() - began)
                worked.append(time.process_time() - cpu)  # what a busy machine does not change
            p50, p99 = np.percentile(np.array(seconds) * 1e3, (50, 99))
            found = flow[0, :, 8:-8, 8:-8].mean((1, 2)).tolist()
            words = f"flow {found[0]:.2f}, {found[1]:.2f} px of 5, -3" if method == "dis" else "random weights"
            cost = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, of the processor {np.median(worked) * 1e3:.1f} ms"
            print(f"{method:10} {height}x{width}, {options.threads} threads: {cost}; {words}")


if __name__ == "__main__":
    main()

"""A full-size SmolVLA of random weights: what a chunk takes, and how much memory.

    python test/bench/bench_smolvla.py [--device cuda --precision bf16] [--cameras 2] [--threads 2] [--count 5]

From uint8 images 480x640 to a NumPy chunk of 50 actions, one observation at a time, ten steps and one. CPU time is
printed beside the clock's, as another process on the machine does not change it.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np
import torch
from support.policies.contract import fitted
from support.policies.smolvla import VLM

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.smolvla import SmolVlaConfig, SmolVlaPolicy
from vgil_ros.policies.smolvla.language import TOKENIZER_FILE

MIB = 1 << 20


def policy(steps: int, cameras: int, model: SmolVlaPolicy | None) -> SmolVlaPolicy:
    """Of LeRobot's sizes; with the weights of another where that is given."""
    sizes = [{"name": f"camera{number}", "height": 480, "width": 640} for number in range(cameras)]
    values = {"state_dim": 14, "action_dim": 14, "cameras": sizes, "steps": steps, "task": "pick up the red cube"}
    if model is not None:
        model.config = SmolVlaConfig.model_validate(values)
        return model
    made = SmolVlaPolicy(SmolVlaConfig.model_validate(values))
    made.set_files({TOKENIZER_FILE: (VLM / TOKENIZER_FILE).read_bytes()})
    return fitted(made).eval()


def times(runtime: InferenceRuntime, observation: RobotObservation, count: int) -> dict[str, float]:
    """p50 and p99 by the clock and the median of CPU time, ms."""
    clock, worked = [], []
    for _ in range(count):
        began, cpu = time.perf_counter(), time.process_time()
        runtime(observation)
        clock.append(time.perf_counter() - began)
        worked.append(time.process_time() - cpu)
    p50, p99 = np.percentile(np.array(clock) * 1e3, (50, 99))
    return {"p50": float(p50), "p99": float(p99), "cpu": float(np.median(worked) * 1e3), "least": min(worked) * 1e3}


def main() -> None:
    """Print a line for ten steps and one for one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model: SmolVlaPolicy | None = None
    precision: Any = options.precision
    for steps in (10, 1):
        model = policy(steps, options.cameras, model)
        parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.model.named_children()}
        runtime = InferenceRuntime(model, options.device, precision, repeatable=True)
        example = model.example_observation()
        began = time.perf_counter()
        # on a CPU a chunk takes seconds, and the comparison and the guided pass of a warm-up several times that
        off = runtime.warm_up(example).max_difference if options.device != "cpu" else float("nan")
        runtime(example)
        warm = time.perf_counter() - began
        found = times(runtime, example, options.count)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        gpu = torch.cuda.max_memory_allocated() / MIB if runtime.device.type == "cuda" else 0.0
        print(
            f"{options.device} {precision}, {options.threads} threads, {options.cameras} cameras, {steps:2} steps: "
            f"p50 {found['p50']:.0f} ms, p99 {found['p99']:.0f} ms, CPU {found['cpu']:.0f} ms (least "
            f"{found['least']:.0f}); warm-up {warm:.1f} s, off the plain policy {off:.1e}; resident at most "
            f"{memory:.0f} MiB, GPU {gpu:.0f} MiB; {sum(parts.values()) / 1e6:.0f} M parameters, of them "
            f"{parts['field'] / 1e6:.0f} M of the expert",
            flush=True,
        )


if __name__ == "__main__":
    main()

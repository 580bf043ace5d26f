"""All policies on a GPU, each precision: from uint8 images to a NumPy chunk, beside the plain policy on the same GPU.

`PYTHONPATH=test python test/bench/bench_cuda.py --json FILE` prints a table. "plain" is `Policy.predict_chunk` in
exact float32, "prefix" is `InferenceRuntime` with actions to agree with (real-time chunking), which no recorded pass
serves.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from bench.bench_backends import CASES, make_observation, make_policy

from vgil_ros.policies.action_prefix import example_prefix
from vgil_ros.policies.base import Policy
from vgil_ros.policies.device import PRECISIONS, Precision
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.preparation import batched

WARM_UP = 5


def milliseconds(predict: Callable[[], np.ndarray], calls: int) -> dict[str, float]:
    """p50 and p99 of the clock's time of a call; what comes back lies in host memory, so it has been waited for."""
    for _ in range(WARM_UP):
        predict()
    taken = np.empty(calls)
    for call in range(calls):
        begun = time.perf_counter()
        predict()
        taken[call] = (time.perf_counter() - begun) * 1e3
    p50, p99 = np.percentile(taken, (50, 99)).tolist()
    return {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}


def plain(policy: Policy, observation: dict[str, Any]) -> np.ndarray:
    """The policy itself, as a training script would call it."""
    with torch.inference_mode():
        return policy.predict_chunk(batched(observation))[0].cpu().numpy()


def measure(case: str, calls: int) -> list[dict[str, Any]]:
    """Figures of one policy: a row for the plain one, each precision, and prefixes."""
    policy = make_policy(CASES[case])
    observation = make_observation(policy)
    policy.to("cuda").eval()
    expected = plain(policy, observation)
    rows = [{"policy": case, "run": "plain fp32", **milliseconds(partial(plain, policy, observation), calls // 4)}]
    for precision in PRECISIONS:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        begun = time.perf_counter()
        runtime = InferenceRuntime(make_policy(CASES[case]), "cuda", cast(Precision, precision))
        runtime.warm_up(observation)
        runtime.reset()
        first = time.perf_counter() - begun
        difference = float(np.abs(runtime(observation) - expected).max())
        row = {"policy": case, "run": precision, **milliseconds(partial(runtime, observation), calls)}
        row |= {"first_s": round(first, 2), "differs": float(f"{difference:.1e}")}
        rows.append(row | {"memory_mib": round((torch.cuda.max_memory_allocated() - before) / 2**20)})
        if runtime.supports_prefix and precision in ("fp32", "bf16"):
            agreed = {**observation, "prefix": example_prefix(policy.config)}
            name = f"{precision}, prefix"
            rows.append({"policy": case, "run": name, **milliseconds(partial(runtime, agreed), calls // 4)})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    keys = ("policy", "run", "p50_ms", "p99_ms", "first_s", "differs", "memory_mib")
    head = ["policy", "run", "p50 ms", "p99 ms", "warm-up s", "differs by", "GPU memory MiB"]
    lines = ["| " + " | ".join(head) + " |", "| --- | --- |" + " ---: |" * 5]
    return "\n".join(lines + ["| " + " | ".join(str(row.get(key, "")) for key in keys) + " |" for row in rows])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # of the plain policy
    machine = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    print(machine, flush=True)
    rows = []
    for case in options.cases.split(","):
        try:
            rows += measure(case, options.calls)
        except Exception as error:  # one policy that fails does not take the others' figures along
            rows.append({"policy": case, "run": f"{type(error).__name__}: {str(error)[:300]}"})
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

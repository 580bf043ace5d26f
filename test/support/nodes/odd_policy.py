"""A policy node whose inference can be told to misbehave: `python -m support.nodes.odd_policy --ros-args ...`.

It obeys lines on standard input, each answered by `done LINE`:

    swing            a slow swing around home, known for every tick, the base driving slowly
    real             what the checkpoint says
    nan | beyond | wild   not finite; far beyond every limit; from one end to the other at every row
    slow S           the swing, S seconds later
    crash | hang     the inference thread dies; never answers
    shape            a chunk of another shape
    marker           the swing, with the end marker set (the contract has one)
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

from vgil_ros.core.control.requests import InferenceRequest
from vgil_ros.core.sync import Sample
from vgil_ros.nodes.policy import PolicyNode, main

AMPLITUDE, SPEED = 0.2, 2.0  # of the swing: rad, rad/s of its phase
BASE = (0.2, -0.3)


def swing(stamp_ns: np.ndarray) -> np.ndarray:
    """The swing's offset from home at stamps."""
    return AMPLITUDE * np.sin(SPEED * (stamp_ns % 10**12) / 1e9)


class OddPolicy(PolicyNode):
    """Takes commands about what `infer` does."""

    def __init__(self) -> None:
        self.mode, self.value = "swing", 0.0
        super().__init__()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            mode, *value = line.split()
            self.value = float(value[0]) if value else 0.0
            self.mode = mode
            print(f"done {line.strip()}", flush=True)

    def infer(self, request: InferenceRequest) -> np.ndarray:
        mode, value = self.mode, self.value
        if mode == "real":
            return super().infer(request)
        chunk = self._swing(request.sample)
        if mode == "slow":
            print(f"slow from {time.monotonic()}", flush=True)
            time.sleep(value)
        elif mode == "crash":
            print(f"crashed at {time.monotonic()}", flush=True)
            raise RuntimeError("told to crash")
        elif mode == "hang":
            print(f"hangs from {time.monotonic()}", flush=True)
            time.sleep(1e6)
        elif mode == "nan":
            chunk[:, 0] = np.nan
        elif mode == "beyond":
            chunk += 100.0
        elif mode == "wild":
            chunk[::2] += 100.0
            chunk[1::2] -= 100.0
        elif mode == "shape":
            return chunk[:-1]
        elif mode == "marker":
            chunk[:, self.layout.joints] = 1.0
        return chunk

    def _swing(self, sample: Sample) -> np.ndarray:
        rows = sample.stamp_ns + np.arange(self.config.chunk_size) * round(1e9 / self.contract.rate_hz)
        chunk = np.zeros((self.config.chunk_size, self.config.action_dim), np.float32)
        joints = self.layout.joints
        chunk[:, :joints] = self.layout.home + 0.5 * swing(rows)[:, None] * np.sign(0.5 - self.layout.home)
        if self.config.action_dim > self.layout.dim:
            chunk[:, -2:] = BASE
        return chunk


if __name__ == "__main__":
    main(OddPolicy)

"""Set-up of a server from a checkpoint: loaded, warmed up, then listening."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from vgil_ros.core.observation import RobotObservation
from vgil_ros.extras import need
from vgil_ros.policies.checkpoint import load_policy
from vgil_ros.policies.device import Precision
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.remote.metadata import ServedPolicy
from vgil_ros.policies.serving.batching import Batcher, batch_pays
from vgil_ros.policies.serving.server import LOCAL, PolicyServer

MOST = 8  # in a batch


def serve_checkpoint(
    checkpoint: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str = "",
    device: str = "cpu",
    precision: Precision = "fp32",
    max_batch: int | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    log: Callable[[str], None] = print,
) -> None:
    """Serve a checkpoint until SIGINT or SIGTERM.

    Args:
        checkpoint: a folder, or the name of one that comes with the package.
        host, port: where to listen; port 0: a free one, which is said.
        token: what clients must give; empty: nothing.
        device, precision: where and how it runs.
        max_batch: the largest batch across clients; None: 8 where a batch is measured to be faster, else 1.
        sizes: (height, width) of cameras whose size the checkpoint does not know.
        log: takes each line of what goes on.

    Raises:
        MissingDependency: websockets or msgpack is not installed.
        VgilError: the checkpoint, the device or the place cannot be used.
    """
    need("vgil serve", "websockets", "msgpack")
    policy = load_policy(checkpoint)
    runtime = InferenceRuntime(policy, device, precision)
    example: RobotObservation = policy.example_observation(sizes)
    began = time.perf_counter()
    runtime.warm_up(example)
    most = max_batch if max_batch is not None else MOST if batch_pays(runtime, example) else 1
    turns = f"batches of up to {most} clients" if most > 1 else "clients in turn"
    log(f"warmed up in {time.perf_counter() - began:.1f} s: {runtime.description}, {turns}")
    if host not in LOCAL and not token:
        log(f"warning: {host} can be reached from other computers, and no token is asked for; give --token")
    batcher = Batcher(runtime, most)
    try:
        served = ServedPolicy.of(policy.config, prefix=policy.supports_prefix, stochastic=policy.stochastic)
        asyncio.run(PolicyServer(batcher, served, policy.config, token=token, log=log).run(host, port))
    finally:
        batcher.close()

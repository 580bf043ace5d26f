"""Policies as a robot runs them, whatever is behind: a checkpoint on this computer, or a server at an address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from vgil_ros.assets import checkpoint_path
from vgil_ros.core.layout import Layout
from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.base import Policy
from vgil_ros.policies.compatibility import camera_sizes, load_for_robot
from vgil_ros.policies.device import Precision
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.remote.address import is_remote
from vgil_ros.policies.remote.mapping import load_mapping
from vgil_ros.policies.remote.policy import RemotePolicy


class Runner(Protocol):
    """Gives chunks; `InferenceRuntime` and `RemotePolicy` are."""

    def __call__(self, observation: RobotObservation) -> np.ndarray:
        """The chunk (H, A) float32 of an observation without a batch axis."""

    def draw(self, observation: RobotObservation, count: int) -> np.ndarray:
        """Several chunks (K, H, A) float32 of one observation."""

    def reset(self, seed: int | None = None) -> None:
        """A new episode begins."""

    def close(self) -> None:
        """It is not needed any more; what is under way fails."""

    @property
    def description(self) -> str:
        """What runs where, in words."""

    def latency_parts(self) -> Mapping[str, tuple[float, float]]:
        """Median and 99th percentile in ms of the parts of an inference, where it has parts."""


def open_for_robot(
    checkpoint: str | Path, layout: Layout, *, mapping: str | Path | None = None, task: str = ""
) -> Policy | RemotePolicy:
    """Open a policy that is to move a robot, and hold it against it.

    Args:
        checkpoint: a folder, the name of one that comes with the package, or ws://HOST:PORT.
        layout: the robot.
        mapping: a YAML for an address, see `remote.mapping`.
        task: for the first question to a server.

    Raises:
        VgilError: it cannot be used or reached, or with every mismatch between it and the robot, one a line.
    """
    if is_remote(checkpoint):
        return RemotePolicy(str(checkpoint), layout, load_mapping(mapping), task=task)
    if mapping:
        raise PolicyError(
            f"remote mapping {mapping}: the checkpoint is {checkpoint}; allowed with ws://HOST:PORT alone"
        )
    return load_for_robot(checkpoint_path(checkpoint), layout)


def make_runner(
    policy: Policy | RemotePolicy,
    layout: Layout,
    device: str = "cpu",
    precision: Precision = "fp32",
    *,
    repeatable: bool = False,
) -> Runner:
    """Make an opened policy ready, warmed up. A server's is so already: device and precision are its own affair.

    Raises:
        PolicyError: device or precision cannot be used.
    """
    if isinstance(policy, RemotePolicy):
        return policy
    runtime = InferenceRuntime(policy, device, precision, repeatable=repeatable)
    runtime.warm_up(policy.example_observation(camera_sizes(layout)))
    return runtime

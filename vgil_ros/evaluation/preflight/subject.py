"""The policy of a preflight: opened, held against the contract, timed, and asked about what is seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vgil_ros.core.layout import Layout
from vgil_ros.core.observation import RobotObservation
from vgil_ros.evaluation.preflight.findings import Latency, Subject
from vgil_ros.policies import Policy, load_policy
from vgil_ros.policies.compatibility import camera_sizes, compare_with_robot, unchecked_fields
from vgil_ros.policies.device import Precision
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.inference.opening import Runner, make_runner
from vgil_ros.policies.remote.policy import RemotePolicy

TIMED = 12  # inferences
BUFFERS = ("mean", "std", "min", "max")


class PreflightPolicy:
    """A checkpoint before its start.

    Args:
        checkpoint: its folder, or the policy at a server, connected already.
        layout: the robot.
        watchdog_s: how long it may be silent.
        device, precision: where it is to run, and in which numbers.

    Raises:
        VgilError: it cannot be used at all.
    """

    def __init__(
        self,
        checkpoint: Path | RemotePolicy,
        layout: Layout,
        watchdog_s: float,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self._policy = checkpoint if isinstance(checkpoint, RemotePolicy) else load_policy(checkpoint)
        self.config, self._layout, self._watchdog_s = self._policy.config, layout, watchdog_s
        local = self._policy if isinstance(self._policy, Policy) else None
        self._mismatches = compare_with_robot(local, layout) if local is not None else []
        self._scales = _scales(local) if local is not None else {}
        self._where = device, precision
        self._runner: Runner | None = None

    @property
    def fits(self) -> bool:
        """Whether it fits the contract: only then can it be asked."""
        return not self._mismatches

    def subject(self, observations: Sequence[RobotObservation]) -> Subject:
        """Time it, and ask it about observations; where it does not fit the robot it is not run.

        Raises:
            VgilError: it cannot run on this device.
        """
        chunks = latency = None
        if self.fits:
            runner = self._ready()
            chunks = np.stack([runner(one) for one in observations]) if observations else None
            latency = self._timed(runner, observations)
        return Subject(
            config=self.config,
            layout=self._layout,
            mismatches=self._mismatches,
            unchecked=unchecked_fields(self.config),
            scales=self._scales,
            latency=latency,
            chunks=chunks,
            watchdog_s=self._watchdog_s,
        )

    def close(self) -> None:
        """Let go of a server."""
        if self._runner is not None:
            self._runner.close()

    def _ready(self) -> Runner:
        if self._runner is None:
            self._runner = make_runner(self._policy, self._layout, *self._where)
        return self._runner

    def _timed(self, runner: Runner, observations: Sequence[RobotObservation]) -> Latency | None:
        """How long it takes on what it sees, or on made-up images."""
        given = list(observations)
        if not given and isinstance(self._policy, Policy):
            try:
                given = [self._policy.example_observation(camera_sizes(self._layout))]
            except PolicyError:
                return None
        if not given:
            return None
        seconds = []
        for number in range(TIMED):
            began = time.perf_counter()
            runner(given[number % len(given)])
            seconds.append(time.perf_counter() - began)
        runner.reset()
        return Latency(float(np.median(seconds)), max(seconds), TIMED)


def _scales(policy: Policy) -> dict[str, dict[str, np.ndarray]]:
    """The normaliser's buffers, as NumPy has them."""
    parts = {"qpos": policy.normalizer.qpos, "action": policy.normalizer.action}
    return {
        what: {name: value.cpu().numpy() for name, value in part.named_buffers() if name in BUFFERS}
        for what, part in parts.items()
    }

"""A policy made ready for a robot: NumPy observation in, NumPy chunk out, as fast as the machine allows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.action_prefix import example_prefix
from vgil_ros.policies.base import InferenceModule, Policy
from vgil_ros.policies.device import PRECISIONS, Precision, checked_device
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.inference.buffers import RecordedPass, Staging, image_sizes
from vgil_ros.policies.observation import Observation
from vgil_ros.policies.preparation import batched, check_parts, check_vector, with_state
from vgil_ros.policies.registry import make_inference_module


@dataclass(frozen=True)
class PrecisionReport:
    """How far the actions are from the plain policy's in float32, in robot units, on the warm-up observation."""

    precision: str
    max_difference: float
    mean_difference: float


class InferenceRuntime:
    """Runs one policy on one device, one observation at a time. Calls from several threads take turns.

    The weights are taken over when it is made: training the policy further does not change it. In float32, TF32 is off,
    so that the result stays within rounding of the plain policy; precision tf32 allows it. Lower precisions say in
    `report` what they cost.
    A policy without an inference module is run as it is, in inference mode and under autocast.
    """

    def __init__(
        self,
        policy: Policy,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
        *,
        repeatable: bool = False,
    ) -> None:
        """Move `policy` to `device` and lay it out anew.

        Args:
            policy, device, precision: what runs, where and how.
            repeatable: choose nothing by measuring, so that results are the same to the last bit from run to run.

        Raises:
            PolicyError: the precision or device is unknown or absent, or the policy's normaliser is not set.
        """
        if precision not in PRECISIONS:
            raise PolicyError(f"precision {precision!r} is unknown, allowed are {sorted(PRECISIONS)}")
        self.device = checked_device(device)
        if precision in ("fp16", "tf32") and self.device.type == "cpu":
            raise PolicyError(f"precision {precision!r} needs a GPU, on a CPU allowed are ['bf16', 'fp32']")
        self.precision: Precision = precision
        self._repeatable = repeatable
        self.report: PrecisionReport | None = None
        policy.require_normalizer()
        self._policy = policy.to(self.device).eval()
        self._module: InferenceModule | None = make_inference_module(self._policy, PRECISIONS[precision])
        self._staging: Staging | None = None
        self._sizes: tuple[tuple[int, int], ...] | None = None
        self._recorded: RecordedPass | None = None
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self._lock = threading.Lock()

    def warm_up(self, observation: RobotObservation | None = None) -> PrecisionReport:
        """Make buffers, choose kernels, record the CUDA graph, and measure the result against the plain policy.

        Args:
            observation: like those to come; made up from the configuration where left out.

        Raises:
            PolicyError: no observation given and the configuration does not know the image sizes; or the result is
                not finite in this precision.
        """
        self._sizes = None
        example = self._checked(observation if observation is not None else self._policy.example_observation())
        with self._lock, torch.inference_mode(), self._float32():
            self._prepare(example)
            self._policy.reset()  # the same noise for both, where there is noise
            chunk = self._run(example)
            self._policy.reset()
            expected = self._plain(example)
        if self._policy.supports_prefix:  # the first such result on the robot must not come late
            self._agree({**example, "prefix": example_prefix(self._policy.config)})
        difference = np.abs(chunk - expected)
        self.report = PrecisionReport(self.precision, float(difference.max()), float(difference.mean()))
        if not np.isfinite(difference).all():
            raise PolicyError(
                f"precision {self.precision}: the result is not finite on {self.device}, take another one"
            )
        return self.report

    def __call__(self, observation: RobotObservation) -> np.ndarray:
        """Give the chunk, (H, A) float32 in robot units.

        Args:
            observation: {"qpos": (D,) float32, "images": {camera: (H, W, 3) uint8 RGB}}, without a batch axis; and what
                else the policy takes, such as "past" (see `core.history.with_past`) or "prefix" (see `prepare_prefix`).

        Raises:
            PolicyError: cameras, shapes, sizes or dtypes differ from those warmed up for; or a prefix is given that
                the policy would not keep.
        """
        observation = self._checked(observation)
        if "prefix" in observation:
            return self._agree(observation)
        with self._lock, torch.inference_mode(), self._float32():
            if self._module is not None and self._staging is None:
                self._prepare(observation)
            return self._run(observation)

    @property
    def supports_prefix(self) -> bool:
        """Whether an observation may hold "prefix"."""
        return self._policy.supports_prefix

    def batch(self, observations: Sequence[RobotObservation]) -> np.ndarray:
        """Give the chunks (B, H, A) float32 of several observations at once, by the plain policy.

        Args:
            observations: B of them, alike in their parts and shapes, none with a prefix.

        Raises:
            PolicyError: as for one; or one of them holds a prefix.
        """
        checked = [self._checked(one) for one in observations]
        if any("prefix" in one for one in checked):
            raise PolicyError("several chunks at once: found a prefix; allowed with one chunk of one observation")
        together: Observation = _stacked([{**one, "qpos": np.asarray(one["qpos"], np.float32)} for one in checked])
        with self._lock, torch.inference_mode(), self._float32(), self._autocast():
            return self._policy.predict_chunk(together).float().cpu().numpy()

    def draw(self, observation: RobotObservation, count: int) -> np.ndarray:
        """Give several chunks (K, H, A) float32 of one observation, by `batch`."""
        return self.batch([observation] * count)

    def reset(self, seed: int | None = None) -> None:
        """Tell the policy that a new episode begins; see `Policy.reset`."""
        with self._lock:
            self._policy.reset(seed)

    def close(self) -> None:
        """Nothing is under way that could be cut off."""

    @property
    def description(self) -> str:
        """What runs where, in words."""
        words = f"{self._policy.config.type} on {self.device}, {self.precision}"
        if self.precision == "fp32" or self.report is None:
            return words
        return f"{words}, actions within {self.report.max_difference:.2g} of fp32"

    def latency_parts(self) -> Mapping[str, tuple[float, float]]:
        """None: it is one piece."""
        return {}

    def _checked(self, observation: RobotObservation) -> RobotObservation:
        """With the state put together, and images of the sizes that came first: those alone were tried out."""
        config = self._policy.config
        stated = cast("RobotObservation", with_state(config, observation))
        found = image_sizes(config, stated)
        self._sizes = self._sizes or found
        for name, size, held in zip(config.camera_names, found, self._sizes, strict=True):
            check_vector(f"image of {name}", (*size, 3), (*held, 3))
        return stated

    def _prepare(self, example: RobotObservation) -> None:
        """Make everything of an inference module that depends on the image sizes."""
        if self._module is None:
            return
        assert self._sizes is not None
        self._staging = Staging(self._policy.config, self._sizes, self.device)
        self._staging.load(example)
        if self._stream is None and not self._repeatable:
            self._module.tune(self._staging.qpos, self._staging.images)
        if self._stream is not None:
            torch.cuda.synchronize(self.device)
            self._recorded = RecordedPass(self._compute(self._module, self._staging), self._stream)

    def _run(self, observation: RobotObservation) -> np.ndarray:
        if self._module is None:
            with self._autocast():
                return self._plain(observation)
        staging = self._staging
        assert staging is not None
        stream: AbstractContextManager[Any] = nullcontext()
        if self._stream is not None:
            stream = torch.cuda.stream(self._stream)
        with stream:
            staging.load(observation)
            self._module.load(observation)
        out = self._recorded() if self._recorded is not None else self._compute(self._module, staging)()
        return np.array(out.numpy(), dtype=np.float32)  # a copy: buffers are used again

    def _agree(self, observation: RobotObservation) -> np.ndarray:
        """A chunk that agrees with a prefix. It takes gradients, so no inference mode and no recorded pass."""
        if not self._policy.supports_prefix:
            raise PolicyError(f"policy type {self._policy.config.type!r} does not keep prefix actions")
        with self._lock, torch.no_grad(), self._float32(), self._autocast():
            return self._plain(observation)

    def _plain(self, observation: RobotObservation) -> np.ndarray:
        check_parts(observation)
        one: Observation = {**batched(observation), "qpos": np.asarray(observation["qpos"], np.float32)[None]}
        return self._policy.predict_chunk(one)[0].float().cpu().numpy()

    def _float32(self) -> AbstractContextManager[Any]:
        return _Tf32(self.precision == "tf32") if self.device.type == "cuda" else nullcontext()

    def _autocast(self) -> torch.autocast:
        dtype = PRECISIONS[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    @staticmethod
    def _compute(fast: InferenceModule, staging: Staging) -> Callable[[], Tensor]:
        return lambda: fast(staging.qpos, staging.images)


def limit_torch_threads() -> None:
    """Use one CPU thread fewer than there are cores, so that a control loop and drivers beside it keep their pace.

    Threads of one operation wait for each other by turning: where another process takes their core away, a
    network that needs 10 ms takes a second.
    """
    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))


def _stacked(values: Sequence[Any]) -> Any:
    """Values of one structure with a batch axis: arrays stacked, maps part by part, texts as a list."""
    first = values[0]
    if isinstance(first, Mapping):
        return {name: _stacked([one[name] for one in values]) for name in first}
    return np.stack(values) if isinstance(first, np.ndarray) else list(values)


class _Tf32(AbstractContextManager[None]):
    """TF32 on or off for convolutions and matrix products while a runtime runs or records."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed

    def __enter__(self) -> None:
        self._before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = self._allowed

    def __exit__(self, *_: object) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = self._before

"""The base class of all policies."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from vgil_ros.core.history import with_past, with_task
from vgil_ros.core.observation import RobotFrame, RobotObservation
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.device import DtypeName
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.normalizer import Normalizer
from vgil_ros.policies.observation import Batch, Observation
from vgil_ros.policies.preparation import with_state
from vgil_ros.policies.storage import write_checkpoint

_MODES = threading.Lock()  # one for all policies: a lock of their own would keep them from being copied


@dataclass(frozen=True)
class LossOutput:
    """A training loss: `loss` is what is minimised; `parts` names what it consists of (detached scalars)."""

    loss: Tensor
    parts: dict[str, Tensor]


class InferenceModule(ABC):
    """A policy laid out anew for inference alone: same numbers, nothing that training needs."""

    @abstractmethod
    def __call__(self, qpos: Tensor, images: list[Tensor]) -> Tensor:
        """Give the de-normalised chunk (H, A) float32.

        Args:
            qpos: (D,) float32 on the device; images: one (H, W, 3) uint8 for each camera, on the device.
        """

    def load(self, observation: RobotObservation) -> None:  # noqa: B027 - most need nothing else
        """Bring what else a pass needs, such as noise, into buffers of the module.

        Called before every pass and outside of what CUDA records. `observation` has no batch axis and is checked.
        """

    def tune(self, qpos: Tensor, images: list[Tensor]) -> None:  # noqa: B027 - nothing to tune is a fair default
        """Choose among equal ways to compute by measuring them on this machine. Called once, while warming up."""


class Policy(nn.Module, ABC):
    """A policy maps an observation to a chunk of actions, both in robot units.

    A subclass names its configuration class, builds its network in `__init__` (after `super().__init__`), and defines
    `_predict_chunk` and `compute_loss`. `normalizer` is part of the weights; until it is set or loaded nothing runs.
    """

    config_class: ClassVar[type[PolicyConfig]] = PolicyConfig
    supports_prefix: ClassVar[bool] = False  # whether `predict_chunk` keeps an action prefix, see `prepare_prefix`
    stochastic: ClassVar[bool] = False  # whether it draws: two chunks of one observation differ
    files_needed: ClassVar[tuple[str, ...]] = ()  # what else lies in its checkpoint folder, such as a tokenizer

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.normalizer = Normalizer(config.state_dim, config.action_dim, len(config.cameras), config.normalization)
        self.files: dict[str, bytes] = {}  # by name, as they lie in the checkpoint folder; see `set_files`
        self._normalizer_checked = False
        self._predicting = 0  # calls of `predict_chunk` under way, in any thread
        self._to_train_again: tuple[nn.Module, ...] = ()  # what was in training mode when the first of them began

    @torch.no_grad()
    def predict_chunk(self, observation: Observation) -> Tensor:
        """Give the next actions, (B, H, A) float32 in robot units, without gradients.

        The network computes in eval mode: modules in training mode are switched over and back again. Several threads
        may call at a time; one that trains the policy must not.

        Args:
            observation: see `Observation`; without "past" nothing of the past is known.

        Raises:
            PolicyError: cameras, shapes or dtypes differ from the configuration, or the normaliser is not set.
        """
        with self._in_eval_mode():
            return self._predict_chunk(cast("Observation", with_state(self.config, observation)))

    @abstractmethod
    def _predict_chunk(self, observation: Observation) -> Tensor:
        """Do the work of `predict_chunk`, for the same arguments; the network is in eval mode and takes no gradients.

        Where a chunk is guided, `torch.enable_grad` stands around that part alone.
        """

    @contextmanager
    def _in_eval_mode(self) -> Iterator[None]:
        """Keep every module in eval mode; those in training mode go back to it when the last of several calls ends."""
        with _MODES:
            if not self._predicting:
                self._to_train_again = tuple(module for module in self.modules() if module.training)
                for module in self._to_train_again:
                    module.training = False
            self._predicting += 1
        try:
            yield
        finally:
            with _MODES:
                self._predicting -= 1
                if not self._predicting:
                    for module in self._to_train_again:
                        module.training = True
                    self._to_train_again = ()

    @abstractmethod
    def compute_loss(self, batch: Batch) -> LossOutput:
        """Give the training loss.

        Args:
            batch: see `Batch`.
        """

    def reset(self, seed: int | None = None) -> None:
        """Forget the past: a new episode begins. What is drawn in it follows from `seed`; None: from the usual one."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.normalizer.image_mean.device

    def set_normalizer(self, normalizer: Normalizer) -> None:
        """Take over `normalizer`, which must be described as in the configuration and fit its sizes.

        Raises:
            PolicyError: another description or size, or statistics that are not usable.
        """
        if normalizer.spec != self.config.normalization:
            raise PolicyError(f"normaliser: found {normalizer.spec}, the policy's is {self.config.normalization}")
        ours, theirs = self.normalizer.state_dict(), normalizer.state_dict()
        for key, value in theirs.items():
            if value.shape != ours[key].shape:
                raise PolicyError(f"normaliser: {key} has shape {tuple(value.shape)}, allowed {tuple(ours[key].shape)}")
        normalizer.check()
        self.normalizer.load_state_dict(theirs)
        self._normalizer_checked = True

    def set_files(self, files: Mapping[str, bytes]) -> None:
        """Take over what `files_needed` names.

        Raises:
            PolicyError: one is missing, unknown, or not what it should be.
        """
        if set(files) != set(self.files_needed):
            raise PolicyError(f"files: found {sorted(files)}, allowed is exactly {sorted(self.files_needed)}")
        self.files = dict(files)

    def require_normalizer(self) -> None:
        """Raise PolicyError unless the statistics are set; free after the first time."""
        if not self._normalizer_checked:
            self.normalizer.check()
            self._normalizer_checked = True

    def save(self, directory: str | Path, *, weight_dtype: DtypeName = "fp32") -> Path:
        """Write the checkpoint folder; an older checkpoint there is replaced, and what else lies there is kept.

        Args:
            directory: the folder.
            weight_dtype: with bf16 or fp16 the parameters take half the bytes, rounded; loaded they are float32 again.

        Raises:
            CheckpointError: a weight is not finite, or `directory` holds something other than a checkpoint.
            PolicyError: the normaliser or one of `files_needed` is not set.
        """
        self.normalizer.check()
        if missing := [name for name in self.files_needed if name not in self.files]:
            raise PolicyError(f"{', '.join(missing)} is not set: the checkpoint could not be used; allowed: set_files")
        parameters = dict(self.named_parameters(remove_duplicate=False))
        return write_checkpoint(
            self.config, self.state_dict(), parameters, directory, weight_dtype=weight_dtype, files=self.files
        )

    def example_observation(self, sizes: Mapping[str, tuple[int, int]] | None = None) -> RobotObservation:
        """Give one made-up observation without batch axis, for warm-up: zeros and noise, with all of its past known.

        Args:
            sizes: (height, width) of cameras whose size the configuration does not know.

        Raises:
            PolicyError: the size of a camera is unknown.
        """
        own = {c.name: (c.height, c.width) for c in self.config.cameras if c.height is not None and c.width is not None}
        shapes = {**(sizes or {}), **own}
        unknown = [name for name in self.config.camera_names if name not in shapes]
        if unknown:
            raise PolicyError(f"size of camera {', '.join(unknown)} is unknown: give an example observation")
        noise = np.random.default_rng(0)

        def frame() -> RobotFrame:
            images = {
                name: noise.integers(0, 256, (*shapes[name], 3), dtype=np.uint8) for name in self.config.camera_names
            }
            return {"qpos": np.zeros(self.config.state_dim, np.float32), "images": images}

        example = with_past(frame(), [frame() for _ in self.config.obs_offsets])
        return with_task(example, "an example" if self.config.needs_task else "")

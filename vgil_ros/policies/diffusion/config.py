"""Sizes of a diffusion policy, and how it takes noise away."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from vgil_ros.policies.config import Normalization, PolicyConfig, VectorNormalization
from vgil_ros.policies.nn.backbones import BackboneName, BackboneNorm

Pooling = Literal["spatial_softmax", "average"]
Prediction = Literal["epsilon", "sample"]
SchedulerName = Literal["DDPM", "DDIM"]
BetaSchedule = Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
Size = tuple[int, int]

HEAD_GROUPS = 8  # of the last normalisation, whatever n_groups is, in all published versions
RANGED = Normalization(qpos=VectorNormalization(mode="min_max"), action=VectorNormalization(mode="min_max"))


class DiffusionConfig(PolicyConfig):
    """Configuration of a diffusion policy.

    The network works on `horizon` actions, the first of which belongs to the oldest of `n_obs_steps` observations. So
    the action of now stands at n_obs_steps - 1, and what can be played is the rest: `chunk_size` is
    horizon - n_obs_steps + 1 and need not be given. All of it is handed out; how much is played before the next chunk
    is for the execution to say, and `n_action_steps` is what it does where nothing else is said.

    Attributes:
        n_obs_steps: observations that are looked at, the present one and those of the ticks before it.
        n_action_steps: actions of a chunk to play in open loop before the next is asked for; None: all.
        resize, crop: (height, width) in pixels; the crop is at random in training (one for all observations of a
            sample) and in the middle otherwise.
        resize_first: resize, then crop; or crop, then resize. resize_antialias: as torchvision has it since 0.17.
        pooling: of the backbone's map: keypoints by spatial softmax and a linear layer behind them, or the mean.
        feature_relu: a ReLU behind that linear layer.
        shared_encoder: one encoder for all cameras, or one for each.
        down_dims: channels of the U-Net's levels; each but the last halves the number of time steps.
        film_scale: the condition gives each channel a scale and a bias (FiLM), or a bias alone.
        scheduler, inference_steps: how noise is taken away; DDIM needs few steps. None: as many as in training.
        set_alpha_to_one, steps_offset: as in `diffusers`; for DDIM alone.
        prediction_type: what the network gives, the noise or the actions without it.
        clip_sample: hold the actions within +-clip_sample_range at each step; they must be scaled to [-1, 1].
        mask_padding: leave out of the loss what lies beyond an episode; as published it counts, and is a copy of the
            episode's first or last action.
        draws: in training, noises and steps for each observation, which is encoded once for all of them.
        seed: of the noise after each reset.
    """

    type: Literal["diffusion"] = "diffusion"
    normalization: Normalization = RANGED
    n_obs_steps: int = Field(default=2, gt=0)
    horizon: int = Field(default=16, gt=0)
    n_action_steps: int | None = Field(default=None, gt=0)
    backbone: BackboneName = "resnet18"
    backbone_norm: BackboneNorm = "group"
    resize: Size | None = None
    resize_first: bool = True
    resize_antialias: bool = True
    crop: Size | None = None
    random_crop: bool = True
    pooling: Pooling = "spatial_softmax"
    keypoints: int = Field(default=32, gt=0)
    feature_relu: bool = True
    shared_encoder: bool = True
    down_dims: tuple[int, ...] = Field(default=(512, 1024, 2048), min_length=1)
    kernel_size: int = Field(default=5, gt=0)
    n_groups: int = Field(default=8, gt=0)
    step_embed_dim: int = Field(default=128, ge=4, multiple_of=2)
    film_scale: bool = True
    scheduler: SchedulerName = "DDIM"
    train_steps: int = Field(default=100, gt=0)
    inference_steps: int | None = Field(default=10, gt=0)
    beta_schedule: BetaSchedule = "squaredcos_cap_v2"
    beta_start: float = Field(default=1e-4, gt=0, lt=1)
    beta_end: float = Field(default=0.02, gt=0, lt=1)
    set_alpha_to_one: bool = True
    steps_offset: int = Field(default=0, ge=0)
    prediction_type: Prediction = "epsilon"
    clip_sample: bool = True
    clip_sample_range: float = Field(default=1.0, gt=0)
    mask_padding: bool = False
    draws: int = Field(default=1, gt=0)
    seed: int = Field(default=0, ge=0, lt=1 << 31)

    @model_validator(mode="before")
    @classmethod
    def _chunk_follows(cls, values: Any) -> Any:
        """Fill in `chunk_size`; one that is given has to agree."""
        if not isinstance(values, dict) or "chunk_size" in values:
            return values
        fields = cls.model_fields
        horizon, n_obs = (values.get(name, fields[name].default) for name in ("horizon", "n_obs_steps"))
        if isinstance(horizon, int) and isinstance(n_obs, int):
            return {**values, "chunk_size": max(horizon - n_obs + 1, 1)}
        return values

    @model_validator(mode="after")
    def _times_fit(self) -> DiffusionConfig:
        if self.chunk_size != self.horizon - self.n_obs_steps + 1:
            raise ValueError(
                f"chunk_size {self.chunk_size} is not horizon - n_obs_steps + 1 = "
                f"{self.horizon} - {self.n_obs_steps} + 1; leave it out"
            )
        if self.n_action_steps is not None and self.n_action_steps > self.chunk_size:
            raise ValueError(f"n_action_steps {self.n_action_steps} is more than the chunk's {self.chunk_size} actions")
        halved = 2 ** (len(self.down_dims) - 1)
        if self.horizon % halved:
            raise ValueError(
                f"horizon {self.horizon} is not a multiple of {halved}, as {len(self.down_dims)} levels of down_dims "
                "halve it"
            )
        if self.inference_steps is not None and self.inference_steps > self.train_steps:
            raise ValueError(f"inference_steps {self.inference_steps} are more than train_steps {self.train_steps}")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> DiffusionConfig:
        wrong = [width for width in self.down_dims if width % self.n_groups]
        if wrong:
            raise ValueError(f"down_dims {wrong} are not divisible by n_groups {self.n_groups}")
        if self.down_dims[0] % HEAD_GROUPS:
            raise ValueError(f"down_dims begins with {self.down_dims[0]}; allowed: a multiple of {HEAD_GROUPS}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} is even: the number of time steps would not stay")
        if self.clip_sample and self.normalization.action.mode != "min_max":
            raise ValueError(
                f"clip_sample cuts off actions beyond {self.clip_sample_range:g}: normalization.action.mode "
                f"{self.normalization.action.mode!r} is not allowed with it, 'min_max' is"
            )
        for camera in self.cameras:
            if camera.height is not None and camera.width is not None:
                self._crop_fits(camera.name, (camera.height, camera.width))
        return self

    def _crop_fits(self, name: str, size: Size) -> None:
        if self.resize is not None and self.resize_first:
            size = self.resize
        if self.crop is not None and (self.crop[0] > size[0] or self.crop[1] > size[1]):
            raise ValueError(f"crop {self.crop} is larger than the image of camera {name!r}, {size}")

    @property
    def obs_offsets(self) -> tuple[int, ...]:
        """See `PolicyConfig.obs_offsets`."""
        return tuple(range(self.n_obs_steps - 1, 0, -1))

    @property
    def action_steps(self) -> int:
        """See `PolicyConfig.action_steps`."""
        return self.n_action_steps or self.chunk_size

    @property
    def first(self) -> int:
        """Place of the present action within the horizon."""
        return self.n_obs_steps - 1

    @property
    def steps(self) -> int:
        """Steps in which noise is taken away."""
        return self.inference_steps or self.train_steps

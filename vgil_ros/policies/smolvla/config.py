"""Sizes of a SmolVLA. Defaults are those of the 450 M parameters that LeRobot publishes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor

from vgil_ros.core.config import StrictModel
from vgil_ros.policies.config import MOST, MOST_LAYERS, ImageNormalization, Normalization
from vgil_ros.policies.flow_matching.config import FlowConfig
from vgil_ros.policies.smolvla import aloha

ALOHA_DIM = 14  # of two arms of ALOHA, which `adapt_to_pi_aloha` is for


class TextSizes(StrictModel):
    """The language model's first layers; the action expert's have the same heads.

    Attributes:
        layers: how many are taken. vocabulary: rows of the word embedding. norm_eps: of the RMS norms.
    """

    hidden_dim: int = Field(default=960, gt=0, le=MOST)
    heads: int = Field(default=15, gt=0, le=MOST)
    kv_heads: int = Field(default=5, gt=0, le=MOST)
    head_dim: int = Field(default=64, gt=0, le=MOST, multiple_of=2)
    feedforward_dim: int = Field(default=2560, gt=0, le=MOST)
    layers: int = Field(default=16, gt=0, le=MOST_LAYERS)
    vocabulary: int = Field(default=49_280, gt=0, le=1 << 20)
    norm_eps: float = Field(default=1e-5, gt=0)

    @model_validator(mode="after")
    def _heads_are_shared(self) -> TextSizes:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads is {self.heads}; allowed: a multiple of kv_heads {self.kv_heads}")
        return self


class VisionSizes(StrictModel):
    """The vision tower (SigLIP).

    Attributes:
        image_size: side of the square that every image is brought to, its shape kept, px. patch_size: px.
    """

    hidden_dim: int = Field(default=768, gt=0, le=MOST)
    heads: int = Field(default=12, gt=0, le=MOST)
    feedforward_dim: int = Field(default=3072, gt=0, le=MOST)
    layers: int = Field(default=12, gt=0, le=MOST_LAYERS)
    image_size: int = Field(default=512, gt=0, le=MOST)
    patch_size: int = Field(default=16, gt=0, le=MOST)
    norm_eps: float = Field(default=1e-6, gt=0)

    @model_validator(mode="after")
    def _sizes_fit(self) -> VisionSizes:
        if self.hidden_dim % self.heads:
            raise ValueError(f"hidden_dim is {self.hidden_dim}; allowed: a multiple of heads {self.heads}")
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size is {self.image_size}; allowed: a multiple of patch_size {self.patch_size}")
        return self


class SmolVlaConfig(FlowConfig):
    """Configuration of a SmolVLA.

    Attributes:
        text, vision: sizes of the vision-language model; scale_factor: so many patches a side become one token.
        patch_positions: where the vision tower takes its patches to be. `even`: each at its own place. `lower`: all but
            the first one place too low, on both axes, as transformers 4.57 has it in float32 (not in bfloat16).
        expert_dim, expert_feedforward_dim: of the action expert, which has as many layers as `text`.
        self_attention_every: every so many layers of the expert actions attend to each other too, beginning with the
            first; 0: never, in all others they attend to what was observed alone.
        image_start, image_end: tokens before and behind each image.
        empty_cameras: images that are never there; of them only `image_start` and `image_end` can be seen.
        max_words: tokens of a task that are read.
        min_period, max_period: of the waves that tell the time.
        adapt_to_pi_aloha: turn joints and grippers of ALOHA into what pi0 was trained on, as LeRobot 0.4 does: after
            normalisation.
    """

    type: Literal["smolvla"] = "smolvla"
    chunk_size: int = Field(default=50, gt=0)
    text: TextSizes = TextSizes()
    vision: VisionSizes = VisionSizes()
    scale_factor: int = Field(default=4, gt=0)
    patch_positions: Literal["even", "lower"] = "even"
    expert_dim: int = Field(default=720, gt=0, multiple_of=2)
    expert_feedforward_dim: int = Field(default=2048, gt=0)
    self_attention_every: int = Field(default=2, ge=0)
    image_start: tuple[int, ...] = ()
    image_end: tuple[int, ...] = ()
    empty_cameras: int = Field(default=0, ge=0, le=MOST_LAYERS)
    max_words: int = Field(default=48, gt=0)
    min_period: float = Field(default=4e-3, gt=0)
    max_period: float = Field(default=4.0, gt=0)
    adapt_to_pi_aloha: bool = False
    normalization: Normalization = Normalization(images=ImageNormalization(mode="unit"))

    @model_validator(mode="after")
    def _parts_fit(self) -> SmolVlaConfig:
        side = self.vision.image_size // self.vision.patch_size
        if side % self.scale_factor:
            raise ValueError(f"{side} patches a side; allowed: a multiple of scale_factor {self.scale_factor}")
        if not self.cameras:
            raise ValueError("cameras: found none; allowed: one or more")
        if self.adapt_to_pi_aloha and min(self.state_dim, self.action_dim) < ALOHA_DIM:
            raise ValueError(
                f"adapt_to_pi_aloha with state_dim {self.state_dim} and action_dim {self.action_dim}; "
                f"allowed: {ALOHA_DIM} or more, as ALOHA has"
            )
        return self

    @property
    def needs_task(self) -> bool:
        """See `PolicyConfig.needs_task`."""
        return self.task is None

    def state_units(self, state: Tensor) -> Tensor:
        """See `FlowConfig.state_units`."""
        return aloha.state_to_network(state) if self.adapt_to_pi_aloha else state

    def action_units(self, action: Tensor) -> Tensor:
        """See `FlowConfig.action_units`."""
        return aloha.action_to_network(action) if self.adapt_to_pi_aloha else action

    def action_from_units(self, action: Tensor) -> Tensor:
        """See `FlowConfig.action_from_units`."""
        return aloha.action_from_network(action) if self.adapt_to_pi_aloha else action

    def attends_to_actions(self, layer: int) -> bool:
        """Whether actions attend to each other in a layer of the expert."""
        return self.self_attention_every > 0 and layer % self.self_attention_every == 0

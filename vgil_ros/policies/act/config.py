"""Sizes of an ACT policy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.nn.backbones import BackboneName, BackboneNorm

PositionKind = Literal["sine", "learned"]
Activation = Literal["relu", "gelu"]


class ActConfig(PolicyConfig):
    """ACT's configuration. The defaults are the paper's, but for `decoder_layers`.

    Attributes:
        decoder_layers: layers whose output is used. The published code builds seven and reads the first one's output
            alone, so one is the published model.
        cvae_layers: depth of the CVAE encoder, which only training runs; 0 leaves it out (and the KL loss).
        pad_head: a head for padding logits, as published; no loss trains it there or here.
        shared_backbone: one backbone (and one set of learned positions) for all cameras, or one for each.
        kl_weight, dropout: used in training alone.
    """

    type: Literal["act"] = "act"
    hidden_dim: int = Field(default=512, gt=0)
    heads: int = Field(default=8, gt=0)
    feedforward_dim: int = Field(default=3200, gt=0)
    encoder_layers: int = Field(default=4, ge=0)
    decoder_layers: int = Field(default=1, gt=0)
    cvae_layers: int = Field(default=4, ge=0)
    latent_dim: int = Field(default=32, gt=0)
    backbone: BackboneName = "resnet18"
    backbone_norm: BackboneNorm = "frozen"
    shared_backbone: bool = True
    positions: PositionKind = "sine"
    activation: Activation = "relu"
    pre_norm: bool = False
    pad_head: bool = True
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    kl_weight: float = Field(default=10.0, ge=0.0)

    @model_validator(mode="after")
    def _sizes_fit(self) -> ActConfig:
        if self.hidden_dim % self.heads:
            raise ValueError(f"hidden_dim {self.hidden_dim} is not divisible by heads {self.heads}")
        if self.hidden_dim % 4:
            raise ValueError(f"hidden_dim {self.hidden_dim} is not divisible by 4, which two-axis positions need")
        if not self.cameras:
            raise ValueError("ACT needs at least one camera")
        return self

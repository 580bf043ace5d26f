"""The velocity field for inference on one observation, with everything that follows from the times worked out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgil_ros.policies.act.fast_attention import attend
from vgil_ros.policies.flow_matching.config import FlowMatchingConfig
from vgil_ros.policies.flow_matching.flow import Velocity, integrate
from vgil_ros.policies.flow_matching.layers import GIVEN, ActionLayer
from vgil_ros.policies.flow_matching.model import VelocityField
from vgil_ros.policies.inference.onednn import FusedLinear


@dataclass(frozen=True)
class Told:
    """What one layer makes of one time, (D,) each: scale and shift are a layer norm's weight and bias."""

    scale1: Tensor
    shift1: Tensor
    gate1: Tensor
    scale2: Tensor
    shift2: Tensor
    gate2: Tensor


class FastLayer:
    """An `ActionLayer` for (H, D)."""

    def __init__(self, layer: ActionLayer, dtype: torch.dtype) -> None:
        self._heads, self._eps = layer.heads, layer.norm1.eps
        self._qkv, self._out = _linear(layer.qkv, dtype), _linear(layer.out, dtype)
        self._relu = layer.activation is torch.relu
        self._activation = layer.activation
        self._linear1, self._linear2 = _linear(layer.linear1, dtype, relu=self._relu), _linear(layer.linear2, dtype)

    def __call__(self, x: Tensor, told: Told, keys: Tensor, values: Tensor) -> Tensor:
        """x (H, D); keys, values (S, D) of the prefix -> (H, D)."""
        q, k, v = self._qkv(F.layer_norm(x, x.shape[-1:], told.scale1, told.shift1, self._eps)).chunk(3, dim=1)
        found = attend(q, torch.cat([keys, k]), torch.cat([values, v]), self._heads)
        x = torch.addcmul(x, told.gate1, self._out(found))
        h = self._linear1(F.layer_norm(x, x.shape[-1:], told.scale2, told.shift2, self._eps))
        return torch.addcmul(x, told.gate2, self._linear2(h if self._relu else self._activation(h)))


class FastField:
    """A `VelocityField` for one observation and the times of its configuration's solver."""

    def __init__(self, field: VelocityField, config: FlowMatchingConfig, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._layers = [FastLayer(layer, dtype) for layer in field.layers]  # type: ignore[arg-type]
        self._in = _linear(field.action_in, dtype)
        self._place = field.place.weight.detach().to(dtype)
        self._norm = (field.norm.weight.detach().to(dtype), field.norm.bias.detach().to(dtype), field.norm.eps)
        self._head = _linear(field.action_out, dtype)
        self._told = [_told(field, t, dtype) for t in _times(config, field.place.weight.device)]

    def given(self, key_value: Tensor) -> Velocity:
        """Give the field of one observation, to be asked once at each of the solver's times in their order.

        Args:
            key_value: (S, 2 L D), keys of all layers, then values.
        """
        kept = key_value.chunk(2 * len(self._layers), dim=1)
        keys, values = kept[: len(self._layers)], kept[len(self._layers) :]
        coming = iter(self._told)

        def velocity(x: Tensor, _: Tensor) -> Tensor:
            h = self._in(x[0].to(self._dtype), self._place)
            for layer, told, key, value in zip(self._layers, next(coming), keys, values, strict=True):
                h = layer(h, told, key, value)
            weight, bias, eps = self._norm
            return self._head(F.layer_norm(h, h.shape[-1:], weight, bias, eps))[None].to(torch.float32)

        return velocity


def _times(config: FlowMatchingConfig, device: torch.device) -> list[Tensor]:
    """The times (1,) at which the solver asks, in order."""
    asked: list[Tensor] = []

    def note(x: Tensor, t: Tensor) -> Tensor:
        asked.append(t)
        return x

    integrate(note, torch.zeros(1, 1, device=device), config.steps, config.solver)
    return asked


def _told(field: VelocityField, t: Tensor, dtype: torch.dtype) -> list[Told]:
    """For each layer."""
    found = []
    for given in field.told(t):
        shift1, scale1, gate1, shift2, scale2, gate2 = (part.to(dtype) for part in given[0, 0].chunk(GIVEN))
        found.append(Told(1 + scale1, shift1, 1 + gate1, 1 + scale2, shift2, 1 + gate2))
    return found


def _linear(layer: nn.Linear, dtype: torch.dtype, relu: bool = False) -> FusedLinear:
    assert layer.bias is not None
    return FusedLinear(layer.weight.to(dtype), layer.bias.to(dtype), relu)

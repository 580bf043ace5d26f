"""Flow matching for inference on one observation: the same numbers as `predict_chunk`, nothing computed twice.

The times of the steps are known beforehand, so what every layer is told of them is a constant; so are positions. The
loop has static shapes and never waits for the device: on CUDA all of it lies in one graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.act.inference import FastEncoder
from vgil_ros.policies.base import InferenceModule
from vgil_ros.policies.flow_matching.config import FlowMatchingConfig
from vgil_ros.policies.flow_matching.flow import Velocity, integrate
from vgil_ros.policies.flow_matching.model import GIVEN, ActionLayer, VelocityField
from vgil_ros.policies.flow_matching.policy import FlowMatchingPolicy
from vgil_ros.policies.flow_matching.task import task_embedding
from vgil_ros.policies.inference.backbone import FastImages
from vgil_ros.policies.inference.onednn import FusedLinear, attend
from vgil_ros.policies.nn.backbones import grid_size
from vgil_ros.policies.observation import NoisePart, TaskPart


@dataclass(frozen=True)
class Modulation:
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

    def __call__(self, x: Tensor, modulation: Modulation, keys: Tensor, values: Tensor) -> Tensor:
        """x (H, D); keys, values (S, D) of the prefix -> (H, D)."""
        q, k, v = self._qkv(F.layer_norm(x, x.shape[-1:], modulation.scale1, modulation.shift1, self._eps)).chunk(
            3, dim=1
        )
        attended = attend(q, torch.cat([keys, k]), torch.cat([values, v]), self._heads)
        x = torch.addcmul(x, modulation.gate1, self._out(attended))
        h = self._linear1(F.layer_norm(x, x.shape[-1:], modulation.scale2, modulation.shift2, self._eps))
        return torch.addcmul(x, modulation.gate2, self._linear2(h if self._relu else self._activation(h)))


class FastField:
    """A `VelocityField` for one observation and the times of its configuration's solver."""

    def __init__(self, field: VelocityField, config: FlowMatchingConfig, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._layers = [FastLayer(layer, dtype) for layer in field.layers]  # type: ignore[arg-type]
        self._in = _linear(field.action_in, dtype)
        self._place = field.place.weight.detach().to(dtype)
        self._norm = (field.norm.weight.detach().to(dtype), field.norm.bias.detach().to(dtype), field.norm.eps)
        self._head = _linear(field.action_out, dtype)
        self._modulations = [_modulation(field, t, dtype) for t in _times(config, field.place.weight.device)]

    def given(self, key_value: Tensor) -> Velocity:
        """Give the field of one observation, to be asked once at each of the solver's times in their order.

        Args:
            key_value: (S, 2 L D), keys of all layers, then values.
        """
        kept = key_value.chunk(2 * len(self._layers), dim=1)
        keys, values = kept[: len(self._layers)], kept[len(self._layers) :]
        coming = iter(self._modulations)

        def velocity(x: Tensor, _: Tensor) -> Tensor:
            h = self._in(x[0].to(self._dtype), self._place)
            for layer, modulation, key, value in zip(self._layers, next(coming), keys, values, strict=True):
                h = layer(h, modulation, key, value)
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


def _modulation(field: VelocityField, t: Tensor, dtype: torch.dtype) -> list[Modulation]:
    """For each layer."""
    layers = []
    for given in field.modulation(t):
        shift1, scale1, gate1, shift2, scale2, gate2 = (part.to(dtype) for part in given[0, 0].chunk(GIVEN))
        layers.append(Modulation(1 + scale1, shift1, 1 + gate1, 1 + scale2, shift2, 1 + gate2))
    return layers


def _linear(layer: nn.Linear, dtype: torch.dtype, relu: bool = False) -> FusedLinear:
    assert layer.bias is not None
    return FusedLinear(layer.weight.to(dtype), layer.bias.to(dtype), relu)


Size = tuple[int, int]


class FlowInferenceModule(InferenceModule):
    """Folded weights and kept constants, on the policy's device. Later changes to its weights are not seen."""

    def __init__(self, policy: FlowMatchingPolicy, dtype: torch.dtype) -> None:
        with torch.inference_mode():
            self._build(policy, dtype)

    def _build(self, policy: FlowMatchingPolicy, dtype: torch.dtype) -> None:
        prefix, config = policy.model.prefix, policy.config
        self._policy, self._prefix, self._dtype = policy, prefix, dtype
        self._images: FastImages | None = None
        if prefix.image_proj is not None:
            self._images = FastImages(
                prefix.backbones, prefix.image_proj, policy.normalizer, len(config.cameras), dtype
            )
        offset, scale = policy.normalizer.qpos.affine()
        weight = prefix.state_proj.weight[:, : config.state_dim] / scale
        self._state_weight = weight.detach()
        self._state_bias = (prefix.state_proj.bias - (weight * offset).sum(dim=1)).detach()
        task = prefix.task_proj
        self._task = None if task is None else FusedLinear(task.weight.to(dtype), _bias(task).to(dtype))
        self._field = FastField(policy.model.field, config, dtype)
        self._noise = torch.zeros(1, config.chunk_size, config.padded_dim, device=policy.device)
        self._task_embedding = torch.zeros(1, max(1, config.task_dim), device=policy.device, dtype=dtype)
        self._parts: dict[tuple[Size, ...], tuple[FastEncoder, FusedLinear, Tensor]] = {}

    def load(self, observation: RobotObservation) -> None:
        """Noise and task; see `InferenceModule.load`."""
        policy = self._policy
        given: NoisePart = {"noise": np.asarray(observation["noise"])[None]} if "noise" in observation else {}
        self._noise.copy_(policy.noise_for(given, 1))
        if self._task is None:
            return
        named: TaskPart = {"task": observation["task"]} if "task" in observation else {}
        if "task_embedding" in observation:
            named["task_embedding"] = np.asarray(observation["task_embedding"])[None]
        embedding = task_embedding(policy.config, named, 1, policy.device)
        assert embedding is not None
        self._task_embedding.copy_(embedding)

    def __call__(self, qpos: Tensor, images: list[Tensor]) -> Tensor:
        """See `InferenceModule`."""
        config = self._policy.config
        encoder, key_value, shift = self._stack(tuple((int(i.shape[0]), int(i.shape[1])) for i in images))
        tokens = [torch.addmv(self._state_bias, self._state_weight, qpos)[None].to(self._dtype)]
        if self._task is not None:
            tokens.append(self._task(self._task_embedding))
        if self._images is not None:
            tokens += self._images(images)
        field = self._field.given(key_value(encoder(torch.cat(tokens)), shift))
        end = integrate(field, self._noise, config.steps, config.solver)
        return self._policy.to_robot_units(end)[0]

    def tune(self, qpos: Tensor, images: list[Tensor]) -> None:
        """Measure how to go through the backbones. CPU only."""
        if self._images is not None and qpos.device.type == "cpu":
            self._images.tune(images)

    def _stack(self, sizes: tuple[Size, ...]) -> tuple[FastEncoder, FusedLinear, Tensor]:
        """For these image sizes, built once: the encoder, keys and values of all layers, and the positions' share."""
        if sizes not in self._parts:
            prefix, dtype = self._prefix, self._dtype
            pos = [prefix.token_pos.weight]
            for camera, size in enumerate(sizes):
                assert prefix.camera_embed is not None
                grid = prefix.grid(*grid_size(*size), self._noise.device)
                pos.append(grid + prefix.camera_embed.weight[camera])
            table = torch.cat(pos)
            weight = torch.cat([layer.weight for layer in (*prefix.key, *prefix.value)])
            bias = torch.cat([layer.bias for layer in (*prefix.key, *prefix.value)])
            shift = torch.cat([table @ key.weight.t() for key in prefix.key], dim=1)  # type: ignore[operator]
            shift = torch.cat([shift, torch.zeros_like(shift)], dim=1).to(dtype)
            key_value = FusedLinear(weight.to(dtype), bias.to(dtype))
            self._parts = {sizes: (FastEncoder(prefix.encoder, table, dtype), key_value, shift)}
        return self._parts[sizes]


def _bias(layer: nn.Linear) -> Tensor:
    assert layer.bias is not None
    return layer.bias

"""Flow matching for inference on one observation: the same numbers as `predict_chunk`, nothing computed twice.

The times of the steps are known beforehand, so what every layer is told of them is a constant; so are positions. The
loop has static shapes and never waits for the device: on CUDA all of it lies in one graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from vgil_ros.policies.act.fast_transformer import FastEncoder
from vgil_ros.policies.base import FastPath
from vgil_ros.policies.fast_images import FastImages
from vgil_ros.policies.flow_matching.fast_field import FastField
from vgil_ros.policies.flow_matching.flow import integrate
from vgil_ros.policies.flow_matching.task import task_embedding
from vgil_ros.policies.inference.onednn import FusedLinear
from vgil_ros.policies.nn.backbones import grid_size

if TYPE_CHECKING:
    from vgil_ros.policies.flow_matching.policy import FlowMatchingPolicy

Size = tuple[int, int]


class FlowFastPath(FastPath):
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
        self._told = torch.zeros(1, max(1, config.task_dim), device=policy.device, dtype=dtype)
        self._parts: dict[tuple[Size, ...], tuple[FastEncoder, FusedLinear, Tensor]] = {}

    def load(self, observation: Mapping[str, Any]) -> None:
        """Noise and task; see `FastPath.load`."""
        policy = self._policy
        given = {"noise": np.asarray(observation["noise"])[None]} if "noise" in observation else {}
        self._noise.copy_(policy.noise_for(given, 1))
        if self._task is None:
            return
        named = {key: observation[key] for key in ("task", "task_embedding") if key in observation}
        if "task_embedding" in named:
            named["task_embedding"] = np.asarray(named["task_embedding"])[None]
        found = task_embedding(policy.config, named, 1, policy.device)
        assert found is not None
        self._told.copy_(found)

    def __call__(self, qpos: Tensor, images: list[Tensor]) -> Tensor:
        """See `FastPath`."""
        config = self._policy.config
        encoder, key_value, shift = self._stack(tuple((int(i.shape[0]), int(i.shape[1])) for i in images))
        tokens = [torch.addmv(self._state_bias, self._state_weight, qpos)[None].to(self._dtype)]
        if self._task is not None:
            tokens.append(self._task(self._told))
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
        """For these picture sizes, built once: the encoder, keys and values of all layers, and the positions' share."""
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

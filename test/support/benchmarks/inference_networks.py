"""Policies as tensor-only parts that a compiler or exporter can take, and the plain code between those parts.

Each part takes and gives tensors of fixed shapes; scaling of pixels, state and actions is inside, so that a library may
fold it away as `InferenceRuntime` does. What depends on times alone is worked out once, as there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from vgil_ros.policies.act import ActPolicy
from vgil_ros.policies.base import Policy
from vgil_ros.policies.diffusion import DiffusionPolicy
from vgil_ros.policies.flow_act import FlowActPolicy
from vgil_ros.policies.flow_matching import FlowMatchingPolicy
from vgil_ros.policies.flow_matching.flow import integrate, pad
from vgil_ros.policies.flow_matching.model import Prefix
from vgil_ros.policies.preparation import batched


class Call(Protocol):
    """Runs one part, however it was built."""

    def __call__(self, part: str, *inputs: Tensor) -> tuple[Tensor, ...]: ...


class Network(ABC):
    """A policy cut into `parts`; `predict` gives the same chunk as the policy, (H, A) float32 in robot units."""

    parts: dict[str, nn.Module]

    @abstractmethod
    def predict(self, call: Call, observation: Mapping[str, Any]) -> np.ndarray:
        """Give the chunk of an observation without batch axis, whose past, where there is one, is all known."""

    def plain(self, part: str, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run a part as it is."""
        out: tuple[Tensor, ...] = self.parts[part](*inputs)
        return out


class _ActPart(nn.Module):
    def __init__(self, policy: ActPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, qpos: Tensor, *images: Tensor) -> tuple[Tensor, ...]:
        normalizer = self.policy.normalizer
        scaled = [normalizer.normalize_images(image, index) for index, image in enumerate(images)]
        out: Tensor = normalizer.action.inverse(self.policy.model(normalizer.qpos(qpos), scaled).action)
        return (out,)


class ActNetwork(Network):
    """ACT in one part."""

    def __init__(self, policy: ActPolicy) -> None:
        self.parts = {"all": _ActPart(policy)}
        self._policy = policy

    def predict(self, call: Call, observation: Mapping[str, Any]) -> np.ndarray:
        return _numpy(call("all", *_present(self._policy, observation))[0])


class _FlowActPart(nn.Module):
    def __init__(self, policy: FlowActPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, qpos: Tensor, *shown: Tensor) -> tuple[Tensor, ...]:
        policy, normalizer = self.policy, self.policy.normalizer
        count, limit = len(policy.config.cameras), policy.config.max_flow
        images = [normalizer.normalize_images(image, index) for index, image in enumerate(shown[:count])]
        flows = [(flow / limit).clamp(-1, 1) for flow in shown[count:]]
        action = policy.model.forward_flow(normalizer.qpos(qpos), images, flows).action
        return (normalizer.action.inverse(action),)


class FlowActNetwork(Network):
    """ACT with flow in one part; OpenCV computes the flow before it."""

    def __init__(self, policy: FlowActPolicy) -> None:
        self.parts = {"all": _FlowActPart(policy)}
        self._policy = policy

    def predict(self, call: Call, observation: Mapping[str, Any]) -> np.ndarray:
        qpos, *images = _present(self._policy, observation)
        flows = self._policy.flows(batched(observation), images)
        return _numpy(call("all", qpos, *images, *flows)[0])


class _PrefixPart(nn.Module):
    def __init__(self, policy: FlowMatchingPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, qpos: Tensor, *images: Tensor) -> tuple[Tensor, ...]:
        policy, normalizer = self.policy, self.policy.normalizer
        scaled = [normalizer.normalize_images(image, index) for index, image in enumerate(images)]
        prefix = policy.model.prefix(pad(normalizer.qpos(qpos), policy.config.padded_dim), scaled)
        return tuple(part.contiguous() for part in (*prefix.keys, *prefix.values))  # read again at every step


class _FieldPart(nn.Module):
    def __init__(self, policy: FlowMatchingPolicy) -> None:
        super().__init__()
        self.field, self.layers = policy.model.field, policy.config.action_layers

    def forward(self, x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        told, keys, values = (given[n * self.layers : (n + 1) * self.layers] for n in range(3))
        return (self.field.at(x, told, Prefix(keys, values)),)


class FlowMatchingNetwork(Network):
    """The prefix once, then the velocity field at each of the solver's times."""

    def __init__(self, policy: FlowMatchingPolicy) -> None:
        self.parts = {"prefix": _PrefixPart(policy), "field": _FieldPart(policy)}
        self._policy = policy
        asked: list[Tensor] = []

        def note(x: Tensor, t: Tensor) -> Tensor:
            asked.append(t)
            return x

        integrate(note, torch.zeros(1, 1), policy.config.steps, policy.config.solver)
        with torch.inference_mode():
            self._modulations = [policy.model.field.modulation(t) for t in asked]

    def predict(self, call: Call, observation: Mapping[str, Any]) -> np.ndarray:
        policy, coming = self._policy, iter(self._modulations)
        kept = call("prefix", *_present(policy, observation))
        noise = torch.from_numpy(observation["noise"])[None]
        end = policy.endpoint(lambda x, _: call("field", x, *next(coming), *kept)[0], noise)
        return _numpy(policy.to_robot_units(end))


class _ConditionPart(nn.Module):
    def __init__(self, policy: DiffusionPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, qpos: Tensor, *images: Tensor) -> tuple[Tensor, ...]:
        policy, normalizer = self.policy, self.policy.normalizer
        condition = policy.model.condition(normalizer.qpos(qpos), list(images), normalizer)
        return tuple(policy.model.unet.modulation(policy.times[:, None], condition))


class _UNetPart(nn.Module):
    def __init__(self, policy: DiffusionPolicy) -> None:
        super().__init__()
        self.unet = policy.model.unet

    def forward(self, x: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        return (self.unet(x, list(told)),)


class DiffusionNetwork(Network):
    """The condition once, then the U-Net at each step."""

    def __init__(self, policy: DiffusionPolicy) -> None:
        self.parts = {"condition": _ConditionPart(policy), "unet": _UNetPart(policy)}
        self._policy = policy

    def predict(self, call: Call, observation: Mapping[str, Any]) -> np.ndarray:
        policy, now = self._policy, _present(self._policy, observation)
        seen = [one[:, None] for one in now]
        if policy.config.obs_offsets:
            past = _present(policy, observation["past"])
            seen = [torch.cat([before, one], dim=1) for before, one in zip(past, seen, strict=True)]
        told = call("condition", *seen)
        noise, fresh = policy.noise_for({"noise": observation["noise"][None]}, 1)
        steps = policy.sample(lambda x, number: call("unet", x, *(one[number] for one in told))[0], noise, fresh)
        return _numpy(policy.to_robot_units(steps))


NETWORKS: dict[type[Policy], type[Network]] = {
    ActPolicy: ActNetwork,
    FlowActPolicy: FlowActNetwork,
    FlowMatchingPolicy: FlowMatchingNetwork,
    DiffusionPolicy: DiffusionNetwork,
}


def make_network(policy: Policy) -> Network:
    """Cut a policy into parts, in evaluation mode."""
    return NETWORKS[type(policy)](policy.eval())  # type: ignore[call-arg]


def _present(policy: Policy, seen: Mapping[str, Any]) -> list[Tensor]:
    """[qpos (1, ..., D) float32, one (1, ..., H, W, 3) uint8 for each camera]."""
    values = [seen["qpos"], *(seen["images"][name] for name in policy.config.camera_names)]
    return [torch.from_numpy(np.asarray(value))[None] for value in values]


def _numpy(chunk: Tensor) -> np.ndarray:
    return np.array(chunk[0].numpy(), dtype=np.float32)  # a copy: a library may use its buffer again

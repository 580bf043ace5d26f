"""Registry of policies by `type` in policy.json: their classes, and their forms for inference."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from vgil_ros.policies.base import InferenceModule, Policy
from vgil_ros.policies.errors import PolicyError

# Named, not imported: loading one policy does not load the others.
POLICY_TYPES: dict[str, str] = {
    "act": "vgil_ros.policies.act.policy:ActPolicy",
    "diffusion": "vgil_ros.policies.diffusion.policy:DiffusionPolicy",
    "flow_act": "vgil_ros.policies.flow_act.policy:FlowActPolicy",
    "flow_matching": "vgil_ros.policies.flow_matching.policy:FlowMatchingPolicy",
    "smolvla": "vgil_ros.policies.smolvla.policy:SmolVlaPolicy",
}

# The forms for inference, of the types that have one; only robots need them.
INFERENCE_MODULES: dict[str, str] = {
    "act": "vgil_ros.policies.act.inference:ActInferenceModule",
    "diffusion": "vgil_ros.policies.diffusion.inference:DiffusionInferenceModule",
    "flow_act": "vgil_ros.policies.flow_act.inference:FlowActInferenceModule",
    "flow_matching": "vgil_ros.policies.flow_matching.inference:FlowInferenceModule",
    "smolvla": "vgil_ros.policies.smolvla.inference:SmolVlaInferenceModule",
}


def policy_class(name: str) -> type[Policy]:
    """Give the class of policy type `name`.

    Raises:
        PolicyError: no such type; the error lists those that exist.
    """
    if name not in POLICY_TYPES:
        raise PolicyError(f"policy type {name!r} is unknown, allowed are {sorted(POLICY_TYPES)}")
    policy_type: type[Policy] = _named(POLICY_TYPES[name])
    return policy_type


def make_inference_module(policy: Policy, dtype: torch.dtype) -> InferenceModule | None:
    """Give a form of `policy` for inference, computing in `dtype`, or None where its type has none.

    Raises:
        PolicyError: the normaliser is not set.
    """
    name = INFERENCE_MODULES.get(policy.config.type)
    if name is None:
        return None
    policy.require_normalizer()
    module: InferenceModule = _named(name)(policy, dtype)
    return module


def _named(path: str) -> Any:
    """What a path "module:name" leads to."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)

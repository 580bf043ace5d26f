"""Registry of policy classes by `type` in policy.json. A new policy adds one file and one line here."""

from __future__ import annotations

from importlib import import_module

from vgil_ros.policies.base import Policy
from vgil_ros.policies.errors import PolicyError

# Named, not imported: loading one policy does not load the others.
POLICY_TYPES: dict[str, str] = {
    "act": "vgil_ros.policies.act.policy:ActPolicy",
    "diffusion": "vgil_ros.policies.diffusion.policy:DiffusionPolicy",
    "flow_act": "vgil_ros.policies.flow_act.policy:FlowActPolicy",
    "flow_matching": "vgil_ros.policies.flow_matching.policy:FlowMatchingPolicy",
}


def policy_class(name: str) -> type[Policy]:
    """Give the class of policy type `name`.

    Raises:
        PolicyError: no such type; the error lists those that exist.
    """
    if name not in POLICY_TYPES:
        raise PolicyError(f"policy type {name!r} is unknown, allowed are {sorted(POLICY_TYPES)}")
    module, _, attribute = POLICY_TYPES[name].partition(":")
    policy_type: type[Policy] = getattr(import_module(module), attribute)
    return policy_type

"""Trace of what a flow matching policy does with an observation, taken from outside.

Probes hang on the network itself: whatever a policy, a subclass of it or a checkpoint does differently on the way there
or back shows in what the network is asked and in the chunk that comes out. Nothing is taken from flags.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vgil_ros.policies.observation import Observation

if TYPE_CHECKING:
    from vgil_ros.policies.flow_matching.policy import FlowPolicy


@dataclass
class Call:
    """One call of the velocity field: x (B, H, padded_dim) and t (B,), as they came, and its answer, float32."""

    x: Tensor
    t: Tensor
    velocity: Tensor | None = None


@dataclass
class Trace:
    """One pass.

    Attributes:
        state: (B, padded_dim) as the network got it; images: one (B, 3, H, W) for each camera.
        calls: in their order.
        training: names of the parts that ran in training mode.
        chunk: (B, H, A) that came out, None where nothing did.
        error: what was raised instead, in words.
    """

    state: Tensor | None = None
    images: list[Tensor] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    training: list[str] = field(default_factory=list)
    chunk: Tensor | None = None
    error: str | None = None


@torch.no_grad()
def trace(policy: FlowPolicy, observation: Observation, noise: Tensor | None) -> Trace:
    """Run `predict_chunk` once with probes on the network.

    Args:
        observation: with a batch axis; noise: (B, H, padded_dim) float32 to begin from; None: let the policy draw it.

    An error within the pass is kept, not raised: how far it came tells where to look.
    """
    record = Trace()
    given: Observation = observation if noise is None else {**observation, "noise": noise}
    with _probes(policy, record):
        try:
            record.chunk = policy.predict_chunk(given).clone()
        except Exception as error:  # whatever a faulty policy raises is what is looked for
            record.error = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return record


@contextmanager
def _probes(policy: FlowPolicy, record: Trace) -> Iterator[None]:
    def enters_prefix(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        record.state = arguments[0].clone()
        record.images = [image.clone() for image in arguments[1]]

    def enters_field(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        record.calls.append(Call(arguments[0].clone(), arguments[1].clone()))

    def leaves_field(_: nn.Module, __: tuple[Any, ...], out: Tensor) -> None:
        record.calls[-1].velocity = out.to(torch.float32).clone()

    def runs(name: str, module: nn.Module) -> Any:
        def note(*_: Any) -> None:
            if module.training and name not in record.training:
                record.training.append(name)

        return module.register_forward_pre_hook(note)

    hooks = [runs(name, module) for name, module in policy.model.named_modules() if name]
    hooks.append(policy.model.prefix.register_forward_pre_hook(enters_prefix))
    hooks.append(policy.model.field.register_forward_pre_hook(enters_field))
    hooks.append(policy.model.field.register_forward_hook(leaves_field))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

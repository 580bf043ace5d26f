"""From noise to actions: whether what a policy asked of its field, and what came out, is what the solver promises.

The field's recorded answers are fed to the solver anew. It must then ask at the same times and places as the policy
did, and its last state, un-padded and de-normalised, must be the policy's chunk.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vgil_ros.policies.diagnostics.tolerances import close, far, joints
from vgil_ros.policies.diagnostics.trace import Trace
from vgil_ros.policies.flow_matching.flow import integrate
from vgil_ros.policies.flow_matching.policy import FlowMatchingPolicy

Faults = dict[str, str]


def faults_of_steps(policy: FlowMatchingPolicy, trace: Trace) -> Faults:
    """{stage: words} of the times and the way of x."""
    asked = _solve(policy, trace, 1.0)[1]
    promised = [t for t, _ in asked]
    times = [float(call.t.flatten()[0]) for call in trace.calls]
    apart = any(bool((call.t != call.t.flatten()[0]).any()) for call in trace.calls)
    if not times:
        return {"time_grid": f"the field was never asked: {trace.error}"}
    if _alike(times, [1.0 - t for t in promised]) or (len(times) > 1 and times[-1] > times[0]):
        return {"direction": f"the field is asked at t = {_list(times)}, promised {_list(promised)}: time runs back"}
    if trace.error is not None and any(call.velocity is None for call in trace.calls):
        return {"time_grid": f"the field failed at t = {times[-1]:.3g}: {trace.error}"}
    if apart or not _alike(times, promised):
        return {"time_grid": f"the field is asked at t = {_list(times)}, promised {_list(promised)}"}
    if not _same_way(trace, asked):
        if _same_way(trace, _solve(policy, trace, -1.0)[1]):
            return {"direction": "x moves along the velocity, away from the actions, promised is against it"}
        return {"time_grid": "x does not move between the times as the promised solver moves it"}
    return {}


def faults_after(policy: FlowMatchingPolicy, trace: Trace) -> Faults:
    """{stage: words} of what became of the endpoint; the steps before it are as promised."""
    config, chunk = policy.config, trace.chunk
    end = _solve(policy, trace, 1.0)[0]
    wide = f"the endpoint is {end.shape[-1]} wide, an action {config.action_dim}"
    if chunk is None:
        return {"padding": f"nothing came out after the last step; {wide}: {trace.error}"}
    if chunk.shape[-1] != config.action_dim:
        return {"padding": f"actions come out {chunk.shape[-1]} wide; {wide}: padding was not taken off"}
    robot = policy.normalizer.action.inverse
    promised = robot(end[..., : config.action_dim])
    if close(chunk, promised):
        return {}
    for first in range(1, config.padded_dim - config.action_dim + 1):
        if close(chunk, robot(end[..., first : first + config.action_dim])):
            return {"padding": f"columns {first} to {first + config.action_dim - 1} of the endpoint come out"}
    if close(chunk, robot(_solve(policy, trace, -1.0)[0][..., : config.action_dim])):
        return {"direction": "the last step moves x along the velocity, promised is against it"}
    return _scaled_otherwise(policy, end[..., : config.action_dim], promised, chunk)


def _scaled_otherwise(policy: FlowMatchingPolicy, end: Tensor, promised: Tensor, chunk: Tensor) -> Faults:
    """The right values come out in wrong units or signs."""
    config = policy.config
    wrong = [j for j in range(config.action_dim) if not close(chunk[..., j], promised[..., j])]
    for mirror in (-promised, policy.normalizer.action.inverse(-end)):
        if close(chunk[..., wrong], mirror[..., wrong]):
            return {"sign": f"actions of {joints(config, wrong)} are turned round on their way out"}
    if close(chunk, end):
        return {"normalizer": "actions come out in the network's units"}
    return {"normalizer": f"actions of {joints(config, wrong)} are off by up to {far(chunk, promised):.2g} on leaving"}


def _solve(policy: FlowMatchingPolicy, trace: Trace, sign: float) -> tuple[Tensor, list[tuple[float, Tensor]]]:
    """Give the promised endpoint from the recorded answers times `sign`, and where the solver asked: (t, x)."""
    asked: list[tuple[float, Tensor]] = []

    def recorded(x: Tensor, t: Tensor) -> Tensor:
        asked.append((float(t[0]), x))
        place = len(asked) - 1
        answer = trace.calls[place].velocity if place < len(trace.calls) else None
        return torch.zeros_like(x) if answer is None or answer.shape != x.shape else sign * answer

    start = trace.calls[0].x.to(torch.float32) if trace.calls else torch.zeros(1, 1, policy.config.padded_dim)
    return integrate(recorded, start, policy.config.steps, policy.config.solver), asked


def _same_way(trace: Trace, asked: Sequence[tuple[float, Tensor]]) -> bool:
    return all(close(call.x, x) for call, (_, x) in zip(trace.calls, asked, strict=True))


def _alike(found: Sequence[float], promised: Sequence[float]) -> bool:
    return len(found) == len(promised) and all(abs(a - b) < 1e-4 for a, b in zip(found, promised, strict=True))


def _list(times: Sequence[float]) -> str:
    shown = [f"{t:.3g}" for t in times[:4]]
    return ", ".join(shown) + (f", ... {times[-1]:.3g} ({len(times)})" if len(times) > 4 else "")

"""Faults of one side of a comparison against its own description, and of the two against each other.

From noise to actions: whether what a policy asked of its field, and what came out, is what the solver promises.

The field's recorded answers are fed to the solver anew. It must then ask at the same times and places as the policy
did, and its last state, un-padded and de-normalised, must be the policy's chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vgil_ros.policies.diagnostics.tolerances import close, far, joints, spans
from vgil_ros.policies.diagnostics.trace import Trace
from vgil_ros.policies.flow_matching.flow import integrate
from vgil_ros.policies.flow_matching.policy import FlowPolicy
from vgil_ros.policies.observation import Observation
from vgil_ros.policies.preparation import to_tensor

Faults = dict[str, str]


def faults_of_steps(policy: FlowPolicy, trace: Trace) -> Faults:
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


def faults_after(policy: FlowPolicy, trace: Trace) -> Faults:
    """{stage: words} of what became of the endpoint; the steps before it are as promised."""
    config, chunk = policy.config, trace.chunk
    end = _solve(policy, trace, 1.0)[0]
    wide = f"the endpoint is {end.shape[-1]} wide, an action {config.action_dim}"
    if chunk is None:
        return {"padding": f"nothing came out after the last step; {wide}: {trace.error}"}
    if chunk.shape[-1] != config.action_dim:
        return {"padding": f"actions come out {chunk.shape[-1]} wide; {wide}: padding was not taken off"}
    robot = _robot_units(policy)
    promised = robot(end[..., : config.action_dim])
    if close(chunk, promised):
        return {}
    for first in range(1, config.padded_dim - config.action_dim + 1):
        if close(chunk, robot(end[..., first : first + config.action_dim])):
            return {"padding": f"columns {first} to {first + config.action_dim - 1} of the endpoint come out"}
    if close(chunk, robot(_solve(policy, trace, -1.0)[0][..., : config.action_dim])):
        return {"direction": "the last step moves x along the velocity, promised is against it"}
    return _scaled_otherwise(policy, end[..., : config.action_dim], promised, chunk)


def _robot_units(policy: FlowPolicy) -> Callable[[Tensor], Tensor]:
    """The promised way of un-padded actions to robot units."""
    return lambda x: policy.normalizer.action.inverse(policy.config.action_from_units(x))


def _scaled_otherwise(policy: FlowPolicy, end: Tensor, promised: Tensor, chunk: Tensor) -> Faults:
    """The right values come out in wrong units or signs."""
    config = policy.config
    wrong = [j for j in range(config.action_dim) if not close(chunk[..., j], promised[..., j])]
    for mirror in (-promised, _robot_units(policy)(-end)):
        if close(chunk[..., wrong], mirror[..., wrong]):
            return {"sign": f"actions of {joints(config, wrong)} are turned round on their way out"}
    if close(chunk, end):
        return {"normalizer": "actions come out in the network's units"}
    return {"normalizer": f"actions of {joints(config, wrong)} are off by up to {far(chunk, promised):.2g} on leaving"}


def _solve(policy: FlowPolicy, trace: Trace, sign: float) -> tuple[Tensor, list[tuple[float, Tensor]]]:
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


def _alike(times: Sequence[float], promised: Sequence[float]) -> bool:
    return len(times) == len(promised) and all(abs(a - b) < 1e-4 for a, b in zip(times, promised, strict=True))


def _list(times: Sequence[float]) -> str:
    first = [f"{t:.3g}" for t in times[:4]]
    return ", ".join(first) + (f", ... {times[-1]:.3g} ({len(times)})" if len(times) > 4 else "")


STAGES = ("mode", "noise", "images", "normalizer", "padding", "time_grid", "direction", "sign")
NARROW = (torch.float16, torch.bfloat16)
MIRROR_SHARE, MIRROR_FLOOR = 0.5, 0.1  # a mirrored joint must fit twice as well, and the gap be worth speaking of


@dataclass(frozen=True)
class Pass:
    """An observation, the noise given with it, and what was seen."""

    observation: Observation
    noise: Tensor
    trace: Trace


@dataclass(frozen=True)
class Side:
    """All passes of one policy; `again` repeats the first one, `drawn` is one whose noise the policy drew itself."""

    name: str
    policy: FlowPolicy
    passes: tuple[Pass, ...]
    again: Trace
    drawn: Trace


def faults_of(side: Side) -> Faults:
    """Hold one policy against its own description: {stage: words}, for stages at fault alone."""
    faults: Faults = {}
    _note(faults, "mode", _mode(side))
    for one in side.passes:
        _note(faults, "noise", _given_noise(one))
    _note(faults, "noise", _drawn_noise(side.drawn))
    for one in side.passes:
        _note(faults, "images", _images(side.policy, one))
        for stage, words in _state(side.policy, one).items():
            _note(faults, stage, words)
        if one.trace.state is None:
            _note(faults, "normalizer", f"nothing reached the network: {one.trace.error}")
            continue
        steps = faults_of_steps(side.policy, one.trace)
        for stage, words in (steps or faults_after(side.policy, one.trace)).items():
            if "noise" not in faults or one.trace.error is None:  # a field that fails on wrong noise fails for that
                _note(faults, stage, words)
    return faults


def faults_of_pair(teacher: Side, student: Side) -> Faults:
    """Hold two policies against each other, of which each may do what its own description says."""
    faults: Faults = {}
    for ours, theirs in zip(teacher.passes, student.passes, strict=True):
        for index, (one, other) in enumerate(zip(ours.trace.images, theirs.trace.images, strict=False)):
            if not close(one, other):
                name = teacher.policy.config.camera_names[index]
                _note(faults, "images", f"{name}: the teacher sees {spans(one)}, the student {spans(other)}")
    _note(faults, "normalizer", _statistics(teacher.policy, student.policy))
    _note(faults, "sign", _mirrored(teacher, student))
    return faults


def _note(faults: Faults, stage: str, words: str | None) -> None:
    if words is not None:
        faults.setdefault(stage, words)


def _mode(side: Side) -> str | None:
    first, again = side.passes[0].trace, side.again
    pairs = [(a.velocity, b.velocity) for a, b in zip(first.calls, again.calls, strict=False)]
    gap = max((far(a, b) for a, b in pairs if a is not None and b is not None), default=0.0)
    if first.training:
        names = ", ".join(first.training[:3]) + (" ..." if len(first.training) > 3 else "")
        return (
            f"{len(first.training)} parts run in training mode ({names}); two passes from the same noise differ by "
            f"{gap:.2g} in velocity"
        )
    if gap > 1e-3:
        return f"two passes from the same noise differ by {gap:.2g} in velocity, though no part is in training mode"
    return None


def _given_noise(one: Pass) -> str | None:
    if not one.trace.calls:
        return None
    x = one.trace.calls[0].x
    if x.dtype != torch.float32:
        return f"is {x.dtype} when the integration begins, allowed is torch.float32"
    if x.shape != one.noise.shape:
        return f"has shape {tuple(x.shape)} when the integration begins, given was {tuple(one.noise.shape)}"
    if torch.equal(x, one.noise):
        return None
    for dtype in NARROW:
        if torch.equal(x, one.noise.to(dtype).to(torch.float32)):
            return f"was rounded to {dtype} on its way, allowed is torch.float32"
    return f"is not the noise that was given when the integration begins: differs by up to {far(x, one.noise):.2g}"


def _drawn_noise(drawn: Trace) -> str | None:
    if not drawn.calls:
        return None
    x = drawn.calls[0].x
    for dtype in NARROW:
        if x.dtype == dtype or torch.equal(x, x.to(dtype).to(x.dtype)):
            return f"is drawn in {dtype}, allowed is torch.float32"
    return None


def _images(policy: FlowPolicy, one: Pass) -> str | None:
    if one.trace.state is None:
        return None
    names = policy.config.camera_names
    if len(one.trace.images) != len(names):
        return f"the network sees {len(one.trace.images)} images, promised are {len(names)}"
    for index, (name, image) in enumerate(zip(names, one.trace.images, strict=True)):
        raw = to_tensor(one.observation["images"][name], policy.device)
        promised = policy.normalizer.normalize_images(raw, index)
        if image.shape != promised.shape:
            return f"{name}: shape {tuple(image.shape)}, promised {tuple(promised.shape)}"
        if not close(image, promised):
            centred = promised - promised.mean(dim=(0, 2, 3), keepdim=True)
            gain = float((image * centred).sum() / centred.square().sum().clamp(min=1e-12))
            return f"{name}: the network sees {spans(image)}, promised {spans(promised)}: contrast {gain:.3g} of it"
    return None


def _state(policy: FlowPolicy, one: Pass) -> Faults:
    """The joints as the network got them."""
    state, config = one.trace.state, policy.config
    if state is None:
        return {}
    if state.shape[-1] != config.padded_dim:
        return {"padding": f"the state is {state.shape[-1]} wide, promised {config.padded_dim}"}
    if bool(state[:, config.state_dim :].any()):
        return {"padding": f"the state holds values behind its {config.state_dim} joints, promised are zeros"}
    qpos = to_tensor(one.observation["qpos"], policy.device).to(torch.float32)

    def normalise(values: Tensor) -> Tensor:
        return config.state_units(policy.normalizer.qpos(values))

    promised, state = normalise(qpos), state[:, : config.state_dim]
    wrong = [j for j in range(config.state_dim) if not close(state[:, j], promised[:, j])]
    if not wrong:
        return {}
    for mirror in (normalise(-qpos), -promised):
        if close(state[:, wrong], mirror[:, wrong]):
            return {"sign": f"state of {joints(config, wrong)} is turned round on its way in"}
    words = f"state of {joints(config, wrong)} is off by up to {far(state, promised):.2g}"
    for name, other in (("not normalised", qpos), ("normalised twice", normalise(promised))):
        if close(state, other):
            words = f"the state is {name}"
    return {"normalizer": words}


def _statistics(teacher: FlowPolicy, student: FlowPolicy) -> str | None:
    """Whether both scale alike, by what they make of the same vectors."""
    for name, dim in (("qpos", teacher.config.state_dim), ("action", teacher.config.action_dim)):
        probe = torch.stack([torch.zeros(dim), torch.ones(dim)]).to(teacher.device)
        ours, theirs = (getattr(one.normalizer, name).to(probe.device)(probe) for one in (teacher, student))
        if not close(ours, theirs):
            wrong = [j for j in range(dim) if not close(ours[:, j], theirs[:, j])]
            return f"{name} is scaled by other statistics in teacher and student: {joints(teacher.config, wrong)}"
    return None


def _mirrored(teacher: Side, student: Side) -> str | None:
    """Joints that the student moves as the teacher would in a mirror, in robot or in network units."""
    policy = teacher.policy
    pairs = [(one.trace.chunk, other.trace.chunk) for one, other in zip(teacher.passes, student.passes, strict=True)]
    whole = [(a, b) for a, b in pairs if a is not None and b is not None and a.shape == b.shape]
    if not whole or whole[0][0].shape[-1] != policy.config.action_dim:
        return None
    ours, theirs = (torch.cat(list(part)).flatten(0, 1) for part in zip(*whole, strict=True))
    n_ours, n_theirs = policy.normalizer.action(ours), policy.normalizer.action(theirs)
    straight = (n_ours - n_theirs).abs().mean(dim=0)
    scale = torch.as_tensor(policy.normalizer.action.inverse_affine()[1], device=ours.device)
    in_robot_units = ((ours + theirs) / scale).abs().mean(dim=0)
    mirror = torch.minimum(in_robot_units, (n_ours + n_theirs).abs().mean(dim=0))
    wrong = _where((mirror < MIRROR_SHARE * straight) & (straight > MIRROR_FLOOR))
    return f"the student moves {joints(policy.config, wrong)} the other way round" if wrong else None


def _where(mask: Tensor) -> list[int]:
    places: Iterable[int] = torch.nonzero(mask).flatten().tolist()
    return list(places)

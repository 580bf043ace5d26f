"""Guidance on distributions whose perfect network is known: what is settled stays, seams are smooth, modes are kept."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from support.policies.toy_fields import SmoothModes
from torch import Tensor

from vgil_ros.core.execution import prefix_weights
from vgil_ros.policies import PolicyError
from vgil_ros.policies.action_prefix import PrefixTensors
from vgil_ros.policies.flow_matching.flow import SolverName, integrate
from vgil_ros.policies.guidance import Prediction, guide_flow, guided_output

H, COUNT = 40, 64
ROW = torch.arange(H, dtype=torch.float64)
SWING = torch.sin(ROW / 10)
DETOURS = SmoothModes(torch.stack([torch.stack([side + 0 * ROW, SWING], 1) for side in (0.8, -0.8)]), 0.1)
ONE_WAY = SmoothModes(torch.stack([SWING, -SWING], 1)[None], 0.3)


def settled(field: SmoothModes, delay: int, overlap: int, seed: int = 0) -> PrefixTensors:
    """The rest of a chunk that is being played, one for each member of the batch."""
    played = field.sample(COUNT, torch.Generator().manual_seed(seed)).float()
    weight = torch.from_numpy(prefix_weights(H, delay, overlap)).float()
    return PrefixTensors(played, weight[None, :, None].expand(COUNT, -1, -1))


def noise(seed: int = 1) -> Tensor:
    return torch.randn(COUNT, H, 2, generator=torch.Generator().manual_seed(seed))


def by_flow(field: SmoothModes, action_prefix: PrefixTensors, steps: int = 10, solver: SolverName = "euler") -> Tensor:
    begin = noise()
    return integrate(guide_flow(field.velocity, action_prefix, begin, steps), begin, steps, solver)


def by_diffusion(
    field: SmoothModes, action_prefix: PrefixTensors, steps: int = 10, prediction: Prediction = "epsilon"
) -> Tensor:
    scheduler = DDIMScheduler(100, beta_schedule="squaredcos_cap_v2", clip_sample=False, prediction_type=prediction)
    scheduler.set_timesteps(steps)
    x = noise()
    for timestep in scheduler.timesteps:
        level = float(scheduler.alphas_cumprod[timestep])
        output = guided_output(
            partial(field.output, level=level, prediction=prediction), x, level, action_prefix, prediction
        )
        x = scheduler.step(output, timestep, x).prev_sample
    return x


WAYS = {
    "flow": by_flow,
    "flow, heun": lambda field, action_prefix, steps=5: by_flow(field, action_prefix, steps, "heun"),
    "diffusion": by_diffusion,
    "diffusion of samples": lambda field, action_prefix, steps=10: by_diffusion(field, action_prefix, steps, "sample"),
}
ways = pytest.mark.parametrize("way", sorted(WAYS))


def smoothness(chunk: Tensor) -> Tensor:
    """The largest step from row to row of each chunk, (B,)."""
    return chunk.diff(dim=1).abs().amax((1, 2))


@ways
@pytest.mark.parametrize(("delay", "overlap"), [(11, 29), (4, 36), (20, 25)])
def test_settled_rows_come_out_and_nothing_jumps(way: str, delay: int, overlap: int) -> None:
    action_prefix = settled(DETOURS, delay, overlap)
    free = WAYS[way](DETOURS, PrefixTensors(action_prefix.action, torch.zeros_like(action_prefix.weight)))
    chunk = WAYS[way](DETOURS, action_prefix)
    torch.testing.assert_close(chunk[:, :delay], action_prefix.action[:, :delay], atol=2e-5, rtol=0)
    assert torch.equal(action_prefix.keep(chunk)[:, :delay], action_prefix.action[:, :delay])
    switched = torch.cat([action_prefix.action[:, :delay], free[:, delay:]], 1)
    assert smoothness(switched).max() > 1.0, "half of the plain switches change the detour"
    assert smoothness(chunk).median() < 1.2 * smoothness(free).median()
    assert smoothness(chunk).max() < smoothness(free).max() + 0.25 * smoothness(switched).max()


@ways
def test_the_detour_that_is_being_taken_is_kept(way: str) -> None:
    action_prefix = settled(DETOURS, 8, 30)
    side = action_prefix.action[:, 0, 0].sign()
    chunk = WAYS[way](DETOURS, action_prefix)
    assert set(side.tolist()) == {-1.0, 1.0}
    same = chunk[:, :, 0].sign() == side[:, None]
    assert same.all(1).float().mean() > 0.95
    torch.testing.assert_close(chunk[:, -5:, 0].abs().mean(), torch.tensor(0.8), atol=0.1, rtol=0)


@ways
def test_where_nothing_is_settled_both_detours_are_taken(way: str) -> None:
    """A few first rows that both ways share settle nothing about the rest."""
    opening = torch.sigmoid((ROW - 15) / 2)
    field = SmoothModes(torch.stack([torch.stack([side * opening, SWING], 1) for side in (0.8, -0.8)]), 0.1)
    action_prefix = settled(field, 4, 5)
    free = WAYS[way](field, PrefixTensors(action_prefix.action, torch.zeros_like(action_prefix.weight)))
    chunk = WAYS[way](field, action_prefix)
    share = (chunk[:, -1, 0] > 0).float().mean()
    assert 0.25 < share < 0.75
    assert smoothness(chunk).median() < 1.2 * smoothness(free).median()


@pytest.mark.parametrize("way", ["flow", "diffusion"])
def test_free_rows_come_near_to_what_the_settled_ones_say(way: str) -> None:
    """Of a Gaussian the mean of the rows behind settled ones is known: guidance halves the distance from it."""
    delay = 10
    action_prefix = settled(ONE_WAY, delay, delay)
    before, behind = slice(0, delay), slice(delay, delay + 4)
    covariance, mean = ONE_WAY.covariance, ONE_WAY.means[0]
    gain = torch.linalg.solve(covariance[before, before], covariance[before, behind]).T
    expected = mean[behind] + gain @ (action_prefix.action[:, before].double() - mean[before])
    off = []
    for weight in (action_prefix.weight, torch.zeros_like(action_prefix.weight)):
        chunk = WAYS[way](ONE_WAY, PrefixTensors(action_prefix.action, weight), steps=50)
        off.append((chunk[:, behind] - expected).abs().mean())
    assert off[0] < 0.5 * off[1]


@pytest.mark.parametrize(("way", "steps"), [("flow", 1), ("flow", 2), ("flow", 4), ("diffusion", 4)])
def test_few_steps_lead_over_by_weight(way: str, steps: int) -> None:
    """A one-step student may land on the other detour; then the weights are a fade, never a jump or an explosion."""
    action_prefix = settled(DETOURS, 11, 36)
    chunk = WAYS[way](DETOURS, action_prefix, steps=steps)
    torch.testing.assert_close(chunk[:, :11], action_prefix.action[:, :11], atol=2e-5, rtol=0)
    assert smoothness(chunk).max() < 0.45
    assert chunk.abs().max() < 2.5


@ways
def test_weights_of_zero_change_nothing(way: str) -> None:
    nothing = PrefixTensors(torch.full((COUNT, H, 2), 9.0), torch.zeros(COUNT, H, 1))
    chunk = WAYS[way](DETOURS, nothing)
    if way.startswith("flow"):
        solver: SolverName = "heun" if "heun" in way else "euler"
        expected = integrate(DETOURS.velocity, noise(), 5 if solver == "heun" else 10, solver)
        assert torch.equal(chunk, expected)
    assert chunk.abs().max() < 2.5


@ways
def test_members_of_a_batch_do_not_mix(way: str) -> None:
    action_prefix = settled(DETOURS, 6, 30)
    chunk = WAYS[way](DETOURS, action_prefix)
    weight = action_prefix.weight.clone()
    weight[1:] = 0.0
    action = action_prefix.action.clone()
    action[1:] = 5.0
    torch.testing.assert_close(WAYS[way](DETOURS, PrefixTensors(action, weight))[0], chunk[0], atol=1e-4, rtol=1e-4)


def test_a_network_in_half_precision_is_guided_in_float32() -> None:
    action_prefix = settled(DETOURS, 8, 30)
    begin = noise()
    guided = guide_flow(lambda x, t: DETOURS.velocity(x, t).bfloat16(), action_prefix, begin, 10)
    chunk = integrate(guided, begin, 10)
    assert chunk.dtype == torch.float32
    torch.testing.assert_close(chunk[:, :8], action_prefix.action[:, :8], atol=2e-5, rtol=0)


def test_gradients_are_asked_for_in_words() -> None:
    action_prefix = settled(DETOURS, 8, 30)
    with torch.inference_mode(), pytest.raises(PolicyError, match=r"allowed is torch\.no_grad"):
        guide_flow(DETOURS.velocity, action_prefix, noise(), 10)
    with torch.inference_mode(), pytest.raises(PolicyError, match=r"allowed is torch\.no_grad"):
        guided_output(lambda x: x, noise(), 0.5, action_prefix, "epsilon")
    with pytest.raises(PolicyError, match="'guess' is unknown"):
        guided_output(lambda x: x, noise(), 0.5, action_prefix, "guess")  # type: ignore[arg-type]


def test_estimates_are_clipped_where_the_scheduler_clips() -> None:
    action_prefix = PrefixTensors(torch.zeros(1, 4, 1), torch.tensor([1.0, 0.5, 0.0, 0.0]).view(1, 4, 1))
    level, x = 1e-4, torch.ones(1, 4, 1)
    found = guided_output(lambda x: 0 * x + 3.0, x, level, action_prefix, "sample", clip=1.0)
    assert found.flatten().tolist() == [0.0, 0.5, 1.0, 1.0]
    epsilon = guided_output(lambda x: 0 * x, x, level, action_prefix, "epsilon", clip=1.0)
    implied = (x - epsilon * math.sqrt(1 - level)) / math.sqrt(level)
    torch.testing.assert_close(implied.flatten(), torch.tensor([0.0, 0.5, 1.0, 1.0]), atol=1e-3, rtol=0)

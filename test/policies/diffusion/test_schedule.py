"""Steps as plain numbers, held against the schedulers of `diffusers`."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch

from vgil_ros.policies import PolicyError
from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.diffusion.schedule import make_schedule, make_scheduler, sample

SHAPE = (2, 8, 3)


def config(**changes: Any) -> DiffusionConfig:
    values = {"state_dim": 3, "action_dim": 3, "horizon": 8, "cameras": [], "train_steps": 50, "inference_steps": 10}
    return DiffusionConfig.model_validate({**values, **changes})


def network(x: torch.Tensor, time: int) -> torch.Tensor:
    """Something that is neither linear nor small, and depends on the step."""
    return torch.sin(3 * x + time) + 0.3 * x.flip(1)


@pytest.mark.parametrize("clip", [None, 1.0, 0.3])
@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
@pytest.mark.parametrize("steps", [1, 7, 50, None])
@pytest.mark.parametrize("scheduler", ["DDIM", "DDPM"])
def test_the_way_is_that_of_diffusers(
    monkeypatch: pytest.MonkeyPatch, scheduler: str, steps: int | None, prediction: str, clip: float | None
) -> None:
    one = config(
        scheduler=scheduler,
        inference_steps=steps,
        prediction_type=prediction,
        clip_sample=clip is not None,
        clip_sample_range=clip or 1.0,
    )
    schedule, theirs = make_schedule(one), make_scheduler(one)
    theirs.set_timesteps(one.steps)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(SHAPE, generator=generator)
    fresh = torch.randn(schedule.random_steps, *SHAPE, generator=generator)
    drawn = iter(fresh)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(drawn))
    x = noise
    for time in theirs.timesteps:
        x = theirs.step(network(x, int(time)), time, x).prev_sample
    found = sample(lambda x, number: network(x, schedule.steps[number].time), schedule, noise, fresh, clip)
    torch.testing.assert_close(found, x, atol=2e-4 if clip is None else 2e-5, rtol=1e-3 if clip is None else 1e-5)
    assert next(drawn, None) is None, "as many random steps as there"


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_levels_are_those_of_training(beta_schedule: str) -> None:
    one = config(beta_schedule=beta_schedule)
    levels, theirs = make_schedule(one).levels, make_scheduler(one)
    actions, noise, time = torch.randn(SHAPE), torch.randn(SHAPE), torch.tensor([3, 49])
    level = levels[time][:, None, None]
    expected = theirs.add_noise(actions, noise, time)
    torch.testing.assert_close(level.sqrt() * actions + (1 - level).sqrt() * noise, expected)


@pytest.mark.parametrize(("alpha_to_one", "offset"), [(True, 0), (False, 1)])
def test_the_end_and_the_offset_of_ddim(alpha_to_one: bool, offset: int) -> None:
    one = config(set_alpha_to_one=alpha_to_one, steps_offset=offset)
    schedule, theirs = make_schedule(one), make_scheduler(one)
    theirs.set_timesteps(one.steps)
    x = noise = torch.randn(SHAPE)
    for time in theirs.timesteps:
        x = theirs.step(network(x, int(time)), time, x).prev_sample
    found = sample(lambda x, number: network(x, schedule.steps[number].time), schedule, noise, clip=1.0)
    torch.testing.assert_close(found, x, atol=2e-5, rtol=1e-5)


def test_a_perfect_network_is_followed_to_the_actions() -> None:
    """Whatever the number of steps, one that knows the noise brings the actions back."""
    actions, noise = torch.rand(SHAPE) * 2 - 1, torch.randn(SHAPE)
    for steps in (1, 2, 10):
        schedule = make_schedule(config(inference_steps=steps))

        def knows(x: torch.Tensor, number: int) -> torch.Tensor:
            level = schedule.steps[number].level  # noqa: B023 - called within the turn
            return (x - level**0.5 * actions) / (1 - level) ** 0.5

        torch.testing.assert_close(sample(knows, schedule, noise, clip=1.0), actions, atol=1e-3, rtol=1e-3)


def test_without_diffusers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("diffusers"):
            raise ImportError("absent")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(PolicyError, match=r"needs diffusers.*pip install 'vgil_ros\[diffusion\]'"):
        make_schedule(config())

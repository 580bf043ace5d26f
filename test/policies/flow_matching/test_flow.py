"""Integration against closed forms, the path, and the distribution of times."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vgil_ros.policies import PolicyError
from vgil_ros.policies.flow_matching.flow import EVALUATIONS, draw_times, integrate, on_path, path_velocity, time_grid
from vgil_ros.policies.nn.noise import NoiseSource

STEPS = (1, 2, 4, 10, 50)


@pytest.mark.parametrize("solver", ["euler", "heun"])
@pytest.mark.parametrize("steps", STEPS)
def test_a_constant_field_is_exact_at_any_step(solver: str, steps: int) -> None:
    start, slope = torch.randn(3, 4, 2, dtype=torch.float64), torch.randn(3, 4, 2, dtype=torch.float64)
    found = integrate(lambda x, t: slope, start, steps, solver)  # type: ignore[arg-type]
    torch.testing.assert_close(found, start - slope, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rate", [-1.5, 0.8])
def test_a_linear_field_gives_the_solvers_own_polynomial(steps: int, rate: float) -> None:
    """dx/dt = a x from t = 1 to 0: exactly x exp(-a); one step of size h multiplies by 1 - a h (+ a^2 h^2 / 2)."""
    start = torch.tensor([[2.0], [-3.0]], dtype=torch.float64)
    z = -rate / steps
    for solver, factor in (("euler", 1 + z), ("heun", 1 + z + z * z / 2)):
        found = integrate(lambda x, t: rate * x, start, steps, solver)  # type: ignore[arg-type]
        torch.testing.assert_close(found, start * factor**steps, rtol=1e-12, atol=1e-12)
        order = EVALUATIONS[solver]
        bound = math.exp(abs(rate)) * abs(rate) ** (order + 1) / steps**order
        assert float((found / start - math.exp(-rate)).abs().max()) < bound


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_convergence(solver: str, order: int) -> None:
    """A field that depends on x and t: dx/dt = x cos(t), exactly x(0) = x(1) exp(-sin(1))."""
    start = torch.ones(1, 1, dtype=torch.float64)
    errors = [
        abs(float(integrate(lambda x, t: x * t.cos()[:, None], start, n, solver)) - math.exp(-math.sin(1.0)))  # type: ignore[arg-type]
        for n in (20, 40, 80)
    ]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


def test_the_grid_goes_from_noise_to_actions() -> None:
    for steps in STEPS:
        grid = time_grid(steps)
        assert grid[0] == 1.0
        assert grid[-1] == 0.0
        np.testing.assert_allclose(np.diff(grid), -1 / steps)
    asked: list[float] = []

    def field(x: Tensor, t: Tensor) -> Tensor:
        asked.append(float(t[0]))
        return torch.zeros_like(x)

    integrate(field, torch.zeros(1, 1), 4)
    assert asked == [1.0, 0.75, 0.5, 0.25]


def test_the_state_stays_float32_beside_a_narrow_field() -> None:
    start = torch.full((1, 1), 1.0 + 2**-12)
    assert integrate(lambda x, t: torch.zeros_like(x, dtype=torch.bfloat16), start, 10).item() == 1.0 + 2**-12


def test_wrong_settings_are_refused_in_words() -> None:
    with pytest.raises(PolicyError, match=r"'leap' is unknown, allowed are \['euler', 'heun'\]"):
        integrate(lambda x, t: x, torch.zeros(1, 1), 2, "leap")  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="found 0"):
        integrate(lambda x, t: x, torch.zeros(1, 1), 0)


def test_the_path_and_its_velocity() -> None:
    action, noise, t = torch.randn(3, 4, 2), torch.randn(3, 4, 2), torch.tensor([0.0, 1.0, 0.25])
    x = on_path(action, noise, t)
    torch.testing.assert_close(x[0], action[0])
    torch.testing.assert_close(x[1], noise[1])
    ahead = on_path(action, noise, t + 0.5)
    torch.testing.assert_close((ahead - x) / 0.5, path_velocity(action, noise), rtol=1e-4, atol=1e-5)
    # the true velocity carries noise to action in any number of steps
    torch.testing.assert_close(integrate(lambda x, t: path_velocity(action, noise), noise, 7), action)


def test_moments_and_shape_of_the_times() -> None:
    """Beta(1.5, 1): mean 3/5, variance 12/175, and E[t^3] = 1.5/4.5."""
    t = draw_times(200_000, torch.device("cpu"), torch.Generator().manual_seed(0)).double()
    assert t.dtype == torch.float64
    beta = (t - 0.001) / 0.999
    assert float(t.min()) >= 0.001
    assert float(t.max()) <= 1.0
    assert float(beta.mean()) == pytest.approx(0.6, abs=0.003)
    assert float(beta.var()) == pytest.approx(12 / 175, abs=0.001)
    assert float(beta.pow(3).mean()) == pytest.approx(1 / 3, abs=0.003)
    torch.manual_seed(0)
    peer = torch.distributions.Beta(1.5, 1.0).sample((200_000,)).double()
    places = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    torch.testing.assert_close(beta.quantile(places), peer.quantile(places), atol=0.01, rtol=0.0)


def test_noise_can_be_drawn_again_and_is_float32() -> None:
    source = NoiseSource(3)
    first, second = source.draw(2, (7, 3)), source.draw(1, (7, 3))
    assert first.dtype == torch.float32
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])
    source.reset()
    assert torch.equal(source.draw(1, (7, 3))[0], first[0]), "a member's noise does not depend on the batch's size"
    for large in (2 * 10**13, 2**63 - 1):
        source.reset(large)
        assert not torch.equal(source.draw(1, (7, 3)), source.draw(1, (7, 3)))
    source.reset(4)
    assert not torch.equal(source.draw(2, (7, 3)), first)
    try:
        torch.set_default_dtype(torch.float16)
        source.reset(3)
        assert torch.equal(source.draw(2, (7, 3)), first)
    finally:
        torch.set_default_dtype(torch.float32)

"""Equations 38–45 by hand, over many steps against numpy, and against the optimiser they are not."""

import copy
import math

import numpy as np
import pytest
import torch

from rnngen.errors import InputError
from rnngen.training.rmsprop import GravesRMSProp


def step(optimiser: torch.optim.Optimizer, *gradients: torch.Tensor | None) -> None:
    for w, gradient in zip(optimiser.param_groups[0]["params"], gradients, strict=True):
        w.grad = gradient
    optimiser.step()


def parameter(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_first_step_by_hand():
    w = parameter(1.0)
    step(GravesRMSProp([w]), torch.tensor([2.0], dtype=torch.float64))
    # n = 0.05 · 4 = 0.2; g = 0.05 · 2 = 0.1; Δ = −1e-4 · 2 / √(0.2 − 0.01 + 1e-4) = −2e-4 / √0.1901
    assert w.item() == pytest.approx(1 - 2e-4 / math.sqrt(0.1901), rel=1e-15)


def test_the_constant_is_inside_the_root():
    w = parameter(0.0)
    step(GravesRMSProp([w]), torch.tensor([1e-3], dtype=torch.float64))
    # with so small a gradient the root is √1e-4 = 0.01 and the step 1e-4 · 1e-3 / 0.01 = 1e-5
    assert w.item() == pytest.approx(-1e-5, rel=1e-3)
    stock = parameter(0.0)
    step(
        torch.optim.RMSprop([stock], lr=1e-4, alpha=0.95, eps=1e-4, centered=True, momentum=0.9),
        torch.tensor([1e-3], dtype=torch.float64),
    )
    assert abs(stock.item()) > 10 * abs(w.item())


@pytest.mark.parametrize(
    "constants", [{}, {"lr": 0.01, "decay": 0.8, "momentum": 0.5, "damping": 1e-2}, {"momentum": 0.0}]
)
def test_many_steps_equal_the_equations(constants):
    lr, aleph, beth, daleth = (
        constants.get(name, value)
        for name, value in {"lr": 1e-4, "decay": 0.95, "momentum": 0.9, "damping": 1e-4}.items()
    )
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 4)), rng.normal(size=7)]
    weights = [torch.tensor(w, requires_grad=True) for w in start]
    optimiser = GravesRMSProp(weights, **constants)
    n, g, delta = ([np.zeros_like(w) for w in start] for _ in range(3))
    for _ in range(30):
        gradients = [rng.normal(size=w.shape) * 10 + 3 for w in start]
        step(optimiser, *map(torch.tensor, gradients))
        for i, epsilon in enumerate(gradients):
            n[i] = aleph * n[i] + (1 - aleph) * epsilon**2
            g[i] = aleph * g[i] + (1 - aleph) * epsilon
            delta[i] = beth * delta[i] - lr * epsilon / np.sqrt(n[i] - g[i] ** 2 + daleth)
            start[i] = start[i] + delta[i]
    for w, expected in zip(weights, start, strict=True):
        np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-12, atol=1e-13)


def test_a_constant_gradient_in_single_precision_stays_finite():
    w = torch.zeros(1000, requires_grad=True)
    optimiser = GravesRMSProp([w])
    gradient = torch.linspace(-3e4, 3e4, 1000)
    for _ in range(300):
        step(optimiser, gradient)
    state = optimiser.state[w]
    assert (state["n"] - state["g"] ** 2 < -1e-4).any()  # rounding alone; the root of it would be NaN
    assert w.isfinite().all()


def test_nan_gradient_makes_nan_weight():
    w = parameter(0.0, 0.0)
    step(GravesRMSProp([w]), torch.tensor([math.nan, 1.0], dtype=torch.float64))
    assert w.isnan().tolist() == [True, False]


def test_state_dict_round_trip_goes_on_bit_for_bit():
    gradients = torch.randn(10, 5, generator=torch.Generator().manual_seed(0))
    straight = torch.zeros(5, requires_grad=True)
    optimiser = GravesRMSProp([straight], lr=0.01)
    for gradient in gradients[:5]:
        step(optimiser, gradient)
    resumed = straight.detach().clone().requires_grad_()
    other = GravesRMSProp([resumed])
    other.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for gradient in gradients[5:]:
        step(optimiser, gradient)
        step(other, gradient)
    assert torch.equal(straight, resumed)


def test_parameters_without_gradient_and_groups():
    still, slow, fast = parameter(1.0), parameter(0.0), parameter(0.0)
    optimiser = GravesRMSProp([{"params": [still, slow]}, {"params": [fast], "lr": 1e-2}])
    slow.grad, fast.grad = torch.ones_like(slow), torch.ones_like(fast)
    optimiser.step()
    assert still.item() == 1.0 and not optimiser.state[still]
    assert fast.item() == pytest.approx(100 * slow.item())


def test_closure_gives_the_loss():
    w = parameter(2.0)
    optimiser = GravesRMSProp([w])

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    assert optimiser.step(closure).item() == 4.0
    assert w.item() < 2.0


@pytest.mark.parametrize("wrong", [{"momentum": 9000}, {"decay": 1.0}, {"lr": -1.0}, {"damping": -1e-4}])
def test_constants_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=str(next(iter(wrong.values())))):
        GravesRMSProp([parameter(0.0)], **wrong)

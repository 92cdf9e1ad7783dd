"""Momentum by hand, over many steps against numpy, and against torch's rule while the rate is constant and after."""

import numpy as np
import pytest
import torch

from rnngen.errors import InputError
from rnngen.training.learning_rate import set_learning_rate
from rnngen.training.sgd import GravesSGD


def parameter(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def step(optimiser: torch.optim.Optimizer, gradient: torch.Tensor) -> None:
    optimiser.param_groups[0]["params"][0].grad = gradient
    optimiser.step()


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99])
def test_many_steps_at_changing_rates_equal_the_equations(momentum):
    rng = np.random.default_rng(0)
    w, delta = rng.normal(size=(3, 4)), np.zeros((3, 4))
    weight = torch.tensor(w, requires_grad=True)
    optimiser = GravesSGD([weight], lr=0.1, momentum=momentum)
    for _ in range(30):
        rate, gradient = rng.uniform(0, 0.1), rng.normal(size=(3, 4))
        optimiser.param_groups[0]["lr"] = rate
        step(optimiser, torch.tensor(gradient))
        delta = momentum * delta - rate * gradient
        w = w + delta
    np.testing.assert_allclose(weight.detach().numpy(), w, rtol=1e-12, atol=1e-14)


def test_it_is_torchs_rule_while_the_rate_is_constant():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = parameter(1.0, 2.0), parameter(1.0, 2.0)
    optimisers = GravesSGD([ours], lr=0.01, momentum=0.9), torch.optim.SGD([theirs], lr=0.01, momentum=0.9)
    for _ in range(50):
        gradient = torch.randn(2, dtype=torch.float64, generator=generator)
        for optimiser in optimisers:
            step(optimiser, gradient.clone())
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("momentum", "distance"), [(0.9, 0.010), (0.99, 0.100)])
def test_a_gradient_keeps_the_rate_it_was_met_at(momentum, distance):
    """One gradient of 1 in a minibatch of one at 10⁻³, then zeros in minibatches of sixteen: lr / (1 − m) in all.

    Momentum of the gradients would replay it at sixteen times its rate.
    """
    w = parameter(0.0)
    group = {"params": [w], "batch_size": 16, "rate_power": 1.0}
    optimiser = GravesSGD([group], lr=16e-3, momentum=momentum)
    for sequences, gradient in [(1, 1.0)] + [(16, 0.0)] * 2000:
        set_learning_rate(optimiser, 1.0, sequences)
        step(optimiser, torch.full_like(w, gradient))
    assert w.item() == pytest.approx(-distance, rel=1e-6)


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"lr": float("nan")}, {"lr": 0.1, "momentum": 1.0}])
def test_constants_out_of_range_are_named(wrong):
    with pytest.raises(InputError, match="GravesSGD needs"):
        GravesSGD([parameter(0.0)], **wrong)

"""Fixed weight noise: functional, of the right size, and nothing at all when its standard deviation is 0."""

import pytest
import torch
from torch.func import functional_call

from rnngen.errors import InputError
from rnngen.training.weight_noise import WeightNoise


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def noise(network: torch.nn.Module, sigma: float) -> WeightNoise:
    return WeightNoise(dict(network.named_parameters()), sigma)


def test_sigma_zero_is_the_clean_loss_exactly(network):
    x, generator = torch.randn(5, 3), torch.Generator().manual_seed(0)
    weights = noise(network, 0.0).sample(generator)
    assert torch.equal(functional_call(network, weights, (x,)), network(x))
    assert all(weights[name] is p for name, p in network.named_parameters())


def test_two_draws_give_two_losses_and_leave_the_weights_alone(network):
    before = [p.clone() for p in network.parameters()]
    x, generator = torch.randn(5, 3), torch.Generator().manual_seed(0)
    drawn = noise(network, 0.075)
    one, two = (functional_call(network, drawn.sample(generator), (x,)) for _ in range(2))
    assert not torch.equal(one, two) and not torch.equal(one, network(x))
    assert all(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))


def test_equal_generators_give_equal_draws(network):
    one, two = (noise(network, 0.1).sample(torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_noise_is_gaussian_of_the_given_deviation_on_every_weight():
    w = torch.full((100_000,), 2.0)
    drawn = WeightNoise({"w": w}).sample(torch.Generator().manual_seed(0))["w"] - w
    assert abs(drawn.mean().item()) < 5 * 0.075 / 1e5**0.5
    assert drawn.std().item() == pytest.approx(0.075, rel=0.02)
    assert (drawn.abs() > 0.075).float().mean().item() == pytest.approx(0.3173, abs=0.01)


def test_the_gradient_at_the_drawn_weights_arrives_at_the_clean_ones(network):
    x = torch.randn(5, 3)
    weights = noise(network, 0.5).sample(torch.Generator().manual_seed(0))
    functional_call(network, weights, (x,)).square().sum().backward()
    leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
    functional_call(network, leaves, (x,)).square().sum().backward()
    for name, p in network.named_parameters():
        torch.testing.assert_close(p.grad, leaves[name].grad, rtol=0, atol=0)


@pytest.mark.parametrize("sigma", [-0.1, float("nan")])
def test_a_deviation_that_is_none_is_refused(network, sigma):
    with pytest.raises(InputError, match="standard deviation of at least 0"):
        noise(network, sigma)

"""Adaptive weight noise against the formulas, sequence by sequence in numpy."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch

from rnngen.errors import InputError
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.rmsprop import GravesRMSProp

SHAPES = {"a": (2, 3), "b": (4,)}
SGD = partial(torch.optim.SGD, lr=0.01)


def means(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for name, shape in SHAPES.items()
    }


def flat(tensors) -> np.ndarray:
    return np.concatenate([t.detach().numpy().ravel() for t in tensors])


def loss(weights: dict[str, torch.Tensor], target: float) -> torch.Tensor:
    """A loss of one sequence with a curved gradient that differs from weight to weight."""
    w = torch.cat([weight.flatten() for weight in weights.values()])
    return (torch.cos(w * torch.arange(1, 11)) - target).square().sum()


def loss_gradient(w: np.ndarray, target: float) -> np.ndarray:
    k = np.arange(1, 11)
    return 2 * (np.cos(w * k) - target) * -np.sin(w * k) * k


def prior_of(mu: np.ndarray, sigma: np.ndarray) -> tuple[float, float]:
    m = mu.mean()
    return m, (sigma**2 + (mu - m) ** 2).mean()


@pytest.mark.parametrize("groups", [[[0.1]], [[0.1], [-0.4], [0.7]], [[0.1, 0.5], [-0.3, 0.2, 0.9]]])
def test_updates_equal_the_formulas(groups):
    """Batch size 1, a draw for every sequence, and groups that share a draw."""
    mu, s_count, lr = means(), 7, 0.01
    noise = AdaptiveWeightNoise(mu, 0.3, sequences=s_count, optimiser=SGD)
    optimiser = SGD(list(mu.values()))
    generator = torch.Generator().manual_seed(1)
    expected_mu, expected_sigma = flat(mu.values()), np.full(10, 0.3)
    batch_size = sum(map(len, groups))
    for _ in range(4):
        optimiser.zero_grad()
        g_mean, g_square = np.zeros(10), np.zeros(10)
        for group in groups:
            epsilons = generator.clone_state()
            weights = noise.sample(generator)
            epsilon = np.concatenate(
                [torch.randn(s, generator=epsilons, dtype=torch.float64).numpy().ravel() for s in SHAPES.values()]
            )
            w = expected_mu + expected_sigma * epsilon
            np.testing.assert_allclose(flat(weights.values()), w, rtol=1e-12)
            sum(loss(weights, target) for target in group).backward()
            g = sum(loss_gradient(w, target) for target in group)
            g_mean += g / batch_size
            g_square += g**2 / batch_size
        for tensor in mu.values():
            tensor.grad /= batch_size
        noise.step(batch_size=batch_size)
        optimiser.step()
        m, s2 = prior_of(expected_mu, expected_sigma)
        new_mu = expected_mu - lr * (g_mean + (expected_mu - m) / (s_count * s2))
        expected_sigma = np.abs(
            expected_sigma - lr * (expected_sigma * g_square + (expected_sigma / s2 - 1 / expected_sigma) / s_count)
        )
        expected_mu = new_mu
        np.testing.assert_allclose(flat(mu.values()), expected_mu, rtol=1e-10)
        np.testing.assert_allclose(flat(noise.sigmas.values()), expected_sigma, rtol=1e-10)


def test_prior_and_weight_cost_equal_the_formulas():
    mu = means()
    noise = AdaptiveWeightNoise(mu, sequences=5)
    for sigma in noise.sigmas.values():
        sigma.data.uniform_(0.01, 0.5, generator=torch.Generator().manual_seed(2))
    m, s2 = prior_of(flat(mu.values()), flat(noise.sigmas.values()))
    assert noise.prior()[0].item() == pytest.approx(m, rel=1e-13)
    assert noise.prior()[1].item() == pytest.approx(s2, rel=1e-13)
    sigma = flat(noise.sigmas.values())
    kl = 0.5 * (np.log(s2 / sigma**2) - 1 + ((flat(mu.values()) - m) ** 2 + sigma**2) / s2)
    assert noise.weight_nats() == pytest.approx(kl.sum(), rel=1e-12)
    log = noise.log(nats_per_sequence=3.0)
    assert log["weight_bits"] == pytest.approx(kl.sum() / math.log(2))
    assert log["description_length_nats"] == pytest.approx(kl.sum() + 15.0)
    assert log["description_length_bits"] == pytest.approx((kl.sum() + 15.0) / math.log(2))
    assert "description_length_nats" not in noise.log()


def test_the_prior_is_the_best_one():
    """∂ΣKL/∂m = ∂ΣKL/∂s² = 0, which is why the cost of the weights may leave their terms out."""
    mu = means()
    noise = AdaptiveWeightNoise(mu, 0.2, sequences=5)
    m, s2 = (value.clone().requires_grad_() for value in noise.prior())
    total = sum(
        (0.5 * (torch.log(s2 / sigma**2) - 1 + ((w - m) ** 2 + sigma**2) / s2)).sum()
        for w, sigma in zip(flat_detached(mu), flat_detached(noise.sigmas), strict=True)
    )
    assert torch.stack(torch.autograd.grad(total, [m, s2])).abs().max() < 1e-9


def flat_detached(tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [t.detach() for t in tensors.values()]


def test_the_step_of_sigma_is_the_gradient_of_the_weight_cost():
    """Without a loss, a small step along the formula lowers ΣKL at the rate that its gradient predicts."""
    mu = means()
    noise = AdaptiveWeightNoise(mu, 0.2, sequences=1, optimiser=partial(torch.optim.SGD, lr=1e-7))
    m, s2 = noise.prior()
    sigmas = [s.detach().clone().requires_grad_() for s in noise.sigmas.values()]
    total = sum(
        (0.5 * (torch.log(s2 / s**2) - 1 + ((w.detach() - m) ** 2 + s**2) / s2)).sum()
        for w, s in zip(mu.values(), sigmas, strict=True)
    )
    expected = torch.autograd.grad(total, sigmas)
    before = flat_detached(copy.deepcopy(noise.sigmas))
    noise.step(batch_size=1)
    for old, new, gradient in zip(before, noise.sigmas.values(), expected, strict=True):
        torch.testing.assert_close((old - new.detach()) / 1e-7, gradient, rtol=1e-6, atol=1e-6)


def test_sigma_stays_positive():
    mu = means()
    noise = AdaptiveWeightNoise(mu, 0.01, sequences=1, optimiser=partial(torch.optim.SGD, lr=10.0))
    for squares in noise._squares.values():
        squares.fill_(1e6)  # a step far past zero
    noise.step(batch_size=1)
    assert all((sigma > 0).all() for sigma in noise.sigmas.values())


def test_a_draw_changes_neither_means_nor_deviations():
    mu = means()
    noise = AdaptiveWeightNoise(mu, sequences=3)
    before = copy.deepcopy([*mu.values(), *noise.sigmas.values()])
    generator = torch.Generator().manual_seed(0)
    one, two = noise.sample(generator), noise.sample(generator)
    loss(one, 0.0).backward()
    assert not torch.equal(one["a"], two["a"])
    assert all(torch.equal(x, y) for x, y in zip(before, [*mu.values(), *noise.sigmas.values()], strict=True))


def test_learning_rate_factor_scales_the_first_rate_not_the_last():
    noise = AdaptiveWeightNoise(means(), sequences=3)
    for factor in (1.0, 0.5, 0.25):
        noise.step(factor, batch_size=1)
        assert noise.optimiser.param_groups[0]["lr"] == pytest.approx(factor * 1e-4)


def test_resumed_run_is_equal_bit_for_bit():
    def run(mu, noise, optimiser, generator, steps):
        for _ in range(steps):
            optimiser.zero_grad()
            loss(noise.sample(generator), 0.3).backward()
            noise.step(batch_size=1)
            optimiser.step()

    mu = means()
    noise, optimiser = AdaptiveWeightNoise(mu, sequences=9), GravesRMSProp(list(mu.values()))
    generator = torch.Generator().manual_seed(0)
    run(mu, noise, optimiser, generator, 3)
    state = copy.deepcopy((mu, noise.state_dict(), optimiser.state_dict(), generator.get_state()))
    run(mu, noise, optimiser, generator, 3)

    mu_2 = state[0]
    noise_2, optimiser_2 = AdaptiveWeightNoise(mu_2, sequences=9), GravesRMSProp(list(mu_2.values()))
    noise_2.load_state_dict(state[1])
    optimiser_2.load_state_dict(state[2])
    generator_2 = torch.Generator()
    generator_2.set_state(state[3])
    run(mu_2, noise_2, optimiser_2, generator_2, 3)
    for name in SHAPES:
        assert torch.equal(mu[name], mu_2[name])
        assert torch.equal(noise.sigmas[name], noise_2.sigmas[name])


def test_nan_in_a_gradient_reaches_its_deviation():
    mu = means()
    noise = AdaptiveWeightNoise(mu, sequences=3)
    (noise.sample(torch.Generator().manual_seed(0))["b"] * torch.tensor([math.nan, 1, 1, 1])).sum().backward()
    noise.step(batch_size=1)
    assert noise.sigmas["b"].isnan().tolist() == [True, False, False, False]


@pytest.mark.parametrize("wrong", [{"sigma": 0.0, "sequences": 3}, {"sigma": 0.1, "sequences": 0}])
def test_wrong_constants_are_named(wrong):
    with pytest.raises(InputError, match="expected"):
        AdaptiveWeightNoise(means(), **wrong)


def test_state_of_another_network_is_refused():
    noise = AdaptiveWeightNoise(means(), sequences=3)
    state = noise.state_dict()
    state["sigmas"]["c"] = state["sigmas"].pop("a")
    with pytest.raises(InputError, match="expected those of a, b"):
        noise.load_state_dict(state)

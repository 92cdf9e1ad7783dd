"""Equations 15–37, 61 and 62 against plain formulas in double precision, and what went wrong elsewhere."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.losses.mixture_density import Mixture, MixtureDensity

M = 3


def outputs(*shape: int, m: int = M, seed: int = 0, scale: float = 1.0, dtype=torch.float64) -> torch.Tensor:
    return scale * torch.randn(*shape, 6 * m + 1, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def targets(*shape: int, seed: int = 1, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(*shape, 3, generator=generator, dtype=dtype)
    points[..., 2] = (torch.rand(*shape, generator=generator) < 0.3).to(dtype)
    return points


def by_the_book(y: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray]:
    """−log Pr of one point (eq 18–26) and its derivatives by ŷ (eq 27–37), each line an equation of the paper."""
    m = (len(y) - 1) // 6
    e_hat, (pi_hat, mu1, mu2, s1_hat, s2_hat, rho_hat) = y[0], y[1:].reshape(6, m)
    e = 1 / (1 + np.exp(e_hat))  # 18
    pi = np.exp(pi_hat) / np.exp(pi_hat).sum()  # 19
    s1, s2, rho = np.exp(s1_hat), np.exp(s2_hat), np.tanh(rho_hat)  # 21, 22
    dx1, dx2 = x[0] - mu1, x[1] - mu2
    z = dx1**2 / s1**2 + dx2**2 / s2**2 - 2 * rho * dx1 * dx2 / (s1 * s2)  # 25
    normal = np.exp(-z / (2 * (1 - rho**2))) / (2 * np.pi * s1 * s2 * np.sqrt(1 - rho**2))  # 24
    loss = -np.log((pi * normal).sum()) - (np.log(e) if x[2] == 1 else np.log(1 - e))  # 26
    gamma = pi * normal / (pi * normal).sum()  # 28, 29
    c = 1 / (1 - rho**2)  # 37
    derivatives = [
        [x[2] - e],  # 27
        pi - gamma,  # 30
        -gamma * c / s1 * (dx1 / s1 - rho * dx2 / s2),  # 32
        -gamma * c / s2 * (dx2 / s2 - rho * dx1 / s1),  # 33
        -gamma * (c * dx1 / s1 * (dx1 / s1 - rho * dx2 / s2) - 1),  # 34
        -gamma * (c * dx2 / s2 * (dx2 / s2 - rho * dx1 / s1) - 1),  # 35
        -gamma * (dx1 * dx2 / (s1 * s2) + rho * (1 - c * z)),  # 36
    ]
    return loss, np.concatenate(derivatives)


def exact_loss(y: list[float], x: list[float]) -> float:
    """eq 26 with 400 digits."""
    with mpmath.workdps(400):
        m = (len(y) - 1) // 6
        y, x = [mpmath.mpf(v) for v in y], [mpmath.mpf(v) for v in x]
        blocks = [y[1 + i * m : 1 + (i + 1) * m] for i in range(6)]
        total = sum(mpmath.exp(p) for p in blocks[0])
        density = mpmath.mpf(0)
        for p, mu1, mu2, s1, s2, r in zip(*blocks, strict=True):
            a, b, rho = (x[0] - mu1) / mpmath.exp(s1), (x[1] - mu2) / mpmath.exp(s2), mpmath.tanh(r)
            c = mpmath.cosh(r) ** 2
            normal = mpmath.sqrt(c) * mpmath.exp(-c * (a * a + b * b - 2 * rho * a * b) / 2 - s1 - s2) / (2 * mpmath.pi)
            density += mpmath.exp(p) / total * normal
        end = 1 / (1 + mpmath.exp(y[0]))
        return float(-mpmath.log(density) - mpmath.log(end if x[2] == 1 else 1 - end))


def loss_and_gradient(y: torch.Tensor, x: torch.Tensor, clip: float | None = None, **options):
    y = y.clone().requires_grad_()
    loss_b = MixtureDensity(clip).loss(y, x, **options)
    loss_b.sum().backward()
    return loss_b.detach(), y.grad


def test_loss_and_every_derivative_equal_the_equations():
    y, x = outputs(5, 4), targets(5, 4)
    loss_b, gradient = loss_and_gradient(y, x)
    expected = [[by_the_book(y[t, b].numpy(), x[t, b].numpy()) for b in range(4)] for t in range(5)]
    for b in range(4):
        assert loss_b[b].item() == pytest.approx(sum(expected[t][b][0] for t in range(5)), rel=1e-12)
        for t in range(5):
            np.testing.assert_allclose(gradient[t, b].numpy(), expected[t][b][1], rtol=1e-10, atol=1e-12)


def test_gradient_equals_automatic_differentiation():
    y, x = outputs(6, 2, m=20, scale=1.5), targets(6, 2)
    loss_b, gradient = loss_and_gradient(y, x)
    plain = y.clone().requires_grad_()
    plain_b = -Mixture(plain).log_likelihood(x).sum(0)
    plain_b.sum().backward()
    torch.testing.assert_close(loss_b, plain_b.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, plain.grad, rtol=1e-9, atol=1e-11)


def test_gradcheck():
    y, x = outputs(3, 2, m=2).requires_grad_(), targets(3, 2)
    assert torch.autograd.gradcheck(lambda y: MixtureDensity(None).loss(y, x, torch.tensor([3, 2])), y)


def test_a_second_derivative_is_refused():
    y, scale = outputs(2, 1).requires_grad_(), torch.ones(1, dtype=torch.float64, requires_grad=True)
    loss = (scale * MixtureDensity().loss(y, targets(2, 1))).sum()
    (gradient,) = torch.autograd.grad(loss, y, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_end_of_stroke_has_the_paper_s_sign():
    y = torch.zeros(1, 1, 7, dtype=torch.float64)
    y[..., 0] = 3.0
    assert Mixture(y).end_of_stroke.item() == pytest.approx(1 / (1 + math.exp(3)))
    _, gradient = loss_and_gradient(y, torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64))
    assert gradient[0, 0, 0].item() == pytest.approx(1 - 1 / (1 + math.exp(3)))


def test_clip_bounds_each_derivative_before_anything_is_multiplied_in():
    y, x = outputs(50, 4), targets(50, 4)
    y[..., 1 + 3 * M : 1 + 5 * M] -= 2  # narrow components: large derivatives
    _, free = loss_and_gradient(y, x)
    _, clipped = loss_and_gradient(y, x, clip=5.0)
    assert (free.abs() > 5).any() and (free.abs() < 5).any()
    torch.testing.assert_close(clipped, free.clamp(-5, 5), rtol=0, atol=0)
    mean = y.clone().requires_grad_()
    MixtureDensity(5.0).loss(mean, x).mean().backward()
    torch.testing.assert_close(mean.grad, clipped / 4, rtol=1e-15, atol=0)


def test_clip_of_the_paper_is_the_default():
    y, x = torch.zeros(1, 1, 7, dtype=torch.float64), torch.tensor([[[1e3, -1e3, 0.0]]], dtype=torch.float64)
    y.requires_grad_()
    MixtureDensity().loss(y, x).sum().backward()
    assert y.grad[0, 0, 2:4].tolist() == [-100.0, 100.0]


def test_a_batch_is_its_sequences():
    y, x = outputs(7, 5), targets(7, 5)
    lengths = [7, 1, 4, 6, 2]
    loss_b, gradient = loss_and_gradient(y, x, lengths_b=torch.tensor(lengths))
    for b, n in enumerate(lengths):
        alone, alone_gradient = loss_and_gradient(y[:n, b : b + 1], x[:n, b : b + 1])
        torch.testing.assert_close(loss_b[b], alone[0], rtol=1e-13, atol=0)
        torch.testing.assert_close(gradient[:n, b], alone_gradient[:, 0], rtol=1e-12, atol=1e-14)
        assert (gradient[n:, b] == 0).all()


def test_padding_is_never_read():
    y, x, lengths_b = outputs(6, 2), targets(6, 2), torch.tensor([6, 2])
    clean = loss_and_gradient(y, x, clip=100.0, lengths_b=lengths_b)
    y[2:, 1], x[2:, 1] = math.nan, math.inf
    spoilt = loss_and_gradient(y, x, clip=100.0, lengths_b=lengths_b)
    assert torch.equal(clean[0], spoilt[0]) and torch.equal(clean[1], spoilt[1])


@pytest.mark.parametrize("place", ["y", "offset", "end"])
def test_nan_in_nan_out(place):
    y, x = outputs(4, 2), targets(4, 2)
    if place == "y":
        y[1, 0, 9] = math.nan
    else:
        x[1, 0, {"offset": 0, "end": 2}[place]] = math.nan
    loss_b, gradient = loss_and_gradient(y, x, clip=100.0)
    assert loss_b.isnan().tolist() == [True, False]
    assert gradient[1, 0].isnan().any() and gradient[:, 1].isfinite().all()


@pytest.mark.parametrize("output", range(7))
def test_a_draw_from_nan_is_nan(output):
    y = outputs(2, m=1)
    y[0, output] = math.nan
    points = Mixture(y).draw(torch.Generator().manual_seed(0))
    assert points[0].isnan().any() and points[1].isfinite().all()


EXTREME = {
    "point far out": ([0, 0, 0, 0, 0, 0, 0], [1e15, -1e15, 0]),
    "very narrow": ([0, 0, 0, 0, -35, -35, 0], [1.0, 1.0, 0]),
    "very narrow, hit exactly": ([0, 0, 1, 2, -87, -87, 0], [1.0, 2.0, 0]),
    "very wide": ([0, 0, 0, 0, 80, 80, 0], [1.0, -1.0, 1]),
    "correlation 1 − 1e-13": ([0, 0, 0, 0, 0, 0, 15], [1.0, 1.5, 1]),
    "correlation −1 + 1e-13": ([0, 0, 0, 0, 0, 0, -15], [1.0, 1.5, 1]),
    "correlation rounds to 1": ([0, 0, 0, 0, 0, 0, 40], [1.0, 1.5, 1]),
    "correlation rounds to 1, on the line": ([0, 0, 0, 0, 0, 0, 60], [0.5, 0.5, 1]),
    "end of stroke certain and right": ([-90, 0, 0, 0, 0, 0, 0], [0.0, 0.0, 1]),
    "end of stroke certain and wrong": ([-90, 0, 0, 0, 0, 0, 0], [0.0, 0.0, 0]),
    "weights 300 apart": ([0, 300, -300, 0, 5, 0, 5, 0, 0, 0, 0, 0, 0], [5.0, 5.0, 0]),
    "a component out of range": ([0, 0, 0, 0, 1e30, 0, 1e30, 0, -60, 0, 0, 0, 0], [0.1, 0.2, 0]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EXTREME)
def test_extreme_inputs_are_finite_and_exact(name, dtype):
    y, x = EXTREME[name]
    y_tbo, x_tb3 = torch.tensor([[y]], dtype=dtype), torch.tensor([[x]], dtype=dtype)
    loss, gradient = loss_and_gradient(y_tbo, x_tb3, clip=100.0)
    expected = exact_loss(y_tbo.flatten().tolist(), x_tb3.flatten().tolist())
    relative = 1e-5 if dtype == torch.float32 else 1e-12
    assert loss.item() == pytest.approx(expected, rel=relative, abs=relative)
    assert gradient.isfinite().all()
    assert -Mixture(y_tbo).log_likelihood(x_tb3).item() == pytest.approx(expected, rel=relative, abs=relative)


def test_beyond_the_floating_point_range_is_infinite_not_masked():
    loss, _ = loss_and_gradient(torch.zeros(1, 1, 7), torch.tensor([[[1e25, 0.0, 0.0]]]))
    assert loss.item() == math.inf


@settings(max_examples=100)
@given(
    st.lists(st.floats(-12, 12, width=32), min_size=11, max_size=11),
    st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=2),
    st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=2),
)
def test_single_precision_stays_close_to_the_exact_value(y, correlations, x):
    y, x = [*y, *correlations], [*x, 1.0]
    loss, gradient = loss_and_gradient(torch.tensor([[y]]), torch.tensor([[x]]), clip=100.0)
    # rounding of (x₁ − μ₁)/σ₁ − (x₂ − μ₂)/σ₂ is magnified by up to e⁴ (and without bound as |ρ| tends to 1)
    assert loss.item() == pytest.approx(exact_loss(y, x), rel=1e-4, abs=1e-4)
    assert gradient.isfinite().all()


# the biased distribution


def test_bias_zero_is_the_raw_mixture_bit_for_bit():
    y = outputs(4, 3, dtype=torch.float32)
    raw, zero = Mixture(y), Mixture(y, bias=torch.zeros(3))
    assert torch.equal(zero.weights, torch.softmax(y[..., 1 : 1 + M], -1))
    assert torch.equal(zero.deviations[0], y[..., 1 + 3 * M : 1 + 4 * M].exp())
    assert torch.equal(zero.deviations[1], y[..., 1 + 4 * M : 1 + 5 * M].exp())
    assert torch.equal(zero.correlations, y[..., 1 + 5 * M :].tanh())
    uniforms = torch.rand(4, 3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(raw.place(uniforms), zero.place(uniforms))


def test_bias_follows_equations_61_and_62_row_by_row():
    y = outputs(5)
    bias = [0.0, 0.15, 1.0, 2.0, 10.0]
    biased = Mixture(y, bias=torch.tensor(bias))
    for row, b in enumerate(bias):
        pi_hat, s1_hat = y[row, 1 : 1 + M].numpy(), y[row, 1 + 3 * M : 1 + 4 * M].numpy()
        weights = np.exp(pi_hat * (1 + b)) / np.exp(pi_hat * (1 + b)).sum()
        np.testing.assert_allclose(biased.weights[row].numpy(), weights, rtol=1e-6)
        np.testing.assert_allclose(biased.deviations[0][row].numpy(), np.exp(s1_hat - b), rtol=1e-6)
    raw = Mixture(y)
    assert torch.equal(biased.end_of_stroke, raw.end_of_stroke)
    assert torch.equal(biased.correlations, raw.correlations)
    assert torch.equal(biased.mean1, raw.mean1) and torch.equal(biased.mean2, raw.mean2)


def test_great_bias_draws_the_top_component_s_mean():
    y = outputs(200)
    points = Mixture(y, bias=2000.0).draw(torch.Generator().manual_seed(0))
    torch.testing.assert_close(points[:, :2], Mixture(y).top_component(), rtol=0, atol=1e-12)


def test_training_loss_knows_no_bias():
    y, x = outputs(3, 2), targets(3, 2)
    before = MixtureDensity().loss(y, x)
    Mixture(y, bias=3.0).draw(torch.Generator().manual_seed(0))
    assert torch.equal(before, MixtureDensity().loss(y, x))


# draws, predictions, heat map


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_draws_have_the_moments_of_the_density(bias):
    n = 100_000
    y = outputs(seed=5)
    y[1 + 5 * M :] = torch.tensor([1.5, -1.0, 0.3])  # strong correlations of both signs
    y[0] = 2.5
    mixture = Mixture(y, bias)
    points = Mixture(y.expand(n, -1), bias).draw(torch.Generator().manual_seed(3))
    weights, (s1, s2), rho = mixture.weights, mixture.deviations, mixture.correlations
    means = torch.stack([mixture.mean1, mixture.mean2], -1)  # (M, 2)
    inner = torch.stack([torch.stack([s1**2, rho * s1 * s2], -1), torch.stack([rho * s1 * s2, s2**2], -1)], -2)
    mean = (weights[:, None] * means).sum(0)
    covariance = (weights[:, None, None] * (inner + means[:, :, None] * means[:, None, :])).sum(0) - torch.outer(
        mean, mean
    )
    drawn = points[:, :2]
    five = 5 / math.sqrt(n)  # five standard errors
    assert ((drawn.mean(0) - mean).abs() < five * drawn.std(0)).all()
    centred = drawn - mean
    products = centred[:, :, None] * centred[:, None, :]
    assert ((products.mean(0) - covariance).abs() < five * products.std(0)).all()
    e = mixture.end_of_stroke.item()
    assert abs(points[:, 2].mean().item() - e) < five * math.sqrt(e * (1 - e))
    assert set(points[:, 2].unique().tolist()) == {0.0, 1.0}


def test_components_are_drawn_as_often_as_they_weigh():
    y = torch.zeros(100_000, 6 * M + 1, dtype=torch.float64)
    y[:, 1 : 1 + M] = torch.tensor([0.2, 0.0, 0.8]).log()
    y[:, 1 + M : 1 + 2 * M] = torch.tensor([-100.0, 0.0, 100.0])
    x = Mixture(y).draw(torch.Generator().manual_seed(0))[:, 0]
    assert ((x > -50) & (x < 50)).sum() == 0
    assert abs((x > 50).double().mean().item() - 0.8) < 5 * math.sqrt(0.16 / 1e5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_largest_and_smallest_uniform_numbers_give_finite_points(dtype):
    below_one = 1 - torch.finfo(dtype).eps / 2
    corners = torch.cartesian_prod(*[torch.tensor([0.0, below_one], dtype=dtype)] * 4)
    assert Mixture(outputs(16, dtype=dtype)).place(corners).isfinite().all()


def test_draws_repeat_with_their_generator():
    y = outputs(10)
    one, two = (Mixture(y).draw(torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, Mixture(y).draw(torch.Generator().manual_seed(5)))


def test_point_predictions():
    y = outputs(4, 2)
    mixture = Mixture(y)
    pi = torch.softmax(y[..., 1 : 1 + M], -1)
    mu1, mu2 = y[..., 1 + M : 1 + 2 * M], y[..., 1 + 2 * M : 1 + 3 * M]
    torch.testing.assert_close(mixture.mean(), torch.stack([(pi * mu1).sum(-1), (pi * mu2).sum(-1)], -1))
    for t in range(4):
        for b in range(2):
            j = pi[t, b].argmax()
            assert mixture.top_component()[t, b].tolist() == [mu1[t, b, j].item(), mu2[t, b, j].item()]


def test_squared_errors_count_real_points_only():
    y, x, lengths = outputs(5, 3), targets(5, 3), [5, 0, 3]
    measured = MixtureDensity().squared_errors(y, x, torch.tensor(lengths))
    expected = dict.fromkeys(measured, 0.0)
    for b, n in enumerate(lengths):
        for t in range(n):
            mixture = Mixture(y[t, b])
            expected["mean"] += (x[t, b, :2] - mixture.mean()).square().sum().item()
            expected["top"] += (x[t, b, :2] - mixture.top_component()).square().sum().item()
            expected["end_of_stroke"] += (x[t, b, 2] - mixture.end_of_stroke).item() ** 2
    assert measured == pytest.approx(expected, rel=1e-12)
    x[3:, 2] = math.nan
    assert MixtureDensity().squared_errors(y, x, torch.tensor(lengths)) == pytest.approx(expected, rel=1e-12)


def test_heat_map_is_the_density_on_fine_cells():
    y = outputs(2, seed=2)
    edges = torch.linspace(-1, 1, 401, dtype=torch.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    heat = Mixture(y).heat_map(edges, edges[::2])
    rows = (edges[::2][1:] + edges[::2][:-1]) / 2
    x2, x1 = torch.meshgrid(rows, centres, indexing="ij")
    grid = torch.stack([x1, x2], -1)
    for n in range(2):
        density = Mixture(y[n]).log_density(grid).exp()
        torch.testing.assert_close(heat[n], density, rtol=2e-2, atol=1e-4)


@pytest.mark.parametrize("cells", [3, 40, 300])
@pytest.mark.parametrize("log_deviation", [-6.0, 0.0])
def test_heat_map_integrates_to_one(cells, log_deviation):
    y = outputs(2)
    y[:, 1 + 3 * M : 1 + 5 * M] = log_deviation
    edges = torch.linspace(-30, 30, cells + 1, dtype=torch.float64)
    heat = Mixture(y).heat_map(edges, edges)
    assert heat.shape == (2, cells, cells) and (heat >= 0).all()
    torch.testing.assert_close(heat.sum((-1, -2)) * (60 / cells) ** 2, torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("cells", [30, 100])
def test_heat_map_shows_the_correlation(sign, cells):
    y = torch.zeros(7, dtype=torch.float64)
    y[6] = sign * 1.2
    edges = torch.linspace(-8, 8, cells + 1, dtype=torch.float64)
    heat = Mixture(y).heat_map(edges, edges) * (16 / cells) ** 2
    centre = (edges[1:] + edges[:-1]) / 2
    covariance = (heat * centre[:, None] * centre[None, :]).sum().item()
    assert covariance == pytest.approx(math.tanh(sign * 1.2), rel=0.02)
    assert (heat * centre[:, None] ** 2).sum().item() == pytest.approx(1, abs=(16 / cells) ** 2 / 12 + 0.01)


def test_heat_map_of_a_component_beside_the_grid_is_empty():
    y = torch.zeros(7, dtype=torch.float64)
    y[2] = 1e4
    heat = Mixture(y).heat_map(torch.linspace(-1, 1, 11), torch.linspace(-1, 1, 11))
    assert (heat == 0).all()


# bad input


@pytest.mark.parametrize("size", [0, 1, 6, 120, 122])
def test_a_size_that_is_no_mixture_is_named(size):
    with pytest.raises(InputError, match=rf"{size} outputs.*6M \+ 1"):
        Mixture(torch.zeros(2, size))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(InputError, match=r"\(4, 2, 19\).*\(3, 2, 3\)"):
        MixtureDensity().loss(outputs(4, 2), targets(3, 2))

"""Equations 46–52 and 56–60 in numpy, forwards and backwards, with the clip at every step."""

import math

import numpy as np
import pytest
import torch

from rnngen.cells.backends import WINDOW_LAYERS
from rnngen.cells.peephole_lstm import Weights
from rnngen.cells.soft_window import WindowState, WindowWeights, phi, soft_window

T, B, I, H, V, K = 6, 3, 2, 4, 5, 2  # noqa: E741
TEXT_LENGTHS = [4, 1, 3]
TEXT = [[0, 3, 3, 1], [2, 0, 0, 0], [4, 1, 4, 0]]
NAMES = ("weight_x", "weight_window", "recurrent", "peepholes", "bias", "parameters", "bias_parameters")


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def weights(seed: int = 0, scale: float = 0.7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = ((4 * H, I), (4 * H, V), (4 * H, H), (3, H), (4 * H,), (3 * K, H), (3 * K,))
    return {name: rng.normal(size=shape) * scale for name, shape in zip(NAMES, shapes, strict=True)}


def start(seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(B, H)), rng.normal(size=(B, H)), rng.normal(size=(B, V)), rng.uniform(0, 2, size=(B, K))]


def forward(w: dict, x: np.ndarray, text: list[int], state: list[np.ndarray]) -> tuple[list, list]:
    """One sequence, step by step; returns (h, w) of every step and everything that `backward` needs."""
    h, c, window, kappa = state
    u = np.arange(1, len(text) + 1)
    characters = np.eye(V)[text]  # c_u
    out, tape = [], []
    for x_t in x:
        a = w["bias"] + w["weight_x"] @ x_t + w["recurrent"] @ h + w["weight_window"] @ window  # 52
        a_i, a_f, a_g, a_o = a.reshape(4, H)
        before = (h, c, window)
        i, f, g = sigmoid(a_i + w["peepholes"][0] * c), sigmoid(a_f + w["peepholes"][1] * c), np.tanh(a_g)
        c_new = f * c + i * g
        o = sigmoid(a_o + w["peepholes"][2] * c_new)
        h = o * np.tanh(c_new)
        alpha_hat, beta_hat, kappa_hat = (w["parameters"] @ h + w["bias_parameters"]).reshape(3, K)  # 48
        alpha, beta = np.exp(alpha_hat), np.exp(beta_hat)  # 49, 50
        kappa = kappa + np.exp(kappa_hat)  # 51
        each = alpha[:, None] * np.exp(-beta[:, None] * (kappa[:, None] - u) ** 2)
        window = each.sum(0) @ characters  # 46, 47
        tape.append((x_t, before, (i, f, g, o), c_new, h, beta, kappa, kappa_hat, each))
        c = c_new
        out.append((h, window))
    return out, tape


def backward(w: dict, tape: list, text: list[int], d_h: np.ndarray, d_w: np.ndarray, clip: float) -> tuple:
    """Derivatives by the weights and the clipped deltas (T, 4H), given ∂L/∂h_t and ∂L/∂w_t from above."""
    u = np.arange(1, len(text) + 1)
    characters = np.eye(V)[text]
    gradient = {name: np.zeros_like(value) for name, value in w.items()}
    deltas = np.zeros((len(tape), 4 * H))
    h_later, c_later, w_later, kappa_later = np.zeros(H), np.zeros(H), np.zeros(V), np.zeros(K)
    for t in reversed(range(len(tape))):
        x_t, (h_before, c_before, w_before), (i, f, g, o), c, h, beta, kappa, kappa_hat, each = tape[t]
        epsilon = each * (characters @ (d_w[t] + w_later))  # 56
        by_alpha = epsilon.sum(1)  # 57
        by_beta = -beta * (epsilon * (kappa[:, None] - u) ** 2).sum(1)  # 58
        kappa_later = kappa_later + 2 * beta * (epsilon * (u - kappa[:, None])).sum(1)  # 59
        by_kappa = np.exp(kappa_hat) * kappa_later  # 60
        hat = np.concatenate([by_alpha, by_beta, by_kappa])
        gradient["parameters"] += np.outer(hat, h)
        gradient["bias_parameters"] += hat
        by_h = d_h[t] + h_later + w["parameters"].T @ hat
        peep_i, peep_f, peep_o = w["peepholes"]
        delta_o = np.clip(by_h * np.tanh(c) * o * (1 - o), -clip, clip)
        by_c = c_later + by_h * o * (1 - np.tanh(c) ** 2) + delta_o * peep_o
        delta_i = np.clip(by_c * g * i * (1 - i), -clip, clip)
        delta_f = np.clip(by_c * c_before * f * (1 - f), -clip, clip)
        delta_g = np.clip(by_c * i * (1 - g**2), -clip, clip)
        c_later = by_c * f + delta_i * peep_i + delta_f * peep_f
        deltas[t] = np.concatenate([delta_i, delta_f, delta_g, delta_o])
        h_later, w_later = w["recurrent"].T @ deltas[t], w["weight_window"].T @ deltas[t]
        gradient["bias"] += deltas[t]
        gradient["weight_x"] += np.outer(deltas[t], x_t)
        gradient["recurrent"] += np.outer(deltas[t], h_before)
        gradient["weight_window"] += np.outer(deltas[t], w_before)
        gradient["peepholes"] += np.stack([delta_i * c_before, delta_f * c_before, delta_o * c])
    return gradient, deltas


def run(name: str, w: dict, x_tbi: torch.Tensor, state, lengths=None, clip=None, text=TEXT, dtype=torch.float64):
    """The layer under test; returns its outputs and the leaves of its weights."""
    leaf = {key: torch.tensor(value, dtype=dtype).requires_grad_() for key, value in w.items()}
    result = WINDOW_LAYERS[name](
        Weights(None, (leaf["weight_x"], leaf["weight_window"]), leaf["recurrent"], leaf["peepholes"], leaf["bias"]),
        WindowWeights(leaf["parameters"], leaf["bias_parameters"]),
        x_tbi,
        torch.tensor(text),
        torch.tensor(TEXT_LENGTHS),
        WindowState(*(torch.as_tensor(value, dtype=dtype) for value in state)),
        None if lengths is None else torch.tensor(lengths),
        clip,
        "float32",
    )
    return *result, leaf


def inputs(seed: int = 2) -> torch.Tensor:
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


every_back_end = pytest.mark.parametrize("name", sorted(WINDOW_LAYERS))


@every_back_end
@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("lengths", [None, [6, 3, 5]])
def test_outputs_states_and_every_gradient_equal_the_equations(name, clip, lengths):
    w, state, x_tbi = weights(), start(), inputs()
    rng = np.random.default_rng(3)
    d_h, d_w = rng.normal(size=(T, B, H)), rng.normal(size=(T, B, V))
    h_tbh, window_tbv, last, trace, leaf = run(name, w, x_tbi, state, lengths, clip)
    (h_tbh * torch.tensor(d_h)).sum().add((window_tbv * torch.tensor(d_w)).sum()).backward()

    expected = {key: np.zeros_like(value) for key, value in w.items()}
    bound = False
    for b in range(B):
        n, text = (T if lengths is None else lengths[b]), TEXT[b][: TEXT_LENGTHS[b]]
        out, tape = forward(w, x_tbi[:n, b].numpy(), text, [value[b] for value in state])
        np.testing.assert_allclose(h_tbh[:n, b].detach(), np.stack([h for h, _ in out]), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(window_tbv[:n, b].detach(), np.stack([v for _, v in out]), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(trace.kappa_tbk[:n, b], np.stack([step[6] for step in tape]), rtol=1e-12)
        np.testing.assert_allclose(trace.beta_tbk[:n, b], np.stack([step[5] for step in tape]), rtol=1e-12)
        assert (h_tbh[n:, b] == 0).all() and (window_tbv[n:, b] == 0).all()
        for mine, value in zip(last, (out[-1][0], tape[-1][3], out[-1][1], tape[-1][6]), strict=True):
            np.testing.assert_allclose(mine[b].detach(), value, rtol=1e-10, atol=1e-12)
        gradient, deltas = backward(w, tape, text, d_h[:n, b], d_w[:n, b], math.inf if clip is None else clip)
        bound |= clip is not None and bool((np.abs(deltas) == clip).any() and (np.abs(deltas) < clip).any())
        for key, value in gradient.items():
            expected[key] += value
    assert bound == (clip is not None)  # the clip binds somewhere and not everywhere
    for key, value in expected.items():
        np.testing.assert_allclose(leaf[key].grad, value, rtol=1e-9, atol=1e-11, err_msg=key)


@every_back_end
def test_padding_of_steps_and_of_texts_is_never_read(name):
    lengths = [6, 2, 4]

    def gradients(x_tbi: torch.Tensor, text: list) -> list[torch.Tensor]:
        h_tbh, window_tbv, last, _, leaf = run(name, weights(), x_tbi, start(), lengths, 10.0, text)
        (h_tbh.sum() + window_tbv.square().sum() + last.kappa_bk.sum()).backward()
        return [
            h_tbh.detach(),
            window_tbv.detach(),
            *(value.detach() for value in last),
            *(v.grad for v in leaf.values()),
        ]

    clean = gradients(inputs(), TEXT)
    x_tbi = inputs()
    for b, n in enumerate(lengths):
        x_tbi[n:, b] = math.nan
    text = [row[:n] + [10**6] * (len(row) - n) for row, n in zip(TEXT, TEXT_LENGTHS, strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(clean, gradients(x_tbi, text), strict=True))


@every_back_end
def test_nan_in_nan_out(name):
    x_tbi = inputs()
    x_tbi[1, 0, 0] = math.nan
    h_tbh, window_tbv, *_ = run(name, weights(), x_tbi, start())
    assert h_tbh[1:, 0].isnan().all() and window_tbv[1:, 0].isnan().any()
    assert h_tbh[:, 1:].isfinite().all() and window_tbv[:, 1:].isfinite().all()


@every_back_end
def test_kappa_only_moves_forward(name):
    *_, trace, _ = run(name, weights(scale=2.0), inputs(), start())
    assert (trace.kappa_tbk.diff(dim=0) > 0).all()


def test_phi_is_equation_46_with_positions_from_one():
    alpha, beta, kappa = torch.tensor([2.0, 0.5]), torch.tensor([1.0, 3.0]), torch.tensor([1.0, 2.5])
    expected = [
        2 * math.exp(-((1 - u) ** 2)) + 0.5 * math.exp(-3 * (2.5 - u) ** 2) for u in (1, 2, 3)
    ]  # κ = 1 is on the first character
    assert phi(alpha, beta, kappa, 3).tolist() == pytest.approx(expected, rel=1e-6)


def test_the_window_is_not_normalised_and_equal_characters_add_up():
    hat = torch.zeros(1, 3, dtype=torch.float64)
    hat[0, 0] = math.log(8.0)
    text, real = torch.tensor([[1, 0, 1]]), torch.ones(1, 3, dtype=torch.bool)
    window, _, _, kappa = soft_window(hat, torch.ones(1, 1, dtype=torch.float64), text, real, 3)
    assert kappa.item() == 2.0
    assert window[0].tolist() == pytest.approx([8.0, 16 * math.exp(-1), 0.0])

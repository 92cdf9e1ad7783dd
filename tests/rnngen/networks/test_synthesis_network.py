"""Equations 46–55: how the layers, the window and the output are wired, in numpy; and the paper's parameter count."""

import math

import numpy as np
import pytest
import torch

import rnngen
from rnngen.errors import InputError
from rnngen.losses.mixture_density import MixtureDensity
from rnngen.networks.synthesis_network import SynthesisNetwork

V, K, M, H = 6, 2, 2, 4
LENGTHS, TEXT_LENGTHS = [5, 3], [4, 2]
TEXT = torch.tensor([[1, 5, 0, 1], [3, 2, 0, 0]])


def small(**options) -> SynthesisNetwork:
    arguments = {"cells": H, "layers": 3, "alphabet_size": V, "window_components": K, "mixtures": M, "init_range": 0.8}
    return SynthesisNetwork(**arguments | options, generator=torch.Generator().manual_seed(0)).double()


def points(steps: int = 5, batch: int = 2) -> torch.Tensor:
    return torch.randn(steps, batch, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def call(network: SynthesisNetwork, x_tbi: torch.Tensor, *arguments, **options):
    return network(x_tbi, TEXT, torch.tensor(TEXT_LENGTHS), *arguments, **options)


def by_the_book(network: SynthesisNetwork, x_ti: np.ndarray, text: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """ŷ (T, 6M + 1) and w (T, V) of one line, each line an equation of the paper."""

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    p = {name: value.detach().numpy() for name, value in network.named_parameters()}
    count = len(network.layers)
    h, c = np.zeros((count, H)), np.zeros((count, H))
    window, kappa, u = np.zeros(V), np.zeros(K), np.arange(1, len(text) + 1)
    y_to, w_tv = [], []
    for x in x_ti:
        for n in range(count):
            a = p[f"layers.{n}.bias"] + p[f"layers.{n}.weight_recurrent"] @ h[n]
            # 52, 53: layer 1 sees the window of the step before, the layers above it see the new one
            for k, value in enumerate([x, window] if n == 0 else [x, window, h[n - 1]]):
                a = a + p[f"layers.{n}.weight_dense.{k}"] @ value
            a_i, a_f, a_g, a_o = a.reshape(4, H)
            peep_i, peep_f, peep_o = p[f"layers.{n}.peepholes"]
            i, f = sigmoid(a_i + peep_i * c[n]), sigmoid(a_f + peep_f * c[n])
            c[n] = f * c[n] + i * np.tanh(a_g)
            h[n] = sigmoid(a_o + peep_o * c[n]) * np.tanh(c[n])
            if n == 0:
                hat = (p["weight_window"] @ h[0] + p["bias_window"]).reshape(3, K)  # 48
                kappa = kappa + np.exp(hat[2])  # 51
                each = np.exp(hat[0])[:, None] * np.exp(-np.exp(hat[1])[:, None] * (kappa[:, None] - u) ** 2)
                window = each.sum(0) @ np.eye(V)[text]  # 46, 47
        y_to.append(p["bias_output"] + sum(p[f"weight_output.{n}"] @ h[n] for n in range(count)))  # 17
        w_tv.append(window)
    return np.stack(y_to), np.stack(w_tv)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_outputs_equal_the_equations(layers, backend):
    network, x_tbi = small(layers=layers, backend=backend), points()
    y_tbo, state, _ = call(network, x_tbi, lengths_b=torch.tensor(LENGTHS))
    for b, (n, u) in enumerate(zip(LENGTHS, TEXT_LENGTHS, strict=True)):
        y_to, w_tv = by_the_book(network, x_tbi[:n, b].numpy(), TEXT[b, :u].tolist())
        np.testing.assert_allclose(y_tbo[:n, b].detach().numpy(), y_to, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(state.window_bv[b].detach().numpy(), w_tv[-1], rtol=1e-10, atol=1e-12)


def test_parameter_count_is_the_paper_s():
    with torch.device("meta"):
        network = rnngen.SynthesisNetwork(cells=400, layers=3, alphabet_size=57, window_components=10, mixtures=20)
    assert sum(p.numel() for p in network.parameters()) == 3_653_751


def test_every_gradient_equals_the_difference_quotient():
    network = small(cells=2, mixtures=1, backend="reference")
    names, weights = zip(*network.named_parameters(), strict=True)
    x_tbi, lengths_b = points(3), torch.tensor([3, 2])

    def loss(*values: torch.Tensor) -> torch.Tensor:
        arguments = (x_tbi, TEXT, torch.tensor(TEXT_LENGTHS), None, lengths_b)
        y, _, _ = torch.func.functional_call(network, dict(zip(names, values, strict=True)), arguments)
        return MixtureDensity(None).loss(y, x_tbi.sign().abs(), lengths_b)

    assert torch.autograd.gradcheck(loss, weights)


def test_a_state_carried_over_continues_the_line():
    network, x_tbi = small(), points(8)
    whole, last, trace = call(network, x_tbi)
    first, state, trace_1 = call(network, x_tbi[:3])
    second, state, trace_2 = call(network, x_tbi[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-11, atol=1e-13)
    for parts, together in zip(zip(trace_1, trace_2, strict=True), trace, strict=True):
        torch.testing.assert_close(torch.cat(parts), together, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(state.window_bv, last.window_bv, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(state.kappa_bk, last.kappa_bk, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(last.kappa_bk, trace.kappa_tbk[-1], rtol=0, atol=0)


def test_step_by_step_is_the_whole_line():
    """What a sampler does: κ and w after T single steps equal those of one pass over the T points."""
    network, x_tbi = small(), points(6)
    whole, last, _ = call(network, x_tbi)
    state, outputs = None, []
    for x_bi in x_tbi:
        y, state, _ = call(network, x_bi[None], state)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs), whole, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(state.kappa_bk, last.kappa_bk, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(state.window_bv, last.window_bv, rtol=1e-11, atol=1e-13)


def test_a_batch_is_its_lines_and_padding_is_never_read():
    network, x_tbi, lengths_b = small(clip=0.5), points(), torch.tensor(LENGTHS)
    target = points().sign().abs()

    def gradients(x: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        network.zero_grad()
        y, _, _ = network(x, text, torch.tensor(TEXT_LENGTHS), lengths_b=lengths_b)
        loss_b = MixtureDensity().loss(y, target, lengths_b)
        loss_b.sum().backward()
        return loss_b.detach(), [p.grad.clone() for p in network.parameters()]

    loss_b, together = gradients(x_tbi, TEXT)
    summed = [torch.zeros_like(g) for g in together]
    for b, (n, u) in enumerate(zip(LENGTHS, TEXT_LENGTHS, strict=True)):
        network.zero_grad()
        y, _, _ = network(x_tbi[:n, b : b + 1], TEXT[b : b + 1, :u], torch.tensor([u]))
        loss = MixtureDensity().loss(y, target[:n, b : b + 1])
        loss.sum().backward()
        assert loss.item() == pytest.approx(loss_b[b].item(), rel=1e-12)
        for total, p in zip(summed, network.parameters(), strict=True):
            total += p.grad
    for total, gradient in zip(summed, together, strict=True):
        torch.testing.assert_close(total, gradient, rtol=1e-9, atol=1e-11)

    x_tbi[3:, 1] = math.nan
    text = TEXT.clone()
    text[1, 2:] = 10**6
    spoilt, gradient_spoilt = gradients(x_tbi, text)
    assert torch.equal(spoilt, loss_b)
    assert all(torch.equal(a, b) for a, b in zip(gradient_spoilt, together, strict=True))


def test_the_text_matters_only_through_the_window():
    network, x_tbi = small(), points()
    with torch.no_grad():
        for layer in network.layers:
            layer.weight_dense[1].zero_()
    one, _, _ = call(network, x_tbi)
    other, _, _ = network(x_tbi, TEXT.flip(1).contiguous(), torch.tensor([4, 4]))
    assert torch.equal(one, other)


def test_window_bias_starts_at_the_pace_of_the_pen():
    pace = -math.log(25)
    network = SynthesisNetwork(cells=50, window_bias=pace, generator=torch.Generator().manual_seed(0))
    x_tbi, text = torch.randn(200, 1, 3, generator=torch.Generator().manual_seed(2)), torch.zeros(1, 20).long()
    kappa = network(x_tbi, text, torch.tensor([20]))[2].kappa_tbk[-1]
    assert kappa.mean().item() == pytest.approx(200 / 25, rel=0.1)
    alpha_hat, beta_hat, kappa_hat = network.bias_window.detach().chunk(3)
    assert alpha_hat.exp().sum().item() == pytest.approx(1)
    assert beta_hat.mean().item() == pytest.approx(math.log(0.7)) and beta_hat.diff().min() > 0
    assert (kappa_hat == pace).all()
    silent = SynthesisNetwork(cells=50, generator=torch.Generator().manual_seed(0))
    assert silent.bias_window.abs().max() <= 0.1
    kappa = silent(x_tbi, text, torch.tensor([20]))[2].kappa_tbk[-1]
    assert kappa.mean().item() == pytest.approx(200, rel=0.2)  # a character a step
    same = [n for n, p in network.named_parameters() if torch.equal(p, silent.get_parameter(n))]
    assert len(same) == len(list(silent.parameters())) - 2  # nothing else differs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_tbi": torch.zeros(5, 2, 4)}, r"\(5, 2, 4\).*\(T, B, 3\)"),
        ({"text_bu": torch.zeros(2, 4)}, r"float32: expected int64 of shape \(2, U\)"),
        ({"text_bu": torch.zeros(3, 4, dtype=torch.int64)}, r"\(3, 4\).*\(2, U\)"),
        ({"text_bu": torch.tensor([[0, V, 0, 0], [0, 0, 0, 0]])}, "characters from 0 to 6: expected 0 to 5"),
        ({"text_lengths_b": torch.tensor([4, 5])}, "text lengths from 4 to 5: expected 1 to U = 4"),
        ({"text_lengths_b": torch.tensor([0, 4])}, "text lengths from 0 to 4"),
        ({"text_lengths_b": torch.tensor([4])}, r"\(1,\): expected \(2,\)"),
        ({"lengths_b": torch.tensor([5, 6])}, "lengths from 5 to 6: expected 1 to T = 5"),
        ({"lengths_b": torch.tensor([5])}, r"lengths of shape \(1,\)"),
    ],
)
def test_inputs_that_do_not_fit_are_named(change, message):
    good = {"x_tbi": points(), "text_bu": TEXT, "text_lengths_b": torch.tensor(TEXT_LENGTHS)}
    with pytest.raises(InputError, match=message):
        small()(**good | change)


def test_a_state_of_another_depth_is_refused():
    network, x_tbi = small(), points()
    state = call(network, x_tbi)[1]
    state.layers.pop()
    with pytest.raises(InputError, match="state of 2 layers for a network of 3"):
        call(network, x_tbi, state)


@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_steps_are_the_whole_line(backend):
    """`step` after `step` gives what one call gives: outputs, window, state and gradients."""
    network, x_tbi = small(backend=backend, clip=0.1), points()
    text_bu, lengths_b = torch.tensor([[0, 2, 1], [3, 1, 0]]), torch.tensor([3, 2])
    whole, last, trace = network(x_tbi, text_bu, lengths_b)
    state, outputs, windows = network.zero_state(x_tbi[0]), [], []
    for x_bi in x_tbi:
        y_bo, state, window = network.step(x_bi, text_bu, lengths_b, state)
        outputs.append(y_bo)
        windows.append(torch.stack(window))
    close = {"rtol": 1e-11, "atol": 1e-12}
    torch.testing.assert_close(torch.stack(outputs), whole, **close)
    torch.testing.assert_close(torch.stack(windows, 1).detach(), torch.stack(list(trace)), **close)
    for ours, theirs in zip(state.layers, last.layers, strict=True):
        torch.testing.assert_close(ours, theirs, **close)
    torch.testing.assert_close((state.window_bv, state.kappa_bk), (last.window_bv, last.kappa_bk), **close)
    weights = list(network.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(torch.stack(outputs).square().sum(), weights),
        torch.autograd.grad(whole.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)

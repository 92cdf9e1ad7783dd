"""Equations 1–6 against loops over time and layers in numpy, and the paper's parameter counts."""

import math

import numpy as np
import pytest
import torch

import rnngen
from rnngen.errors import InputError
from rnngen.networks.prediction_network import PredictionNetwork


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(**options) -> PredictionNetwork:
    arguments = {"input_size": 3, "cells": 4, "layers": 3, "output_size": 5, "init_range": 0.8} | options
    return PredictionNetwork(**arguments, generator=seeded()).double()


def points(steps: int = 6, batch: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(steps, batch, 3, generator=seeded(seed), dtype=torch.float64)


def by_the_book(network: PredictionNetwork, x_ti: np.ndarray) -> np.ndarray:
    """ŷ of one sequence (T, O), each line an equation of the paper."""

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    p = {name: value.detach().numpy() for name, value in network.named_parameters()}
    count, cells = len(network.layers), network.layers[0].cells
    h, c = np.zeros((count, cells)), np.zeros((count, cells))
    y_to = []
    for x in x_ti:
        for n in range(count):
            inputs = [x] if n == 0 else [x, h[n - 1]]  # 1, 2: h[n − 1] is already that of this step
            a = p[f"layers.{n}.bias"] + p[f"layers.{n}.weight_recurrent"] @ h[n]
            for k, value in enumerate(inputs):
                a = a + p[f"layers.{n}.weight_dense.{k}"] @ value
            a_i, a_f, a_g, a_o = a.reshape(4, cells)
            peep_i, peep_f, peep_o = p[f"layers.{n}.peepholes"]
            i, f = sigmoid(a_i + peep_i * c[n]), sigmoid(a_f + peep_f * c[n])  # 7, 8
            c[n] = f * c[n] + i * np.tanh(a_g)  # 9
            h[n] = sigmoid(a_o + peep_o * c[n]) * np.tanh(c[n])  # 10, 11
        y_to.append(p["bias_output"] + sum(p[f"weight_output.{n}"] @ h[n] for n in range(count)))  # 3
    return np.stack(y_to)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_outputs_equal_the_equations(layers, backend):
    network, x_tbi = small(layers=layers, backend=backend), points()
    y_tbo, _ = network(x_tbi)
    for b in range(2):
        np.testing.assert_allclose(
            y_tbo[:, b].detach().numpy(), by_the_book(network, x_tbi[:, b].numpy()), rtol=1e-11, atol=1e-12
        )


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({"input_size": 49, "cells": 1000, "layers": 1, "output_size": 49, "symbols": True}, 4_252_049),
        ({"input_size": 10_000, "cells": 1000, "layers": 1, "output_size": 10_000, "symbols": True}, 54_017_000),
        ({"input_size": 205, "cells": 700, "layers": 7, "output_size": 205, "symbols": True}, 30_537_005),
        ({"input_size": 205, "cells": 700, "layers": 5, "output_size": 205, "symbols": True}, 21_252_205),
        ({"cells": 900, "layers": 1}, 3_366_121),
        ({}, 3_368_121),
    ],
)
def test_parameter_counts_are_the_paper_s(arguments, count):
    with torch.device("meta"):
        network = rnngen.PredictionNetwork(**arguments)
    assert sum(p.numel() for p in network.parameters()) == count


def test_every_gradient_equals_the_difference_quotient():
    network, x_tbi = small(cells=2, layers=2, output_size=2, backend="reference"), points(3, 2)
    names, weights = zip(*network.named_parameters(), strict=True)

    def loss(*values: torch.Tensor) -> torch.Tensor:
        y, _ = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x_tbi,))
        return y.square().sum()

    assert torch.autograd.gradcheck(loss, weights)


def test_symbols_are_one_hot_inputs_and_minus_one_is_the_null_vector():
    network = PredictionNetwork(5, 4, 2, 5, symbols=True, init_range=0.8, generator=seeded()).double()
    dense = PredictionNetwork(5, 4, 2, 5).double()
    state = network.state_dict()
    state["layers.1.weight_dense.1"] = state["layers.1.weight_dense.0"]
    for n in range(2):
        state[f"layers.{n}.weight_dense.0"] = state.pop(f"layers.{n}.weight_symbols").t()
    dense.load_state_dict(state)
    symbols_tb = torch.tensor([[-1, -1], [3, 0], [4, -1], [1, 2]])
    one_hot = torch.zeros(4, 2, 5, dtype=torch.float64)
    for t, row in enumerate(symbols_tb.tolist()):
        for b, symbol in enumerate(row):
            if symbol >= 0:
                one_hot[t, b, symbol] = 1
    torch.testing.assert_close(network(symbols_tb)[0], dense(one_hot)[0], rtol=1e-12, atol=1e-14)


def test_first_output_of_the_null_vector_comes_from_biases_alone():
    network = small(layers=1)
    y_tbo, _ = network(torch.zeros(1, 1, 3, dtype=torch.float64))
    before = network.layers[0].weight_dense[0]
    with torch.no_grad():
        before.mul_(100)
    assert torch.equal(network(torch.zeros(1, 1, 3, dtype=torch.float64))[0], y_tbo)


def test_a_state_carried_over_continues_the_sequence():
    network, x_tbi = small(), points(9)
    whole, last = network(x_tbi)
    first, state = network(x_tbi[:4])
    second, state = network(x_tbi[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-14)
    for (h, c), (h_whole, c_whole) in zip(state, last, strict=True):
        torch.testing.assert_close(h, h_whole, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(c, c_whole, rtol=1e-12, atol=1e-14)


def real(y_tbo: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    return sum(y_tbo[:n, b].square().sum() for b, n in enumerate(lengths))


def test_a_batch_is_its_sequences_and_padding_is_never_read():
    network, x_tbi, lengths = small(), points(7, 3), [7, 2, 5]
    y_tbo, state = network(x_tbi, lengths_b=torch.tensor(lengths))
    real(y_tbo, lengths).backward()
    together = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    for b, n in enumerate(lengths):
        alone, last = network(x_tbi[:n, b : b + 1])
        torch.testing.assert_close(y_tbo[:n, b], alone[:, 0], rtol=1e-12, atol=1e-14)
        for (h, c), (h_alone, c_alone) in zip(state, last, strict=True):
            torch.testing.assert_close(h[b], h_alone[0], rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(c[b], c_alone[0], rtol=1e-12, atol=1e-14)
        alone.square().sum().backward()
    for p, gradient in zip(network.parameters(), together, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-10, atol=1e-12)

    network.zero_grad()
    for b, n in enumerate(lengths):
        x_tbi[n:, b] = math.nan
    y_spoilt, _ = network(x_tbi, lengths_b=torch.tensor(lengths))
    real(y_spoilt, lengths).backward()
    assert torch.equal(real(y_spoilt, lengths), real(y_tbo, lengths))
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), together, strict=True))


def test_nan_in_nan_out():
    x_tbi = points()
    x_tbi[2, 0, 1] = math.nan
    y_tbo, _ = small()(x_tbi)
    assert y_tbo[2:, 0].isnan().all() and y_tbo[:2].isfinite().all() and y_tbo[:, 1].isfinite().all()


def test_with_a_clip_the_sum_is_backpropagated_and_the_gradients_divided():
    """Sequence by sequence as in the paper = the sum over the batch; a mean before the clip meets another clip."""
    x_tbi, batch = points(batch=4), 4

    def gradients(scale: float, rows: list[slice]) -> list[torch.Tensor]:
        network = small(clip=0.05)
        for row in rows:
            (scale * 100 * network(x_tbi[:, row])[0].square().sum()).backward()
        return [p.grad / batch / scale for p in network.parameters()]

    one_by_one = gradients(1.0, [slice(b, b + 1) for b in range(batch)])
    for mine, expected in zip(gradients(1.0, [slice(None)]), one_by_one, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)
    scaled = gradients(1 / batch, [slice(None)])
    assert any((a - b).abs().max() > 0.01 * b.abs().max() for a, b in zip(scaled, one_by_one, strict=True))


def test_initial_weights_are_uniform_and_come_from_the_generator():
    network = PredictionNetwork(cells=100, generator=seeded())
    values = torch.cat([p.detach().flatten() for p in network.parameters()])
    assert values.abs().max() <= 0.1
    n = len(values)
    assert abs(values.mean().item()) < 5 * 0.1 / math.sqrt(3 * n)
    assert values.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.01)
    for p in network.parameters():
        assert p.unique().numel() > 0.9 * p.numel()  # no block left at a constant
    again = PredictionNetwork(cells=100, generator=seeded())
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    wide = PredictionNetwork(cells=100, init_range=1.0)
    assert 0.9 < max(p.abs().max().item() for p in wide.parameters()) <= 1.0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(4, 2), r"\(4, 2"),
        (torch.zeros(4, 2, 5, dtype=torch.float64), r"\(4, 2, 3\).*\(4, 2, 5\)"),
        (torch.zeros(4, 2, 3, dtype=torch.int64), "int64"),
    ],
)
def test_inputs_that_do_not_fit_are_named(x, message):
    with pytest.raises(InputError, match=message):
        small()(x)


def test_states_sizes_lengths_and_back_ends_that_do_not_fit_are_named():
    network, x_tbi = small(), points()
    with pytest.raises(InputError, match="state of 2 layers for a network of 3"):
        network(x_tbi, network(x_tbi)[1][:2])
    with pytest.raises(InputError, match="6"):
        network(x_tbi, lengths_b=torch.tensor([6, 7]))
    with pytest.raises(InputError, match="cells = 0"):
        PredictionNetwork(cells=0)
    with pytest.raises(InputError, match=r"layers = 1\.5"):
        PredictionNetwork(layers=1.5)
    with pytest.raises(InputError, match="cuda-magic"):
        PredictionNetwork(cells=2, backend="cuda-magic")


@pytest.mark.parametrize("backend", ["reference", "auto"])
@pytest.mark.parametrize("symbols", [False, True])
def test_steps_are_the_whole_sequence(backend, symbols):
    """`step` after `step` gives what one call gives, gradients too."""
    network = small(symbols=symbols, backend=backend, clip=0.1)
    x = torch.tensor([[0, -1], [2, 1], [1, 0], [2, 2]]) if symbols else points(4)
    whole, last = network(x)
    state, outputs = network.zero_state(x[0]), []
    for x_b in x:
        y_bo, state = network.step(x_b, state)
        outputs.append(y_bo)
    torch.testing.assert_close(torch.stack(outputs), whole, rtol=1e-11, atol=1e-12)
    for pair, expected in zip(state, last, strict=True):
        torch.testing.assert_close(pair, expected, rtol=1e-11, atol=1e-12)
    weights = list(network.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(torch.stack(outputs).square().sum(), weights),
        torch.autograd.grad(whole.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)

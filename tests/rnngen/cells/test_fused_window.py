"""The fast window layers against the reference in float64; the equations themselves are in test_soft_window.py."""

import math

import pytest
import torch

from rnngen.cells.backends import window_layer_named
from rnngen.cells.fused_window import fused_window_layer
from rnngen.networks.synthesis_network import SynthesisNetwork, SynthesisState

STEPS, BATCH, CELLS, SYMBOLS, COMPONENTS = 9, 5, 7, 6, 3
TEXT_LENGTHS = torch.tensor([8, 3, 5, 1, 8])
LENGTHS = torch.tensor([9, 2, 7, 1, 7])
fast_back_ends = pytest.mark.parametrize("backend", ("fused", "compiled", "auto"))
both_lengths = pytest.mark.parametrize("lengths_b", [None, LENGTHS], ids=["whole", "lengths"])


def make(backend, dtype=torch.float64, precision="float32", clip=0.05):
    drawn = torch.Generator().manual_seed(0)
    network = SynthesisNetwork(
        CELLS, 2, SYMBOLS, COMPONENTS, 1, clip=clip, init_range=0.4, window_bias=-1.0, generator=drawn,
        backend=backend, precision=precision,
    ).to(dtype)  # fmt: skip

    def normal(*shape):
        return torch.randn(shape, generator=drawn, dtype=torch.float64).to(dtype).requires_grad_()

    x_tbi, text_bu = normal(STEPS, BATCH, 3), torch.randint(0, SYMBOLS, (BATCH, 8), generator=drawn)
    state = SynthesisState(
        [(normal(BATCH, CELLS), normal(BATCH, CELLS)) for _ in range(2)],
        normal(BATCH, SYMBOLS),
        normal(BATCH, COMPONENTS),
    )
    return network, x_tbi, text_bu, state


def everything(network, x_tbi, text_bu, state, lengths_b=None, steps=STEPS):
    """Outputs, states, the window's parameters and all gradients, by name; what lies past a length left out."""
    y, last, trace = network(x_tbi, text_bu, TEXT_LENGTHS, state, lengths_b)
    inside = torch.ones(steps, BATCH, 1, dtype=torch.bool)
    if lengths_b is not None:
        inside = (torch.arange(steps)[:, None] < lengths_b).unsqueeze(2)
    states = {"w": last.window_bv, "kappa": last.kappa_bk}
    states |= {
        f"{name}{n}": value for n, pair in enumerate(last.layers) for name, value in zip("hc", pair, strict=True)
    }
    result = {"y": y.where(inside, 0)[:STEPS], **states}
    weigh = torch.Generator().manual_seed(1)
    weights = [torch.randn(r.shape, generator=weigh, dtype=torch.float64).to(r.dtype) for r in result.values()]
    torch.autograd.backward(list(result.values()), weights)
    before = [state.window_bv, state.kappa_bk, *(value for pair in state.layers for value in pair)]
    result |= {f"trace {n}": value.where(inside, 0)[:STEPS] for n, value in enumerate(trace)}
    result |= {f"d_state {n}": value.grad for n, value in enumerate(before)} | {"d_x": x_tbi.grad[:STEPS]}
    result |= {f"d_{name}": parameter.grad for name, parameter in network.named_parameters()}
    return {name: value.detach().clone() for name, value in result.items()}


def worst(found, expected):
    return max(((found[k].double() - v).norm() / v.norm()).item() for k, v in expected.items())


@fast_back_ends
@both_lengths
@pytest.mark.parametrize("clip", [None, 0.05])
def test_equals_the_reference(backend, lengths_b, clip):
    expected = everything(*make("reference", clip=clip), lengths_b)
    assert worst(everything(*make(backend, clip=clip), lengths_b), expected) < 1e-12
    assert worst(everything(*make(backend, torch.float32, clip=clip), lengths_b), expected) < 5e-6
    rounded = worst(everything(*make(backend, torch.float32, "bfloat16", clip), lengths_b), expected)
    assert 1e-4 < rounded < 3e-2


@fast_back_ends
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_padding_changes_nothing_bit_for_bit(backend, precision):
    expected = everything(*make(backend, torch.float32, precision), LENGTHS)
    network, x_tbi, text_bu, state = make(backend, torch.float32, precision)
    longer = torch.full((STEPS + 3, BATCH, 3), math.nan)
    longer[:STEPS] = x_tbi.detach()
    longer[torch.arange(STEPS + 3)[:, None] >= LENGTHS] = math.nan
    text_bu[torch.arange(8) >= TEXT_LENGTHS[:, None]] = 10**9
    found = everything(network, longer.requires_grad_(), text_bu, state, LENGTHS, STEPS + 3)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert not longer.grad[torch.arange(STEPS + 3)[:, None] >= LENGTHS].any()


@fast_back_ends
def test_a_carried_state_continues_the_line(backend):
    network, x_tbi, text_bu, state = make(backend)
    whole, last, _ = network(x_tbi, text_bu, TEXT_LENGTHS, state)
    first, carried, _ = network(x_tbi[:4], text_bu, TEXT_LENGTHS, state)
    second, end, _ = network(x_tbi[4:], text_bu, TEXT_LENGTHS, carried)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(end.kappa_bk, last.kappa_bk, rtol=1e-12, atol=1e-12)
    parameters = list(network.parameters())
    gradients = [torch.autograd.grad(y.square().sum(), parameters) for y in (whole, torch.cat([first, second]))]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@fast_back_ends
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_nan_is_never_swallowed(backend, precision):
    network, x_tbi, text_bu, _ = make(backend, torch.float32, precision)
    with torch.no_grad():
        x_tbi[3, 1, 0] = math.nan
    y, last, trace = network(x_tbi, text_bu, TEXT_LENGTHS)
    assert y[3:, 1].isnan().all() and y[:3].isfinite().all() and y[:, [0, 2, 3, 4]].isfinite().all()
    assert last.kappa_bk[1].isnan().all() and trace.kappa_tbk[3:, 1].isnan().all()
    y.sum().backward()
    assert network.weight_window.grad.isnan().any() and network.layers[0].bias.grad.isnan().all()


@fast_back_ends
def test_a_second_backward_pass_is_refused(backend):
    network, x_tbi, text_bu, state = make(backend)
    loss = network(x_tbi, text_bu, TEXT_LENGTHS, state)[0].sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="a second backward pass"):
        loss.backward()


@fast_back_ends
def test_outputs_survive_later_calls(backend):
    network, x_tbi, text_bu, state = make(backend, torch.float32)
    y, last, trace = network(x_tbi, text_bu, TEXT_LENGTHS, state)
    held = [value.detach().clone() for value in (y, last.window_bv, last.kappa_bk, *last.layers[0], *trace)]
    with torch.no_grad():
        network(-x_tbi, text_bu, TEXT_LENGTHS, state)
    network(2 * x_tbi, text_bu, TEXT_LENGTHS, state)[0].sum().backward()
    for before, now in zip(held, (y, last.window_bv, last.kappa_bk, *last.layers[0], *trace), strict=True):
        assert torch.equal(before, now)


def test_kappa_only_moves_forward_and_the_trace_has_no_graph():
    network, x_tbi, text_bu, _ = make("auto", torch.float32)
    _, _, trace = network(x_tbi, text_bu, TEXT_LENGTHS)
    assert (trace.kappa_tbk.diff(dim=0) > 0).all() and (trace.alpha_tbk > 0).all()
    assert not any(value.requires_grad for value in trace)


def test_back_ends_without_a_window_of_their_own_use_the_fused_one():
    assert window_layer_named("auto", torch.device("cpu")).__name__ == "compiled_window_layer"
    assert window_layer_named("auto", torch.device("cuda")) is fused_window_layer
    assert window_layer_named("triton", torch.device("cuda")).__name__ == "triton_window_layer"

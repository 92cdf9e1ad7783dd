"""The LSTM layer against equations 7–11 and their derivatives written out in numpy, for every back end."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngen.cells.layer import PeepholeLSTM
from rnngen.errors import InputError

RUNNING = ("reference", "fused", "compiled")
every_back_end = pytest.mark.parametrize("backend", RUNNING)
fast_back_ends = pytest.mark.parametrize("backend", ("fused", "compiled"))

STEPS, BATCH, CELLS, SYMBOLS = 7, 4, 6, 5
LENGTHS = torch.tensor([5, 7, 1, 5])


def sigma(a):
    return 1 / (1 + np.exp(-a))


def oracle(parameters, symbols, dense, h0, c0, d_out, d_h, d_c, clip):
    """One sequence, eq 7–11 and back. `dense` are (T, I); returns outputs, last state, all derivatives, and the four
    derivatives of every step before clipping, (T, 4, H)."""
    weights, recurrent = parameters["weight_dense"], parameters["weight_recurrent"]
    p_i, p_f, p_o = parameters["peepholes"]
    steps, cells = len(d_out), len(h0)
    h, c, kept = h0, c0, []
    for t in range(steps):
        a = parameters["bias"] + recurrent @ h
        for x, weight in zip(dense, weights, strict=True):
            a = a + weight @ x[t]
        if symbols is not None and symbols[t] >= 0:
            a = a + parameters["weight_symbols"][symbols[t]]
        a_i, a_f, a_g, a_o = a.reshape(4, cells)
        i, f, g = sigma(a_i + p_i * c), sigma(a_f + p_f * c), np.tanh(a_g)
        c_new = f * c + i * g
        o = sigma(a_o + p_o * c_new)
        h_new = o * np.tanh(c_new)
        kept.append((h, c, i, f, g, o, c_new, h_new))
        h, c = h_new, c_new

    grads = {name: np.zeros_like(value) for name, value in parameters.items() if name != "weight_dense"}
    grads["weight_dense"] = [np.zeros_like(weight) for weight in weights]
    d_dense = [np.zeros_like(x) for x in dense]
    raw = np.zeros((steps, 4, cells))
    last_h, last_c = h, c
    for t in reversed(range(steps)):
        h_before, c_before, i, f, g, o, c_new, _ = kept[t]
        d_h = d_h + d_out[t]
        d_o = d_h * np.tanh(c_new) * o * (1 - o)
        clipped_o = d_o if clip is None else np.clip(d_o, -clip, clip)
        d_cell = d_c + d_h * o * (1 - np.tanh(c_new) ** 2) + clipped_o * p_o
        raw[t] = d_cell * g * i * (1 - i), d_cell * c_before * f * (1 - f), d_cell * i * (1 - g**2), d_o
        delta = raw[t] if clip is None else np.clip(raw[t], -clip, clip)
        d_c = d_cell * f + delta[0] * p_i + delta[1] * p_f
        flat = delta.reshape(-1)
        d_h = recurrent.T @ flat
        grads["weight_recurrent"] += np.outer(flat, h_before)
        grads["bias"] += flat
        grads["peepholes"] += np.stack([delta[0] * c_before, delta[1] * c_before, delta[3] * c_new])
        if symbols is not None and symbols[t] >= 0:
            grads["weight_symbols"][symbols[t]] += flat
        for k, x in enumerate(dense):
            grads["weight_dense"][k] += np.outer(flat, x[t])
            d_dense[k][t] = weights[k].T @ flat
    return np.stack([k[7] for k in kept]), last_h, last_c, d_dense, d_h, d_c, grads, raw


def make(backend="reference", dense=(3,), symbols=None, clip=None, dtype=torch.float64, seed=0, **options):
    torch.manual_seed(seed)
    layer = PeepholeLSTM(CELLS, dense, symbols, clip=clip, backend=backend, init_range=0.7, **options).to(dtype)
    drawn = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=drawn, dtype=torch.float64).to(dtype).requires_grad_()

    inputs = [normal(STEPS, BATCH, size) for size in dense]
    symbols_tb = None if symbols is None else torch.randint(-1, symbols, (STEPS, BATCH), generator=drawn)
    state = (normal(BATCH, CELLS), normal(BATCH, CELLS))
    return layer, symbols_tb, inputs, state


def derivatives(layer, symbols_tb, inputs, state, lengths_b=None, scale=1.0):
    """Outputs and every gradient under fixed random derivatives of the outputs, by name."""
    h_tbh, (h_bh, c_bh) = layer(symbols_tb, inputs, state, lengths_b)
    drawn = torch.Generator().manual_seed(9)
    heads = [scale * torch.randn(x.shape, generator=drawn, dtype=torch.float64) for x in (h_tbh, h_bh, c_bh)]
    torch.autograd.backward((h_tbh, h_bh, c_bh), [d.to(h_tbh.dtype) for d in heads])
    result = {"out": h_tbh, "last h": h_bh, "last c": c_bh, "d_h": state[0].grad, "d_c": state[1].grad}
    result |= {f"d_x{k}": x.grad for k, x in enumerate(inputs)}
    result |= {f"d_{name}": parameter.grad for name, parameter in layer.named_parameters()}
    return {name: value.detach().double() for name, value in result.items()}, [d.numpy() for d in heads]


def of_oracle(layer, symbols_tb, inputs, state, lengths_b, heads):
    """What `derivatives` returns, one sequence after the other through the oracle."""
    values = {name: p.detach().double().numpy() for name, p in layer.named_parameters()}
    parameters = {name: value for name, value in values.items() if not name.startswith("weight_dense")}
    parameters["weight_dense"] = [values[f"weight_dense.{k}"] for k in range(len(inputs))]
    xs = [x.detach().double().numpy() for x in inputs]
    h0, c0 = (s.detach().double().numpy() for s in state)
    d_out, d_h, d_c = heads
    expected = {name: np.zeros_like(value) for name, value in zip(("out", "last h", "last c"), heads, strict=True)}
    expected |= {"d_h": np.zeros_like(h0), "d_c": np.zeros_like(c0)}
    expected |= {f"d_x{k}": np.zeros_like(x) for k, x in enumerate(xs)}
    expected |= {f"d_{name}": np.zeros_like(value) for name, value in values.items()}
    for b in range(h0.shape[0]):
        n = STEPS if lengths_b is None else int(lengths_b[b])
        out, last_h, last_c, d_dense, d_h0, d_c0, grads, _ = oracle(
            parameters,
            None if symbols_tb is None else symbols_tb[:n, b].numpy(),
            [x[:n, b] for x in xs],
            h0[b],
            c0[b],
            d_out[:n, b],
            d_h[b],
            d_c[b],
            layer.clip,
        )
        expected["out"][:n, b], expected["last h"][b], expected["last c"][b] = out, last_h, last_c
        expected["d_h"][b], expected["d_c"][b] = d_h0, d_c0
        for k, d in enumerate(d_dense):
            expected[f"d_x{k}"][:n, b] = d
            expected[f"d_weight_dense.{k}"] += grads["weight_dense"][k]
        for name in parameters.keys() - {"weight_dense"}:
            expected[f"d_{name}"] += grads[name]
    return expected


def worst(found, expected):
    """The largest relative error of any tensor, by norm."""
    return max(
        np.linalg.norm(found[name].numpy() - value) / max(np.linalg.norm(value), 1e-300)
        for name, value in expected.items()
    )


@every_back_end
@pytest.mark.parametrize("lengths_b", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize(("dense", "symbols"), [((3,), None), ((), SYMBOLS), ((3, 5, 2), None), ((3,), SYMBOLS)])
def test_equals_the_oracle(backend, lengths_b, clip, dense, symbols):
    made = make(backend, dense, symbols, clip)
    found, heads = derivatives(*made, lengths_b)
    assert worst(found, of_oracle(*made, lengths_b, heads)) < 1e-12
    single = make(backend, dense, symbols, clip, torch.float32)
    found, heads = derivatives(*single, lengths_b)
    assert worst(found, of_oracle(*single, lengths_b, heads)) < 3e-6


@every_back_end
@pytest.mark.parametrize("lengths_b", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize(("dense", "symbols"), [((3, 5), None), ((), SYMBOLS), ((3,), SYMBOLS)])
def test_bfloat16_products_stay_within_their_rounding(backend, lengths_b, dense, symbols):
    made = make(backend, dense, symbols, 0.05, torch.float32, precision="bfloat16")
    found, heads = derivatives(*made, lengths_b)
    error = worst(found, of_oracle(*made, lengths_b, heads))
    assert 1e-4 < error < 2e-2  # 2⁻⁹ a rounding; below 1e-4 nothing would have been rounded
    assert all(parameter.grad.dtype == torch.float32 for parameter in made[0].parameters())


def test_gradcheck():
    """Of the reference alone: gradcheck differentiates one graph many times."""
    layer, symbols_tb, inputs, state = make("reference", (2,), SYMBOLS)
    parameters = list(layer.parameters())

    def run(x, h, c, *_parameters):
        out, (last_h, last_c) = layer(symbols_tb[:4], [x], (h, c), torch.tensor([4, 2, 1, 3]))
        return out, last_h, last_c

    assert torch.autograd.gradcheck(run, (inputs[0][:4].detach().requires_grad_(), *state, *parameters))


def through_unit_weights(backend, clip, steps=STEPS, dtype=torch.float64, scale=1.0):
    """A layer whose input weights are the identity: the input's derivative is that of the four pre-activations."""
    layer, _, inputs, state = make(backend, (4 * CELLS,), clip=clip, dtype=dtype)
    with torch.no_grad():
        layer.weight_dense[0].copy_(torch.eye(4 * CELLS))
    inputs = [inputs[0][:steps].detach().requires_grad_()]
    found, heads = derivatives(layer, None, inputs, state, scale=scale)
    return layer, inputs, state, found, heads


@every_back_end
def test_derivatives_are_clipped_at_every_step_and_only_where_the_bound_binds(backend):
    clip = 0.1
    layer, inputs, state, found, heads = through_unit_weights(backend, clip)
    seen = found["d_x0"].numpy()
    values = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    values["weight_dense"] = [values["weight_dense.0"]]
    kept = ("weight_dense", "weight_recurrent", "peepholes", "bias")
    bound_at_step = np.zeros(STEPS, dtype=bool)
    for b in range(BATCH):
        *_, raw = oracle(
            {name: values[name] for name in kept},
            None,
            [inputs[0][:, b].detach().numpy()],
            *(s[b].detach().numpy() for s in state),
            heads[0][:, b],
            *(d[b] for d in heads[1:]),
            clip,
        )
        raw = raw.reshape(STEPS, -1)
        binds = np.abs(raw) > clip
        bound_at_step |= binds.any(1)
        assert not binds.all()
        assert (seen[:, b][binds] == np.sign(raw[binds]) * clip).all()
        np.testing.assert_allclose(seen[:, b][~binds], raw[~binds], rtol=1e-10, atol=1e-15)
    assert bound_at_step.all()


@every_back_end
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_step_differs_from_the_unclipped_one_exactly_where_the_bound_binds(backend, dtype):
    """With the output peephole at zero, no derivative of a single step depends on another one."""
    clip, found = 0.125, {}
    for bound in (None, clip):
        layer, _, inputs, state = make(backend, (4 * CELLS,), clip=bound, dtype=dtype)
        with torch.no_grad():
            layer.weight_dense[0].copy_(torch.eye(4 * CELLS))
            layer.peepholes[2] = 0
        inputs = [inputs[0][:1].detach().requires_grad_()]
        found[bound] = derivatives(layer, None, inputs, state)[0]["d_x0"]
    binds = found[None].abs() > clip
    assert binds.any() and not binds.all()
    assert torch.equal(found[clip], found[None].clamp(-clip, clip))
    assert torch.equal(found[clip] != found[None], binds)


@every_back_end
def test_derivatives_flow_through_the_recurrent_weights_too(backend):
    """Forget gates shut and peepholes cut: what is left between steps goes through h, which truncated BPTT drops."""
    layer, _, inputs, _ = make(backend)
    with torch.no_grad():
        layer.bias[CELLS : 2 * CELLS] = -60
        layer.peepholes.zero_()

    def last(x):
        return layer(None, [x])[0][-1].sum()

    last(inputs[0]).backward()
    nudged = inputs[0].detach().clone()
    nudged[0, 0, 0] += 1e-4
    back = inputs[0].detach().clone()
    back[0, 0, 0] -= 1e-4
    with torch.no_grad():
        slope = (last(nudged) - last(back)) / 2e-4
    assert abs(slope) > 1e-9
    assert inputs[0].grad[0, 0, 0].item() == pytest.approx(slope.item(), rel=1e-3)


@every_back_end
def test_a_batch_is_a_loop_over_its_sequences(backend):
    together, heads = derivatives(*make(backend, (3,), SYMBOLS, 0.1), LENGTHS)
    layer, symbols_tb, inputs, state = make(backend, (3,), SYMBOLS, 0.1)
    for b in range(BATCH):
        n, one = int(LENGTHS[b]), slice(b, b + 1)
        out, (h, c) = layer(symbols_tb[:n, one], [inputs[0][:n, one]], (state[0][one], state[1][one]))
        torch.testing.assert_close(out[:, 0], together["out"][:n, b], rtol=1e-12, atol=1e-12)
        d_out, d_h, d_c = (torch.from_numpy(d) for d in heads)
        torch.autograd.backward((out, h, c), (d_out[:n, one], d_h[one], d_c[one]))
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.grad, together[f"d_{name}"], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(inputs[0].grad, together["d_x0"], rtol=1e-10, atol=1e-12)


@every_back_end
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_padding_changes_nothing_bit_for_bit(backend, precision):
    made = make(backend, (3,), SYMBOLS, 0.1, torch.float32, precision=precision)
    clean, _ = derivatives(*made, LENGTHS)
    layer, symbols_tb, (x,), state = make(backend, (3,), SYMBOLS, 0.1, torch.float32, precision=precision)
    past = torch.arange(STEPS + 4)[:, None] >= LENGTHS
    longer = torch.full((STEPS + 4, BATCH, 3), math.nan)
    longer[:STEPS] = x.detach()
    longer[past] = torch.tensor([math.nan, math.inf, 1e30])
    rubbish = torch.full((STEPS + 4, BATCH), 10**9)
    rubbish[:STEPS] = symbols_tb
    rubbish[past] = -(10**9)
    out, last = layer(rubbish, [longer.requires_grad_()], state, LENGTHS)
    drawn = torch.Generator().manual_seed(9)
    heads = [torch.randn(y.shape, generator=drawn, dtype=torch.float64).float() for y in (out[:STEPS], *last)]
    past_head = torch.full((4, BATCH, CELLS), 7.0)
    torch.autograd.backward((out, *last), (torch.cat([heads[0], past_head]), *heads[1:]))
    assert torch.equal(out[:STEPS].double(), clean["out"]) and not out[past].any()
    assert torch.equal(last[0].double(), clean["last h"]) and torch.equal(last[1].double(), clean["last c"])
    assert torch.equal(longer.grad[:STEPS].double(), clean["d_x0"]) and not longer.grad[past].any()
    for name, parameter in layer.named_parameters():
        assert torch.equal(parameter.grad.double(), clean[f"d_{name}"]), name
    assert torch.equal(state[0].grad.double(), clean["d_h"]) and torch.equal(state[1].grad.double(), clean["d_c"])


@every_back_end
def test_a_carried_state_continues_the_sequence(backend):
    whole, heads = derivatives(*make(backend, (3,), SYMBOLS))
    layer, symbols_tb, (x,), state = make(backend, (3,), SYMBOLS)
    first, carried = layer(symbols_tb[:3], [x[:3]], state)
    second, last = layer(symbols_tb[3:], [x[3:]], carried)
    torch.autograd.backward((torch.cat([first, second]), *last), [torch.from_numpy(d) for d in heads])
    torch.testing.assert_close(torch.cat([first, second]), whole["out"], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(x.grad, whole["d_x0"], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(state[1].grad, whole["d_c"], rtol=1e-10, atol=1e-12)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.grad, whole[f"d_{name}"], rtol=1e-10, atol=1e-12)


@every_back_end
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("payload", [0x7FC00000, 0x7FFFFFFF, -1])
def test_nan_is_never_swallowed(backend, precision, payload):
    nan = torch.tensor(payload, dtype=torch.int32).view(torch.float32)
    assert nan.isnan()
    layer, _, (x,), _ = make(backend, clip=0.1, dtype=torch.float32, precision=precision)
    with torch.no_grad():
        x[2, 1, 0] = nan
    out, (_, c) = layer(None, [x])
    out.sum().backward()
    assert out[2:, 1].isnan().all() and c[1].isnan().all()
    assert out[:2].isfinite().all() and out[:, [0, 2, 3]].isfinite().all()
    assert layer.weight_recurrent.grad.isnan().any() and x.grad[2, 1].isnan().all()
    assert layer.bias.grad.isnan().all()  # the clip must not turn one into a bound
    layer, _, (x,), _ = make(backend, clip=0.1, dtype=torch.float32, precision=precision)
    out, _ = layer(None, [x])
    head = torch.ones_like(out)
    head[4, 0, 3] = nan
    out.backward(head)
    assert x.grad[:5, 0].isnan().all() and x.grad[5:].isfinite().all() and x.grad[:, 1:].isfinite().all()


@every_back_end
@pytest.mark.parametrize("value", [90.0, 1e30, math.inf])
def test_saturated_gates_are_finite(backend, value):
    layer, _, (x,), _ = make(backend, dtype=torch.float32)
    with torch.no_grad():
        layer.weight_dense[0].fill_(1.0)
        x.zero_()[:, 0, 0] = value
        x[:, 1, 0] = -value
    out, (_, c) = layer(None, [x])
    assert out.isfinite().all() and c.isfinite().all()


def test_the_kernels_keep_small_numbers_exact():
    """tanh by way of a sigmoid would lose every digit of what is small."""
    layer, _, (x,), _ = make("compiled", dtype=torch.float32)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1e-6)
    found = layer(None, [x])[0].detach()
    layer.backend = "reference"
    expected = layer.double()(None, [x.double()])[0].detach()
    torch.testing.assert_close(found.double(), expected, rtol=2e-5, atol=0)


@fast_back_ends
def test_forget_gates_near_one_keep_their_distance_from_one_in_bfloat16(backend):
    """c's derivative after 100 steps of a forget gate of 0.999 is 0.905; a gate rounded to bfloat16 gives 1 or 0.67."""
    layer = PeepholeLSTM(CELLS, (1,), backend=backend, precision="bfloat16", init_range=0.0)
    with torch.no_grad():
        layer.bias[CELLS : 2 * CELLS] = math.log(999)
    c = torch.ones(2, CELLS, requires_grad=True)
    _, (_, last_c) = layer(None, [torch.zeros(100, 2, 1)], (torch.zeros(2, CELLS), c))
    last_c.sum().backward()
    torch.testing.assert_close(c.grad, torch.full_like(c, 0.999**100), rtol=2e-3, atol=0)


@every_back_end
def test_symbols_are_one_hot_inputs_and_minus_one_is_the_null_vector(backend):
    layer, symbols_tb, _, state = make(backend, (), SYMBOLS)
    symbols_tb[0] = -1
    one_hot = torch.nn.functional.one_hot(symbols_tb.clamp(min=0), SYMBOLS) * (symbols_tb >= 0).unsqueeze(2)
    dense = PeepholeLSTM(CELLS, (SYMBOLS,), backend="reference").double()
    with torch.no_grad():
        dense.weight_dense[0].copy_(layer.weight_symbols.t())
        for name in ("weight_recurrent", "peepholes", "bias"):
            getattr(dense, name).copy_(getattr(layer, name))
    found, expected = layer(symbols_tb, [], state)[0], dense(None, [one_hot.double()], state)[0]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(layer.weight_symbols.grad, dense.weight_dense[0].grad.t(), rtol=1e-10, atol=1e-12)


@fast_back_ends
def test_ten_thousand_symbols(backend):
    layer = PeepholeLSTM(CELLS, (), 10_000, backend=backend)
    symbols_tb = torch.tensor([[9_999, 0], [5, 9_999], [-1, 17]])
    layer(symbols_tb)[0].sum().backward()
    touched = layer.weight_symbols.grad.abs().sum(1).nonzero().flatten()
    assert touched.tolist() == [0, 5, 17, 9_999]


@settings(max_examples=25)
@given(st.data())
def test_any_shape_gives_what_the_reference_gives(data):
    steps, batch = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 6))
    cells, size = data.draw(st.integers(1, 35)), data.draw(st.integers(1, 4))
    lengths = data.draw(st.none() | st.lists(st.integers(1, steps), min_size=batch, max_size=batch))
    lengths_b = None if lengths is None else torch.tensor(lengths)
    clip = data.draw(st.sampled_from([None, 0.01, 1.0]))
    results = {}
    for backend, dtype in (("reference", torch.float64), ("fused", torch.float64), ("compiled", torch.float32)):
        torch.manual_seed(0)
        layer = PeepholeLSTM(cells, (size,), clip=clip, backend=backend).to(dtype)
        x = torch.randn(steps, batch, size).to(dtype).requires_grad_()
        out, last = layer(None, [x], None, lengths_b)
        (out.sum() + last[0].square().sum() + last[1].sum()).backward()
        results[backend] = [y.detach().double() for y in (out, *last, x.grad, *(p.grad for p in layer.parameters()))]
    for expected, fused, compiled in zip(*results.values(), strict=True):
        torch.testing.assert_close(fused, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-5)


@fast_back_ends
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_outputs_survive_later_calls(backend, precision):
    """Buffers are kept and used again, but never those the caller holds."""
    layer, _, (x,), state = make(backend, dtype=torch.float32, precision=precision)
    for lengths_b in (None, LENGTHS):
        out, last = layer(None, [x], state, lengths_b)
        held = [y.detach().clone() for y in (out, *last)]
        first, _ = layer(None, [x], state, lengths_b)
        second, _ = layer(None, [-x], state, lengths_b)
        second.sum().backward()
        first.sum().backward()
        with torch.no_grad():
            layer(None, [x * 2], state, lengths_b)
        assert all(torch.equal(a, b) for a, b in zip(held, (out, *last), strict=True))
        out.sum().backward()


@fast_back_ends
def test_two_passes_interleaved_give_the_gradients_of_each(backend):
    expected = []
    for sign in (1, -1):
        layer, _, (x,), state = make(backend)
        layer(None, [sign * x], state)[0].square().sum().backward()
        expected.append(layer.weight_recurrent.grad)
    layer, _, (x,), state = make(backend)
    outputs = [layer(None, [sign * x], state)[0].square().sum() for sign in (1, -1)]
    for output in outputs:
        output.backward()
    torch.testing.assert_close(layer.weight_recurrent.grad, sum(expected), rtol=1e-12, atol=1e-12)


@fast_back_ends
def test_a_second_backward_pass_is_refused(backend):
    layer, _, inputs, state = make(backend)
    loss = layer(None, inputs, state)[0].sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward pass through a PeepholeLSTM.*backend='reference'"):
        loss.backward()


@fast_back_ends
def test_outputs_changed_in_place_are_refused(backend):
    layer, _, inputs, state = make(backend)
    out, _ = layer(None, inputs, state)
    with pytest.raises(RuntimeError, match="inplace"):
        out.mul_(2)


@fast_back_ends
def test_inference_gives_the_same_and_keeps_nothing(backend):
    layer, _, inputs, state = make(backend, dtype=torch.float32)
    out, _ = layer(None, inputs, state)
    with torch.inference_mode():
        silent, _ = layer(None, inputs, state)
    assert torch.equal(out, silent) and not silent.requires_grad


@every_back_end
def test_parameters_can_be_exchanged_without_touching_the_stored_ones(backend):
    layer, _, inputs, state = make(backend)
    other, *_ = make(backend, seed=1)
    exchanged = torch.func.functional_call(layer, dict(other.named_parameters()), (None, inputs, state))[0]
    assert torch.equal(exchanged, other(None, inputs, state)[0])
    exchanged.sum().backward()
    assert layer.bias.grad is None and other.bias.grad is not None


def test_initial_weights_fill_the_range():
    torch.manual_seed(0)
    layer = PeepholeLSTM(50, (3,), 4, init_range=0.1)
    everything = torch.cat([parameter.detach().flatten() for parameter in layer.parameters()])
    assert everything.abs().max() <= 0.1 and everything.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.02)
    assert len(everything) == 4 * 50 * (3 + 4 + 50 + 1) + 3 * 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dense": []}, "expected 1 dense inputs, got 0"),
        (
            {"dense": [torch.zeros(STEPS, BATCH, 4)]},
            r"dense input 0: expected torch.float32 \(7, 4, 3\), got .*7, 4, 4",
        ),
        ({"dense": [torch.zeros(STEPS, BATCH, 3).double()]}, "expected torch.float32 .* got torch.float64"),
        ({"symbols_tb": None}, r"expected symbols \(T, B\) below 5, got none"),
        ({"symbols_tb": torch.zeros(STEPS, BATCH)}, "expected symbols int64"),
        ({"symbols_tb": torch.full((STEPS, BATCH), 5)}, r"expected symbols from -1 \(null\) to 4, got 5 to 5"),
        ({"symbols_tb": torch.full((STEPS, BATCH), -2)}, r"expected symbols from -1 \(null\) to 4, got -2"),
        ({"symbols_tb": torch.zeros(0, BATCH, dtype=torch.int64)}, "at least one step"),
        (
            {"state": (torch.zeros(BATCH, 5), torch.zeros(BATCH, CELLS))},
            r"state h: expected .*\(4, 6\), got .*\(4, 5\)",
        ),
        (
            {"state": (torch.zeros(BATCH, CELLS), torch.zeros(1, CELLS))},
            r"state c: expected .*\(4, 6\), got .*\(1, 6\)",
        ),
        ({"lengths_b": torch.tensor([8, 1, 1, 1])}, r"expected lengths from 1 to 7 \(T\), got 1 to 8"),
        ({"lengths_b": torch.tensor([0, 1, 1, 1])}, r"expected lengths from 1 to 7 \(T\), got 0 to 1"),
        ({"lengths_b": torch.tensor([1, 1])}, r"expected lengths int64 \(4,\), got torch.int64 \(2,\)"),
    ],
)
def test_inputs_that_do_not_fit_say_what_was_expected(change, message):
    layer = PeepholeLSTM(CELLS, (3,), SYMBOLS)
    arguments = {
        "symbols_tb": torch.zeros(STEPS, BATCH, dtype=torch.int64),
        "dense": [torch.zeros(STEPS, BATCH, 3)],
        "state": None,
        "lengths_b": None,
    }
    layer(**arguments)
    with pytest.raises(InputError, match=message):
        layer(**(arguments | change))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "cuda"}, "unknown back end 'cuda': expected auto, reference, fused, compiled, triton"),
        ({"precision": "float16"}, "unknown precision 'float16'"),
        ({"clip": 0.0}, "clip must be a positive number or None, got 0.0"),
        ({"clip": math.nan}, "clip must be a positive number or None, got nan"),
        ({"dense_inputs": ()}, "a layer needs an input"),
    ],
)
def test_options_that_do_not_exist(options, message):
    with pytest.raises(InputError, match=message):
        PeepholeLSTM(CELLS, **({"dense_inputs": (3,)} | options))

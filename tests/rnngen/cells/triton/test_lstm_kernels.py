"""The Triton kernels and the wavefront against the readable reference.

On a machine with a CUDA device the cases run there; elsewhere `test_in_the_interpreter` runs them in a process of its
own, since Triton decides when it is imported whether its kernels are interpreted.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rnngen.cells.layer import PeepholeLSTM
from rnngen.errors import InputError
from rnngen.networks.prediction_network import PredictionNetwork

CUDA = torch.cuda.is_available()
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
TRITON = importlib.util.find_spec("triton") is not None
DEVICE = "cuda" if CUDA and not INTERPRETED else "cpu"

needs_triton = pytest.mark.skipif(not TRITON, reason="the package triton is not installed (extra: gpu)")
runs_kernels = pytest.mark.skipif(
    not TRITON or not (CUDA or INTERPRETED), reason="no CUDA device; test_in_the_interpreter runs this on the CPU"
)
needs_cuda = pytest.mark.skipif(DEVICE != "cuda" or not TRITON, reason="no CUDA device")

TOLERANCES = {torch.float64: 1e-11, torch.float32: 3e-6}


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_in_the_interpreter():
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", str(Path(__file__).resolve())]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert "passed" in run.stdout


def relative(found, expected):
    scale = expected.abs().max().clamp(min=1e-30)
    return ((found.to(expected) - expected).abs().max() / scale).item()


def pair(dtype, **options):
    """A reference layer and a Triton layer with the same weights."""
    torch.manual_seed(0)
    layers = [PeepholeLSTM(backend=backend, init_range=0.6, **options) for backend in ("reference", "triton")]
    layers[1].load_state_dict(layers[0].state_dict())
    return [layer.to(DEVICE, dtype) for layer in layers]


def results(run, module, inputs, upstream_scale):
    """Every output of `run` and every gradient, for a loss that weighs all outputs with fixed random numbers."""
    outputs = run()
    generator = torch.Generator().manual_seed(5)
    loss = 0
    for output in outputs:
        weight = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output)
        loss = loss + upstream_scale * (output * weight).sum()
    wanted = [*module.parameters(), *inputs]
    gradients = torch.autograd.grad(loss, wanted)
    return [output.detach() for output in outputs], list(gradients)


def layer_results(layer, steps, batch, lengths, padding, scale, symbols):
    generator = torch.Generator().manual_seed(3)
    dtype = layer.bias.dtype

    def random(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)

    dense = [random(steps, batch, size) for size in layer.dense_inputs]
    state = (random(batch, layer.cells).requires_grad_(), random(batch, layer.cells).requires_grad_())
    symbols_tb = None
    if symbols:
        symbols_tb = torch.randint(-1, symbols, (steps, batch), generator=generator).to(DEVICE)
    lengths_b = None
    if lengths is not None:
        lengths_b = torch.tensor(lengths, device=DEVICE)
        for b, length in enumerate(lengths):
            for x in dense:
                x[length:, b] = padding
    for x in dense:
        x.requires_grad_()

    def run():
        h_tbh, (h_bh, c_bh) = layer(symbols_tb, dense, state, lengths_b)
        return h_tbh, h_bh, c_bh

    outputs, gradients = results(run, layer, [*state, *dense], scale)
    return outputs, gradients, dense


CASES = {
    "dense": dict(cells=5, dense_inputs=[3]),
    "clip": dict(cells=5, dense_inputs=[3, 4], clip=0.05),
    "symbols": dict(cells=6, symbols=7, clip=1.0),
    "both": dict(cells=20, dense_inputs=[2], symbols=4, clip=0.05),
}


@runs_kernels
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("lengths", [None, [6, 1, 4]])
def test_layer_equals_the_reference(case, dtype, lengths):
    options = CASES[case]
    expected, triton = pair(dtype, **options)
    arguments = (6, 3, lengths, 0.0, 2.0, options.get("symbols"))
    wanted = layer_results(expected, *arguments)
    found = layer_results(triton, *arguments)
    for group in (0, 1):
        for number, (a, b) in enumerate(zip(found[group], wanted[group], strict=True)):
            assert relative(a, b) < TOLERANCES[dtype], (group, number)


@runs_kernels
def test_the_clip_of_these_cases_binds():
    free, _ = pair(torch.float64, **(CASES["clip"] | {"clip": None}))
    clipped, _ = pair(torch.float64, **CASES["clip"])
    a = layer_results(free, 6, 3, None, 0.0, 2.0, None)[1]
    b = layer_results(clipped, 6, 3, None, 0.0, 2.0, None)[1]
    assert all(relative(x, y) > 0.1 for x, y in zip(a, b, strict=True))


@runs_kernels
def test_padding_is_never_read_and_has_no_gradient():
    _, layer = pair(torch.float32, **CASES["clip"])
    clean = layer_results(layer, 6, 3, [6, 1, 4], 0.0, 1.0, None)
    soiled = layer_results(layer, 6, 3, [6, 1, 4], float("nan"), 1.0, None)
    for group in (0, 1):
        assert all(torch.equal(a, b) for a, b in zip(clean[group], soiled[group], strict=True))
    h_tbh = soiled[0][0]
    assert not h_tbh[1:, 1].any() and not h_tbh[4:, 2].any()
    for d_x in soiled[1][-2:]:
        assert not d_x[1:, 1].any() and not d_x[4:, 2].any()


@runs_kernels
def test_nan_reaches_the_outputs_and_the_gradients():
    _, layer = pair(torch.float32, **CASES["clip"])
    x = [torch.zeros(3, 2, size, device=DEVICE) for size in layer.dense_inputs]
    x[0][1, 0, 0] = float("nan")
    h_tbh, _ = layer(None, x)
    assert h_tbh[1:, 0].isnan().all() and h_tbh[:, 1].isfinite().all()
    h_tbh.sum().backward()
    assert layer.bias.grad.isnan().any()


@runs_kernels
def test_bfloat16_rounds_products_only():
    expected, triton = pair(torch.float32, cells=24, dense_inputs=[16], clip=1.0, precision="bfloat16")
    exact, _ = pair(torch.float32, cells=24, dense_inputs=[16], clip=1.0)
    arguments = (6, 3, [6, 2, 5], 0.0, 1.0, None)
    wanted, found = layer_results(exact, *arguments), layer_results(triton, *arguments)
    rounded = layer_results(expected, *arguments)
    for group in (0, 1):
        for a, b, c in zip(found[group], wanted[group], rounded[group], strict=True):
            assert relative(a, b) < 0.03 and relative(a, c) < 0.03
            assert a.dtype == torch.float32


NETWORKS = {
    "handwriting": dict(input_size=3, cells=5, layers=3, output_size=7, clip=0.05),
    "text": dict(input_size=6, cells=18, layers=2, output_size=6, symbols=True, clip=0.05),
}


@runs_kernels
@pytest.mark.parametrize(
    ("case", "lengths", "dtype"),
    [
        ("handwriting", None, torch.float64),
        ("handwriting", [3, 9], torch.float64),
        ("handwriting", [3, 9], torch.float32),
        ("text", None, torch.float64),
        ("text", [3, 9], torch.float64),
        ("text", None, torch.float32),
    ],
)
def test_wavefront_equals_the_reference(case, lengths, dtype):
    options = NETWORKS[case]
    found = {}
    for backend in ("reference", "triton"):
        torch.manual_seed(1)
        network = PredictionNetwork(backend=backend, init_range=0.6, **options).to(DEVICE, dtype)
        generator = torch.Generator().manual_seed(2)

        def random(*shape, generator=generator):
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)

        state = [tuple(random(2, options["cells"]).requires_grad_() for _ in "hc") for _ in network.layers]
        if options.get("symbols"):
            x = torch.randint(-1, options["input_size"], (9, 2), generator=generator).to(DEVICE)
        else:
            x = random(9, 2, options["input_size"])
        lengths_b = None if lengths is None else torch.tensor(lengths, device=DEVICE)

        def run(network=network, x=x, state=state, lengths_b=lengths_b):
            y_tbo, after = network(x, state, lengths_b)
            if lengths_b is not None:
                outside_tb1 = (torch.arange(len(x), device=DEVICE)[:, None] >= lengths_b).unsqueeze(2)
                y_tbo = y_tbo.masked_fill(outside_tb1, 0)
            return [y_tbo, *(tensor for layer in after for tensor in layer)]

        found[backend] = results(run, network, [tensor for layer in state for tensor in layer], 2.0)
    for group in (0, 1):
        for number, (a, b) in enumerate(zip(found["triton"][group], found["reference"][group], strict=True)):
            assert relative(a, b) < TOLERANCES[dtype], (group, number)


TEXT_LENGTHS = [2, 5, 1]


def synthesis_results(backend, dtype, lengths, soiled=False):
    """Outputs, states, trace and gradients of a synthesis network with the same weights at every call."""
    from rnngen.networks.synthesis_network import SynthesisNetwork, SynthesisState

    options = dict(cells=5, layers=2, alphabet_size=4, window_components=3, mixtures=1, clip=0.05, init_range=0.5)
    generator = torch.Generator().manual_seed(1)
    network = SynthesisNetwork(**options, backend=backend, generator=generator)
    network = network.to(DEVICE, dtype)

    def random(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)

    cells = network.layers[0].cells
    x = random(7, 3, 3)
    text_bu = torch.randint(4, (3, 5), generator=generator).to(DEVICE)
    text_lengths_b = torch.tensor(TEXT_LENGTHS, device=DEVICE)
    state = [random(3, size).requires_grad_() for size in [cells] * 4 + [4, 3]]
    lengths_b = None if lengths is None else torch.tensor(lengths, device=DEVICE)
    if soiled:
        for b in range(3):
            x[lengths[b] :, b] = float("nan")
            text_bu[b, TEXT_LENGTHS[b] :] = 99
    x.requires_grad_()
    traces = []

    def run():
        before = SynthesisState([tuple(state[n : n + 2]) for n in (0, 2)], *state[4:])
        y_tbo, after, trace = network(x, text_bu, text_lengths_b, before, lengths_b)
        if lengths_b is not None:
            outside_tb1 = (torch.arange(len(x), device=DEVICE)[:, None] >= lengths_b).unsqueeze(2)
            y_tbo = y_tbo.masked_fill(outside_tb1, 0)
            trace = [value.masked_fill(outside_tb1, 0) for value in trace]
        traces.extend(trace)
        return [y_tbo, *(tensor for layer in after.layers for tensor in layer), after.window_bv, after.kappa_bk]

    outputs, gradients = results(run, network, [x, *state], 2.0)
    assert not any(value.requires_grad for value in traces)
    return outputs + traces, gradients


@runs_kernels
@pytest.mark.parametrize(
    ("lengths", "dtype"), [(None, torch.float64), ([3, 7, 1], torch.float64), ([3, 7, 1], torch.float32)]
)
def test_window_equals_the_reference(lengths, dtype):
    wanted = synthesis_results("reference", dtype, lengths)
    found = synthesis_results("triton", dtype, lengths)
    for group in (0, 1):
        for number, (a, b) in enumerate(zip(found[group], wanted[group], strict=True)):
            assert relative(a, b) < TOLERANCES[dtype], (group, number)


@runs_kernels
def test_window_larger_than_a_block():
    """More cells, positions, components and characters than the kernels take at a time."""
    from rnngen.cells.soft_window import WindowState, WindowWeights, window_layer
    from rnngen.cells.triton.window_layer import triton_window_layer

    generator = torch.Generator().manual_seed(4)
    cells, characters, components, positions = 130, 40, 17, 45

    def random(*shape, scale=0.1):
        values = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
        return values.to(DEVICE).requires_grad_()

    layer = PeepholeLSTM(cells, [3, characters], init_range=0.1).to(DEVICE, torch.float64)
    to_window = WindowWeights(random(3 * components, cells), random(3 * components))
    x_tbi = random(3, 2, 3, scale=1.0)
    text_bu = torch.randint(characters, (2, positions), generator=generator).to(DEVICE)
    text_lengths_b = torch.tensor([positions, 33], device=DEVICE)
    state = WindowState(random(2, cells), random(2, cells), random(2, characters), random(2, components))
    found = []
    for run in (window_layer, triton_window_layer):
        arguments = (x_tbi, text_bu, text_lengths_b, state, None, 0.5, "float32")
        h_tbh, w_tbv, last, trace = run(layer.weights(), to_window, *arguments)
        loss = (h_tbh.sin().sum() + w_tbv.cos().sum() + sum(value.square().sum() for value in last)) * 3
        wanted = [*layer.parameters(), *to_window, x_tbi, *state]
        found.append([h_tbh, w_tbv, *last, *trace, *torch.autograd.grad(loss, wanted)])
    assert all(relative(b, a) < 1e-11 for a, b in zip(*found, strict=True))


@runs_kernels
def test_padding_of_lines_and_texts_is_never_read():
    clean = synthesis_results("triton", torch.float32, [3, 7, 1])
    soiled = synthesis_results("triton", torch.float32, [3, 7, 1], soiled=True)
    for group in (0, 1):
        assert all(torch.equal(a, b) for a, b in zip(clean[group], soiled[group], strict=True))


@runs_kernels
def test_a_symbol_outside_the_alphabet_becomes_nan():
    """On a GPU nobody looks at the symbols; the derivative of a row that is not there must not be written elsewhere."""
    _, layer = pair(torch.float32, cells=5, symbols=7, clip=1.0)
    layer.require_fitting = lambda symbols_tb, *_: symbols_tb.shape  # what a look would find
    symbols_tb = torch.tensor([[0, 1], [3, 99], [2, 6]], device=DEVICE)
    h_tbh, _ = layer(symbols_tb)
    assert h_tbh[1:, 1].isnan().all() and h_tbh[:, 0].isfinite().all()
    h_tbh.sum().backward()
    assert layer.weight_symbols.grad.isnan().any()


SIZES = {"steps", "batch", "rows", "share", "diagonal", "lowest", "t", "positions", "symbols"}
INTEGERS = {"lengths_b", "text_bu", "text_lengths_b", "symbols_n"}
ROUNDED = {"g_ltbg", "r_lbg", "s_dbsh", "r_lbk", "g_ng", "s_tbr", "r_br"}
WINDOW = dict(COMPONENTS=10, K=16, H=400, ROW=464, V=64, CELLS=128, POSITIONS=32)
CONSTANTS = {
    "gates_forward": dict(H=704, ROW=5632, LOWER=1, WIDE=True, BLOCK=512),
    "gates_backward": dict(H=704, ROW=1408, LAYERS=7, LOWER=1, BLOCK=512),
    "sums_backward": dict(H=704, ROWS=4, COLUMNS=128),
    "gather_rows": dict(CELLS=700, H=704, ADD=True, BLOCK=512),
    "window_forward": WINDOW | dict(WIDTH=64),
    "window_backward": WINDOW,
}


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
@pytest.mark.parametrize("rounded", ["bf16", "fp64"])
@pytest.mark.parametrize("kernel", CONSTANTS)
def test_kernels_compile_for_hopper(kernel, rounded, monkeypatch, tmp_path):
    """To machine code of compute capability 9.0, for which no such device is needed, with loads of 16 bytes.

    In bfloat16 with cells in float32, as networks are trained, and in float64, as the other tests compare.
    """
    real = "fp64" if rounded == "fp64" else "fp32"
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from rnngen.cells.triton import lstm_kernels, window_kernels

    function = getattr(window_kernels if "window" in kernel else lstm_kernels, kernel)
    constants, types = CONSTANTS[kernel], {}
    for name in function.arg_names:
        if name in constants:
            types[name] = "constexpr"
        elif name in SIZES:
            types[name] = "i32"
        else:
            types[name] = "*i64" if name in INTEGERS else f"*{rounded if name in ROUNDED else real}"
    places = {name: (place,) for place, name in enumerate(function.arg_names)}
    source = ASTSource(
        fn=function,
        signature=types,
        constexprs={places[name]: value for name, value in constants.items()},
        attrs={places[name]: [["tt.divisibility", 16]] for name in types if types[name].startswith("*")},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert len(compiled.asm["cubin"]) > 1000
    assert (".v2." if rounded == "fp64" else ".v4.") in compiled.asm["ptx"]


@needs_triton
@pytest.mark.skipif(INTERPRETED or CUDA, reason="here the kernels can run")
def test_on_the_cpu_the_back_end_says_what_it_needs():
    layer = PeepholeLSTM(4, [2], backend="triton")
    with pytest.raises(InputError, match="CUDA device"):
        layer(None, [torch.zeros(2, 1, 2)])


def test_without_the_package_the_back_end_says_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    layer = PeepholeLSTM(4, [2], backend="triton")
    with pytest.raises(InputError, match=r"triton is not installed; pip install 'rnngen\[gpu\]'"):
        layer(None, [torch.zeros(2, 1, 2)])

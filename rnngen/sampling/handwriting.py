"""Handwriting drawn from a network: unconditional, from text, biased, primed (sections 4.2, 5.3 to 5.5).

A prediction network gives unconditional samples, a synthesis network writes a text. Each line has its own text, bias
(eq 61–62), prime, seed and end, whatever else is in the batch: its random numbers are a function of its seed and the
step (`rnngen.sampling.philox`), and on the compiled back end it is the same bit for bit alone and in company.

Priming (section 5.5): the text is the prime's followed by the new one, and for the prime's steps the inputs are the
prime's points. The end (section 5.3): at the first step after the prime at which φ(t, U+1) > φ(t, u) for all u ≤ U,
the input x_t is the last point. A line that has not ended after `maximum_steps` new points is cut there, and says so.

The rule looks at the window, and the window is done with a word before the pen is: bars and dots that wait until its
letters are written are lost at the end of a line. What comes after the last letter of a line the network was never
shown, but it knows what comes before the next word. So a request may go on with a word that is not to be written
(`NextWord`): the line ends where the pen, lifted, comes down for it.

Shapes: t steps, b lines, u characters of the whole text, k window components, o = 6M + 1 outputs.
"""

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rnngen.cells.cuda_graphs import recorded
from rnngen.cells.peephole_lstm import Weights, reference
from rnngen.cells.soft_window import WindowState, WindowTrace, WindowWeights, phi, window_layer
from rnngen.compiled import library as compiled_library
from rnngen.errors import InputError
from rnngen.losses.mixture_density import Mixture, components
from rnngen.networks.prediction_network import PredictionNetwork, output_layer
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.sampling.philox import uniforms

Network = PredictionNetwork | SynthesisNetwork
MOST_BIAS = 1_000_000  # at 10 hardly anything is left to chance; far beyond, single precision overflows


@dataclass(frozen=True)
class NextWord:
    """The word that would follow a line, and how to tell that the pen begins it. Lengths are in the network's units.

    Once the rule has fired for a place past the text, the line ends before the first lift of the pen that leads more
    than `gap` to the right of all ink. Failing that, within `points`, it ends before the lift that led furthest to the
    right of all ink; and where none did, as by the rule.
    """

    symbols: int  # how many of the request's symbols, its last ones, are not to be written: a blank and the word
    points: int  # after the rule has fired
    gap: float
    mean_dx: float  # what the normalisation took from every Δx

    def end(self, offsets_t3: np.ndarray, fired: int) -> int:
        """The first of `offsets_t3` that is no part of the line."""
        x_t = np.cumsum(offsets_t3[:, 0].astype(np.float64) + self.mean_dx)
        first = max(fired, 1)
        lifts = np.flatnonzero(offsets_t3[first - 1 : -1, 2] > 0.5) + first
        beyond = np.array([x_t[t] - x_t[:t].max(initial=0.0) for t in lifts])
        if (beyond > self.gap).any():
            return int(lifts[beyond > self.gap][0])
        return int(lifts[beyond.argmax()]) if beyond.max(initial=0.0) > 0 else fired


@dataclass(frozen=True)
class LineRequest:
    """One line to be written. Offsets are in the network's units."""

    symbols_u: np.ndarray | None = None  # int64, the prime's text, the new one, the next word; None: prediction network
    bias: float = 0.0
    seed: int = 0
    prime_t3: np.ndarray | None = None  # offsets and end-of-stroke bits that the first inputs are clamped to
    maximum_steps: int = 1000  # new points after which the line is cut
    next_word: NextWord | None = None  # of the symbols; None: the line ends by the rule

    @property
    def following(self) -> int:
        """Symbols that are not to be written."""
        return 0 if self.next_word is None else self.next_word.symbols

    @property
    def prime_steps(self) -> int:
        """Points of the prime."""
        return 0 if self.prime_t3 is None else len(self.prime_t3)

    @property
    def limit(self) -> int:
        """The greatest number of points, the prime's included."""
        return self.prime_steps + self.maximum_steps


@dataclass(frozen=True)
class SampledLine:
    """What came of a request. The network ran one step for each point, and one more where the rule ended the line."""

    offsets_t3: np.ndarray  # float32, the prime's included
    prime_steps: int
    stopped: str  # "rule": the stop rule; "cap": maximum_steps
    fired: int | None  # step (0-based) at which the stop rule fired
    phi_su: np.ndarray | None  # window weights φ(s, 1 … U + 1), U characters without those of a next word
    kappa_sk: np.ndarray | None
    outputs_so: np.ndarray | None  # ŷ, where asked for

    @property
    def new_t3(self) -> np.ndarray:
        """The offsets drawn by the network."""
        return self.offsets_t3[self.prime_steps :]


def stops(phi_u: np.ndarray) -> bool:
    """Section 5.3: whether φ(t, U+1) > φ(t, u) for all 1 ≤ u ≤ U, given φ(t, 1 … U+1)."""
    return bool(phi_u[-1] > phi_u[:-1].max(initial=0.0))


def sample(
    network: Network,
    requests: Sequence[LineRequest],
    *,
    finish_stroke: int = 0,
    keep_outputs: bool = False,
    backend: str = "auto",
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[SampledLine]:
    """Write the lines of `requests`, in their order.

    finish_stroke  0 is the paper's rule. The window runs a little ahead of the pen, so the rule may cut the last
                   stroke; with n > 0 a stroke in hand when the rule fires is finished, if that takes at most n points.
                   A request with a next word ends as that says.
    backend        "compiled" (C, float32, CPU), "torch" (any dtype and device), or "auto": compiled where possible.
    threads        of the compiled back end; lines are shared out among them.
    progress       is called with the number of lines finished since the last call.

    Raises InputError for requests that do not fit the network and for a network whose outputs are not numbers.
    """
    _check(network, requests)
    if backend not in ("auto", "compiled", "torch"):
        raise InputError(f"unknown back end {backend!r}: expected auto, compiled or torch")
    if not requests:
        return []
    library = None if backend == "torch" else _library(network, required=backend == "compiled")
    progress = progress or (lambda lines: None)
    lines = (
        _sample_torch(network, requests, finish_stroke, keep_outputs, progress)
        if library is None
        else _sample_compiled(library, network, requests, finish_stroke, keep_outputs, threads, progress)
    )
    return [_without_next_word(line, request) for line, request in zip(lines, requests, strict=True)]


def _without_next_word(line: SampledLine, request: LineRequest) -> SampledLine:
    """The line as far as it says its own text."""
    if request.next_word is None:
        return line
    phi_su = line.phi_su[:, : len(request.symbols_u) - request.following + 1]
    if line.fired is None:
        return replace(line, phi_su=phi_su)
    end = request.next_word.end(line.offsets_t3, line.fired)
    return replace(
        line,
        offsets_t3=line.offsets_t3[:end],
        stopped="rule",
        phi_su=phi_su[: end + 1],
        kappa_sk=line.kappa_sk[: end + 1],
        outputs_so=None if line.outputs_so is None else line.outputs_so[: end + 1],
    )


def _check(network: Network, requests: Sequence[LineRequest]) -> None:
    text = isinstance(network, SynthesisNetwork)
    if not text and (network.arguments["symbols"] or network.arguments["input_size"] != 3):
        raise InputError("the network reads symbols, not pen offsets: give one trained on handwriting")
    for k, request in enumerate(requests):
        where = f"line {k + 1}"
        if text != (request.symbols_u is not None):
            raise InputError(f"{where}: {'a synthesis network needs a text' if text else 'this network takes no text'}")
        if text:
            size = network.arguments["alphabet_size"]
            symbols = np.asarray(request.symbols_u)
            if symbols.ndim != 1 or len(symbols) == 0 or symbols.min() < 0 or symbols.max() >= size:
                raise InputError(f"{where}: expected at least one symbol between 0 and {size - 1}")
            if request.next_word is not None and not 0 < request.following < len(symbols):
                raise InputError(f"{where}: a next word of {request.following} symbols, of {len(symbols)} in all")
        if not 0 <= request.bias <= MOST_BIAS:
            raise InputError(f"{where}: bias {request.bias}, expected a number from 0 to {MOST_BIAS:,}")
        if request.maximum_steps < 1:
            raise InputError(f"{where}: maximum_steps {request.maximum_steps}, expected at least 1")
        if not 0 <= request.seed < 2**64:
            raise InputError(f"{where}: seed {request.seed}, expected an integer between 0 and 2^64 − 1")
        if request.prime_t3 is not None:
            prime = np.asarray(request.prime_t3)
            if prime.ndim != 2 or prime.shape[1] != 3 or not np.isfinite(prime).all():
                raise InputError(f"{where}: the prime must be offsets (T, 3) that are numbers, not {prime.shape}")


def _require_finite(k: int, offsets_t3: np.ndarray) -> None:
    if not np.isfinite(offsets_t3).all():
        step = int(np.argmin(np.isfinite(offsets_t3).all(1)))
        raise InputError(
            f"line {k + 1}: the network's output is not a number at step {step + 1}; its training has diverged or the "
            "prime is far outside what it was trained on"
        )


@torch.no_grad()
def read_line(
    network: Network, offsets_t3: np.ndarray, symbols_u: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """What a network expected at every step of a line that it is given: ŷ (T, 6M + 1) and φ(t, 1 … U + 1) (T, U + 1).

    ŷ[t] predicts point t from the points before it. φ is None for a prediction network.
    """
    _check(network, [LineRequest(symbols_u, prime_t3=offsets_t3)])
    parameter = next(network.parameters())
    x_t13 = torch.zeros(len(offsets_t3), 1, 3, dtype=parameter.dtype, device=parameter.device)
    x_t13[1:, 0] = torch.from_numpy(np.asarray(offsets_t3[:-1])).to(x_t13)
    if symbols_u is None:
        y_tbo, _ = network(x_t13)
        return y_tbo[:, 0].cpu().numpy(), None
    text_1u = torch.from_numpy(np.asarray(symbols_u))[None].to(parameter.device)
    y_tbo, _, window = network(x_t13, text_1u, torch.tensor([len(symbols_u)], device=parameter.device))
    phi_tu = phi(*(values_tbk[:, 0] for values_tbk in window), len(symbols_u) + 1)
    return y_tbo[:, 0].cpu().numpy(), phi_tu.cpu().numpy()


# --- torch -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _sample_torch(
    network: Network,
    requests: Sequence[LineRequest],
    finish_stroke: int,
    keep_outputs: bool,
    progress: Callable[[int], None],
) -> list[SampledLine]:
    """All lines side by side, step by step; rows that have ended run along until the last has."""
    parameter = next(network.parameters())
    dtype, device = parameter.dtype, parameter.device
    lines, steps = len(requests), max((request.limit for request in requests), default=0)
    text = isinstance(network, SynthesisNetwork)
    text_bu = lengths_b = None
    bias_b = torch.tensor([request.bias for request in requests], dtype=dtype, device=device)
    noise_tb4 = torch.from_numpy(np.stack([uniforms(request.seed, steps) for request in requests], 1)).to(device, dtype)
    if text:
        lengths_b = torch.tensor([len(request.symbols_u) for request in requests])
        text_bu = torch.zeros(lines, int(lengths_b.max()), dtype=torch.int64)
        for b, request in enumerate(requests):
            text_bu[b, : len(request.symbols_u)] = torch.from_numpy(np.asarray(request.symbols_u))
        text_bu, lengths_b = text_bu.to(device), lengths_b.to(device)

    x_b3 = torch.zeros(lines, 3, dtype=dtype, device=device)
    parts = _parts(_zero_state(network, x_b3))
    limits = np.array([request.limit for request in requests])
    primes = np.array([request.prime_steps for request in requests])
    prime_tb3 = torch.zeros(int(primes.max(initial=0)), lines, 3, dtype=dtype, device=device)
    for b, request in enumerate(requests):
        if request.prime_t3 is not None:
            prime_tb3[: request.prime_steps, b] = torch.from_numpy(np.asarray(request.prime_t3)).to(prime_tb3)
    primed_b = torch.from_numpy(primes)[:, None].to(device)
    if text:
        positions = torch.arange(text_bu.shape[1] + 1, device=device)
        own_b1 = (lengths_b - torch.tensor([request.following for request in requests], device=device))[:, None]
        past_bu = (positions >= own_b1) & (positions <= lengths_b[:, None])
    following = np.array([request.following > 0 for request in requests])
    finish = np.array([request.next_word.points if request.next_word else finish_stroke for request in requests])
    trail: list[tuple[Tensor, ...]] = []  # of every step: ŷ if kept, φ, κ
    points: list[Tensor] = []
    fired, ended = np.full(lines, -1), np.full(lines, -1)  # step; −1: not yet
    pen_up = np.zeros(lines, bool)

    def advance(x_b3: Tensor, uniforms_b4: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """The next point, ŷ, the parts of the state, and with a text φ and whether the rule stops a row."""
        y_bo, state, window = _step(network, x_b3, _joined(parts, len(network.layers)), text_bu, lengths_b)
        after = (Mixture(y_bo, bias_b).place(uniforms_b4), y_bo, *_parts(state))
        if window is None:
            return after
        phi_bu = phi(*(values_tbk[0] for values_tbk in window), text_bu.shape[1] + 1)
        past_b = phi_bu.masked_fill(~past_bu, 0).amax(1)  # φ(t, U + 1), and of the places of a next word
        most_b = phi_bu.masked_fill(positions >= own_b1, 0).amax(1)
        return (*after, phi_bu, past_b > most_b)

    advance = recorded(advance, x_b3, x_b3.new_zeros(lines, 4), *parts)
    for t in range(steps):
        x_b3, y_bo, *after = advance(x_b3, noise_tb4[t], *parts)
        parts = after[: len(parts)]
        phi_bu, running = None, (ended < 0) & (t < limits)
        if text:
            phi_bu = after[-2]
            rule = after[-1].cpu().numpy()  # `stops` of every row
            fired = np.where(running & rule & (t >= primes) & (fired < 0), t, fired)
            ends = running & (fired >= 0) & ((pen_up & ~following) | (t - fired >= finish))
            ended = np.where(ends, t, ended)
            progress(int(ends.sum()))
        trail.append((y_bo if keep_outputs else None, phi_bu, parts[-1] if text else None))
        if t < len(prime_tb3):
            x_b3 = torch.where(t < primed_b, prime_tb3[t], x_b3)
        points.append(x_b3)
        pen_up = (x_b3[:, 2] > 0.5).cpu().numpy()
        running &= ended < 0
        progress(int((running & (t + 1 == limits)).sum()))
        if not (running & (t + 1 < limits)).any():
            break
    result = []
    offsets_tb3 = torch.stack(points).cpu().numpy().astype(np.float32) if points else np.zeros((0, lines, 3))
    outputs_sbo, phi_sbu, kappa_sbk = (_stacked(values) for values in zip(*trail, strict=True)) if trail else [None] * 3
    for b, request in enumerate(requests):
        length = int(ended[b]) if ended[b] >= 0 else request.limit
        evaluated = length + int(ended[b] >= 0)
        _require_finite(b, offsets_tb3[:length, b])
        result.append(
            SampledLine(
                offsets_tb3[:length, b].copy(),
                request.prime_steps,
                "rule" if ended[b] >= 0 else "cap",
                int(fired[b]) if fired[b] >= 0 else None,
                phi_sbu[:evaluated, b, : len(request.symbols_u) + 1].copy() if text else None,
                kappa_sbk[:evaluated, b].copy() if text else None,
                outputs_sbo[:evaluated, b].copy() if keep_outputs else None,
            )
        )
    return result


def _stacked(values: Sequence[Tensor | None]) -> np.ndarray | None:
    return None if values[0] is None else torch.stack(list(values)).cpu().numpy()


_State = tuple[list[tuple[Tensor, Tensor]], Tensor | None, Tensor | None]  # (h, c) of the layers, w and κ


def _zero_state(network: Network, x_b3: Tensor) -> _State:
    sizes = network.arguments
    layers = [(x_b3.new_zeros(len(x_b3), sizes["cells"]),) * 2 for _ in network.layers]
    if not isinstance(network, SynthesisNetwork):
        return layers, None, None
    window_bv = x_b3.new_zeros(len(x_b3), sizes["alphabet_size"])
    return layers, window_bv, x_b3.new_zeros(len(x_b3), sizes["window_components"])


def _parts(state: _State) -> list[Tensor]:
    layers, window_bv, kappa_bk = state
    return [*(part for pair in layers for part in pair), *(() if window_bv is None else (window_bv, kappa_bk))]


def _joined(parts: Sequence[Tensor], layers: int) -> _State:
    """The inverse of `_parts`."""
    window_bv, kappa_bk = parts[2 * layers :] or (None, None)
    return [tuple(parts[2 * n : 2 * n + 2]) for n in range(layers)], window_bv, kappa_bk


def _step(
    network: Network, x_b3: Tensor, state: _State, text_bu: Tensor | None, lengths_b: Tensor | None
) -> tuple[Tensor, _State, WindowTrace | None]:
    """One step by the readable back ends; what the fast ones prepare for a whole sequence would be lost on one step."""
    layers, window_bv, kappa_bk = state
    x_1b3, hidden, after, trace = x_b3[None], [], [], None
    for n, layer in enumerate(network.layers):
        weights = Weights(None, tuple(layer.weight_dense), layer.weight_recurrent, layer.peepholes, layer.bias)
        if n == 0 and window_bv is not None:
            to_window = WindowWeights(network.weight_window, network.bias_window)
            before = WindowState(*layers[0], window_bv, kappa_bk)
            h_1bh, _, last, trace = window_layer(
                weights, to_window, x_1b3, text_bu, lengths_b, before, None, None, layer.precision
            )
            pair, window_bv, kappa_bk = (last.h_bh, last.c_bh), last.window_bv, last.kappa_bk
        else:
            dense = [x_1b3, *([] if window_bv is None else [window_bv[None]]), *([hidden[-1]] if hidden else [])]
            h_1bh, pair = reference(weights, None, dense, layers[n], None, None, layer.precision)
        hidden.append(h_1bh)
        after.append(pair)
    y_1bo = output_layer(hidden, network.weight_output, network.bias_output)
    return y_1bo[0], (after, window_bv, kappa_bk), trace


# --- compiled --------------------------------------------------------------------------------------------------------

LANES, OUTS, OUTS1, MAX_LAYERS, MAX_MIXTURES = 16, 4, 8, 16, 256  # as in handwriting_sampling.c
LINES_A_CALL = 64  # a call cannot be interrupted or report progress; it takes a few seconds
_pointer = ctypes.c_void_p


class _Network(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("layers", "cells", "symbols", "components", "mixtures")),
        *((name, _pointer * MAX_LAYERS) for name in ("weights", "bias", "peepholes")),
        *((name, _pointer) for name in ("window_weights", "window_bias", "output_weights", "output_bias")),
    )


class _Line(ctypes.Structure):
    _fields_ = (
        *((name, _pointer) for name in ("text", "prime", "noise", "offsets", "outputs", "phi", "kappa", "work")),
        *((name, ctypes.c_int32) for name in ("characters", "prime_steps", "limit", "following", "finish")),
        *((name, ctypes.c_int32) for name in ("steps", "evaluated", "fired")),
        ("bias", ctypes.c_float),
    )


def _library(network: Network, required: bool) -> ctypes.CDLL | None:
    """The compiled back end; None where it cannot run this network, or an InputError if it is `required`."""
    arguments = network.arguments
    outputs = len(network.bias_output)
    reason = None
    if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in network.parameters()):
        reason = "it needs float32 weights on the CPU"
    elif arguments["layers"] > MAX_LAYERS or components(outputs) > MAX_MIXTURES:
        reason = f"it takes at most {MAX_LAYERS} layers and {MAX_MIXTURES} mixture components"
    else:
        library = compiled_library(Path(__file__).with_name("handwriting.c"))
        if library is None:
            reason = "there is no C compiler here"
    if reason is None:
        library.work_floats.argtypes = [_pointer, ctypes.c_int32]
        library.work_floats.restype = ctypes.c_int64
        library.sample.argtypes = [_pointer, _pointer, ctypes.c_int32]
        library.sample.restype = None
        return library
    if required:
        raise InputError(f"the compiled back end cannot run this network: {reason}; use the torch back end")
    return None


def _aligned(*shape: int) -> np.ndarray:
    """A float32 array of zeros that begins on a 64-byte border."""
    size = int(np.prod(shape))
    buffer = np.zeros(size + LANES, np.float32)
    start = -(buffer.ctypes.data // 4) % LANES
    return buffer[start : start + size].reshape(shape)


def _rounded(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _matrix(blocks: Sequence[torch.Tensor]) -> np.ndarray:
    """[block | block | …] padded and packed as the C code reads it."""
    rows, columns = len(blocks[0]), sum(block.shape[1] for block in blocks)
    matrix = np.zeros((_rounded(rows, OUTS1), _rounded(columns, LANES)), np.float32)
    matrix[:rows, :columns] = torch.cat(list(blocks), 1).numpy()
    packed = _aligned(len(matrix) // OUTS, matrix.shape[1] // LANES, OUTS, LANES)
    packed[:] = matrix.reshape(-1, OUTS, matrix.shape[1] // LANES, LANES).swapaxes(1, 2)
    return packed


def _vector(values: torch.Tensor) -> np.ndarray:
    vector = _aligned(_rounded(values.numel(), OUTS1))
    vector[: values.numel()] = values.reshape(-1).numpy()
    return vector


@torch.no_grad()
def _packed(network: Network) -> tuple[_Network, list[np.ndarray]]:
    """The network as the C code reads it, and the arrays that must outlive it."""
    kept: list[np.ndarray] = []

    def address(array: np.ndarray) -> int:
        kept.append(array)
        return array.ctypes.data

    text = isinstance(network, SynthesisNetwork)
    packed = _Network(
        layers=network.arguments["layers"],
        cells=network.arguments["cells"],
        symbols=network.arguments["alphabet_size"] if text else 0,
        components=network.arguments["window_components"] if text else 0,
        mixtures=components(len(network.bias_output)),
    )
    for n, layer in enumerate(network.layers):
        packed.weights[n] = address(_matrix([*layer.weight_dense, layer.weight_recurrent]))
        packed.bias[n] = address(_vector(layer.bias))
        packed.peepholes[n] = address(_vector(layer.peepholes))
    if text:
        packed.window_weights = address(_matrix([network.weight_window]))
        packed.window_bias = address(_vector(network.bias_window))
    packed.output_weights = address(_matrix(list(network.weight_output)))
    packed.output_bias = address(_vector(network.bias_output))
    return packed, kept


def _normals(noise_t4: np.ndarray) -> np.ndarray:
    """`Mixture.place` before the network is asked: component, two normals by Box–Muller, end of stroke."""
    choice, radius, angle, end = noise_t4.astype(np.float64).T
    radius, angle = np.sqrt(-2 * np.log1p(-radius)), 2 * np.pi * angle
    return np.stack([choice, radius * np.cos(angle), radius * np.sin(angle), end], 1).astype(np.float32)


def _sample_compiled(
    library: ctypes.CDLL,
    network: Network,
    requests: Sequence[LineRequest],
    finish_stroke: int,
    keep_outputs: bool,
    threads: int,
    progress: Callable[[int], None],
) -> list[SampledLine]:
    packed, kept = _packed(network)
    # lines of like length run together, so that none of the places of a call stands empty for long
    order = sorted(range(len(requests)), key=lambda k: -_expected_length(requests[k]))
    result: list[SampledLine | None] = [None] * len(requests)

    def run(part: list[int]) -> int:
        lines = _run(library, packed, [requests[k] for k in part], finish_stroke, keep_outputs)
        for k, line in zip(part, lines, strict=True):
            _require_finite(k, line.offsets_t3)
            result[k] = line
        return len(part)

    size = max(1, min(LINES_A_CALL, -(-len(order) // threads)))
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(run, order[k : k + size]) for k in range(0, len(order), size)]
        try:
            for future in as_completed(futures):
                progress(future.result())
        finally:
            pool.shutdown(cancel_futures=True)
    del kept
    return [line for line in result if line is not None]


def _expected_length(request: LineRequest) -> int:
    return request.limit if request.symbols_u is None else len(request.symbols_u)


def _run(
    library: ctypes.CDLL, packed: _Network, requests: Sequence[LineRequest], finish_stroke: int, keep_outputs: bool
) -> list[SampledLine]:
    """One call of the C code."""
    lines = (_Line * len(requests))()
    arrays: list[dict[str, np.ndarray]] = []
    for line, request in zip(lines, requests, strict=True):
        limit, text = request.limit, packed.components > 0
        characters = len(request.symbols_u) if text else 0
        a = {
            "text": np.ascontiguousarray(request.symbols_u if text else [], np.int32),
            "prime": np.ascontiguousarray(request.prime_t3 if request.prime_steps else [], np.float32),
            "noise": _normals(uniforms(request.seed, limit)),
            "offsets": np.zeros((limit, 3), np.float32),
            "work": _aligned(library.work_floats(ctypes.byref(packed), characters)),
        }
        if keep_outputs:
            a["outputs"] = np.zeros((limit, 1 + 6 * packed.mixtures), np.float32)
        if text:
            a["phi"] = np.zeros((limit, characters + 1), np.float32)
            a["kappa"] = np.zeros((limit, packed.components), np.float32)
        for name, array in a.items():
            setattr(line, name, array.ctypes.data)
        line.characters, line.prime_steps, line.limit = characters, request.prime_steps, limit
        line.following, line.fired, line.bias = request.following, -1, request.bias
        line.finish = finish_stroke if request.next_word is None else request.next_word.points
        arrays.append(a)
    library.sample(ctypes.byref(packed), lines, len(requests))
    result = []
    for line, request, a in zip(lines, requests, arrays, strict=True):
        kept = {name: a[name][: line.evaluated].copy() if name in a else None for name in ("phi", "kappa", "outputs")}
        result.append(
            SampledLine(
                a["offsets"][: line.steps].copy(),
                request.prime_steps,
                "rule" if line.evaluated > line.steps else "cap",
                line.fired if line.fired >= 0 else None,
                kept["phi"],
                kept["kappa"],
                kept["outputs"],
            )
        )
    return result

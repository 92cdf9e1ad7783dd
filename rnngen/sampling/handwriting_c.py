"""Handwriting drawn in C (handwriting.c): float32 on the CPU; a line is the same bit for bit alone or with others.

The weights of products may be kept in bfloat16, half the bytes to be read for every point.

Shapes: t steps.
"""

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch

from rnngen.compiled import library as compiled_library
from rnngen.errors import InputError
from rnngen.losses.mixture_density import components
from rnngen.networks import Network, SynthesisNetwork
from rnngen.sampling.lines import LineRequest, SampledLine, require_finite
from rnngen.sampling.philox import uniforms

LANES, OUTS, OUTS1, MAX_LAYERS, MAX_MIXTURES = 16, 4, 8, 16, 256  # as in handwriting.c
LINES_A_CALL = 64  # a call cannot be interrupted or report progress; it takes a few seconds
_pointer = ctypes.c_void_p


class _Network(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("layers", "cells", "symbols", "components", "mixtures", "halves")),
        *((name, _pointer * MAX_LAYERS) for name in ("weights", "bias", "peepholes")),
        *((name, _pointer) for name in ("window_weights", "output_weights", "window_bias", "output_bias")),
    )


class _Line(ctypes.Structure):
    _fields_ = (
        *((name, _pointer) for name in ("text", "prime", "noise", "offsets", "outputs", "phi", "kappa", "work")),
        *((name, ctypes.c_int32) for name in ("characters", "prime_steps", "limit", "following", "finish")),
        *((name, ctypes.c_int32) for name in ("steps", "evaluated", "fired")),
        ("bias", ctypes.c_float),
    )


def compiled_sampler(network: Network, required: bool) -> ctypes.CDLL | None:
    """The compiled back end; None where it cannot run this network, or an InputError if it is `required`."""
    arguments = network.arguments
    outputs = len(network.bias_output)
    library = None
    if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in network.parameters()):
        reason = "it needs float32 weights on the CPU"
    elif arguments["layers"] > MAX_LAYERS or components(outputs) > MAX_MIXTURES:
        reason = f"it takes at most {MAX_LAYERS} layers and {MAX_MIXTURES} mixture components"
    else:
        library = compiled_library(Path(__file__).with_name("handwriting.c"))
        reason = "there is no C compiler here"
    if library is not None:
        library.work_floats.argtypes = [_pointer, ctypes.c_int32]
        library.work_floats.restype = ctypes.c_int64
        library.sample.argtypes = [_pointer, _pointer, ctypes.c_int32]
        library.sample.restype = None
        return library
    if required:
        raise InputError(f"the compiled back end cannot run this network: {reason}; use the torch back end")
    return None


def allocate_aligned(*shape: int) -> np.ndarray:
    """A float32 array of zeros that begins on a 64-byte boundary."""
    size = int(np.prod(shape))
    buffer = np.zeros(size + LANES, np.float32)
    start = -(buffer.ctypes.data // 4) % LANES
    return buffer[start : start + size].reshape(shape)


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _matrix(blocks: Sequence[torch.Tensor], precision: str) -> np.ndarray:
    """[block | block | …] padded and packed as the C code reads it."""
    rows, columns = len(blocks[0]), sum(block.shape[1] for block in blocks)
    padded = torch.zeros(_round_up(rows, OUTS1), _round_up(columns, 2 * LANES))
    padded[:rows, :columns] = torch.cat(list(blocks), 1)
    if precision == "bfloat16":  # column k below column k + LANES in a word
        bits = padded.bfloat16().view(torch.uint16).numpy().astype(np.uint32).reshape(len(padded), -1, 2, LANES)
        matrix = (bits[:, :, 0] | bits[:, :, 1] << 16).reshape(len(padded), -1).view(np.float32)
    else:
        matrix = padded.numpy()
    packed = allocate_aligned(len(matrix) // OUTS, matrix.shape[1] // LANES, OUTS, LANES)
    packed[:] = matrix.reshape(-1, OUTS, matrix.shape[1] // LANES, LANES).swapaxes(1, 2)
    return packed


def _vector(values: torch.Tensor) -> np.ndarray:
    vector = allocate_aligned(_round_up(values.numel(), OUTS1))
    vector[: values.numel()] = values.reshape(-1).numpy()
    return vector


@torch.no_grad()
def _pack(network: Network, precision: str) -> tuple[_Network, list[np.ndarray]]:
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
        halves=precision == "bfloat16",
    )
    for n, layer in enumerate(network.layers):
        packed.weights[n] = address(_matrix([*layer.weight_dense, layer.weight_recurrent], precision))
        packed.bias[n] = address(_vector(layer.bias))
        packed.peepholes[n] = address(_vector(layer.peepholes))
    if isinstance(network, SynthesisNetwork):
        packed.window_weights = address(_matrix([network.weight_window], precision))
        packed.window_bias = address(_vector(network.bias_window))
    packed.output_weights = address(_matrix(list(network.weight_output), precision))
    packed.output_bias = address(_vector(network.bias_output))
    return packed, kept


def _normals(noise_t4: np.ndarray) -> np.ndarray:
    """`Mixture.place` before the network is asked: component, two normals by Box–Muller, end of stroke."""
    choice, radius, angle, end = noise_t4.astype(np.float64).T
    radius, angle = np.sqrt(-2 * np.log1p(-radius)), 2 * np.pi * angle
    return np.stack([choice, radius * np.cos(angle), radius * np.sin(angle), end], 1).astype(np.float32)


def sample_compiled(
    library: ctypes.CDLL,
    network: Network,
    requests: Sequence[LineRequest],
    finish_stroke: int,
    keep_outputs: bool,
    precision: str,
    threads: int,
    progress: Callable[[int], None],
) -> list[SampledLine]:
    packed, kept = _pack(network, precision)
    # lines of similar length run together, so that no place of a call stands empty for long
    order = sorted(range(len(requests)), key=lambda k: -_estimate_length(requests[k]))
    result: list[SampledLine | None] = [None] * len(requests)

    def run(part: list[int]) -> int:
        lines = _run(library, packed, [requests[k] for k in part], finish_stroke, keep_outputs)
        for k, line in zip(part, lines, strict=True):
            require_finite(k, line.offsets_t3)
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


def _estimate_length(request: LineRequest) -> int:
    return request.characters or request.limit


def _run(
    library: ctypes.CDLL, packed: _Network, requests: Sequence[LineRequest], finish_stroke: int, keep_outputs: bool
) -> list[SampledLine]:
    """One call of the C code."""
    lines = (_Line * len(requests))()
    arrays: list[dict[str, np.ndarray]] = []
    for line, request in zip(lines, requests, strict=True):
        limit, text = request.limit, packed.components > 0
        characters = request.characters
        a = {
            "text": np.ascontiguousarray(request.symbols_u if text else [], np.int32),
            "prime": np.ascontiguousarray(request.prime_t3 if request.prime_steps else [], np.float32),
            "noise": _normals(uniforms(request.seed, limit)),
            "offsets": np.zeros((limit, 3), np.float32),
            "work": allocate_aligned(library.work_floats(ctypes.byref(packed), characters)),
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

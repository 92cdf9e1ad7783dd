"""The back ends of layers, windows and stacks by name; the optional ones are imported when first asked for.

reference   readable, differentiated by autograd: peephole_lstm.py, soft_window.py
fused       the backward pass by hand, torch's operations, any device and type: fused_lstm.py, fused_window.py
compiled    the same with gates and window in C: c_kernels.py; without a compiler, and in float64, `fused` itself
triton      kernels for a GPU, experimental: triton/
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rnngen.cells.fused_lstm import compiled, fused
from rnngen.cells.fused_window import compiled_window_layer, fused_window_layer
from rnngen.cells.peephole_lstm import State, reference
from rnngen.cells.soft_window import WindowState, WindowTrace, window_layer
from rnngen.errors import InputError


def triton(*arguments: Any) -> tuple[Tensor, State]:
    """Triton kernels."""
    require_triton()
    from rnngen.cells.triton.lstm_stack import triton_layer

    return triton_layer(*arguments)


def triton_window_layer(*arguments: Any) -> tuple[Tensor, Tensor, WindowState, WindowTrace]:
    """The same with the window."""
    require_triton()
    from rnngen.cells.triton.window_layer import triton_window_layer

    return triton_window_layer(*arguments)


def require_triton() -> None:
    """InputError if Triton is not installed."""
    if importlib.util.find_spec("triton") is None:
        raise InputError("back end 'triton': the package triton is not installed; pip install 'rnngen[gpu]'")


Backend = Callable[..., tuple[Tensor, State]]
BACKENDS: dict[str, Backend] = {"reference": reference, "fused": fused, "compiled": compiled, "triton": triton}
"""Name → function with the signature of `reference`."""
WindowLayer = Callable[..., tuple[Tensor, Tensor, WindowState, WindowTrace]]
WINDOW_LAYERS: dict[str, WindowLayer] = {
    "reference": window_layer,
    "fused": fused_window_layer,
    "compiled": compiled_window_layer,
}
"""Name → function with the signature of `window_layer`, for the back ends that run on any device."""
NEVER_WAITING = frozenset({"auto", "fused", "triton"})
"""Back ends that never wait for the GPU if no lengths are given: a whole pass can be recorded."""
NEVER_LOOKING_AT_LENGTHS = frozenset({"triton"})
"""Back ends that run all steps: to look how many the longest sequence has would cost more."""


def backend_named(name: str, device: torch.device) -> Backend:
    """The back end `name`; "auto" is the fastest one for `device`. InputError if no back end has that name."""
    if name == "auto":
        name = "compiled" if device.type == "cpu" else "fused"
    if name not in BACKENDS:
        raise InputError(f"unknown back end {name!r}: expected auto, {', '.join(BACKENDS)}")
    return BACKENDS[name]


def window_layer_named(name: str, device: torch.device) -> WindowLayer:
    """The window layer for a back end of the LSTM layer; one that has none of its own uses the fused one."""
    if name == "auto" and device.type == "cpu":
        name = "compiled"
    if name == "triton":
        return triton_window_layer
    return WINDOW_LAYERS.get(name, fused_window_layer)


def stack_named(name: str, layers: int, batch: int) -> Callable[..., tuple[list[Tensor], list[State]]] | None:
    """The function that advances `layers` side by side, if the back end has one and it pays; else None."""
    if name != "triton" or layers == 1:
        return None
    require_triton()
    from rnngen.cells.triton import lstm_stack

    return lstm_stack.stack if batch <= lstm_stack.WIDEST_BATCH else None

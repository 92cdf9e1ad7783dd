"""Matrix products the way this machine does them fastest, without changing what they compute.

Shapes: n rows, i inputs, o outputs.
"""

import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnngen import compiled

# oneDNN keeps a program for every shape it has met: 1,024 of them, unless told otherwise before its first product.
# torch's own layer over it keeps as many again. Sequences of all lengths make new shapes at every update, 0.5 MB each.
CACHES = [name for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY") if name not in os.environ]


def keep_programs_for(batch: int) -> None:
    """Bound oneDNN's caches, unless the environment already did; without effect after the first product.

    Enough for the shapes that come back in minibatches of `batch` sequences: two products per step for each number of
    rows still running, and the products over all steps.
    """
    for name in CACHES:
        os.environ[name] = str(2 * batch + 32)


keep_programs_for(48)


FEW_ROWS = 4
"""Up to this many rows, a product is a call of few_rows.c where that is possible."""


@functools.cache
def onednn_float32_is_exact() -> bool:
    """Whether oneDNN may take torch's float32 products here without rounding their operands.

    Without AMX, torch's switch `mkldnn.matmul.fp32_precision = "bf16"` only exchanges MKL's kernel for oneDNN's, still
    in float32 and twice as fast on AMD processors with AVX-512. With AMX it really rounds to bfloat16. So a small
    product decides: its error is near 0.1 where operands are rounded, near 1e-5 where they are not.
    """
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.backends.mkldnn, "matmul"):
        return False
    if not torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return False
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(64, 256, generator=generator), torch.randn(256, 64, generator=generator)
    with _onednn_float32():
        error = (torch.mm(a, b).double() - torch.mm(a.double(), b.double())).abs().max()
    return bool(error < 1e-4)


@contextmanager
def _onednn_float32() -> Iterator[None]:
    switch = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # made when torch is imported
    before = switch.fp32_precision
    switch.fp32_precision = "bf16"
    try:
        yield
    finally:
        switch.fp32_precision = before


@contextmanager
def fastest_float32() -> Iterator[None]:
    """Inside, float32 products on the CPU go to the faster of MKL and oneDNN; both are true float32."""
    if onednn_float32_is_exact():
        with _onednn_float32():
            yield
    else:
        yield


def lay_out(weight_oi: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """x → x Wᵀ for a weight used at every time step, laid out once for that; x is (n, I) with n up to `rows`.

    The result may share memory with that of the previous call.
    """
    if weight_oi.dtype == torch.bfloat16 and weight_oi.device.type == "cpu":
        if rows <= FEW_ROWS:
            multiply = _for_few_rows()
            if multiply is not None:
                return _few_rows(multiply, weight_oi, rows)
        packed = _pack(weight_oi, rows)
        if packed is not None:
            return lambda x_ni: torch.ops.mkldnn._linear_pointwise(x_ni, packed, None, "none", [], "")
    weight_io = weight_oi.t().contiguous()
    out_no = weight_oi.new_empty(rows, len(weight_oi))
    return lambda x_ni: torch.mm(x_ni, weight_io, out=out_no[: len(x_ni)])


@functools.cache
def _for_few_rows() -> Any:
    """The product of few_rows.c; None without a compiler and on processors without bfloat16 in AVX-512."""
    library = compiled.library(Path(__file__).with_name("few_rows.c"))
    if library is None or not library.is_possible():
        return None
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    library.multiply.argtypes = [pointer, pointer, integer, pointer, integer, integer, integer]
    library.multiply.restype = None
    return library.multiply


def _few_rows(multiply: Any, weight_oi: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """`lay_out` by few_rows.c, which takes half as long as a call of oneDNN."""
    outputs, inputs = weight_oi.shape
    padded_oi = weight_oi.new_zeros(-(-outputs // 64) * 64, -(-inputs // 2) * 2)
    padded_oi[:outputs, :inputs] = weight_oi
    words = padded_oi.view(torch.int32).view(-1, 64, padded_oi.shape[1] // 2).transpose(1, 2).contiguous()
    out_no = weight_oi.new_empty(rows, outputs)
    out_by_rows = [out_no[:n] for n in range(rows + 1)]
    to, at = out_no.data_ptr(), words.data_ptr()

    def product(x_ni: Tensor, _alive: Tensor = words) -> Tensor:
        apart, beside = x_ni.stride()
        if beside != 1:
            x_ni, apart = x_ni.contiguous(), inputs
        n = x_ni.size(0)
        multiply(at, x_ni.data_ptr(), apart, to, n, inputs, outputs)
        return out_by_rows[n]

    return product


def _pack(weight_oi: Tensor, rows: int) -> Tensor | None:
    """The weight in the order of oneDNN's kernel, by operators torch may drop; None if it lacks them."""
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    try:
        return torch.ops.mkldnn._reorder_linear_weight(weight_oi.contiguous(), rows)
    except (AttributeError, NotImplementedError, RuntimeError):
        return None

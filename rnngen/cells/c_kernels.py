"""The arithmetic of gates and window in C (kernels.c), with the signatures of `EagerGates` and `EagerWindow`.

Shapes: b sequence, i inputs side by side, h cells, g = 4h gates, u position in the text, v alphabet; n all steps of all
sequences, packed.
"""

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

from rnngen.cells.packing import WORKSPACES, Steps, Sums
from rnngen.compiled import library


class CompiledGates:
    """The gates' arithmetic in C; gates are kept in the operands' type and the sums are accumulated along the way."""

    def __init__(self, kernels: ctypes.CDLL):
        self.kernels = kernels
        pointer, integer, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
        self.run_forward, self.run_backward, self.run_transpose = {}, {}, {}
        for dtype, name in ((torch.float32, "float"), (torch.bfloat16, "bfloat16")):
            forward, backward = kernels[f"forward_{name}"], kernels[f"backward_{name}"]
            forward.argtypes = [pointer, integer, *[pointer] * 8, integer, pointer, integer, integer]
            backward.argtypes = [
                *[pointer] * 5, integer, pointer, integer, pointer, real, *[pointer] * 4, integer, integer
            ]  # fmt: skip
            transpose = kernels[f"transpose_{name}"]
            transpose.argtypes = [pointer, integer, integer, integer, pointer, integer]
            forward.restype = backward.restype = transpose.restype = None
            self.run_forward[dtype], self.run_backward[dtype] = forward, backward
            self.run_transpose[dtype] = transpose

    def storage(self, parameters: torch.dtype, operands: torch.dtype) -> torch.dtype:
        return operands

    def transpose(self, x: Tensor, operands: torch.dtype) -> Tensor:
        """xᵀ as an operand; in bfloat16 it is copied, which makes products with it twice as fast."""
        if operands != torch.bfloat16:
            return x.t()
        turned = WORKSPACES.take((x.shape[1], x.shape[0]), operands, x.device)
        self.run_transpose[x.dtype](x.data_ptr(), *x.shape, x.stride(0), turned.data_ptr(), turned.stride(0))
        return turned

    def fill(self, steps: Steps, x_ni: Tensor | None, weight_ig: Tensor | None) -> None:
        if x_ni is not None and weight_ig is not None:
            steps.filled = True
            torch.mm(x_ni, weight_ig, out=steps.g_ng)

    def forward(self, steps: Steps, t: int, recurrent_bg: Tensor, h_bh: Tensor, out_bh: Tensor | None) -> None:
        g = steps.g[t]
        self.run_forward[g.dtype](
            g.data_ptr(), steps.filled, recurrent_bg.data_ptr(), _address(steps.rows_kg), _address(steps.symbols[t]),
            steps.bias_g.data_ptr(), steps.peepholes_3h.data_ptr(), steps.c_before[t].data_ptr(),
            steps.c[t].data_ptr(), h_bh.data_ptr(), h_bh.stride(0), _address(out_bh), *h_bh.shape,
        )  # fmt: skip

    def backward(self, steps: Steps, t: int, d_out: Tensor, d_recurrent: Tensor, d_c: Tensor) -> None:
        if steps.sums is None:  # at the last step, the first to run backward
            steps.sums = (
                torch.zeros_like(steps.bias_g),
                torch.zeros_like(steps.peepholes_3h),
                None if steps.rows_kg is None else torch.zeros_like(steps.rows_kg),
            )
        g = steps.g[t]
        d_bias, d_peepholes, d_rows = steps.sums
        self.run_backward[g.dtype](
            g.data_ptr(), steps.peepholes_3h.data_ptr(), steps.c_before[t].data_ptr(), steps.c[t].data_ptr(),
            d_out.data_ptr(), d_out.stride(0), d_recurrent.data_ptr(), d_recurrent.stride(0), d_c.data_ptr(),
            steps.clip, d_bias.data_ptr(), d_peepholes.data_ptr(), _address(d_rows), _address(steps.symbols[t]),
            *d_out.shape,
        )  # fmt: skip

    def sums(self, steps: Steps) -> Sums:
        if steps.sums is None:
            raise RuntimeError("no step has run backward")
        return steps.sums


class CompiledWindow:
    """The arithmetic of `EagerWindow`, in C."""

    def __init__(
        self, text_bu: Tensor, text_lengths_b: Tensor, like: Tensor, kernels: ctypes.CDLL, operands: torch.dtype
    ):
        self.text_bu, self.text_lengths_b = text_bu.contiguous(), text_lengths_b.contiguous()
        self.scratch_u = like.new_empty(text_bu.shape[1])
        name = "bfloat16" if operands == torch.bfloat16 else "float"
        self.run_forward, self.run_backward = kernels[f"window_forward_{name}"], kernels[f"window_backward_{name}"]
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        self.run_forward.argtypes = [*[pointer] * 4, integer, *[pointer] * 4, *[integer] * 4]
        self.run_backward.argtypes = [*[pointer] * 4, integer, *[pointer] * 5, *[integer] * 4]
        self.run_forward.restype = self.run_backward.restype = None
        self.text = (self.text_bu.data_ptr(), self.text_lengths_b.data_ptr(), self.scratch_u.data_ptr())

    def forward(self, a_b3k: Tensor, kappa_before: Tensor, kappa: Tensor, operand_bv: Tensor, out_bv: Tensor) -> None:
        self.run_forward(
            a_b3k.data_ptr(), kappa_before.data_ptr(), kappa.data_ptr(), operand_bv.data_ptr(), operand_bv.stride(0),
            out_bv.data_ptr(), *self.text, *kappa.shape, self.text_bu.shape[1], out_bv.shape[1],
        )  # fmt: skip

    def backward(
        self, a_b3k: Tensor, kappa: Tensor, d_out_bv: Tensor, d_later_bv: Tensor, d_hats_b3k: Tensor, d_kappa: Tensor
    ) -> None:
        self.run_backward(
            a_b3k.data_ptr(), kappa.data_ptr(), d_out_bv.data_ptr(), d_later_bv.data_ptr(), d_later_bv.stride(0),
            d_hats_b3k.data_ptr(), d_kappa.data_ptr(), *self.text, *kappa.shape, self.text_bu.shape[1],
            d_out_bv.shape[1],
        )  # fmt: skip


@functools.cache
def _load_gates() -> CompiledGates | None:
    kernels = library(Path(__file__).with_name("kernels.c"))
    return None if kernels is None else CompiledGates(kernels)


def load_fitting_gates(parameter: Tensor) -> CompiledGates | None:
    """The kernels in C if they are available and the parameters are float32 on the CPU, else None."""
    return _load_gates() if parameter.device.type == "cpu" and parameter.dtype == torch.float32 else None


def _address(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()

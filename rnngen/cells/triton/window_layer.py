"""The first layer of the synthesis network and its window, stepped together on a GPU (§5.1, eq 46–52).

The window of step t − 1 is an input of the layer at t, so h and w lie side by side in one row, and the recurrent
products of both are one. A step is that product, the kernel of the gates (lstm_kernels.py) and the kernel of
the window (window_kernels.py), in a loop. What no step waits for, the derivatives with respect to all weights, is
computed afterwards as products over all steps.

Shapes: as in `rnngen.cells.triton.window_kernels`; g = 4h gates, r a row of h and w.
"""

import math
from typing import NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnngen.cells.peephole_lstm import Weights
from rnngen.cells.soft_window import WindowState, WindowTrace, WindowWeights
from rnngen.cells.triton.lstm_kernels import gates_backward, gates_forward, sums_backward
from rnngen.cells.triton.lstm_stack import BLOCK, align, require_kernels, side_by_side
from rnngen.cells.triton.window_kernels import window_backward, window_forward

CELLS, POSITIONS = 128, 32
"""Cells and positions of the text that the window's kernels take at a time."""


class Shape(NamedTuple):
    """What the buffers of a loop depend on."""

    steps: int
    batch: int
    cells: int
    alphabet: int
    components: int
    positions: int
    dtype: torch.dtype
    operands: torch.dtype
    device: torch.device


class WindowLoop:
    """Buffers of one shape and the two loops over them."""

    def __init__(self, shape: Shape):
        self.shape = shape
        steps, batch, cells, alphabet, components, positions, dtype, operands, device = shape
        self.h, self.v = h, v = align(cells), align(alphabet)
        self.k = k = max(16, triton.next_power_of_2(components))

        def zeros(*size: int, dtype: torch.dtype = dtype) -> Tensor:
            return torch.zeros(size, dtype=dtype, device=device)

        self.weight_gr = zeros(4 * h, h + v, dtype=operands)
        self.bias_g, self.peepholes_3h = zeros(4 * h), zeros(3, h)
        self.weight_ph, self.bias_p = zeros(3 * k, h), zeros(3 * k)
        self.lengths_b = torch.full((batch,), steps, dtype=torch.int64, device=device)
        self.text_bu = torch.zeros(batch, positions, dtype=torch.int64, device=device)
        self.text_lengths_b = torch.ones(batch, dtype=torch.int64, device=device)
        self.clip = zeros(1)
        self.g_tbg = zeros(steps, batch, 4 * h, dtype=operands)
        self.c_tbh = zeros(steps + 1, batch, h)
        self.s_tbr = zeros(steps + 1, batch, h + v, dtype=operands)
        self.h_tbh, self.w_tbv = zeros(steps, batch, h), zeros(steps, batch, v)
        self.alpha_tbk, self.beta_tbk, self.delta_tbk = zeros(3, steps, batch, k).unbind(0)
        self.kappa_tbk = zeros(steps + 1, batch, k)
        self.r_bg, self.r_br = zeros(batch, 4 * h, dtype=operands), zeros(batch, h + v, dtype=operands)
        self.d_h_tbh, self.d_w_tbv = zeros(steps, batch, h), zeros(steps, batch, v)
        self.d_hat_tbp = zeros(steps, batch, 3 * k)
        self.d_last_h_bh, self.d_last_c_bh, self.d_c_bh = zeros(3, batch, h).unbind(0)
        self.d_last_w_bv = zeros(batch, v)
        self.d_last_kappa_bk, self.d_kappa_bk = zeros(2, batch, k).unbind(0)

    def forward(self, steps: int) -> None:
        longest, batch = self.shape[:2]
        row = self.h + self.v
        for t in range(steps):
            torch.mm(self.s_tbr[t], self.weight_gr.t(), out=self.r_bg)
            gates_forward[(triton.cdiv(batch * self.h, BLOCK), 1)](
                self.g_tbg, self.r_bg, self.c_tbh, self.s_tbr, self.h_tbh, self.bias_g, self.peepholes_3h,
                self.lengths_b, t, 0, longest, batch, H=self.h, ROW=row, LOWER=0, WIDE=True, BLOCK=BLOCK,
            )  # fmt: skip
            window_forward[(batch,)](
                self.s_tbr, self.h_tbh, self.w_tbv, self.weight_ph, self.bias_p, self.alpha_tbk, self.beta_tbk,
                self.delta_tbk, self.kappa_tbk, self.text_bu, self.text_lengths_b, self.lengths_b, t, batch,
                self.shape.positions, COMPONENTS=self.shape.components, K=self.k, H=self.h, ROW=row, V=self.v,
                WIDTH=triton.next_power_of_2(self.v), CELLS=CELLS, POSITIONS=POSITIONS,
            )  # fmt: skip

    def backward(self, steps: int) -> None:
        longest, batch = self.shape[:2]
        row = self.h + self.v
        for t in reversed(range(steps)):
            window_backward[(batch,)](
                self.d_h_tbh, self.d_w_tbv, self.r_br, self.d_last_w_bv, self.d_last_kappa_bk, self.d_kappa_bk,
                self.d_hat_tbp, self.weight_ph, self.alpha_tbk, self.beta_tbk, self.delta_tbk, self.kappa_tbk,
                self.text_bu, self.text_lengths_b, self.lengths_b, t, batch, self.shape.positions,
                COMPONENTS=self.shape.components, K=self.k, H=self.h, ROW=row, V=self.v, CELLS=CELLS,
                POSITIONS=POSITIONS,
            )  # fmt: skip
            gates_backward[(triton.cdiv(batch * self.h, BLOCK), 1)](
                self.g_tbg, self.r_br, self.c_tbh, self.d_h_tbh, self.d_c_bh, self.d_last_h_bh, self.d_last_c_bh,
                self.peepholes_3h, self.lengths_b, self.clip, t, 0, longest, batch,
                H=self.h, ROW=row, LAYERS=1, LOWER=0, BLOCK=BLOCK,
            )  # fmt: skip
            torch.mm(self.g_tbg[t], self.weight_gr, out=self.r_br)

    def sums(self, steps: int) -> Tensor:
        """(7, H): derivatives of the bias, then of the peepholes."""
        longest, batch = self.shape[:2]
        rows = steps * batch
        parts = max(1, min(64, rows // 256))
        share = -(-rows // parts)
        sums_p7h = self.c_tbh.new_empty(parts, 7, self.h)
        grid = (triton.cdiv(self.h, 128), 1, parts)
        sums_backward[grid](
            self.g_tbg, self.c_tbh, sums_p7h, longest, batch, rows, share, H=self.h, ROWS=4, COLUMNS=128
        )
        return sums_p7h.sum(0)


class WindowedLayer(torch.autograd.Function):
    """(clip, operands' type, whether to keep what backward needs, text, its lengths, lengths, x, h, c, w, κ, then the
    weights of x, of the window, recurrent, peepholes, bias, and of the window's parameters and their bias) →
    h_tbh, w_tbv, last h, c, w and κ, and, without derivatives, α, β, κ of every step."""

    @staticmethod
    def forward(
        ctx, clip, operands, keep, text_bu, text_lengths_b, lengths_b, x_tbi, h_bh, c_bh, w_bv, kappa_bk,
        weight_x, weight_w, recurrent, peepholes, bias, weight_ph, bias_p,
    ):  # fmt: skip
        (steps, batch, inputs), cells, alphabet = x_tbi.shape, h_bh.shape[1], w_bv.shape[1]
        components, dtype, device = kappa_bk.shape[1], bias.dtype, bias.device
        positions = -(-text_bu.shape[1] // POSITIONS) * POSITIONS  # the kernels take this many at a time anyway
        loop = WindowLoop(Shape(steps, batch, cells, alphabet, components, positions, dtype, operands, device))
        h, k, rows = loop.h, loop.k, steps * batch

        loop.clip.fill_(clip)
        loop.text_bu[:, : text_bu.shape[1]] = text_bu
        loop.text_lengths_b.copy_(text_lengths_b)
        outside_tb1 = None
        if lengths_b is None:
            loop.lengths_b.fill_(steps)
        else:
            loop.lengths_b.copy_(lengths_b)
            outside_tb1 = (torch.arange(steps, device=device)[:, None] >= loop.lengths_b).unsqueeze(2)
        weight_4hr = loop.weight_gr.view(4, h, -1)[:, :cells]
        weight_4hr[:, :, :cells] = recurrent.reshape(4, cells, cells)
        weight_4hr[:, :, h : h + alphabet] = weight_w.reshape(4, cells, alphabet)
        loop.bias_g.view(4, h)[:, :cells] = bias.reshape(4, cells)
        loop.peepholes_3h[:, :cells] = peepholes
        loop.weight_ph.view(3, k, h)[:, :components, :cells] = weight_ph.reshape(3, components, cells)
        loop.bias_p.view(3, k)[:, :components] = bias_p.reshape(3, components)
        loop.s_tbr[0, :, :cells] = h_bh
        loop.s_tbr[0, :, h : h + alphabet] = w_bv
        loop.c_tbh[0, :, :cells] = c_bh
        loop.kappa_tbk[0, :, :components] = kappa_bk
        x_ni, weight_gi = side_by_side([x_tbi], [weight_x], outside_tb1, h, operands)
        torch.mm(x_ni, weight_gi.t(), out=loop.g_tbg[:steps].view(rows, 4 * h))

        loop.forward(steps)
        ends_b, sequence_b = loop.lengths_b, torch.arange(batch, device=device)
        results = (
            loop.h_tbh[:steps, :, :cells].clone(),
            loop.w_tbv[:steps, :, :alphabet].clone(),
            loop.h_tbh[ends_b - 1, sequence_b, :cells],
            loop.c_tbh[ends_b, sequence_b, :cells],
            loop.w_tbv[ends_b - 1, sequence_b, :alphabet],
            loop.kappa_tbk[ends_b, sequence_b, :components],
        )
        trace = (
            loop.alpha_tbk[:steps, :, :components].clone(),
            loop.beta_tbk[:steps, :, :components].clone(),
            loop.kappa_tbk[1 : steps + 1, :, :components].clone(),
        )
        ctx.mark_non_differentiable(*trace)
        if keep:
            ctx.loop, ctx.steps, ctx.inputs, ctx.saved = loop, steps, inputs, (x_ni, weight_gi)
            ctx.set_materialize_grads(False)
        return (*results, *trace)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_h, d_w, d_last_h, d_last_c, d_last_w, d_last_kappa, *_trace):
        if ctx.loop is None:
            raise RuntimeError(
                "a second backward pass through the window's layer: the first one overwrote the activations. "
                "Run the forward pass again, or build the network with backend='reference'"
            )
        loop, steps, (x_ni, weight_gi) = ctx.loop, ctx.steps, ctx.saved
        ctx.loop = ctx.saved = None
        _, batch, cells, alphabet, components, _, dtype, *_ = loop.shape
        h, k, rows = loop.h, loop.k, steps * batch
        for into, derivative in (
            (loop.d_h_tbh[:steps, :, :cells], d_h),
            (loop.d_w_tbv[:steps, :, :alphabet], d_w),
            (loop.d_last_h_bh[:, :cells], d_last_h),
            (loop.d_last_c_bh[:, :cells], d_last_c),
            (loop.d_last_w_bv[:, :alphabet], d_last_w),
            (loop.d_last_kappa_bk[:, :components], d_last_kappa),
        ):
            into.zero_() if derivative is None else into.copy_(derivative)
        loop.backward(steps)

        d_ng = loop.g_tbg[:steps].view(rows, 4 * h)
        d_weight = torch.mm(d_ng.t(), loop.s_tbr[:steps].view(rows, -1)).view(4, h, -1)[:, :cells].to(dtype)
        d_weight_x = torch.mm(d_ng.t(), x_ni).view(4, h, -1)[:, :cells, : ctx.inputs].to(dtype)
        d_x = None
        if ctx.needs_input_grad[6]:
            d_x = torch.mm(d_ng, weight_gi)[:, : ctx.inputs].to(dtype).view(steps, batch, -1)
        d_hat_np = loop.d_hat_tbp[:steps].view(rows, 3 * k)
        d_weight_ph = torch.mm(d_hat_np.t(), loop.h_tbh[:steps].view(rows, h)).view(3, k, h)
        sums_7h = loop.sums(steps)[:, :cells]
        gradients = (
            d_x,
            loop.r_br[:, :cells].to(dtype, copy=True),
            loop.d_c_bh[:, :cells].clone(),
            loop.r_br[:, h : h + alphabet].to(dtype, copy=True),
            loop.d_kappa_bk[:, :components].clone(),
            d_weight_x.reshape(4 * cells, -1),
            d_weight[:, :, h : h + alphabet].reshape(4 * cells, alphabet),
            d_weight[:, :, :cells].reshape(4 * cells, cells),
            sums_7h[4:],
            sums_7h[:4].reshape(4 * cells),
            d_weight_ph[:, :components, :cells].reshape(3 * components, cells),
            d_hat_np.sum(0).view(3, k)[:, :components].reshape(3 * components),
        )
        return (*[None] * 6, *gradients)


def triton_window_layer(
    weights: Weights,
    to_window: WindowWeights,
    x_tbi: Tensor,
    text_bu: Tensor,
    text_lengths_b: Tensor,
    state: WindowState,
    lengths_b: Tensor | None,
    clip: float | None,
    precision: str,
) -> tuple[Tensor, Tensor, WindowState, WindowTrace]:
    """The back end `triton` of `rnngen.cells.soft_window.window_layer`, which describes the arguments."""
    require_kernels(weights.bias_g)
    tensors = (
        x_tbi, *state, *weights.dense_gi, weights.recurrent_gh, weights.peepholes_3h, weights.bias_g, *to_window,
    )  # fmt: skip
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    operands = torch.bfloat16 if precision == "bfloat16" else weights.bias_g.dtype
    h_tbh, w_tbv, *last, alpha, beta, kappa = WindowedLayer.apply(
        math.inf if clip is None else clip, operands, keep, text_bu, text_lengths_b, lengths_b, *tensors
    )
    return h_tbh, w_tbv, WindowState(*last), WindowTrace(alpha, beta, kappa)

"""A stack of LSTM layers of equal width, advanced along diagonals: one product and one launch for all layers of each.

Layer l at step t needs layer l − 1 at t and itself at t − 1, which lie on the diagonal before its own (d = t + l). So a
stack of L layers over T steps is T + L − 1 steps of L layers side by side instead of L · T steps one after the other:
one batched product (`torch.bmm`, cuBLAS) and one Triton launch each (lstm_kernels.py). A single layer is a
stack of one. What does not depend on the recurrence is one product for all steps, before or after the loop.

Shapes: as in `rnngen.cells.triton.lstm_kernels`; i inputs.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnngen.cells.peephole_lstm import State, Weights
from rnngen.cells.triton.lstm_kernels import gates_backward, gates_forward, gather_rows, sums_backward
from rnngen.errors import InputError

BLOCK = 512
ALIGNED = 16
"""Sizes of products are rounded up to this: cuBLAS needs rows of 16 bytes for the matrix units."""
WIDEST_BATCH = 256
"""Above this, one layer's products fill the card and a stack gains nothing over running its layers in turn."""
ONE_HOT_SYMBOLS = 1024
"""Up to this many symbols, their weights' derivatives are a product with one-hot vectors, else added row by row."""


class Shape(NamedTuple):
    """What the buffers of a loop depend on."""

    layers: int
    steps: int
    batch: int
    cells: int
    dtype: torch.dtype
    operands: torch.dtype
    device: torch.device


def align(size: int) -> int:
    """`size` rounded up for the matrix units."""
    return -(-size // ALIGNED) * ALIGNED


class Loop:
    """Buffers of one shape and the two loops over them; everything but the time steps happens outside."""

    def __init__(self, shape: Shape):
        self.shape = shape
        layers, steps, batch, cells, dtype, operands, device = shape
        self.lower = int(layers > 1)
        self.h = h = align(cells)

        def zeros(*size: int, dtype: torch.dtype = dtype) -> Tensor:
            return torch.zeros(size, dtype=dtype, device=device)

        # padded cells and the slab below the lowest layer stay zero from here on
        self.weight_lgk = zeros(layers, 4 * h, (1 + self.lower) * h, dtype=operands)
        self.bias_lg = zeros(layers, 4 * h)
        self.peepholes_l3h = zeros(layers, 3, h)
        self.lengths_b = torch.full((batch,), steps, dtype=torch.int64, device=device)
        self.clip = zeros(1)
        self.g_ltbg = zeros(layers, steps, batch, 4 * h, dtype=operands)
        self.c_ltbh = zeros(layers, steps + 1, batch, h)
        self.s_dbsh = zeros(steps + layers, batch, layers + self.lower, h, dtype=operands)
        self.wide = operands != dtype
        self.out_ltbh = zeros(layers, steps, batch, h) if self.wide else None
        self.d_out_ltbh = zeros(layers, steps, batch, h)
        self.d_last_h_lbh, self.d_last_c_lbh, self.d_c_lbh = zeros(3, layers, batch, h).unbind(0)
        self.r_lbg = zeros(layers, batch, 4 * h, dtype=operands)
        self.r_lbk = zeros(layers, batch, (1 + self.lower) * h, dtype=operands)

    def inputs(self, steps: int) -> Tensor:
        """(L, T·B, K), a view of the slabs: what each layer multiplies with its recurrent weights at each step.

        One layer higher is one diagonal later and one slab further.
        """
        (layers, _, batch, *_), (width, h) = self.shape, self.s_dbsh.shape[2:]
        row = width * h
        return self.s_dbsh.as_strided((layers, steps * batch, (1 + self.lower) * h), (batch * row + h, row, 1))

    def h_after(self, layer: int, steps: int) -> Tensor:
        """(T, B, H) of layer `layer` as stored for the products."""
        return self.s_dbsh[layer + 1 : layer + 1 + steps, :, layer + self.lower]

    def weight_gradients(self, steps: int) -> Tensor:
        """(L, 4H, K) from the derivatives that the loop left in the gates."""
        return torch.bmm(self.g_ltbg[:, :steps].flatten(1, 2).transpose(1, 2), self.inputs(steps))

    def sums(self, steps: int) -> Tensor:
        """(L, 7, H): derivatives of the bias, then of the peepholes."""
        layers, longest, batch, *_ = self.shape
        rows = steps * batch
        parts = max(1, min(64, rows // 256))
        share = -(-rows // parts)
        sums_lp7h = self.c_ltbh.new_empty(layers, parts, 7, self.h)
        grid = (triton.cdiv(self.h, 128), layers, parts)
        sums_backward[grid](
            self.g_ltbg, self.c_ltbh, sums_lp7h, longest, batch, rows, share, H=self.h, ROWS=4, COLUMNS=128
        )
        return sums_lp7h.sum(1)

    def _diagonal(self, d: int, steps: int) -> tuple[int, int]:
        """The lowest layer on diagonal d and the number of layers."""
        lowest = max(0, d - steps + 1)
        return lowest, min(self.shape.layers - 1, d) - lowest + 1

    def forward(self, steps: int) -> None:
        layers, longest, batch, *_ = self.shape
        width, h = self.s_dbsh.shape[2:]
        for d in range(steps + layers - 1):
            lowest, active = self._diagonal(d, steps)
            inputs = self.s_dbsh[d].as_strided(
                (active, batch, (1 + self.lower) * h), (h, width * h, 1), d * batch * width * h + lowest * h
            )
            here = slice(lowest, lowest + active)
            torch.bmm(inputs, self.weight_lgk[here].transpose(1, 2), out=self.r_lbg[here])
            gates_forward[(triton.cdiv(batch * h, BLOCK), active)](
                self.g_ltbg, self.r_lbg, self.c_ltbh, self.s_dbsh, self.out_ltbh if self.wide else self.c_ltbh,
                self.bias_lg, self.peepholes_l3h, self.lengths_b, d, lowest, longest, batch,
                H=h, ROW=width * h, LOWER=self.lower, WIDE=self.wide, BLOCK=BLOCK,
            )  # fmt: skip

    def backward(self, steps: int) -> None:
        layers, longest, batch, *_ = self.shape
        for d in reversed(range(steps + layers - 1)):
            lowest, active = self._diagonal(d, steps)
            gates_backward[(triton.cdiv(batch * self.h, BLOCK), active)](
                self.g_ltbg, self.r_lbk, self.c_ltbh, self.d_out_ltbh, self.d_c_lbh, self.d_last_h_lbh,
                self.d_last_c_lbh, self.peepholes_l3h, self.lengths_b, self.clip, d, lowest, longest, batch,
                H=self.h, ROW=(1 + self.lower) * self.h, LAYERS=layers, LOWER=self.lower, BLOCK=BLOCK,
            )  # fmt: skip
            here = slice(lowest, lowest + active)
            d_gates = self.g_ltbg.as_strided(
                (active, batch, 4 * self.h),
                ((longest - 1) * batch * 4 * self.h, 4 * self.h, 1),
                (lowest * longest + d - lowest) * batch * 4 * self.h,
            )
            torch.bmm(d_gates, self.weight_lgk[here], out=self.r_lbk[here])


class Stack(torch.autograd.Function):
    """(clip, operands' type, whether to keep what backward needs, symbols, lengths, the sizes of each layer's dense
    inputs, then for each layer h, c, rows of symbols, recurrent weights, peepholes, bias, its dense inputs, their
    weights and, above the lowest, the weights of the layer below) → h_tbh of each layer, last h (L, B, H), last c."""

    @staticmethod
    def forward(ctx, clip, operands, keep, symbols_tb, lengths_b, sizes, *flat):
        layers = _unflatten(flat, sizes)
        first = layers[0]
        batch, cells = first.h_bh.shape
        steps = len(symbols_tb) if symbols_tb is not None else len(first.dense[0])
        dtype, device = first.bias.dtype, first.bias.device
        loop = Loop(Shape(len(layers), steps, batch, cells, dtype, operands, device))
        lower, h, rows = loop.lower, loop.h, steps * batch

        loop.clip.fill_(clip)
        outside_tb1 = None
        if lengths_b is None:
            loop.lengths_b.fill_(steps)
        else:
            loop.lengths_b.copy_(lengths_b)
            outside_tb1 = (torch.arange(steps, device=device)[:, None] >= loop.lengths_b).unsqueeze(2)
            if symbols_tb is not None:
                symbols_tb = symbols_tb.masked_fill(outside_tb1[..., 0], -1)

        xs, weights_x = [], []
        for n, layer in enumerate(layers):
            recurrent = loop.weight_lgk[n].view(4, h, 1 + lower, h)
            recurrent[:, :cells, lower, :cells] = layer.recurrent.reshape(4, cells, cells)
            if layer.below is not None:
                recurrent[:, :cells, 0, :cells] = layer.below.reshape(4, cells, cells)
            loop.bias_lg[n].view(4, h)[:, :cells] = layer.bias.reshape(4, cells)
            loop.peepholes_l3h[n, :, :cells] = layer.peepholes
            loop.s_dbsh[n, :, n + lower, :cells] = layer.h_bh
            loop.c_ltbh[n, 0, :, :cells] = layer.c_bh
            g_ng = loop.g_ltbg[n, :steps].view(rows, 4 * h)
            x_ni = weight_gi = None
            if layer.dense:
                x_ni, weight_gi = side_by_side(layer.dense, layer.weights, outside_tb1, h, operands)
                torch.mm(x_ni, weight_gi.t(), out=g_ng)
            if layer.rows is not None:
                gather_rows[(rows, triton.cdiv(4 * h, BLOCK))](
                    g_ng, layer.rows.contiguous(), symbols_tb.contiguous(), len(layer.rows),
                    CELLS=cells, H=h, ADD=x_ni is not None, BLOCK=BLOCK,
                )  # fmt: skip
            xs.append(x_ni)
            weights_x.append(weight_gi)

        loop.forward(steps)
        sequence_b = torch.arange(batch, device=device)
        last_c = loop.c_ltbh[:, loop.lengths_b, sequence_b, :cells]
        if loop.wide:
            assert loop.out_ltbh is not None
            outputs = [out_tbh[:steps, :, :cells].clone() for out_tbh in loop.out_ltbh]
            last_h = loop.out_ltbh[:, loop.lengths_b - 1, sequence_b, :cells]
        else:
            outputs = [loop.h_after(n, steps)[:, :, :cells].clone() for n in range(len(layers))]
            last_h = torch.stack([h_tbh[loop.lengths_b - 1, sequence_b] for h_tbh in outputs])
        if keep:
            ctx.loop, ctx.symbols_tb, ctx.sizes, ctx.steps = loop, symbols_tb, sizes, steps
            ctx.symbol_counts = [None if layer.rows is None else len(layer.rows) for layer in layers]
            ctx.inputs = (xs, weights_x)
            ctx.set_materialize_grads(False)
        return (*outputs, last_h, last_c)

    @staticmethod
    @once_differentiable
    def backward(ctx, *upstream):
        if ctx.loop is None:
            raise RuntimeError(
                "a second backward pass through a PeepholeLSTM: the first one overwrote the activations. "
                "Run the forward pass again, or build the layer with backend='reference'"
            )
        loop, steps, symbols_tb = ctx.loop, ctx.steps, ctx.symbols_tb
        xs, weights_x = ctx.inputs
        ctx.loop = ctx.inputs = None
        *d_outputs, d_last_h, d_last_c = upstream
        layers, _, batch, cells, dtype, *_ = loop.shape
        lower, h, rows = loop.lower, loop.h, steps * batch

        for n, d_out in enumerate(d_outputs):
            into = loop.d_out_ltbh[n, :steps, :, :cells]
            into.zero_() if d_out is None else into.copy_(d_out)
        for into, d_last in ((loop.d_last_h_lbh, d_last_h), (loop.d_last_c_lbh, d_last_c)):
            into.zero_() if d_last is None else into[:, :, :cells].copy_(d_last)
        loop.backward(steps)

        d_weight = loop.weight_gradients(steps).view(layers, 4, h, 1 + lower, h)[:, :, :cells, :, :cells].to(dtype)
        sums_l7h = loop.sums(steps)[:, :, :cells]
        d_h_lbh = loop.r_lbk.view(layers, batch, 1 + lower, h)[:, :, lower, :cells].to(dtype, copy=True)
        d_c_lbh = loop.d_c_lbh[:, :, :cells].clone()
        one_hot_nk = None
        flat: list[Tensor | None] = []
        for n, sizes in enumerate(ctx.sizes):
            d_ng = loop.g_ltbg[n, :steps].view(rows, 4 * h)
            d_rows = None
            if ctx.symbol_counts[n] is not None:
                if one_hot_nk is None and ctx.symbol_counts[n] <= ONE_HOT_SYMBOLS:
                    # −1 counts as a class past the alphabet, which is cut off again
                    classes = align(ctx.symbol_counts[n] + 1)
                    codes_n = symbols_tb.flatten()
                    known_n = (codes_n >= 0) & (codes_n < ctx.symbol_counts[n])
                    codes_n = codes_n.where(known_n, classes - 1)
                    one_hot_nk = d_ng.new_zeros(rows, classes).scatter_(1, codes_n[:, None], 1)
                d_rows = _rows_gradient(d_ng, symbols_tb, one_hot_nk, ctx.symbol_counts[n], dtype)
                d_rows = d_rows.view(-1, 4, h)[:, :, :cells].reshape(-1, 4 * cells)
            d_dense, d_weights = [], []
            if sizes:
                d_product = torch.mm(d_ng.t(), xs[n]).view(4, h, -1)[:, :cells].to(dtype).reshape(4 * cells, -1)
                d_weights = [part.contiguous() for part in d_product[:, : sum(sizes)].split(sizes, 1)]
                d_dense = [None] * len(sizes)
                wanted = ctx.needs_input_grad[6 + len(flat) + 6 : 6 + len(flat) + 6 + len(sizes)]
                if any(wanted):
                    d_x = torch.mm(d_ng, weights_x[n])[:, : sum(sizes)].to(dtype).view(steps, batch, -1)
                    d_dense = [part if want else None for part, want in zip(d_x.split(sizes, 2), wanted, strict=True)]
            flat += [d_h_lbh[n], d_c_lbh[n], d_rows, d_weight[n, :, :, lower].reshape(4 * cells, cells)]
            flat += [sums_l7h[n, 4:], sums_l7h[n, :4].reshape(4 * cells), *d_dense, *d_weights]
            if lower and n:
                flat.append(d_weight[n, :, :, 0].reshape(4 * cells, cells))
        return (*[None] * 6, *flat)


class _Layer(NamedTuple):
    h_bh: Tensor
    c_bh: Tensor
    rows: Tensor | None
    recurrent: Tensor
    peepholes: Tensor
    bias: Tensor
    dense: Sequence[Tensor]
    weights: Sequence[Tensor]
    below: Tensor | None


def _unflatten(flat: Sequence[Any], sizes: Sequence[Sequence[int]]) -> list[_Layer]:
    layers, at = [], 0
    for n, inputs in enumerate(sizes):
        count = len(inputs)
        dense, weights = flat[at + 6 : at + 6 + count], flat[at + 6 + count : at + 6 + 2 * count]
        end = at + 6 + 2 * count + (n > 0)
        h, c, rows, recurrent, peepholes, bias = flat[at : at + 6]
        below = flat[end - 1] if n else None
        layers.append(_Layer(h, c, rows, recurrent, peepholes, bias, dense, weights, below))
        at = end
    return layers


def side_by_side(
    dense: Sequence[Tensor], weights: Sequence[Tensor], outside_tb1: Tensor | None, h: int, operands: torch.dtype
) -> tuple[Tensor, Tensor]:
    """A layer's dense inputs (N, I) and their weights (4H, I), in the operands' type, I and H rounded up with zeros."""
    cells = len(weights[0]) // 4
    sizes = [x.shape[2] for x in dense]
    total = sum(sizes)
    steps, batch = dense[0].shape[:2]
    x_tbi = dense[0].new_empty(steps, batch, align(total), dtype=operands)
    x_tbi[:, :, total:] = 0
    weight_4hi = weights[0].new_zeros(4, h, align(total), dtype=operands)
    for part, x in zip(x_tbi[:, :, :total].split(sizes, 2), dense, strict=True):
        part.copy_(x)
    for part, weight in zip(weight_4hi[:, :cells, :total].split(sizes, 2), weights, strict=True):
        part.copy_(weight.reshape(4, cells, -1))
    if outside_tb1 is not None:
        x_tbi.masked_fill_(outside_tb1, 0)  # the derivatives there are 0, and 0 · NaN is NaN
    return x_tbi.flatten(0, 1), weight_4hi.flatten(0, 1)


def _rows_gradient(
    d_ng: Tensor, symbols_tb: Tensor, one_hot_nk: Tensor | None, symbols: int, dtype: torch.dtype
) -> Tensor:
    """(K, 4H): for each symbol the sum of the derivatives where it was the input."""
    if one_hot_nk is not None:
        return torch.mm(one_hot_nk.t(), d_ng)[:symbols].to(dtype)
    return torch.ops.aten.embedding_dense_backward(d_ng.to(dtype), symbols_tb.flatten(), symbols, -1, False)


def stack(
    weights: Sequence[Weights],
    symbols_tb: Tensor | None,
    dense: Sequence[Sequence[Tensor]],
    states: Sequence[State],
    lengths_b: Tensor | None,
    clip: float | None,
    precision: str,
) -> tuple[list[Tensor], list[State]]:
    """Run layers of equal width one above the other; returns h_tbh and the last (h, c) of each.

    `weights[l].dense_gi` are those of the inputs `dense[l]` and, above the lowest layer, last those of the layer below,
    which is not listed in `dense`. The other arguments are as in `rnngen.cells.peephole_lstm.reference`.
    """
    bias = weights[0].bias_g
    require_kernels(bias)
    flat: list[Tensor | None] = []
    for n, (layer, inputs, state) in enumerate(zip(weights, dense, states, strict=True)):
        own = layer.dense_gi[: len(inputs)]
        below = layer.dense_gi[len(inputs) :]
        if len(below) != (n > 0):
            raise ValueError(f"layer {n}: {len(inputs)} inputs for {len(layer.dense_gi)} weights")
        flat += [*state, layer.symbols_kg, layer.recurrent_gh, layer.peepholes_3h, layer.bias_g, *inputs, *own, *below]
    keep = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in flat)
    operands = torch.bfloat16 if precision == "bfloat16" else bias.dtype
    sizes = [tuple(x.shape[2] for x in inputs) for inputs in dense]
    *hidden, last_h, last_c = Stack.apply(
        math.inf if clip is None else clip, operands, keep, symbols_tb, lengths_b, sizes, *flat
    )
    return hidden, list(zip(last_h.unbind(0), last_c.unbind(0), strict=True))


def require_kernels(bias: Tensor) -> None:
    """InputError if Triton's kernels cannot run where the weights are, or in their type."""
    if bias.device.type != "cuda" and isinstance(gates_forward, triton.JITFunction):
        raise InputError(
            "back end 'triton': its kernels run on a CUDA device, and the weights are on "
            f"{bias.device}; use backend='auto', or set TRITON_INTERPRET=1 to try it slowly on a CPU"
        )
    if bias.dtype not in (torch.float32, torch.float64):
        raise InputError(f"back end 'triton': expected parameters in float32 or float64, got {bias.dtype}")


def triton_layer(weights, symbols_tb, dense, state, lengths_b, clip, precision) -> tuple[Tensor, State]:
    """The back end `triton`: a stack of one layer. See `rnngen.cells.peephole_lstm.reference` for the arguments."""
    (h_tbh,), (last,) = stack([weights], symbols_tb, [dense], [state], lengths_b, clip, precision)
    return h_tbh, last

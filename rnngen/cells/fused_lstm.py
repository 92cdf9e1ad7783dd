"""Eq 7–11 with the backward pass written by hand: what the `fused` and `compiled` back ends run.

Compared with the plain loop, the inputs' products are computed for all steps at once before it, and the weights'
derivatives after it; between them a step is one product and one pass over the gates, in place. Activations overwrite
pre-activations and derivatives overwrite activations, so of every step only the four gates, c and h are kept, and the
backward pass can run once. Sequences of several lengths are packed: sorted by length, a step holds only the rows still
running, so padding is neither read nor computed.

The pass over the gates is `EagerGates`, in torch's in-place operations for any device and type, or `CompiledGates`, in
C (kernels.c). With precision "bfloat16" the operands of products are bfloat16; cells, clipping and sums of
derivatives are in the parameters' type.

Shapes: t time, b batch, i inputs side by side, h cells, g = 4h gates; n all steps of all sequences, step by step.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnngen.cells.c_kernels import load_fitting_gates
from rnngen.cells.matmul import fastest_float32, lay_out
from rnngen.cells.packing import WORKSPACES, CellParameters, Packing, Steps, Sums


class EagerGates:
    """The gates' arithmetic in torch's in-place operations, for any device; gates are kept in the parameters' type."""

    def storage(self, parameters: torch.dtype, operands: torch.dtype) -> torch.dtype:
        return parameters

    def transpose(self, x: Tensor, operands: torch.dtype) -> Tensor:
        """xᵀ as an operand."""
        return x.t().to(operands)

    def fill(self, steps: Steps, x_ni: Tensor | None, weight_ig: Tensor | None) -> None:
        """The share of the inputs and the bias in the pre-activations of all steps."""
        g_ng = steps.g_ng
        if steps.rows_kg is not None and steps.symbols_n is not None:
            torch.index_select(steps.rows_kg, 0, steps.symbols_n.clamp(min=0), out=g_ng)
            g_ng.masked_fill_(steps.symbols_n[:, None] < 0, 0).add_(steps.bias_g)
            if x_ni is not None and weight_ig is not None:
                g_ng.add_(torch.mm(x_ni, weight_ig))
        elif x_ni is None or weight_ig is None:
            g_ng.copy_(steps.bias_g.expand_as(g_ng))
        elif x_ni.dtype == g_ng.dtype:
            torch.addmm(steps.bias_g, x_ni, weight_ig, out=g_ng)
        else:
            torch.add(torch.mm(x_ni, weight_ig), steps.bias_g, out=g_ng)

    def forward(self, steps: Steps, t: int, recurrent_bg: Tensor, h_bh: Tensor, out_bh: Tensor | None) -> None:
        """Pre-activations → activations, in place; c_t; h_t as the next product's operand and, if wanted, as output."""
        g, before, after = steps.g[t].view(len(h_bh), 4, -1), steps.c_before[t], steps.c[t]
        peep_i, peep_f, peep_o = steps.peepholes_3h
        g.add_(recurrent_bg.view_as(g))
        i, f, z, o = g.unbind(1)
        i.addcmul_(peep_i, before)
        f.addcmul_(peep_f, before)
        g[:, :2].sigmoid_()
        torch.mul(f, before, out=after).addcmul_(i, z.tanh_())
        o.addcmul_(peep_o, after).sigmoid_()
        torch.tanh(after, out=h_bh if out_bh is None else out_bh).mul_(o)
        if out_bh is not None:
            h_bh.copy_(out_bh)

    def backward(self, steps: Steps, t: int, d_out: Tensor, d_recurrent: Tensor, d_c: Tensor) -> None:
        """Activations → clipped derivatives of the pre-activations, in place; d_c: of c_t → of c_{t−1}."""
        g, before, after = steps.g[t].view(len(d_out), 4, -1), steps.c_before[t], steps.c[t]
        peep_i, peep_f, peep_o = steps.peepholes_3h
        i, f, z, o = g.unbind(1)
        y = torch.tanh(after)
        d_y = (d_out + d_recurrent).mul_(o)  # of tanh(c_t)
        d_o = torch.addcmul(d_y, d_y, o, value=-1).mul_(y).clamp_(-steps.clip, steps.clip)
        e = d_c.add_(torch.addcmul(d_y, d_y * y, y, value=-1)).addcmul_(d_o, peep_o)  # of c_t, complete
        e_i, e_f = e * i, e * f
        d_i = torch.addcmul(e_i, e_i, i, value=-1).mul_(z)
        d_f = torch.addcmul(e_f, e_f, f, value=-1).mul_(before)
        torch.addcmul(e_i, e_i * z, z, value=-1, out=z)
        i.copy_(d_i)
        f.copy_(d_f)
        o.copy_(d_o)
        g.clamp_(-steps.clip, steps.clip)
        torch.addcmul(e_f, i, peep_i, out=d_c).addcmul_(f, peep_f)

    def sums(self, steps: Steps) -> Sums:
        """Derivatives of the bias, the peepholes and the symbols' rows, once all steps have run backward."""
        g_ng = steps.g_ng
        d_i, d_f, _, d_o = g_ng.view(len(g_ng), 4, -1).unbind(1)
        before_nh, after_nh = steps.packing.before(steps.c_all), steps.c_all[steps.packing.batch :]
        d_peepholes = torch.stack([(d_i * before_nh).sum(0), (d_f * before_nh).sum(0), (d_o * after_nh).sum(0)])
        d_rows = None
        if steps.rows_kg is not None:  # one addition per row; −1, the null vector, has no row
            d_rows = torch.ops.aten.embedding_dense_backward(g_ng, steps.symbols_n, len(steps.rows_kg), -1, False)
        return g_ng.sum(0), d_peepholes, d_rows


def join_inputs(xs: Sequence[Tensor], packing: Packing, operands: torch.dtype) -> Tensor:
    """Packed inputs side by side, (n, i), as an operand."""
    if len(xs) == 1 and xs[0].dtype == operands:
        return packing.pack(xs[0])
    x_ni = WORKSPACES.take((packing.total, sum(x.shape[2] for x in xs)), operands, xs[0].device)
    for part, x in zip(x_ni.split([x.shape[2] for x in xs], 1), xs, strict=True):
        part.copy_(packing.pack(x))
    return x_ni


class FusedBPTT(torch.autograd.Function):
    """(gates' arithmetic, packing, clip, operands' type, whether to keep what backward needs, symbols, h, c, the
    parameters, then each dense input and its weight) → (h_tbh, last h, last c)."""

    @staticmethod
    def forward(
        ctx, gates, packing, clip, operands, keep, symbols_tb, h_bh, c_bh, rows_kg, recurrent, peepholes, bias, *dense
    ):
        xs, weights = dense[0::2], dense[1::2]
        cells, total, batch = recurrent.shape[1], packing.total, packing.batch
        dtype, device, rounded = bias.dtype, bias.device, operands != bias.dtype

        def take(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
            return WORKSPACES.take(shape, dtype, device)

        x_ni = weight_ig = None
        if xs:
            weight_ig = torch.cat([gates.transpose(weight, operands) for weight in weights])
            x_ni = join_inputs(xs, packing, operands)

        with fastest_float32():
            g_ng = take(total, 4 * cells, dtype=gates.storage(dtype, operands))
            c_all = take(batch + total, cells)
            c_all[:batch] = packing.sort(c_bh)
            # h_t as operand; it is also the output unless operands are rounded or rows are packed
            h_all = take(batch + total, cells, dtype=operands)
            h_all[:batch] = packing.sort(h_bh)
            out_nh = take(total, cells) if rounded else None

            symbols_n = None if symbols_tb is None else packing.pack(symbols_tb).contiguous()
            rows_kg = None if rows_kg is None else rows_kg.contiguous()
            parameters = CellParameters(peepholes.contiguous(), bias.contiguous(), rows_kg, symbols_n)
            steps = Steps(packing, g_ng, c_all, parameters, clip)
            gates.fill(steps, x_ni, weight_ig)
            del x_ni  # joined once more in the backward pass: that is quicker done than memory is had
            recur = lay_out(recurrent.to(operands), batch)
            h_steps = h_all[batch:].split(packing.rows_at)
            out_steps = [None] * len(h_steps) if out_nh is None else out_nh.split(packing.rows_at)
            for t, (before, h, out) in enumerate(zip(steps.before(h_all, h_steps), h_steps, out_steps, strict=True)):
                gates.forward(steps, t, recur(before), h, out)

        if out_nh is None:
            out_nh = h_all[batch:]
        out_tbh, last_h, last_c = packing.unpack(out_nh), packing.last(out_nh), packing.last(c_all[batch:])
        own_h = None if out_tbh.untyped_storage().data_ptr() == h_all.untyped_storage().data_ptr() else h_all
        if keep:
            # an output among the saved tensors: autograd then refuses a backward pass after it was changed in place
            ctx.save_for_backward(*dense, recurrent, None if own_h is not None else h_all)
            ctx.buffers = (steps, own_h)
            ctx.gates, ctx.operands = gates, operands
            ctx.set_materialize_grads(False)
        return out_tbh, last_h, last_c

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out_tbh, d_last_h, d_last_c):
        if ctx.buffers is None:
            raise RuntimeError(
                "a second backward pass through a PeepholeLSTM: the first one overwrote the activations. "
                "Run the forward pass again, or build the layer with backend='reference'"
            )
        *dense, recurrent, h_saved = ctx.saved_tensors
        steps, own_h = ctx.buffers
        ctx.buffers = None
        gates, operands, packing = ctx.gates, ctx.operands, steps.packing
        xs, weights = dense[0::2], dense[1::2]
        batch, cells = packing.batch, recurrent.shape[1]
        h_all = h_saved if own_h is None else own_h
        needs_h, needs_c = ctx.needs_input_grad[6:8]

        if d_out_tbh is None:
            d_out_tbh = steps.c_all.new_zeros(1, 1, 1).expand(len(steps.g), batch, cells)
        d_out = packing.pack(d_out_tbh).contiguous().split(packing.rows_at)
        # rows past their length keep what comes from their last state, until the step at which they end
        d_h = recurrent.new_zeros(batch, cells, dtype=operands)
        d_c = steps.c_all.new_zeros(batch, cells)
        if d_last_h is not None:
            d_h.copy_(packing.sort(d_last_h))
        if d_last_c is not None:
            d_c.copy_(packing.sort(d_last_c))

        with fastest_float32():
            recur = lay_out(gates.transpose(recurrent, operands), batch)
            for t in reversed(range(len(steps.g))):
                rows = packing.rows_at[t]
                gates.backward(steps, t, d_out[t], d_h[:rows], d_c[:rows])
                if t or needs_h:
                    d_before = recur(steps.g[t].to(operands))
                    d_h = torch.cat([d_before, d_h[rows:]]) if rows < batch else d_before
            del d_out  # its memory serves what follows
            d_bias, d_peepholes, d_rows = gates.sums(steps)

            d_ng = steps.g_ng.to(operands)
            d_gn = gates.transpose(d_ng, operands)
            d_recurrent = torch.mm(d_gn, packing.before(h_all)).to(recurrent.dtype)
            d_dense = []
            if xs:
                d_weights = torch.mm(d_gn, join_inputs(xs, packing, operands)).to(recurrent.dtype)
                del d_gn
                d_weights = d_weights.split([x.shape[2] for x in xs], 1)
                for k, (weight, d_weight) in enumerate(zip(weights, d_weights, strict=True)):
                    d_x = None
                    if ctx.needs_input_grad[12 + 2 * k]:
                        d_x = packing.unpack(torch.mm(d_ng, weight.to(operands)).to(weight.dtype))
                    d_dense += [d_x, d_weight]
        return (
            *[None] * 6,
            packing.unsort(d_h.to(recurrent.dtype)) if needs_h else None,
            packing.unsort(d_c) if needs_c else None,
            *(d_rows, d_recurrent, d_peepholes, d_bias),
            *d_dense,
        )


def fused(weights, symbols_tb, dense, state, lengths_b, clip, precision, gates=None):
    """The back end `fused`: see `rnngen.cells.peephole_lstm.reference` for the arguments."""
    steps, batch = (symbols_tb if symbols_tb is not None else dense[0]).shape[:2]
    tensors = [*state, *(w for w in (weights.symbols_kg, *weights[2:]) if w is not None)]
    pairs = [tensor for pair in zip(dense, weights.dense_gi, strict=True) for tensor in pair]
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in (*tensors, *pairs))
    operands = torch.bfloat16 if precision == "bfloat16" else weights.bias_g.dtype
    out_tbh, h_bh, c_bh = FusedBPTT.apply(
        gates or EagerGates(),
        Packing(steps, batch, lengths_b),
        math.inf if clip is None else clip,
        operands,
        keep,
        symbols_tb,
        *state,
        weights.symbols_kg,
        *weights[2:],
        *pairs,
    )
    return out_tbh, (h_bh, c_bh)


def compiled(weights, symbols_tb, dense, state, lengths_b, clip, precision):
    """The back end `compiled`: `fused` with the gates in C; without a compiler, and in float64, `fused` itself."""
    return fused(weights, symbols_tb, dense, state, lengths_b, clip, precision, load_fitting_gates(weights.bias_g))

"""The first layer and the soft window (eq 46–52) with the backward pass written by hand (eq 56–60).

As `rnngen.cells.fused_lstm`, with one more pass per step: the layer's output gives the window, which joins the input of
the next step. What a step multiplies lies in one row, [w_{t−1} | h_{t−1} | x_t], so a step is one product with all of
the layer's weights, and one product after the loop gives all their derivatives. The window's parameters and κ stay in
the parameters' type, also with precision "bfloat16".

Shapes: t time, b sequence, i input, h cells, g = 4h gates, v alphabet, k window component, u position in the text;
n all steps of all sequences, packed (`rnngen.cells.packing.Packing`).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnngen.cells.c_kernels import CompiledGates, CompiledWindow, load_fitting_gates
from rnngen.cells.fused_lstm import EagerGates
from rnngen.cells.matmul import fastest_float32, lay_out
from rnngen.cells.packing import WORKSPACES, CellParameters, Packing, Steps
from rnngen.cells.peephole_lstm import Weights
from rnngen.cells.soft_window import WindowState, WindowTrace, WindowWeights


class EagerWindow:
    """A step of the window in torch's operations; `text_bu` and `text_lengths_b` are sorted as packed rows are.

    On a CPU the cost of a step is the number of its operations. So they write into buffers of the call, and the text is
    one-hot, 0 where it is padded: the sum over its places (eq 47) and its derivative are one batched product each, and
    no padded place needs a mask.
    """

    def __init__(self, text_bu: Tensor, text_lengths_b: Tensor, like: Tensor, alphabet: int, components: int):
        batch, places = text_bu.shape
        position_u = torch.arange(1, places + 1, device=text_bu.device)
        real_bu1 = (position_u <= text_lengths_b[:, None]).unsqueeze(2)
        codes_bu1 = text_bu.unsqueeze(2).masked_fill(~real_bu1, 0)
        self.text_buv = like.new_zeros(batch, places, alphabet).scatter_(2, codes_bu1, real_bu1.to(like.dtype))
        self.position_u = position_u.to(like.dtype)
        self.distance, self.bells = (like.new_empty(batch, components, places) for _ in range(2))
        self.phi_b1u = like.new_empty(batch, 1, places)

    def forward(self, a_b3k: Tensor, kappa_before: Tensor, kappa: Tensor, operand_bv: Tensor, out_bv: Tensor) -> None:
        """(α̂, β̂, κ̂) → (α, β, exp κ̂), in place; κ_t; w_t as the next product's operand and as output."""
        rows = len(a_b3k)
        alpha, beta, forward = a_b3k.exp_().chunk(3, 1)
        torch.add(kappa_before, forward, out=kappa)
        bells, _ = self._bells(beta, kappa)
        phi_b1u = torch.bmm(alpha.unsqueeze(1), bells, out=self.phi_b1u[:rows])
        torch.bmm(phi_b1u, self.text_buv[:rows], out=out_bv.unsqueeze(1))
        operand_bv.copy_(out_bv)

    def backward(
        self, a_b3k: Tensor, kappa: Tensor, d_out_bv: Tensor, d_later_bv: Tensor, d_hats_b3k: Tensor, d_kappa: Tensor
    ) -> None:
        """Eq 56–60: derivatives of (α̂, β̂, κ̂); d_kappa: of κ_t → of κ_{t−1}."""
        rows = len(a_b3k)
        alpha, beta, forward = a_b3k.chunk(3, 1)
        d_phi_bu1 = torch.bmm(self.text_buv[:rows], (d_out_bv + d_later_bv).unsqueeze(2))
        bells, distance = self._bells(beta, kappa)
        d_alpha, d_beta, d_forward = d_hats_b3k.chunk(3, 1)
        # Σ_u of ε, of ε (κ − u) and of ε (κ − u)², where ε = α exp(−β (κ − u)²) dφ(u)
        torch.mul(torch.bmm(bells, d_phi_bu1).squeeze(2), alpha, out=d_alpha)
        first = torch.bmm(bells.mul_(distance), d_phi_bu1).squeeze(2).mul_(alpha)
        second = torch.bmm(bells.mul_(distance), d_phi_bu1).squeeze(2).mul_(alpha)
        d_kappa.addcmul_(beta, first, value=-2)
        torch.mul(beta, second.neg_(), out=d_beta)
        torch.mul(d_kappa, forward, out=d_forward)

    def _bells(self, beta: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """exp(−β (κ − u)²) and κ − u, (B, K, U)."""
        rows = len(beta)
        distance = torch.sub(kappa.unsqueeze(2), self.position_u, out=self.distance[:rows])
        bells = torch.mul(distance, distance, out=self.bells[:rows])
        return bells.mul_(-beta.unsqueeze(2)).exp_(), distance


class WindowBPTT(torch.autograd.Function):
    """(arithmetic of gates and window, packing, clip, operands' type, whether to keep what backward needs, x, h, c, w,
    κ, the layer's parameters, the window's) → (h_tbh, w_tbv, last h, c, w, κ, then α, β, κ at every step)."""

    @staticmethod
    def forward(
        ctx, gates, window, packing, clip, operands, keep, x_tbi, h_bh, c_bh, w_bv, kappa_bk,
        weight_x, weight_w, recurrent, peepholes, bias, weight_p, bias_p,
    ):  # fmt: skip
        cells, alphabet, inputs = recurrent.shape[1], weight_w.shape[1], weight_x.shape[1]
        total, batch = packing.total, packing.batch
        dtype, device = bias.dtype, bias.device

        def take(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
            return WORKSPACES.take(shape, dtype, device)

        with fastest_float32():
            # rows [w | h | x]: w and h of a step beside x of the step after it, the initial w and h first
            rows_all = take(batch + total, alphabet + cells + inputs, dtype=operands)
            w_all, h_all, x_all = rows_all.split([alphabet, cells, inputs], 1)
            w_all[:batch], h_all[:batch] = packing.sort(w_bv), packing.sort(h_bh)
            if packing.whole:
                x_all[:total] = packing.pack(x_tbi)
            else:
                x_all.index_copy_(0, packing.before_n, packing.pack(x_tbi).to(operands))
            g_ng = take(total, 4 * cells, dtype=gates.storage(dtype, operands))
            c_all, kappa_all = take(batch + total, cells), take(batch + total, kappa_bk.shape[1])
            c_all[:batch], kappa_all[:batch] = packing.sort(c_bh), packing.sort(kappa_bk)
            a_n3k = take(total, len(bias_p))
            out_nh, out_nv = take(total, cells), take(total, alphabet)

            steps = Steps(
                packing, g_ng, c_all, CellParameters(peepholes.contiguous(), bias.contiguous(), None, None), clip
            )
            gates.fill(steps, None, None)
            recur = lay_out(torch.cat([weight.to(operands) for weight in (weight_w, recurrent, weight_x)], 1), batch)
            weight_hp = weight_p.t().contiguous()
            cut = [x[batch:].split(packing.rows_at) for x in (rows_all, w_all, h_all, kappa_all)]
            rows_before, kappa_before = steps.before(rows_all, cut[0]), steps.before(kappa_all, cut[3])
            outputs = [x.split(packing.rows_at) for x in (out_nh, out_nv, a_n3k)]
            for t, (_, w, h, kappa, out_h, out_w, a) in enumerate(zip(*cut, *outputs, strict=True)):
                gates.forward(steps, t, recur(rows_before[t]), h, out_h)
                torch.addmm(bias_p, out_h, weight_hp, out=a)
                window.forward(a, kappa_before[t], kappa, w, out_w)

        alpha_nk, beta_nk, _ = a_n3k.chunk(3, 1)
        trace = [packing.unpack(x.clone()) for x in (alpha_nk, beta_nk, kappa_all[batch:])]
        ctx.mark_non_differentiable(*trace)
        last = [packing.last(x) for x in (out_nh, c_all[batch:], out_nv, kappa_all[batch:])]
        if keep:
            ctx.save_for_backward(x_tbi, weight_x, weight_w, recurrent, weight_p, out_nh)
            ctx.buffers = (steps, rows_all, kappa_all, a_n3k)
            ctx.gates, ctx.window, ctx.operands = gates, window, operands
            ctx.set_materialize_grads(False)
        return packing.unpack(out_nh), packing.unpack(out_nv), *last, *trace

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out_tbh, d_out_tbv, d_last_h, d_last_c, d_last_w, d_last_kappa, *_trace):
        if ctx.buffers is None:
            raise RuntimeError(
                "a second backward pass through the soft window's layer: the first one overwrote the activations. "
                "Run the forward pass again, or build the network with backend='reference'"
            )
        x_tbi, weight_x, weight_w, recurrent, weight_p, out_nh = ctx.saved_tensors
        steps, rows_all, kappa_all, a_n3k = ctx.buffers
        ctx.buffers = None
        gates, window, operands, packing = ctx.gates, ctx.window, ctx.operands, steps.packing
        cells, alphabet, inputs = recurrent.shape[1], weight_w.shape[1], weight_x.shape[1]
        batch, rows_at = packing.batch, packing.rows_at

        def pack(d_tb: Tensor | None, width: int) -> tuple[Tensor, ...]:
            if d_tb is None:
                return recurrent.new_zeros(packing.total, width).split(rows_at)
            return packing.pack(d_tb).contiguous().split(rows_at)

        def sort_or_zero(d_b: Tensor | None, width: int) -> Tensor:
            d = recurrent.new_zeros(batch, width)
            return d if d_b is None else d.copy_(packing.sort(d_b))

        d_out_h, d_out_w = pack(d_out_tbh, cells), pack(d_out_tbv, alphabet)
        # rows past their length keep what comes from their last state, until the step at which they end
        d_wh = torch.cat([sort_or_zero(d_last_w, alphabet), sort_or_zero(d_last_h, cells)], 1).to(operands)
        d_c, d_kappa = sort_or_zero(d_last_c, cells), sort_or_zero(d_last_kappa, kappa_all.shape[1])
        d_hats_n3k = torch.empty_like(a_n3k)
        d_hats, a, kappa = d_hats_n3k.split(rows_at), a_n3k.split(rows_at), kappa_all[batch:].split(rows_at)

        with fastest_float32():
            recur = lay_out(torch.cat([gates.transpose(weight, operands) for weight in (weight_w, recurrent)]), batch)
            for t in reversed(range(len(rows_at))):
                rows = rows_at[t]
                window.backward(a[t], kappa[t], d_out_w[t], d_wh[:rows, :alphabet], d_hats[t], d_kappa[:rows])
                d_h = torch.addmm(d_out_h[t], d_hats[t], weight_p)
                gates.backward(steps, t, d_h, d_wh[:rows, alphabet:], d_c[:rows])
                d_before = recur(steps.g[t].to(operands))
                d_wh = torch.cat([d_before, d_wh[rows:]]) if rows < batch else d_before
            d_bias, d_peepholes, _ = gates.sums(steps)

            d_ng = steps.g_ng.to(operands)
            d_weights = torch.mm(gates.transpose(d_ng, operands), packing.before(rows_all)).to(recurrent.dtype)
            d_weight_w, d_recurrent, d_weight_x = d_weights.split([alphabet, cells, inputs], 1)
            d_x = None
            if ctx.needs_input_grad[6]:
                d_x = packing.unpack(torch.mm(d_ng, weight_x.to(operands)).to(x_tbi.dtype))
            d_weight_p = torch.mm(d_hats_n3k.t(), out_nh)
        d_w, d_h = d_wh.to(recurrent.dtype).split([alphabet, cells], 1)
        return (
            *[None] * 6,
            d_x,
            *(packing.unsort(d) for d in (d_h, d_c, d_w, d_kappa)),
            *(d_weight_x, d_weight_w, d_recurrent, d_peepholes, d_bias, d_weight_p, d_hats_n3k.sum(0)),
        )


def fused_window_layer(
    weights: Weights,
    to_window: WindowWeights,
    x_tbi: Tensor,
    text_bu: Tensor,
    text_lengths_b: Tensor,
    state: WindowState,
    lengths_b: Tensor | None,
    clip: float | None,
    precision: str,
    *,
    gates: CompiledGates | None = None,
) -> tuple[Tensor, Tensor, WindowState, WindowTrace]:
    """`rnngen.cells.soft_window.window_layer` with one product per step and one backward pass."""
    steps, batch = x_tbi.shape[:2]
    longest = steps if lengths_b is None else int(lengths_b.max())
    packing = Packing(longest, batch, lengths_b)
    operands = torch.bfloat16 if precision == "bfloat16" else weights.bias_g.dtype
    text = (packing.sort(text_bu), packing.sort(text_lengths_b), weights.bias_g)
    alphabet, components = state.window_bv.shape[1], state.kappa_bk.shape[1]
    tensors = (x_tbi[:longest], *state, *weights.dense_gi, *weights[2:], *to_window)
    h_tbh, w_tbv, *rest = WindowBPTT.apply(
        gates or EagerGates(),
        EagerWindow(*text, alphabet, components) if gates is None else CompiledWindow(*text, gates.kernels, operands),
        packing,
        math.inf if clip is None else clip,
        operands,
        torch.is_grad_enabled() and any(x.requires_grad for x in tensors),
        *tensors,
    )
    last, trace = rest[:4], rest[4:]
    if longest < steps:
        past = (0, 0, 0, 0, 0, steps - longest)
        h_tbh, w_tbv, *trace = (F.pad(x, past) for x in (h_tbh, w_tbv, *trace))
    return h_tbh, w_tbv, WindowState(*last), WindowTrace(*trace)


def compiled_window_layer(weights: Weights, *arguments: Any) -> tuple[Tensor, Tensor, WindowState, WindowTrace]:
    """`fused_window_layer` with gates and window in C; without a compiler, and in float64, `fused_window_layer`."""
    return fused_window_layer(weights, *arguments, gates=load_fitting_gates(weights.bias_g))

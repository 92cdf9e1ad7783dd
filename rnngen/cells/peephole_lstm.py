"""The LSTM layer of eq 7–11: peepholes, full back-propagation through time, derivatives clipped at every step.

    i_t = σ(W_xi x_t + W_hi h_{t-1} + w_ci ∘ c_{t-1} + b_i)        (7)
    f_t = σ(W_xf x_t + W_hf h_{t-1} + w_cf ∘ c_{t-1} + b_f)        (8)
    c_t = f_t ∘ c_{t-1} + i_t ∘ tanh(W_xc x_t + W_hc h_{t-1} + b_c)    (9)
    o_t = σ(W_xo x_t + W_ho h_{t-1} + w_co ∘ c_t + b_o)            (10)
    h_t = o_t ∘ tanh(c_t)                                        (11)

Peepholes are diagonal: i and f see the cell before the step, o sees it after. Gates are ordered i, f, g, o everywhere,
g being the cell's input. Clipping is the paper's (§2.1, footnote): the derivatives of the loss with respect to the four
pre-activations of every cell are clipped elementwise at every time step, inside the backward pass, so the clipped ones
flow to the weights, to the layer below and to h_{t-1}. The path from c_t to c_{t-1} is not clipped, nor are weight
gradients.

Several back ends (`rnngen.cells.backends`) compute the same function; `reference` below is the one to read.

Shapes: t time, b batch, i input, h cells, k symbols; 4h the four gates side by side.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rnngen.cells.packing import within

State = tuple[Tensor, Tensor]
"""(h_bh, c_bh): what the layer carries from one step to the next."""


class Weights(NamedTuple):
    """The parameters of one layer, as every back end receives them."""

    symbols_kg: Tensor | None  # (K, 4H): one row per symbol
    dense_gi: tuple[Tensor, ...]  # (4H, I) for each dense input
    recurrent_gh: Tensor  # (4H, H)
    peepholes_3h: Tensor  # i, f, o
    bias_g: Tensor  # (4H,)


class ClipDerivative(torch.autograd.Function):
    """The identity, whose derivative is clipped elementwise to [−bound, bound]; NaN stays NaN."""

    @staticmethod
    def forward(ctx, x: Tensor, bound: float) -> Tensor:
        ctx.bound = bound
        return x.view_as(x)

    @staticmethod
    def backward(ctx, derivative: Tensor) -> tuple[Tensor, None]:
        return derivative.clamp(-ctx.bound, ctx.bound), None


def product(x: Tensor, weight: Tensor, precision: str) -> Tensor:
    """x Wᵀ; with precision "bfloat16" both are rounded to bfloat16 first and the result comes back in x's type."""
    if precision == "bfloat16":
        return F.linear(x.bfloat16(), weight.bfloat16()).to(x.dtype)
    return F.linear(x, weight)


def lstm_step(a_bg: Tensor, c_bh: Tensor, peepholes_3h: Tensor, clip: float | None) -> State:
    """Eq 7–11 from the products on: a_bg is W_x x_t + W_h h_{t−1} + b of the four gates, c_bh is c_{t−1}.

    Returns (h_t, c_t). The derivatives of the four pre-activations are clipped to ±clip on their way back.
    """

    def clip_derivative(pre_activation: Tensor) -> Tensor:
        return pre_activation if clip is None else ClipDerivative.apply(pre_activation, clip)

    peep_i, peep_f, peep_o = peepholes_3h
    a_i, a_f, a_g, a_o = a_bg.chunk(4, 1)
    i = torch.sigmoid(clip_derivative(a_i + peep_i * c_bh))
    f = torch.sigmoid(clip_derivative(a_f + peep_f * c_bh))
    c = f * c_bh + i * torch.tanh(clip_derivative(a_g))
    o = torch.sigmoid(clip_derivative(a_o + peep_o * c))
    return o * torch.tanh(c), c


def reference(
    weights: Weights,
    symbols_tb: Tensor | None,
    dense: Sequence[Tensor],
    state: State,
    lengths_b: Tensor | None,
    clip: float | None,
    precision: str,
) -> tuple[Tensor, State]:
    """Eq 7–11 one step after the other, differentiated by autograd."""
    h, c = state
    steps = len(symbols_tb) if symbols_tb is not None else len(dense[0])
    within_tb1 = None
    if lengths_b is not None:
        within_tb1 = within(lengths_b, steps).unsqueeze(2).to(h.device)

    input_tbg = weights.bias_g.expand(steps, len(h), -1)
    if symbols_tb is not None and weights.symbols_kg is not None:
        if within_tb1 is not None:
            symbols_tb = symbols_tb.masked_fill(~within_tb1[:, :, 0], -1)
        rows_tbg = F.embedding(symbols_tb.clamp(min=0), weights.symbols_kg)
        input_tbg = input_tbg + rows_tbg.masked_fill(symbols_tb.unsqueeze(2) < 0, 0)
    for x, weight in zip(dense, weights.dense_gi, strict=True):
        input_tbg = input_tbg + product(x if within_tb1 is None else x.masked_fill(~within_tb1, 0), weight, precision)

    outputs = []
    # unbind, not input_tbg[t]: the derivative of each [t] would be a zero tensor of the whole sequence's size
    for t, input_bg in enumerate(input_tbg.unbind(0)):
        new_h, new_c = lstm_step(input_bg + product(h, weights.recurrent_gh, precision), c, weights.peepholes_3h, clip)
        if within_tb1 is None:
            h, c = new_h, new_c
            outputs.append(h)
        else:
            h, c = torch.where(within_tb1[t], new_h, h), torch.where(within_tb1[t], new_c, c)
            outputs.append(new_h.masked_fill(~within_tb1[t], 0))
    return torch.stack(outputs), (h, c)

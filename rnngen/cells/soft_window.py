"""The soft window over the characters of a text, stepped together with the first layer (§5.1, eq 46–52).

The readable reference: plain differentiable operations in any floating-point type.

Shapes: t time, b sequence, h cells, v alphabet, k window component, u position in the text (1 … U as in the paper).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from rnngen.cells.packing import within
from rnngen.cells.peephole_lstm import Weights, lstm_step, product


class WindowState(NamedTuple):
    """What the first layer and the window carry from step to step; all zero before the first."""

    h_bh: Tensor
    c_bh: Tensor
    window_bv: Tensor
    kappa_bk: Tensor


class WindowTrace(NamedTuple):
    """Parameters of the window at every step (T, B, K), detached: what is needed to draw φ (Figure 13)."""

    alpha_tbk: Tensor
    beta_tbk: Tensor
    kappa_tbk: Tensor


def phi(alpha: Tensor, beta: Tensor, kappa: Tensor, positions: int) -> Tensor:
    """φ(t, u) = Σ_k α_k exp(−β_k (κ_k − u)²) at u = 1 … positions; (…, K) gives (…, positions) (eq 46).

    Not normalised. Position U + 1, one past a text of U characters, is where the stopping rule of §5.3 looks.
    """
    u = torch.arange(1, positions + 1, dtype=kappa.dtype, device=kappa.device)
    return (alpha.unsqueeze(-1) * torch.exp(-beta.unsqueeze(-1) * (kappa.unsqueeze(-1) - u).square())).sum(-2)


def soft_window(
    hat_b3k: Tensor, kappa_bk: Tensor, text_bu: Tensor, real_bu: Tensor, alphabet_size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step of the window: (α̂, β̂, κ̂) and the previous κ give w (B, V) and α, β, κ (B, K) (eq 46–51).

    `text_bu` are character indices and `real_bu` says which of them belong to the text. κ only moves forward.
    """
    alpha_hat, beta_hat, kappa_hat = hat_b3k.chunk(3, -1)
    alpha_bk, beta_bk = alpha_hat.exp(), beta_hat.exp()
    kappa_bk = kappa_bk + kappa_hat.exp()
    phi_bu = phi(alpha_bk, beta_bk, kappa_bk, text_bu.shape[1]).where(real_bu, 0)
    # Σ_u φ(t, u) c_u with one-hot c_u: what falls on equal characters adds up
    window_bv = phi_bu.new_zeros(len(text_bu), alphabet_size).scatter_add(1, text_bu.where(real_bu, 0), phi_bu)
    return window_bv, alpha_bk, beta_bk, kappa_bk


class WindowWeights(NamedTuple):
    """The weights that give the window's parameters from the first layer's output (eq 48)."""

    parameters_3kh: Tensor  # α̂[K], β̂[K], κ̂[K]
    bias_3k: Tensor


def window_layer(
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
    """Step the first layer and the window through a sequence.

    `weights` are those of a `PeepholeLSTM` with two dense inputs, the data and the window; the window of step t − 1 is
    an input of the layer at t (eq 52). The other arguments are as in `rnngen.cells.peephole_lstm.reference`.

    Returns h (T, B, H) and w (T, B, V), both 0 past a sequence's length, the state at each sequence's last step, and
    the window's parameters at every step (without meaning past a length).
    """
    steps = len(x_tbi)
    weight_x, weight_window = weights.dense_gi
    real_bu = within(text_lengths_b, text_bu.shape[1]).t()
    within_tb1 = None
    if lengths_b is not None:
        within_tb1 = within(lengths_b, steps).unsqueeze(-1)
        x_tbi = x_tbi.masked_fill(~within_tb1, 0)  # so that no padded value is read, not even multiplied by 0
    input_tbg = product(x_tbi, weight_x, precision) + weights.bias_g

    h, c, window, kappa = state
    outputs, windows, traces = [], [], []
    for t, input_bg in enumerate(input_tbg.unbind(0)):
        recurrent_bg = product(window, weight_window, precision) + product(h, weights.recurrent_gh, precision)
        new_h, new_c = lstm_step(input_bg + recurrent_bg, c, weights.peepholes_3h, clip)
        hat_b3k = torch.addmm(to_window.bias_3k, new_h, to_window.parameters_3kh.t())
        new_window, alpha, beta, new_kappa = soft_window(hat_b3k, kappa, text_bu, real_bu, window.shape[1])
        if within_tb1 is None:
            h, c, window, kappa = new_h, new_c, new_window, new_kappa
            outputs.append(h)
            windows.append(window)
        else:
            now = within_tb1[t]
            h, c = torch.where(now, new_h, h), torch.where(now, new_c, c)
            window, kappa = torch.where(now, new_window, window), torch.where(now, new_kappa, kappa)
            outputs.append(new_h.masked_fill(~now, 0))
            windows.append(new_window.masked_fill(~now, 0))
        traces.append(torch.stack([alpha, beta, new_kappa]).detach())
    trace = WindowTrace(*torch.stack(traces, 1))
    return torch.stack(outputs), torch.stack(windows), WindowState(h, c, window, kappa), trace

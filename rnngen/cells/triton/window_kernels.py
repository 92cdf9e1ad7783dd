"""The soft window of eq 46–51 as Triton kernels, forwards and backwards, one program for each sequence of the batch.

They stand between the gates' kernels and the products of `rnngen.cells.triton.window_layer`; what is said in
`rnngen.cells.triton.lstm_kernels` of types, lengths and padding holds here too. Everything is in the type of the cells.

Shapes: t time, b sequence, h cells, v alphabet, k window components (a power of two, at least as many as there are),
p = 3k parameters α̂, β̂, κ̂ in rows of k; u positions of the text, the first of them 0 here.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["t", "batch", "positions"])
def window_forward(
    s_tbr, h_tbh, w_tbv, weight_ph, bias_p, alpha_tbk, beta_tbk, delta_tbk, kappa_tbk, text_bu, text_lengths_b,
    lengths_b, t, batch, positions,
    COMPONENTS: tl.constexpr, K: tl.constexpr, H: tl.constexpr, ROW: tl.constexpr, V: tl.constexpr,
    WIDTH: tl.constexpr, CELLS: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    """h_t → α_t, β_t, κ_t and the step δ of κ; w_t, rounded, beside h in the next step's row of s, and unrounded.

    `kappa_tbk` has one step more than the others, the one before the first. `h_tbh` is what the gates' kernel has just
    made. WIDTH is V rounded up to a power of two, CELLS and POSITIONS how many of these are taken at a time.
    """
    b = tl.program_id(0)
    k = tl.arange(0, K)
    v = tl.arange(0, WIDTH)
    at = (t * batch + b).to(tl.int64)
    real = h_tbh.dtype.element_ty

    alpha_hat = tl.load(bias_p + k)
    beta_hat = tl.load(bias_p + K + k)
    kappa_hat = tl.load(bias_p + 2 * K + k)
    for first in range(0, H, CELLS):
        j = first + tl.arange(0, CELLS)
        h = tl.load(h_tbh + at * H + j, mask=j < H, other=0)[None, :]
        weight = weight_ph + k[:, None] * H + j[None, :]
        inside = (j < H)[None, :] & (k >= 0)[:, None]
        alpha_hat += tl.sum(tl.load(weight, mask=inside, other=0) * h, 1)
        beta_hat += tl.sum(tl.load(weight + K * H, mask=inside, other=0) * h, 1)
        kappa_hat += tl.sum(tl.load(weight + 2 * K * H, mask=inside, other=0) * h, 1)
    alpha = tl.where(k < COMPONENTS, tl.exp(alpha_hat), 0)
    beta, delta = tl.exp(beta_hat), tl.exp(kappa_hat)
    kappa = tl.load(kappa_tbk + at * K + k) + delta

    w = tl.zeros((WIDTH,), real)
    for first in range(0, positions, POSITIONS):
        u = first + tl.arange(0, POSITIONS)
        there = u < tl.load(text_lengths_b + b + 0 * u)
        character = tl.load(text_bu + b * positions + u, mask=there, other=-1)
        away = kappa[:, None] - (u + 1)[None, :].to(real)
        phi = tl.sum(alpha[:, None] * tl.exp(-beta[:, None] * away * away), 0)
        w += tl.sum(tl.where(character[:, None] == v[None, :], phi[:, None], 0), 0)

    w = tl.where(t < tl.load(lengths_b + b + 0 * v), w, 0)
    tl.store(w_tbv + at * V + v, w, mask=v < V)
    tl.store(s_tbr + (at + batch) * ROW + H + v, w.to(s_tbr.dtype.element_ty), mask=v < V)
    tl.store(alpha_tbk + at * K + k, alpha)
    tl.store(beta_tbk + at * K + k, beta)
    tl.store(delta_tbk + at * K + k, delta)
    tl.store(kappa_tbk + (at + batch) * K + k, kappa)


@triton.jit(do_not_specialize=["t", "batch", "positions"])
def window_backward(
    d_h_tbh, d_w_tbv, r_br, d_last_w_bv, d_last_kappa_bk, d_kappa_bk, d_hat_tbp, weight_ph, alpha_tbk, beta_tbk,
    delta_tbk, kappa_tbk, text_bu, text_lengths_b, lengths_b, t, batch, positions,
    COMPONENTS: tl.constexpr, K: tl.constexpr, H: tl.constexpr, ROW: tl.constexpr, V: tl.constexpr,
    CELLS: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    """Derivatives with respect to w_t → α̂, β̂, κ̂ (`d_hat_tbp`), added to those of h_t; d_kappa: of κ_t → of κ_{t−1}.

    Those of w_t come from the layers above, from the product of the step after this one (`r_br`, behind the columns of
    h) and, at a sequence's last step, from its last state.
    """
    b = tl.program_id(0)
    k = tl.arange(0, K)
    at = (t * batch + b).to(tl.int64)
    real = d_h_tbh.dtype.element_ty

    alpha, beta = tl.load(alpha_tbk + at * K + k), tl.load(beta_tbk + at * K + k)
    delta, kappa = tl.load(delta_tbk + at * K + k), tl.load(kappa_tbk + (at + batch) * K + k)
    d_alpha = tl.zeros((K,), real)
    d_beta = tl.zeros((K,), real)
    d_kappa = tl.zeros((K,), real)
    for first in range(0, positions, POSITIONS):
        u = first + tl.arange(0, POSITIONS)
        length = tl.load(lengths_b + b + 0 * u)
        there = (u < tl.load(text_lengths_b + b + 0 * u)) & (t < length)
        character = tl.load(text_bu + b * positions + u, mask=there, other=0)
        d_phi = tl.load(d_w_tbv + at * V + character, mask=there, other=0)
        d_phi += tl.load(r_br + b * ROW + H + character, mask=there & (t + 1 < length), other=0).to(real)
        d_phi += tl.load(d_last_w_bv + b * V + character, mask=there & (t + 1 == length), other=0)
        away = kappa[:, None] - (u + 1)[None, :].to(real)
        bell = tl.exp(-beta[:, None] * away * away) * d_phi[None, :]
        d_alpha += tl.sum(bell, 1)
        d_beta -= tl.sum(bell * away * away, 1)
        d_kappa -= tl.sum(bell * away, 1)
    length = tl.load(lengths_b + b + 0 * k)
    running = (t < length) & (k < COMPONENTS)
    inner = (t + 1 < length) & (k < COMPONENTS)
    last = (t + 1 == length) & (k < COMPONENTS)
    d_kappa = 2 * alpha * beta * d_kappa + tl.load(d_kappa_bk + b * K + k, mask=inner, other=0)
    d_kappa += tl.load(d_last_kappa_bk + b * K + k, mask=last, other=0)
    d_alpha_hat = tl.where(running, alpha * d_alpha, 0)
    d_beta_hat = tl.where(running, alpha * beta * d_beta, 0)
    d_kappa_hat = tl.where(running, delta * d_kappa, 0)
    tl.store(d_hat_tbp + at * (3 * K) + k, d_alpha_hat)
    tl.store(d_hat_tbp + at * (3 * K) + K + k, d_beta_hat)
    tl.store(d_hat_tbp + at * (3 * K) + 2 * K + k, d_kappa_hat)
    tl.store(d_kappa_bk + b * K + k, tl.where(running, d_kappa, 0))

    for first in range(0, H, CELLS):
        j = first + tl.arange(0, CELLS)
        weight = weight_ph + k[:, None] * H + j[None, :]
        inside = (j < H)[None, :] & (k >= 0)[:, None]
        d_h = tl.sum(tl.load(weight, mask=inside, other=0) * d_alpha_hat[:, None], 0)
        d_h += tl.sum(tl.load(weight + K * H, mask=inside, other=0) * d_beta_hat[:, None], 0)
        d_h += tl.sum(tl.load(weight + 2 * K * H, mask=inside, other=0) * d_kappa_hat[:, None], 0)
        d_h += tl.load(d_h_tbh + at * H + j, mask=j < H, other=0)
        tl.store(d_h_tbh + at * H + j, d_h, mask=j < H)

"""The gates of eq 7–11 as Triton kernels, forwards and backwards, for a diagonal of a stack of layers at once.

On diagonal d layer l stands at step t = d − l: it needs layer l − 1 at t and itself at t − 1, both of diagonal d − 1.
So all layers of a diagonal are one launch (lstm_stack.py does the products between two launches); a single layer
is a stack of one. The kernels run on CUDA; with TRITON_INTERPRET=1 in the environment they run on a CPU, slowly, which
is how they are tested without a card.

Arithmetic is in the type of the cells c (float32 or float64); the gates, h and the products may be bfloat16. Clipping
acts before anything is rounded. Rows past their sequence's length are neither read nor computed: gates, c and h are 0
there, and so are all derivatives. Padded cells (H is rounded up for the matrix units) have weights of zero, so that
g = tanh(0) = 0 and they stay exactly 0, their derivatives too.

Shapes: l layer, t time, b sequence, h cells, g = 4h gates (i, f, g, o), s slab: h of the layer below, then h of the
layer itself; k one of the 2h (or h) inputs of the recurrent product; n = t·b.
"""

import triton
import triton.language as tl


@triton.jit
def tanh(x):
    e = tl.exp(-2 * tl.abs(x))
    y = (1 - e) / (1 + e)
    return tl.where(x < 0, -y, y)


@triton.jit
def sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def clamp(x, bound):
    # two comparisons and not minimum and maximum: NaN stays NaN
    return tl.where(x > bound, bound, tl.where(x < -bound, -bound, x))


@triton.jit(do_not_specialize=["diagonal", "lowest", "steps", "batch"])
def gates_forward(
    g_ltbg, r_lbg, c_ltbh, s_dbsh, out_ltbh, bias_lg, peepholes_l3h, lengths_b, diagonal, lowest, steps, batch,
    H: tl.constexpr, ROW: tl.constexpr, LOWER: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Pre-activations → activations, in place; c_t; h_t into the slabs of the next diagonal.

    `r_lbg` holds the recurrent products of this diagonal. `steps` is how many the buffers hold; c has one step more
    than g, the state before the first. A row of slabs is ROW numbers long. With WIDE, h also goes to `out_ltbh`
    unrounded. Grid: (blocks of batch × H, layers of the diagonal from `lowest` up).
    """
    layer = lowest + tl.program_id(1)
    t = diagonal - layer
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < batch * H
    b, j = at // H, at % H
    running = inside & (t < tl.load(lengths_b + b, mask=inside, other=0))

    g = g_ltbg + (layer * steps + t).to(tl.int64) * (batch * 4 * H) + b * (4 * H) + j
    r = r_lbg + layer.to(tl.int64) * (batch * 4 * H) + b * (4 * H) + j
    c_before = c_ltbh + (layer * (steps + 1) + t).to(tl.int64) * (batch * H) + at
    bias, peepholes = bias_lg + layer * (4 * H) + j, peepholes_l3h + layer * (3 * H) + j

    c = tl.load(c_before, mask=running, other=0)
    real = c.dtype
    a_i = tl.load(g, mask=running, other=0).to(real) + tl.load(r, mask=running, other=0).to(real)
    a_f = tl.load(g + H, mask=running, other=0).to(real) + tl.load(r + H, mask=running, other=0).to(real)
    a_z = tl.load(g + 2 * H, mask=running, other=0).to(real) + tl.load(r + 2 * H, mask=running, other=0).to(real)
    a_o = tl.load(g + 3 * H, mask=running, other=0).to(real) + tl.load(r + 3 * H, mask=running, other=0).to(real)

    i = sigmoid(a_i + tl.load(bias, mask=running, other=0) + tl.load(peepholes, mask=running, other=0) * c)
    f = sigmoid(a_f + tl.load(bias + H, mask=running, other=0) + tl.load(peepholes + H, mask=running, other=0) * c)
    z = tanh(a_z + tl.load(bias + 2 * H, mask=running, other=0))
    c = f * c + i * z
    peep_o = tl.load(peepholes + 2 * H, mask=running, other=0)
    o = sigmoid(a_o + tl.load(bias + 3 * H, mask=running, other=0) + peep_o * c)
    h = tl.where(running, o * tanh(c), 0)

    stored = g_ltbg.dtype.element_ty
    tl.store(g, tl.where(running, i, 0).to(stored), mask=inside)
    tl.store(g + H, tl.where(running, f, 0).to(stored), mask=inside)
    tl.store(g + 2 * H, tl.where(running, z, 0).to(stored), mask=inside)
    tl.store(g + 3 * H, tl.where(running, o, 0).to(stored), mask=inside)
    tl.store(c_before + batch * H, tl.where(running, c, 0), mask=inside)
    s = s_dbsh + (diagonal + 1).to(tl.int64) * (batch * ROW) + b * ROW + (layer + LOWER) * H + j
    tl.store(s, h.to(stored), mask=inside)
    if WIDE:
        tl.store(out_ltbh + (layer * steps + t).to(tl.int64) * (batch * H) + at, h, mask=inside)


@triton.jit(do_not_specialize=["diagonal", "lowest", "steps", "batch"])
def gates_backward(
    g_ltbg, r_lbk, c_ltbh, d_out_ltbh, d_c_lbh, d_last_h_lbh, d_last_c_lbh, peepholes_l3h, lengths_b, clip,
    diagonal, lowest, steps, batch,
    H: tl.constexpr, ROW: tl.constexpr, LAYERS: tl.constexpr, LOWER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Activations → clipped derivatives of the pre-activations, in place; d_c: of c_t → of c_{t−1}.

    `r_lbk` holds the products of the diagonal after this one, in rows of ROW numbers: for layer l the derivative with
    respect to h of the layer below (columns 0 … H − 1, if LOWER), then to its own h one step before. The derivatives
    with respect to a sequence's last state enter at its last step. `clip` is a tensor of one element.
    """
    layer = lowest + tl.program_id(1)
    t = diagonal - layer
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < batch * H
    b, j = at // H, at % H
    length = tl.load(lengths_b + b, mask=inside, other=0)
    running = inside & (t < length)
    inner = inside & (t + 1 < length)
    last = inside & (t + 1 == length)

    step = (layer * steps + t).to(tl.int64)
    g = g_ltbg + step * (batch * 4 * H) + b * (4 * H) + j
    r = r_lbk + layer.to(tl.int64) * (batch * ROW) + b * ROW + j
    c_before = c_ltbh + (step + layer) * (batch * H) + at  # c has one more step per layer
    state = layer.to(tl.int64) * (batch * H) + at
    peepholes = peepholes_l3h + layer * (3 * H) + j
    bound = tl.load(clip)

    before = tl.load(c_before, mask=running, other=0)
    real = before.dtype
    i = tl.load(g, mask=running, other=0).to(real)
    f = tl.load(g + H, mask=running, other=0).to(real)
    z = tl.load(g + 2 * H, mask=running, other=0).to(real)
    o = tl.load(g + 3 * H, mask=running, other=0).to(real)
    y = tanh(tl.load(c_before + batch * H, mask=running, other=0))

    d_h = tl.load(d_out_ltbh + step * (batch * H) + at, mask=running, other=0)
    d_h += tl.load(r + LOWER * H, mask=inner, other=0).to(real)
    if LOWER:
        above = running & (layer + 1 + 0 * j < LAYERS)
        d_h += tl.load(r + batch * ROW, mask=above, other=0).to(real)
    d_h += tl.load(d_last_h_lbh + state, mask=last, other=0)
    d_c = tl.load(d_c_lbh + state, mask=inner, other=0) + tl.load(d_last_c_lbh + state, mask=last, other=0)

    d_o = clamp(d_h * y * o * (1 - o), bound)
    d_c += d_h * o * (1 - y * y) + d_o * tl.load(peepholes + 2 * H, mask=running, other=0)
    d_i = clamp(d_c * z * i * (1 - i), bound)
    d_f = clamp(d_c * before * f * (1 - f), bound)
    d_z = clamp(d_c * i * (1 - z * z), bound)
    d_c = d_c * f + d_i * tl.load(peepholes, mask=running, other=0)
    d_c += d_f * tl.load(peepholes + H, mask=running, other=0)

    stored = g_ltbg.dtype.element_ty
    tl.store(g, tl.where(running, d_i, 0).to(stored), mask=inside)
    tl.store(g + H, tl.where(running, d_f, 0).to(stored), mask=inside)
    tl.store(g + 2 * H, tl.where(running, d_z, 0).to(stored), mask=inside)
    tl.store(g + 3 * H, tl.where(running, d_o, 0).to(stored), mask=inside)
    tl.store(d_c_lbh + state, tl.where(running, d_c, 0), mask=inside)


@triton.jit(do_not_specialize=["steps", "batch", "rows", "share"])
def sums_backward(
    g_ltbg, c_ltbh, sums_lp7h, steps, batch, rows, share, H: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """Derivatives of the bias (4 rows of H) and the peepholes (3) as partial sums over `share` of the first rows n.

    `steps` is how many the buffers hold. Grid: (blocks of H, layers, parts); the parts are added afterwards, in a fixed
    order, so the result is reproducible.
    """
    layer, part = tl.program_id(1), tl.program_id(2)
    j = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = j < H
    g = g_ltbg + layer.to(tl.int64) * steps * batch * (4 * H) + j
    c = c_ltbh + layer.to(tl.int64) * (steps + 1) * batch * H + j
    real = c_ltbh.dtype.element_ty
    b_i = tl.zeros((ROWS, COLUMNS), real)
    b_f = tl.zeros((ROWS, COLUMNS), real)
    b_z = tl.zeros((ROWS, COLUMNS), real)
    b_o = tl.zeros((ROWS, COLUMNS), real)
    p_i = tl.zeros((ROWS, COLUMNS), real)
    p_f = tl.zeros((ROWS, COLUMNS), real)
    p_o = tl.zeros((ROWS, COLUMNS), real)
    end = tl.minimum((part + 1) * share, rows)
    for first in range(part * share, end, ROWS):
        row = first + tl.arange(0, ROWS)[:, None].to(tl.int64)
        there = inside & (row < end)
        d_i = tl.load(g + row * (4 * H), mask=there, other=0).to(real)
        d_f = tl.load(g + row * (4 * H) + H, mask=there, other=0).to(real)
        d_z = tl.load(g + row * (4 * H) + 2 * H, mask=there, other=0).to(real)
        d_o = tl.load(g + row * (4 * H) + 3 * H, mask=there, other=0).to(real)
        before = tl.load(c + row * H, mask=there, other=0)
        after = tl.load(c + (row + batch) * H, mask=there, other=0)
        b_i += d_i
        b_f += d_f
        b_z += d_z
        b_o += d_o
        p_i += d_i * before
        p_f += d_f * before
        p_o += d_o * after
    sums = sums_lp7h + (layer * tl.num_programs(2) + part) * (7 * H) + tl.program_id(0) * COLUMNS
    j = tl.arange(0, COLUMNS)
    inside = tl.program_id(0) * COLUMNS + j < H
    tl.store(sums + j, tl.sum(b_i, 0), mask=inside)
    tl.store(sums + H + j, tl.sum(b_f, 0), mask=inside)
    tl.store(sums + 2 * H + j, tl.sum(b_z, 0), mask=inside)
    tl.store(sums + 3 * H + j, tl.sum(b_o, 0), mask=inside)
    tl.store(sums + 4 * H + j, tl.sum(p_i, 0), mask=inside)
    tl.store(sums + 5 * H + j, tl.sum(p_f, 0), mask=inside)
    tl.store(sums + 6 * H + j, tl.sum(p_o, 0), mask=inside)


@triton.jit(do_not_specialize=["symbols"])
def gather_rows(
    g_ng, rows_kg, symbols_n, symbols, CELLS: tl.constexpr, H: tl.constexpr, ADD: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The share of one-hot inputs in the pre-activations: a row of `rows_kg` (K, 4 CELLS) for each symbol.

    Added to `g_ng` with ADD, else stored there. Symbol −1, the null vector, gives 0. A symbol outside the alphabet
    gives NaN, which then shows in the loss. Grid: (n, blocks of 4 H).
    """
    n = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < 4 * H
    gate, j = at // H, at % H
    symbol = tl.load(symbols_n + n + 0 * at)  # as wide as the masks
    known = inside & (j < CELLS) & (symbol >= 0) & (symbol < symbols)
    row = tl.load(rows_kg + symbol * (4 * CELLS) + gate * CELLS + j, mask=known, other=0)
    row = tl.where((symbol >= symbols) | (symbol < -1), float("nan"), row)
    g = g_ng + n.to(tl.int64) * (4 * H) + at
    if ADD:
        row += tl.load(g, mask=inside, other=0).to(row.dtype)
    tl.store(g, row.to(g_ng.dtype.element_ty), mask=inside)

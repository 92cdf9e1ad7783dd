"""Sequences of several lengths without padding, and the buffers of one pass through them.

Rows are sorted by length, so a step holds only the rows still running: padding is neither read nor computed.

Shapes: t time, b batch, h cells, g = 4h gates, k symbols; n all steps of all sequences, step by step.
"""

import math
import threading
import weakref
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

Sums = tuple[Tensor, Tensor, Tensor | None]
"""Derivatives of the bias (4H), the peepholes (3, H) and the symbols' rows (K, 4H)."""


def within(lengths_b: Tensor, steps: int) -> Tensor:
    """(T, B) bool: is step t of sequence b before the sequence's end?"""
    return torch.arange(steps, device=lengths_b.device)[:, None] < lengths_b


def select_rows(x: Tensor, rows_n: Tensor) -> Tensor:
    """(R, ...) and n of its rows → (n, ...), in a buffer from `WORKSPACES`."""
    out = WORKSPACES.take((len(rows_n), *x.shape[1:]), x.dtype, x.device)
    return torch.index_select(x, 0, rows_n, out=out)


class Packing:
    """Where each step of each sequence lies once rows are ordered by time, then by falling length of their sequence."""

    def __init__(self, steps: int, batch: int, lengths_b: Tensor | None):
        self.batch = batch
        self.whole = True
        if lengths_b is None or int(lengths_b.min()) == steps:
            self.rows_at = [batch] * steps
            self.total = steps * batch
            return
        self.whole = False
        self.order_b: Tensor
        lengths_b, self.order_b = lengths_b.sort(descending=True, stable=True)
        running_tb = within(lengths_b, steps)
        self.rows_at = running_tb.sum(1).tolist()
        self.total = sum(self.rows_at)
        start_t = torch.tensor([0, *accumulate(self.rows_at)], device=lengths_b.device)
        column_b = torch.arange(batch, device=lengths_b.device)
        # of packed row n: its row in (T·B), and where its predecessor lies when the B initial states come first
        self.source_n = (torch.arange(steps, device=lengths_b.device)[:, None] * batch + self.order_b)[running_tb]
        before_tb = start_t[:steps, None] - start_t.new_tensor(self.rows_at)[:, None] + batch + column_b
        before_tb[1:] = start_t[: steps - 1, None] + batch + column_b
        before_tb[0] = column_b
        self.before_n = before_tb[running_tb]
        self.last_b = start_t[lengths_b - 1] + column_b

    def pack(self, x_tb: Tensor) -> Tensor:
        """(T, B, ...) → (N, ...)."""
        flat = x_tb.reshape(-1, *x_tb.shape[2:])
        return flat if self.whole else select_rows(flat, self.source_n)

    def unpack(self, x_n: Tensor) -> Tensor:
        """(N, ...) → (T, B, ...), zero where a sequence has ended."""
        steps = len(self.rows_at)
        if self.whole:
            return x_n.view(steps, self.batch, *x_n.shape[1:])
        flat = WORKSPACES.take((steps * self.batch, *x_n.shape[1:]), x_n.dtype, x_n.device).zero_()
        return flat.index_copy_(0, self.source_n, x_n).view(steps, self.batch, *x_n.shape[1:])

    def sort(self, x_b: Tensor) -> Tensor:
        return x_b if self.whole else x_b.index_select(0, self.order_b)

    def unsort(self, x_b: Tensor) -> Tensor:
        return x_b if self.whole else torch.empty_like(x_b).index_copy_(0, self.order_b, x_b)

    def before(self, x: Tensor) -> Tensor:
        """From (B + N, ...), initial rows first: for each packed row, the row one step earlier."""
        return x[: self.total] if self.whole else select_rows(x, self.before_n)

    def last(self, x_n: Tensor) -> Tensor:
        """The last row of each sequence, in the caller's order; a copy."""
        return x_n[-self.batch :].clone() if self.whole else self.unsort(x_n.index_select(0, self.last_b))


class CellParameters(NamedTuple):
    """What the gates' arithmetic reads besides products; all contiguous."""

    peepholes_3h: Tensor
    bias_g: Tensor
    rows_kg: Tensor | None
    """Rows of the symbols' weights, with `symbols_n`, for a layer that reads symbols."""
    symbols_n: Tensor | None


class Steps:
    """The buffers of one call, cut into time steps: what a step's arithmetic reads and writes."""

    def __init__(self, packing: Packing, g_ng: Tensor, c_all: Tensor, parameters: CellParameters, clip: float):
        rows_at, batch = packing.rows_at, packing.batch
        self.packing, self.clip = packing, clip
        self.g_ng, self.c_all, self.g = g_ng, c_all, g_ng.split(rows_at)
        self.c = c_all[batch:].split(rows_at)
        self.c_before = self.before(c_all, self.c)
        self.peepholes_3h, self.bias_g, self.rows_kg, self.symbols_n = parameters
        self.symbols: Sequence[Tensor | None] = [None] * len(rows_at)
        if self.symbols_n is not None:
            self.symbols = self.symbols_n.split(rows_at)
        self.filled = False
        """Whether the pre-activations already hold the inputs' share."""
        self.sums: Sums | None = None
        """Derivatives of bias, peepholes and symbols' rows, where they are accumulated along the way."""

    def before(self, x_all: Tensor, steps: Sequence[Tensor]) -> list[Tensor]:
        """For each step the rows of the step before that still run; the initial rows lead `x_all`."""
        rows_at = self.packing.rows_at
        return [x[:rows] for x, rows in zip((x_all[: self.packing.batch], *steps), rows_at, strict=False)]


class Workspaces:
    """Large buffers kept between calls: the system zeroes a fresh one page by page, which costs as much as a product.

    A buffer comes back by itself when no tensor uses it any more. At most as many are kept as were ever in use at once.
    Small ones are not kept, and other devices already have an allocator that keeps memory.
    """

    SMALLEST = 2**18
    """Bytes of the smallest buffer that is kept."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        """An uninitialised tensor."""
        size = math.prod(shape) * dtype.itemsize
        if device.type != "cpu" or size < self.SMALLEST:
            return torch.empty(shape, dtype=dtype, device=device)
        with self._lock:
            fitting = [k for k, block in enumerate(self._free) if len(block) >= size]
            # with none large enough, a smaller one makes room for the new one
            place = min(fitting or range(len(self._free)), key=lambda k: len(self._free[k]), default=None)
            block = None if place is None else self._free.pop(place)
        if block is None or len(block) < size:
            block = torch.empty(size, dtype=torch.uint8).numpy()
        lent = block[:size]  # an object of its own, which lives as long as torch needs its memory
        # without the lock: a tensor may die anywhere, and appending is atomic
        weakref.finalize(lent, self._free.append, block).atexit = False
        return torch.from_numpy(lent).view(dtype).view(shape)


WORKSPACES = Workspaces()

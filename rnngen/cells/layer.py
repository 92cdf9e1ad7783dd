"""One LSTM layer with its parameters; what it computes is in peephole_lstm.py, how fast in backends.py.

Shapes: t time, b batch, i input, h cells, k symbols.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rnngen.cells.backends import NEVER_LOOKING_AT_LENGTHS, backend_named
from rnngen.cells.packing import within
from rnngen.cells.peephole_lstm import State, Weights, reference
from rnngen.errors import InputError


class PeepholeLSTM(nn.Module):
    """One layer of LSTM cells with peepholes.

    Args:
        cells: H, the number of memory cells.
        dense_inputs: the sizes I of the real-valued inputs, each with its own weights.
        symbols: K, the size of the alphabet of a one-hot input; its weights are one gathered row per symbol.
        clip: bound on the derivatives of the pre-activations at every step (the paper's 1 for text, 10 for
            handwriting); None for no clipping.
        backend: "auto", or a name in `rnngen.cells.backends.BACKENDS`.
        precision: "float32" computes in the type of the parameters (float64 parameters give float64); "bfloat16"
            multiplies matrices in bfloat16 and keeps the cells, the clipping and the parameters as they are.
        init_range: every parameter is drawn from Uniform[−init_range, init_range].
    """

    def __init__(
        self,
        cells: int,
        dense_inputs: Sequence[int] = (),
        symbols: int | None = None,
        *,
        clip: float | None = None,
        backend: str = "auto",
        precision: str = "float32",
        init_range: float = 0.1,
    ):
        super().__init__()
        if not dense_inputs and symbols is None:
            raise InputError("a layer needs an input: expected dense_inputs or symbols, got neither")
        if precision not in ("float32", "bfloat16"):
            raise InputError(f"unknown precision {precision!r}: expected 'float32' or 'bfloat16'")
        if clip is not None and not 0 < clip < math.inf:
            raise InputError(f"clip must be a positive number or None, got {clip}")
        backend_named(backend, torch.device("cpu"))
        self.cells, self.dense_inputs, self.symbols = cells, tuple(dense_inputs), symbols
        self.clip, self.backend, self.precision = clip, backend, precision
        gates = 4 * cells
        self.weight_symbols = None if symbols is None else nn.Parameter(torch.empty(symbols, gates))
        self.weight_dense = nn.ParameterList(nn.Parameter(torch.empty(gates, size)) for size in self.dense_inputs)
        self.weight_recurrent = nn.Parameter(torch.empty(gates, cells))
        self.peepholes = nn.Parameter(torch.empty(3, cells))
        self.bias = nn.Parameter(torch.empty(gates))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init_range, init_range)

    def extra_repr(self) -> str:
        return (
            f"{self.cells}, dense_inputs={self.dense_inputs}, symbols={self.symbols}, clip={self.clip}, "
            f"backend={self.backend!r}, precision={self.precision!r}"
        )

    def forward(
        self,
        symbols_tb: Tensor | None,
        dense: Sequence[Tensor] = (),
        state: State | None = None,
        lengths_b: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run the layer over whole sequences.

        Args:
            symbols_tb: int64 (T, B), or None if the layer has no one-hot input; −1 is the null vector.
            dense: one (T, B, I) tensor for each of `dense_inputs`.
            state: (h, c), each (B, H), from which the first step starts; None for zeros.
            lengths_b: int64 (B), 1 to T; None if every sequence has T steps. Nothing past a length is read.

        Returns:
            h_tbh (0 past a sequence's length) and (h, c) after each sequence's last step.

        Raises:
            InputError: a shape, length or symbol that does not fit.
        """
        steps, batch = self.require_fitting(symbols_tb, dense, state, lengths_b)
        longest = steps
        if lengths_b is not None and self.backend not in NEVER_LOOKING_AT_LENGTHS:
            longest = int(lengths_b.max())
            symbols_tb = None if symbols_tb is None else symbols_tb[:longest]
            dense = [x[:longest] for x in dense]
        if state is None:
            state = self.zero_state(batch)
        run = backend_named(self.backend, self.bias.device)
        h_tbh, state = run(self.weights(), symbols_tb, dense, state, lengths_b, self.clip, self.precision)
        return F.pad(h_tbh, (0, 0, 0, 0, 0, steps - longest)) if longest < steps else h_tbh, state

    def step(self, symbols_b: Tensor | None, dense: Sequence[Tensor], state: State) -> State:
        """One step by eq 7–11: symbols (B), a (B, I) for each of `dense_inputs`, (h, c) before; (h, c) after it.

        What the fast back ends prepare for a whole sequence would be lost on one step, so this is the readable one.
        """
        _, after = reference(
            self.weights(),
            None if symbols_b is None else symbols_b[None],
            [x_bi[None] for x_bi in dense],
            state,
            None,
            self.clip,
            self.precision,
        )
        return after

    def weights(self) -> Weights:
        """The parameters as back ends receive them."""
        return Weights(self.weight_symbols, tuple(self.weight_dense), self.weight_recurrent, self.peepholes, self.bias)

    def zero_state(self, batch: int) -> State:
        """(h, c) before the first step."""
        zeros = self.bias.new_zeros(batch, self.cells)
        return zeros, zeros

    def require_fitting(self, symbols_tb, dense, state, lengths_b) -> tuple[int, int]:
        """T and B of inputs that fit together; InputError for others."""
        if (symbols_tb is None) != (self.symbols is None):
            expected = "no symbols" if self.symbols is None else f"symbols (T, B) below {self.symbols}"
            raise InputError(f"expected {expected}, got {'none' if symbols_tb is None else tuple(symbols_tb.shape)}")
        if len(dense) != len(self.dense_inputs):
            raise InputError(f"expected {len(self.dense_inputs)} dense inputs, got {len(dense)}")
        first = dense[0] if symbols_tb is None else symbols_tb
        if first.dim() < 2 or 0 in first.shape[:2]:
            raise InputError(
                f"expected inputs of at least one step and one sequence, (T, B, ...), got {tuple(first.shape)}"
            )
        steps, batch = first.shape[:2]
        if symbols_tb is not None and (symbols_tb.dim() != 2 or symbols_tb.dtype != torch.int64):
            raise InputError(f"expected symbols int64 (T, B), got {symbols_tb.dtype} {tuple(symbols_tb.shape)}")
        for number, (x, size) in enumerate(zip(dense, self.dense_inputs, strict=True)):
            if tuple(x.shape) != (steps, batch, size) or x.dtype != self.bias.dtype:
                raise InputError(
                    f"dense input {number}: expected {self.bias.dtype} {(steps, batch, size)}, "
                    f"got {x.dtype} {tuple(x.shape)}"
                )
        for name, part in zip(("h", "c"), state or (), strict=False):
            if tuple(part.shape) != (batch, self.cells) or part.dtype != self.bias.dtype:
                raise InputError(
                    f"state {name}: expected {self.bias.dtype} {(batch, self.cells)}, "
                    f"got {part.dtype} {tuple(part.shape)}"
                )
        if lengths_b is not None:
            if tuple(lengths_b.shape) != (batch,) or lengths_b.dtype != torch.int64:
                raise InputError(f"expected lengths int64 {(batch,)}, got {lengths_b.dtype} {tuple(lengths_b.shape)}")
            if lengths_b.device.type == "cpu":  # looking at the values would wait for another device
                low, high = int(lengths_b.min()), int(lengths_b.max())
                if low < 1 or high > steps:
                    raise InputError(f"expected lengths from 1 to {steps} (T), got {low} to {high}")
        if symbols_tb is not None and self.symbols is not None and symbols_tb.device.type == "cpu":
            read = symbols_tb
            if lengths_b is not None:
                read = symbols_tb[within(lengths_b, steps)]
            low, high = int(read.min()), int(read.max())
            if low < -1 or high >= self.symbols:
                raise InputError(f"expected symbols from -1 (null) to {self.symbols - 1}, got {low} to {high}")
        return steps, batch

"""The deep recurrent prediction network (§2, eq 1–6).

Shapes: t time, b sequence, i input, h cells of a layer, o output.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rnngen.cells.layer import PeepholeLSTM
from rnngen.cells.layer_stack import layer_stack
from rnngen.cells.peephole_lstm import State
from rnngen.errors import InputError
from rnngen.networks.initialisation import initialise


class PredictionNetwork(nn.Module):
    """`layers` LSTM layers of `cells` cells; the input feeds every layer, every layer feeds the output (eq 1–3).

    `input_size` is the length of the input vectors or, with `symbols`, the size of the alphabet of one-hot inputs,
    given as integers and gathered, never multiplied. The null vector that starts a sequence is all zeros, or symbol −1.

    `clip` bounds the derivatives of the LSTM's inputs at every step (§2.1: 1 for text, 10 for handwriting). Every
    parameter is drawn uniformly from ±init_range, from `generator` if given, else from torch's own. `backend` and
    `precision` choose how the layers are computed (`rnngen.cells.peephole_lstm`) and are not part of a checkpoint.

    With a clip, backpropagate the sum of the sequences' losses and divide the gradients of the weights by their number
    afterwards: scaled beforehand, the derivatives would not be clipped as in the paper.

    Parameters: 4,252,049 for one layer of 1000 cells on 49 symbols, 3,368,121 for handwriting's three layers of 400.
    """

    layers: Sequence[PeepholeLSTM]

    def __init__(
        self,
        input_size: int = 3,
        cells: int = 400,
        layers: int = 3,
        output_size: int = 121,
        *,
        symbols: bool = False,
        clip: float | None = None,
        init_range: float = 0.1,
        generator: torch.Generator | None = None,
        backend: str = "auto",
        precision: str = "float32",
    ) -> None:
        super().__init__()
        require_sizes(input_size=input_size, cells=cells, layers=layers, output_size=output_size)
        self.arguments: dict[str, Any] = {
            "input_size": input_size,
            "cells": cells,
            "layers": layers,
            "output_size": output_size,
            "symbols": symbols,
            "clip": clip,
            "init_range": init_range,
        }
        self.layers = nn.ModuleList(  # type: ignore[assignment]  # a ModuleList does not say of what
            PeepholeLSTM(
                cells,
                [*([] if symbols else [input_size]), *([cells] if below else [])],
                input_size if symbols else None,
                clip=clip,
                backend=backend,
                precision=precision,
                init_range=init_range,
            )
            for below in range(layers)
        )
        self.weight_output = nn.ParameterList(torch.empty(output_size, cells) for _ in range(layers))
        self.bias_output = nn.Parameter(torch.empty(output_size))
        initialise(self, init_range, generator)

    def forward(
        self, x: Tensor, state: list[State] | None = None, lengths_b: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        """Outputs ŷ (T, B, output_size) and the state after each sequence's last step, a pair (h, c) per layer.

        `x` is (T, B, input_size), or int64 (T, B) for symbols. `state` is what an earlier call returned; None is zero.
        Past a sequence's length nothing of `x` is read, outputs there mean nothing, and gradients there are exactly 0
        as long as the loss leaves those steps out.
        """
        if state is not None and len(state) != len(self.layers):
            raise InputError(f"a state of {len(state)} layers for a network of {len(self.layers)}")
        symbols_tb, dense = (x, []) if self.arguments["symbols"] else (None, [x])
        states = [None] * len(self.layers) if state is None else state
        stack = layer_stack(self.layers, symbols_tb, dense, None, states, lengths_b)
        return output_layer(stack, self.weight_output, self.bias_output)

    def step(self, x: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """One step: ŷ (B, output_size) and the state after it; `x` is (B, input_size), or int64 (B) for symbols."""
        symbols_b, dense = (x, []) if self.arguments["symbols"] else (None, [x])
        after: list[State] = []
        for layer, before in zip(self.layers, state, strict=True):
            after.append(layer.step(symbols_b, [*dense, after[-1][0]] if after else dense, before))
        y_1bo, _ = output_layer(
            ((h_bh[None], (h_bh, c_bh)) for h_bh, c_bh in after), self.weight_output, self.bias_output
        )
        return y_1bo[0], after

    def zero_state(self, x: Tensor) -> list[State]:
        """The state before the first step, for `x` as `step` takes it."""
        return [layer.zero_state(len(x)) for layer in self.layers]


def output_layer(
    stack: Iterable[tuple[Tensor, State]], weights: nn.ParameterList, bias_o: Tensor
) -> tuple[Tensor, list[State]]:
    """ŷ_t = b_y + Σ_n W_{h^n y} h^n_t (eq 3) and the states of all layers, from each layer's h_tbh and state.

    Layers' outputs are not joined in memory, and each is used before the next layer is asked for (`layer_stack`).
    """
    y_no, after = bias_o, []
    for (h_tbh, state), weight_oh in zip(stack, weights, strict=True):
        y_no = torch.addmm(y_no, h_tbh.flatten(0, 1), weight_oh.t())
        after.append(state)
    return y_no.view(*h_tbh.shape[:2], -1), after


def require_sizes(**sizes: int) -> None:
    """InputError naming the first size that is not a positive integer."""
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise InputError(f"{name} = {size!r}: expected an integer of at least 1")

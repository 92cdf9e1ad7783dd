"""The handwriting synthesis network: a prediction network that reads a text through a soft window (§5, eq 46–55).

Shapes: t time, b sequence, i input, h cells of a layer, v alphabet, k window component, u position in the text,
o output.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from rnngen.cells.backends import window_layer_named
from rnngen.cells.layer import PeepholeLSTM
from rnngen.cells.layer_stack import layer_stack
from rnngen.cells.packing import within
from rnngen.cells.soft_window import WindowState, WindowTrace, WindowWeights, window_layer
from rnngen.errors import InputError
from rnngen.networks.initialisation import initialise
from rnngen.networks.prediction_network import output_layer, require_sizes


@dataclass
class SynthesisState:
    """What the network carries from step to step: (h, c) of every layer, the window w (B, V) and κ (B, K)."""

    layers: list[tuple[Tensor, Tensor]]
    window_bv: Tensor
    kappa_bk: Tensor


class SynthesisNetwork(nn.Module):
    """`layers` LSTM layers of `cells` cells and a window of `window_components` Gaussians over a text.

    The window is placed by the first layer and feeds the first layer one step later (eq 52) and the others at once
    (eq 53); the output layer does not see it. So only the first layer and the window are stepped in time together;
    every other layer runs over whole sequences.

    `mixtures` is M of the mixture density, which makes 6M + 1 outputs. `clip`, `init_range`, `generator`, `backend` and
    `precision` are as in `PredictionNetwork`.

    `window_bias` is where the bias of κ̂ starts; the paper is silent about it, and None draws it like every other
    weight. Then exp(κ̂) ≈ 1 and the untrained window moves by a character at every step, some 25 times too fast for pen
    points. `window_bias = −log(points per character)` starts at the right pace and learns to read far sooner; the
    biases of α̂ then start at −log K, those of β̂ spread evenly over log 0.7 ± 0.7, and the window's weights at a third
    of init_range. The architecture is the same either way.

    Parameters: 3,653,751 for the defaults.
    """

    layers: Sequence[PeepholeLSTM]

    def __init__(
        self,
        cells: int = 400,
        layers: int = 3,
        alphabet_size: int = 57,
        window_components: int = 10,
        mixtures: int = 20,
        *,
        input_size: int = 3,
        clip: float | None = None,
        init_range: float = 0.1,
        window_bias: float | None = None,
        generator: torch.Generator | None = None,
        backend: str = "auto",
        precision: str = "float32",
    ) -> None:
        super().__init__()
        require_sizes(
            cells=cells,
            layers=layers,
            alphabet_size=alphabet_size,
            window_components=window_components,
            mixtures=mixtures,
            input_size=input_size,
        )
        self.arguments: dict[str, Any] = {
            "cells": cells,
            "layers": layers,
            "alphabet_size": alphabet_size,
            "window_components": window_components,
            "mixtures": mixtures,
            "input_size": input_size,
            "clip": clip,
            "init_range": init_range,
            "window_bias": window_bias,
        }
        self.layers = nn.ModuleList(  # type: ignore[assignment]  # a ModuleList does not say of what
            PeepholeLSTM(
                cells,
                [input_size, alphabet_size, *([cells] if below else [])],
                clip=clip,
                backend=backend,
                precision=precision,
                init_range=init_range,
            )
            for below in range(layers)
        )
        self.weight_window = nn.Parameter(torch.empty(3 * window_components, cells))
        self.bias_window = nn.Parameter(torch.empty(3 * window_components))
        outputs = 6 * mixtures + 1
        self.weight_output = nn.ParameterList(torch.empty(outputs, cells) for _ in range(layers))
        self.bias_output = nn.Parameter(torch.empty(outputs))
        initialise(self, init_range, generator)
        # without values there is nothing to place, and PyTorch would import its whole compiler (1–2 s) to do so
        if window_bias is not None and not self.bias_window.is_meta:
            self._place_window(window_bias)

    @torch.no_grad()
    def _place_window(self, kappa_bias: float) -> None:
        self.weight_window.div_(3)
        alpha_hat, beta_hat, kappa_hat = self.bias_window.chunk(3)
        alpha_hat.fill_(-math.log(len(alpha_hat)))
        beta_hat.copy_(math.log(0.7) + torch.linspace(-0.7, 0.7, len(beta_hat)))
        kappa_hat.fill_(kappa_bias)

    def forward(
        self,
        x_tbi: Tensor,
        text_bu: Tensor,
        text_lengths_b: Tensor,
        state: SynthesisState | None = None,
        lengths_b: Tensor | None = None,
    ) -> tuple[Tensor, SynthesisState, WindowTrace]:
        """Outputs ŷ (T, B, 6M + 1), the state after each sequence's last step, and the window's parameters.

        `text_bu` are int64 character indices, padded with anything past `text_lengths_b`. `state` and `lengths_b` are
        as in `PredictionNetwork`; the null vector that starts a line is all zeros.
        """
        self._require_input(x_tbi, text_bu, text_lengths_b, lengths_b)
        first, *others = self.layers
        if state is None:
            state = self.zero_state(x_tbi[0])
        if len(state.layers) != len(self.layers):
            raise InputError(f"a state of {len(state.layers)} layers for a network of {len(self.layers)}")
        run = window_layer_named(first.backend, x_tbi.device)
        h_tbh, window_tbv, last, trace = run(
            first.weights(),
            WindowWeights(self.weight_window, self.bias_window),
            x_tbi,
            text_bu,
            text_lengths_b,
            WindowState(*state.layers[0], state.window_bv, state.kappa_bk),
            lengths_b,
            first.clip,
            first.precision,
        )
        above = layer_stack(others, None, [x_tbi, window_tbv], h_tbh, state.layers[1:], lengths_b)
        stack = chain([(h_tbh, (last.h_bh, last.c_bh))], above)
        y_tbo, after = output_layer(stack, self.weight_output, self.bias_output)
        return y_tbo, SynthesisState(after, last.window_bv, last.kappa_bk), trace

    def step(
        self, x_bi: Tensor, text_bu: Tensor, text_lengths_b: Tensor, state: SynthesisState
    ) -> tuple[Tensor, SynthesisState, tuple[Tensor, Tensor, Tensor]]:
        """One step: ŷ (B, 6M + 1), the state after it, and the window's α, β, κ (B, K); arguments as in `forward`."""
        first, *others = self.layers
        _, _, last, trace = window_layer(
            first.weights(),
            WindowWeights(self.weight_window, self.bias_window),
            x_bi[None],
            text_bu,
            text_lengths_b,
            WindowState(*state.layers[0], state.window_bv, state.kappa_bk),
            None,
            first.clip,
            first.precision,
        )
        after = [(last.h_bh, last.c_bh)]
        for layer, before in zip(others, state.layers[1:], strict=True):
            after.append(layer.step(None, [x_bi, last.window_bv, after[-1][0]], before))
        y_1bo, _ = output_layer(
            ((h_bh[None], (h_bh, c_bh)) for h_bh, c_bh in after), self.weight_output, self.bias_output
        )
        alpha, beta, kappa = (values_1bk[0] for values_1bk in trace)
        return y_1bo[0], SynthesisState(after, last.window_bv, last.kappa_bk), (alpha, beta, kappa)

    def zero_state(self, x_bi: Tensor) -> SynthesisState:
        """The state before the first step, for `x_bi` as `step` takes it."""
        sizes = self.arguments
        return SynthesisState(
            [layer.zero_state(len(x_bi)) for layer in self.layers],
            x_bi.new_zeros(len(x_bi), sizes["alphabet_size"]),
            x_bi.new_zeros(len(x_bi), sizes["window_components"]),
        )

    def _require_input(self, x_tbi: Tensor, text_bu: Tensor, text_lengths_b: Tensor, lengths_b: Tensor | None) -> None:
        size, alphabet_size = self.arguments["input_size"], self.arguments["alphabet_size"]
        if x_tbi.ndim != 3 or x_tbi.shape[-1] != size or not x_tbi.is_floating_point():
            raise InputError(
                f"input of shape {tuple(x_tbi.shape)} and type {x_tbi.dtype}: "
                f"expected floating point of shape (T, B, {size})"
            )
        batch = x_tbi.shape[1]
        if text_bu.ndim != 2 or len(text_bu) != batch or text_bu.dtype != torch.int64:
            raise InputError(
                f"text of shape {tuple(text_bu.shape)} and type {text_bu.dtype}: expected int64 of shape ({batch}, U)"
            )
        if text_lengths_b.shape != (batch,):
            raise InputError(f"text lengths of shape {tuple(text_lengths_b.shape)}: expected ({batch},)")
        if lengths_b is not None and lengths_b.shape != (batch,):
            raise InputError(f"lengths of shape {tuple(lengths_b.shape)}: expected ({batch},)")
        if text_bu.device.type != "cpu":
            return  # looking at the values would wait for the device at every call
        if lengths_b is not None and not 1 <= int(lengths_b.min()) <= int(lengths_b.max()) <= len(x_tbi):
            raise InputError(
                f"lengths from {int(lengths_b.min())} to {int(lengths_b.max())}: expected 1 to T = {len(x_tbi)}"
            )
        if not 1 <= int(text_lengths_b.min()) <= int(text_lengths_b.max()) <= text_bu.shape[1]:
            raise InputError(
                f"text lengths from {int(text_lengths_b.min())} to {int(text_lengths_b.max())}: "
                f"expected 1 to U = {text_bu.shape[1]}"
            )
        characters = text_bu[within(text_lengths_b, text_bu.shape[1]).t()]
        if not 0 <= int(characters.min()) <= int(characters.max()) < alphabet_size:
            raise InputError(
                f"characters from {int(characters.min())} to {int(characters.max())}: "
                f"expected 0 to {alphabet_size - 1}, the network's alphabet has {alphabet_size}"
            )

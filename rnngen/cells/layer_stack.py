"""Layers of cells one above the other, each fed by the input and by the layer below (eq 4–5, 53).

Shapes: t time, b sequence, h cells.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor

from rnngen.cells.backends import stack_named
from rnngen.cells.layer import PeepholeLSTM
from rnngen.cells.peephole_lstm import State


def layer_stack(
    layers: Sequence[PeepholeLSTM],
    symbols_tb: Tensor | None,
    dense: Sequence[Tensor],
    below_tbh: Tensor | None,
    states: Sequence[State | None],
    lengths_b: Tensor | None,
) -> Iterator[tuple[Tensor, State]]:
    """Run `layers` over whole sequences; yields h_tbh of each and its (h, c) after each sequence's last step.

    Every layer reads `symbols_tb` (if not None) and `dense`, and last the layer below it; the lowest reads `below_tbh`
    there, if that is not None. What is made of a layer's output before the next layer is asked for comes after that
    layer in the backward pass, so that derivatives of only one layer's output need memory. A back end may advance
    several layers side by side (`stack_named`); otherwise one runs after the other.
    """
    if not layers:
        return
    batch = (symbols_tb if symbols_tb is not None else dense[0]).shape[1]
    side_by_side = stack_named(layers[0].backend, len(layers), batch)
    if side_by_side is not None:
        first = list(dense) if below_tbh is None else [*dense, below_tbh]
        layers[0].require_fitting(symbols_tb, first, states[0], lengths_b)
        hidden, after = side_by_side(
            [layer.weights() for layer in layers],
            symbols_tb,
            [first, *[list(dense)] * (len(layers) - 1)],
            [state or layer.zero_state(batch) for layer, state in zip(layers, states, strict=True)],
            lengths_b,
            layers[0].clip,
            layers[0].precision,
        )
        yield from zip(hidden, after, strict=True)
        return
    for layer, state in zip(layers, states, strict=True):
        inputs = dense if below_tbh is None else [*dense, below_tbh]
        below_tbh, last = layer(symbols_tb, inputs, state, lengths_b)
        yield below_tbh, last

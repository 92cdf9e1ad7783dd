"""The gradients of a batch: forward and backward pass, as one CUDA graph where the same shape comes again and again.

Chunks of a long text all have the same shape. There forward pass, loss and backward pass are recorded once and
replayed, which leaves a processor a few dozen launches an update in place of some hundreds. The optimiser stays
outside: it is a few launches for all weights together (torch._foreach), and so learning rate, momentum, noise and the
look at the loss before the weights change are the same with and without a recording.

Only back ends that never wait for a CUDA device (`NEVER_WAITING`) are recorded, and not with RNNGEN_CUDA_GRAPHS=0.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from rnngen.cells.backends import NEVER_WAITING
from rnngen.cells.cuda_graphs import LOOPS, record

Forward = Callable[[Any, Any], tuple[Any, ...]]
"""(batch, state) → (losses, the state after it, other tensors): losses are added up, a state is a pair (h, c) a layer,
cut from the graph."""

MADE_DIRECTLY = 3
"""Batches of a shape before it is recorded: a shape that comes seldom is not worth it."""


def backpropagate(forward: Forward, batch: Any, state: Any) -> tuple[Any, ...]:
    """What `forward` returns; the gradients of the sum of its losses are added to `.grad` of the weights."""
    losses, *rest = forward(batch, state)
    losses.sum().backward()
    return losses.detach(), *rest


class RecordedGradients:
    """`backpropagate` for one `forward` and the network in it, recorded for chunks that carry on a state.

    All else, the first chunk after a reset of the state and batches of several lengths, is made directly. `record` is
    `rnngen.cells.cuda_graphs.recorded`, or a stand-in for it.
    """

    def __init__(self, network: nn.Module, forward: Forward, record: Callable[..., Callable] = record) -> None:
        self.parameters = list(network.parameters())
        self.forward, self.record = forward, record
        self.seen: Counter[torch.Size] = Counter()
        self.recordings: dict[torch.Size, Callable[..., tuple[Tensor, ...]]] = {}

    def __call__(self, batch: Any, state: Any) -> tuple[Any, ...]:
        if batch.reset or state is None or batch.lengths_b is not None:
            return backpropagate(self.forward, batch, state)
        shape = batch.inputs_tb.shape
        self.seen[shape] += 1
        if self.seen[shape] <= MADE_DIRECTLY:
            return backpropagate(self.forward, batch, state)

        arguments = (batch.inputs_tb, batch.targets_tb, *(part for pair in state for part in pair))
        if shape not in self.recordings:
            self.recordings[shape] = self.record(self._step(batch), *arguments)
        losses, *rest = self.recordings[shape](*arguments)
        after, rest = rest[: 2 * len(state)], rest[2 * len(state) :]
        others, gradients = rest[: -len(self.parameters)], rest[-len(self.parameters) :]
        for weight, gradient in zip(self.parameters, gradients, strict=True):
            weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
        return losses, _pairs(after), *others

    def _step(self, batch: Any) -> Callable[..., tuple[Tensor, ...]]:
        """Tensors in and tensors out: symbols and state → losses, state, others, gradients of the weights."""

        def step(inputs_tb: Tensor, targets_tb: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
            same = replace(batch, inputs_tb=inputs_tb, targets_tb=targets_tb)
            losses, after, *others = self.forward(same, _pairs(parts))
            # and not backward(), which would leave in .grad what belongs to the recording
            gradients = torch.autograd.grad(losses.sum(), self.parameters)
            return losses.detach(), *(part for pair in after for part in pair), *others, *gradients

        return step


def _pairs(parts: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(parts[::2], parts[1::2], strict=True))


def gradients_of(network: nn.Module, forward: Forward) -> Callable[[Any, Any], tuple[Any, ...]]:
    """(batch, state) → `backpropagate(forward, batch, state)`, recorded where that is asked for and possible."""
    layers = getattr(network, "layers", ())
    on_cuda = all(p.device.type == "cuda" for p in network.parameters())
    if on_cuda and LOOPS.graphs and layers and all(layer.backend in NEVER_WAITING for layer in layers):
        return RecordedGradients(network, forward)
    return lambda batch, state: backpropagate(forward, batch, state)

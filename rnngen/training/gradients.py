"""The gradients of a batch: forward and backward pass, as one CUDA graph where a shape comes again and again.

Forward pass, loss and backward pass are recorded once for each shape and replayed, which saves the processor some
hundred thousand launches per update. The optimiser stays outside: it is a few launches for all weights together
(torch._foreach), so learning rate, momentum and the check of the loss before the weights change are the same with and
without a recording. So is noise: the drawn weights are an argument of the recording.

Chunks of a long text are all of one shape and carry a state. Sentences and lines of handwriting are padded to a few
lengths and computed as if they had no ends (`running_on`). What comes after a sequence's end changes nothing before it,
and the loss knows the lengths and has no derivatives there. So the gradients are the same.

Clipping is not here: derivatives are clipped inside the layers (`rnngen.cells.peephole_lstm`) and at the outputs
(`rnngen.losses.mixture_density`).

Only on a CUDA device, for back ends that do not wait for it (`NEVER_WAITING`), and not with RNNGEN_CUDA_GRAPHS=0.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from rnngen.cells import cuda_graphs
from rnngen.cells.backends import NEVER_WAITING
from rnngen.cells.cuda_graphs import record

Forward = Callable[..., tuple[Any, ...]]
"""(batch, state[, weights]) → (losses, the state after it, other tensors): losses are added up, a state is a pair
(h, c) per layer, detached; weights, name → tensor, stand in for the network's own."""

MADE_DIRECTLY = 3
"""Batches of a shape before it is recorded: a rare shape is not worth it."""
MOST_RECORDINGS = 64
"""Further shapes are computed directly: a recording of a thousand steps takes some 100 MB, on top of what all share."""


def backpropagate(
    forward: Forward, batch: Any, state: Any, weights: Mapping[str, Tensor] | None = None
) -> tuple[Any, ...]:
    """What `forward` returns; the gradients of the sum of its losses are added to `.grad` of the weights."""
    losses, *rest = forward(batch, state) if weights is None else forward(batch, state, weights)
    losses.sum().backward()
    return losses.detach(), *rest


class RecordedGradients:
    """`backpropagate` for one `forward` and the network in it, recorded for each shape that comes often.

    All else is computed directly: the first chunk after a reset of the state, sequences that happen to be equally long.
    `record` is `rnngen.cells.cuda_graphs.record`, or a stand-in for it.
    """

    def __init__(self, network: nn.Module, forward: Forward, record: Callable[..., Callable] = record) -> None:
        self.parameters = list(network.parameters())
        self.forward, self.record = forward, record
        self.seen: Counter[Any] = Counter()
        self.recordings: dict[Any, Callable[..., tuple[Tensor, ...]]] = {}

    def __call__(self, batch: Any, state: Any, weights: Mapping[str, Tensor] | None = None) -> tuple[Any, ...]:
        if batch.lengths_b is not None:
            same, carried = batch.running_on(), []
        elif batch.reset or state is None:
            return backpropagate(self.forward, batch, state, weights)
        else:
            same, carried = batch, [part for pair in state for part in pair]
        tensors = _tensors(same)
        shape = tuple((name, x.shape) for name, x in tensors.items())
        self.seen[shape] += 1
        full = len(self.recordings) == MOST_RECORDINGS and shape not in self.recordings
        if self.seen[shape] <= MADE_DIRECTLY or full:
            return backpropagate(self.forward, batch, state, weights)

        drawn = {} if weights is None else dict(weights)
        arguments = (*tensors.values(), *carried, *(w.detach() for w in drawn.values()))
        if shape not in self.recordings:
            self.recordings[shape] = self.record(self._step(same, len(carried), list(drawn)), *arguments)
        losses, *rest = self.recordings[shape](*arguments)
        after, rest = rest[: len(carried)], rest[len(carried) :]
        into = list(drawn.values()) or self.parameters
        others, gradients = rest[: -len(into)], rest[-len(into) :]
        if drawn:  # passed on to what they were drawn from
            torch.autograd.backward(into, gradients)
        else:
            for weight, gradient in zip(into, gradients, strict=True):
                weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
        return losses, _pairs(after) if carried else None, *others

    def _step(self, batch: Any, carried: int, names: Sequence[str]) -> Callable[..., tuple[Tensor, ...]]:
        """Tensors in and tensors out: the batch's, the state's, drawn weights → losses, state, others, gradients."""
        own = list(_tensors(batch))

        def step(*tensors: Tensor) -> tuple[Tensor, ...]:
            same = replace(batch, **dict(zip(own, tensors, strict=False)))
            state = _pairs(tensors[len(own) : len(own) + carried]) if carried else None
            drawn = [x.detach().requires_grad_() for x in tensors[len(own) + carried :]]
            given = [dict(zip(names, drawn, strict=True))] if names else []
            losses, after, *others = self.forward(same, state, *given)
            # and not backward(), which would leave in .grad what belongs to the recording
            gradients = torch.autograd.grad(losses.sum(), drawn or self.parameters)
            parts = [part for pair in after for part in pair] if carried else []
            return losses.detach(), *parts, *others, *gradients

        return step


def _tensors(batch: Any) -> dict[str, Tensor]:
    """The tensors of a batch by name."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def _pairs(parts: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(parts[::2], parts[1::2], strict=True))


def gradients_of(network: nn.Module, forward: Forward) -> Callable[..., tuple[Any, ...]]:
    """(batch, state[, weights]) → `backpropagate` of them, recorded where that is possible."""
    layers = getattr(network, "layers", ())
    on_cuda = all(p.device.type == "cuda" for p in network.parameters())
    if on_cuda and cuda_graphs.GRAPHS and layers and all(layer.backend in NEVER_WAITING for layer in layers):
        return RecordedGradients(network, forward)

    def directly(batch: Any, state: Any, weights: Mapping[str, Tensor] | None = None) -> tuple[Any, ...]:
        return backpropagate(forward, batch, state, weights)

    return directly

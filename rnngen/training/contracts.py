"""What the training loop asks of the objects it is given; whatever has these names can be trained.

Shapes: b sequence.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

Carried = list[tuple[Tensor, Tensor]] | None
"""(h, c) of every layer, carried from one chunk of a text to the next and detached; None: start from zero."""


class Batch(Protocol):
    """Sequences side by side."""

    @property
    def sequences(self) -> int:
        """Their number b."""

    @property
    def predictions(self) -> int:
        """What is predicted of all of them, padding excluded."""


B = TypeVar("B", bound=Batch)
B_contra = TypeVar("B_contra", bound=Batch, contravariant=True)
B_co = TypeVar("B_co", bound=Batch, covariant=True)


class Batches(Protocol[B_co]):
    """An order of the data that can be entered at any position."""

    @property
    def batches_per_epoch(self) -> int: ...

    @property
    def sequences_per_epoch(self) -> int: ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[B_co]:
        """The batches of an epoch from number `start` on; the same whenever it is asked for."""


class Objective(Protocol[B_contra]):
    """What a network learns."""

    @property
    def network(self) -> nn.Module: ...

    def losses(
        self, batch: B_contra, state: Carried, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Carried]:
        """Nats of every sequence (B,), added up over time, and the state after the batch.

        With `weights`, name → tensor, the network computes with these in place of its own (a draw of weight noise).
        """

    def evaluate(self, batches: Iterable[B_contra]) -> dict[str, float]:
        """Measures over a set; `loss`, the mean nats per sequence, decides early stopping."""


class Noise(Protocol):
    """Noise on the weights while training, fixed or learned."""

    def sample(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One draw of all weights, name → tensor."""

    def square_gradients(self) -> None:
        """Learn about a draw from `.grad`, summed over several processes, as `backward` would in a single one."""

    def step(self, factor: float = 1.0, *, batch_size: int) -> None:
        """Learn from a minibatch whose gradients have been averaged; `factor` scales the learning rate."""

    def log(self, nats_per_sequence: float | None = None) -> dict[str, float]:
        """What goes into a row of the training log."""

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""

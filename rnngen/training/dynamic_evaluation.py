"""Dynamic evaluation: the weights go on learning while the test data are read, each datum once (§3.1).

Every sequence is scored with the weights as they stand *before* anything is learned from it, so the number is an
honest code length. The adapted weights are thrown away: the network handed in is never touched.

The paper gives no learning rate, momentum, interval or reset; here they are arguments. Momentum starts at zero, the
weights are never reset to the trained ones, and for regularised networks adaptation starts from the mean weights,
without noise.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from rnngen.losses.bits_per_character import bits
from rnngen.losses.softmax import errors, surprisal
from rnngen.training.gradients import gradients_of
from rnngen.training.objectives import NextSymbol, detach
from rnngen.training.sgd import GravesSGD


def evaluate_dynamically(
    network: nn.Module,
    batches: Iterable[Any],
    *,
    learning_rate: float,
    momentum: float = 0.0,
    interval: int = 1,
    on_sequence: Callable[[torch.Tensor], None] | None = None,
) -> dict[str, float]:
    """Measures as `NextSymbol.evaluate` gives them, with one SGD update after every `interval` sequences.

    `batches` hold one sequence each (a sentence, or a chunk with carried state) in the order of the data; an update
    uses the loss summed over time, averaged over the `interval` sequences. `on_sequence` receives the nats of every
    symbol (T,), as scored.
    """
    adapted = copy.deepcopy(network)
    objective = NextSymbol(adapted)

    def score(batch: Any, state: Any) -> tuple[torch.Tensor, Any, torch.Tensor]:
        y_tbk, state = objective.predict(batch, state)
        return surprisal(y_tbk, batch.targets_tb), detach(state), errors(y_tbk, batch.targets_tb).sum()

    scored = gradients_of(adapted, score)
    optimiser = GravesSGD(adapted.parameters(), lr=learning_rate, momentum=momentum)
    optimiser.zero_grad(set_to_none=True)
    # sums stay on the network's device: looking at each would wait for it after every sequence
    nats = torch.zeros((), dtype=torch.float64, device=next(adapted.parameters()).device)
    wrong = torch.zeros_like(nats, dtype=torch.int64)
    sequences = predictions = pending = 0
    state = None
    for batch in batches:
        nats_tb, state, wrong_symbols = scored(batch, state)
        nats += nats_tb.sum()
        wrong += wrong_symbols
        sequences += batch.sequences
        predictions += batch.predictions
        if on_sequence is not None:
            on_sequence(nats_tb.flatten())
        pending += 1
        if pending == interval:
            if interval > 1:
                torch._foreach_div_([p.grad for p in adapted.parameters() if p.grad is not None], interval)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            pending = 0
    return {
        "loss": nats.item() / sequences,
        "bits_per_symbol": bits(nats.item() / predictions),
        "error_rate": wrong.item() / predictions,
    }

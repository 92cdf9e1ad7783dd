"""What a network learns to predict, and how well it does: next symbol (§3), next pen point (§4), next pen point given
a text (§5).

An objective turns a batch into losses in nats, summed over time, one per sequence (eq 6, 13, 26, 54), and a validation
set into a dict of measures whose `loss` is the mean loss per sequence.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rnngen.corpora.handwriting.lines import HandwritingBatch
from rnngen.corpora.sequences import TextBatch
from rnngen.losses.bits_per_character import bits
from rnngen.losses.mixture_density import MixtureDensity
from rnngen.losses.softmax import cross_entropy, errors
from rnngen.training.contracts import Carried


def outputs(network: nn.Module, weights: Mapping[str, Tensor] | None, *arguments: Any, **options: Any) -> Any:
    """The network's outputs under its own weights, or under `weights` (a draw of weight noise)."""
    if weights is None:
        return network(*arguments, **options)
    return functional_call(network, dict(weights), arguments, options)


class NextSymbol:
    """Softmax over the alphabet (eq 12–14); `network` is a PredictionNetwork with symbol inputs."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def predict(
        self, batch: TextBatch, state: Carried, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """ŷ (T, B, K) and the state after the batch; the state is reset first where the batch says so."""
        if batch.reset:
            state = None
        return outputs(self.network, weights, batch.inputs_tb, state, None if batch.runs_on else batch.lengths_b)

    def losses(
        self, batch: TextBatch, state: Carried, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Carried]:
        """Nats per sequence (B,) and the carried state, detached (truncated BPTT, §3.2)."""
        y_tbk, after = self.predict(batch, state, weights)
        return cross_entropy(y_tbk, batch.targets_tb, batch.lengths_b), detach(after)

    @torch.inference_mode()
    def evaluate(self, batches: Iterable[TextBatch]) -> dict[str, float]:
        """Measures over a set: loss (nats per sequence), bits per symbol, error rate (share of wrong argmax)."""
        # sums stay on the network's device: looking at each would wait for it after every batch
        nats_sum = torch.zeros((), dtype=torch.float64, device=next(self.network.parameters()).device)
        wrong_sum = torch.zeros_like(nats_sum, dtype=torch.int64)
        sequences = predictions = 0
        state: Carried = None
        for batch in batches:
            y_tbk, state = self.predict(batch, state)
            nats_sum += cross_entropy(y_tbk, batch.targets_tb, batch.lengths_b).double().sum()
            wrong_sum += errors(y_tbk, batch.targets_tb, batch.lengths_b).sum()
            sequences += batch.sequences
            predictions += batch.predictions
        nats, wrong = nats_sum.item(), wrong_sum.item()
        return {
            "loss": nats / sequences,
            "bits_per_symbol": bits(nats / predictions),
            "error_rate": wrong / predictions,
        }


class NextPoint:
    """Mixture density over pen offsets and end of stroke (eq 15–37); `network` is a PredictionNetwork."""

    def __init__(self, network: nn.Module, clip_output: float | None = 100.0) -> None:
        self.network = network
        self.density = MixtureDensity(clip=clip_output)

    def predict(self, batch: HandwritingBatch, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        """ŷ (T, B, 6M + 1)."""
        lengths_b = None if batch.runs_on else batch.lengths_b
        return outputs(self.network, weights, batch.inputs_tb3, None, lengths_b)[0]

    def losses(
        self, batch: HandwritingBatch, state: Carried, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Carried]:
        """Nats per line (B,); a line is a whole sequence, so there is no state to carry."""
        return self.density.loss(self.predict(batch, weights), batch.targets_tb3, batch.lengths_b), None

    @torch.inference_mode()
    def evaluate(self, batches: Iterable[HandwritingBatch]) -> dict[str, float]:
        """Measures over a set: loss (nats per line), nats per point, and the sum-squared errors per point.

        The paper does not define its point prediction: `mean` is the mixture's mean, `top` the mean of the heaviest
        component; the end of stroke adds its squared error to the two with `_and_end_of_stroke`.
        """
        sums: dict[str, float] = dict.fromkeys(("nats", "sse_mean", "sse_top", "sse_end_of_stroke"), 0.0)
        sequences = points = 0
        for batch in batches:
            y_tbo = self.predict(batch)
            sums["nats"] += self.density.loss(y_tbo, batch.targets_tb3, batch.lengths_b).double().sum().item()
            for name, value in self.density.squared_errors(y_tbo, batch.targets_tb3, batch.lengths_b).items():
                sums[f"sse_{name}"] += value
            sequences += batch.sequences
            points += batch.predictions
        return {
            "loss": sums["nats"] / sequences,
            "nats_per_point": sums["nats"] / points,
            "sse_mean": sums["sse_mean"] / points,
            "sse_top": sums["sse_top"] / points,
            "sse_mean_and_end_of_stroke": (sums["sse_mean"] + sums["sse_end_of_stroke"]) / points,
            "sse_top_and_end_of_stroke": (sums["sse_top"] + sums["sse_end_of_stroke"]) / points,
        }


class NextPointGivenText(NextPoint):
    """The same, conditioned on the text of the line (eq 46–55); `network` is a SynthesisNetwork."""

    def predict(self, batch: HandwritingBatch, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        lengths_b = None if batch.runs_on else batch.lengths_b
        return outputs(
            self.network, weights, batch.inputs_tb3, batch.text_bu, batch.text_lengths_b, lengths_b=lengths_b
        )[0]


def detach(state: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """A recurrent state without its history: gradients end at the start of the next chunk."""
    return [(h.detach(), c.detach()) for h, c in state]

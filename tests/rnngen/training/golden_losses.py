"""The losses of the first updates of every kind of training, tiny and in float64.

python -m tests.rnngen.training.golden_losses       writes golden_losses.json anew, after a change that is meant
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rnngen.corpora.handwriting.lines import HandwritingBatch, HandwritingBatches, Lines
from rnngen.corpora.sequences import ChunkBatches, SentenceBatches, Sequences
from rnngen.networks import PredictionNetwork, SynthesisNetwork
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.contracts import Batches, Noise, Objective
from rnngen.training.loop import Progress, Schedule, train
from rnngen.training.objectives import NextPoint, NextPointGivenText, NextSymbol
from rnngen.training.rmsprop import GravesRMSProp
from rnngen.training.sgd import GravesSGD
from rnngen.training.weight_noise import WeightNoise

GOLDEN = Path(__file__).with_suffix(".json")
UPDATES = 5
KINDS = ("sentences", "chunks", "prediction", "synthesis", "weight noise", "adaptive weight noise")


def losses(kind: str, backend: str, dtype: torch.dtype = torch.float64) -> list[float]:
    """Nats a sequence of the first updates, the mean over a minibatch."""
    random = np.random.default_rng(3)
    common = {"cells": 6, "layers": 2, "backend": backend, "generator": torch.Generator().manual_seed(5)}
    objective: Objective
    batches: Batches
    if kind in ("prediction", "synthesis"):
        lengths = np.array([9, 14, 11, 7])
        steps_t3 = random.normal(size=(lengths.sum(), 3)).astype(np.float32)
        steps_t3[:, 2] = random.random(lengths.sum()) < 0.2
        texts = Sequences.of(random.integers(5, size=n) for n in (3, 4, 2, 3))
        names = ["a", "b", "c", "d"]
        lines = Lines(names, names, names, steps_t3, np.append(0, np.cumsum(lengths)), texts)
        batches = HandwritingBatches(lines, 2, seed=1, shuffle=True)
        if kind == "prediction":
            network = PredictionNetwork(output_size=19, clip=10.0, **common)
            objective = NextPoint(network, 100.0)
        else:
            network = SynthesisNetwork(alphabet_size=5, window_components=2, mixtures=3, clip=10.0, **common)
            objective = NextPointGivenText(network, 100.0)
    else:
        network = PredictionNetwork(input_size=7, output_size=7, symbols=True, clip=1.0, **common)
        objective = NextSymbol(network)
        if kind == "chunks":
            batches = ChunkBatches(random.integers(7, size=90), 2, chunk=6, reset_every=3)
        else:
            batches = SentenceBatches(Sequences.of(random.integers(7, size=n) for n in (5, 9, 4, 8, 6, 3)), 2, seed=1)
    network.to(dtype)
    if kind in ("prediction", "synthesis"):
        batches = InType(batches, dtype)
        optimiser: torch.optim.Optimizer = GravesRMSProp(network.parameters(), lr=1e-3)
    else:
        optimiser = GravesSGD(network.parameters(), lr=0.01, momentum=0.9)
    weights = dict(network.named_parameters())
    noise: Noise | None = None
    if kind == "weight noise":
        noise = WeightNoise(weights, 0.075)
    elif kind == "adaptive weight noise":
        noise = AdaptiveWeightNoise(weights, 0.075, sequences=6, optimiser=lambda p: GravesRMSProp(p, lr=1e-3))
    found, progress = [], Progress()
    for _ in train(
        objective,
        batches,
        lambda: {"loss": 0.0},
        optimiser,
        Schedule(maximum_epochs=9, patience=9, maximum_updates=UPDATES, validate_every=1),
        progress,
        noise=noise,
        generator=torch.Generator().manual_seed(7),
    ):
        found = [row["train_nats_per_sequence"] for row in progress.history]
    return found


class InType:
    """Batches of handwriting in another floating-point type."""

    def __init__(self, batches: HandwritingBatches, dtype: torch.dtype) -> None:
        self.batches, self.dtype = batches, dtype
        self.batches_per_epoch, self.sequences_per_epoch = batches.batches_per_epoch, batches.sequences_per_epoch

    def epoch(self, epoch: int, start: int = 0) -> Iterator[HandwritingBatch]:
        """The batches of an epoch from number `start` on."""
        for batch in self.batches.epoch(epoch, start):
            yield replace(
                batch, inputs_tb3=batch.inputs_tb3.to(self.dtype), targets_tb3=batch.targets_tb3.to(self.dtype)
            )


if __name__ == "__main__":
    found = {kind: [float(f"{loss:.12g}") for loss in losses(kind, "reference")] for kind in KINDS}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

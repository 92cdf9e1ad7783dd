"""Trainings in float64 that torchrun starts on several processes: each saves its final weights, losses and state.

torchrun --standalone --nproc-per-node 2 -m tests.rnngen.training.shared_trainings FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from rnngen.corpora.handwriting.lines import HandwritingBatch
from rnngen.corpora.sequences import ChunkBatches
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.data_parallel import join_ranks
from rnngen.training.loop import Progress, Schedule, train
from rnngen.training.objectives import NextPoint, NextSymbol
from rnngen.training.rmsprop import GravesRMSProp
from rnngen.training.sgd import GravesSGD
from rnngen.training.weight_noise import WeightNoise

CASES = ("text", "lines", "lines-fixed", "lines-adaptive", "few-lines-adaptive")


class RandomLines:
    """Lines of 20 to 60 random steps in float64, in minibatches of unlike sizes: the last one is smaller."""

    def __init__(self, lines: int, batch_size: int) -> None:
        random = np.random.default_rng(0)
        self.lines_t3 = [random.normal(size=(int(steps), 3)) for steps in random.integers(20, 60, lines)]
        for line_t3 in self.lines_t3:
            line_t3[:, 2] = line_t3[:, 2] > 1
        self.batch_size = batch_size
        self.sequences_per_epoch = lines
        self.batches_per_epoch = -(-lines // batch_size)

    def epoch(self, epoch: int, start: int = 0):
        order = np.random.default_rng((7, epoch)).permutation(len(self.lines_t3))
        for i in range(start, self.batches_per_epoch):
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            lines = [torch.from_numpy(self.lines_t3[row]) for row in rows]
            lengths = torch.tensor([len(line) for line in lines])
            targets = torch.nn.utils.rnn.pad_sequence(lines)
            inputs = torch.cat([targets.new_zeros(1, len(lines), 3), targets[:-1]])
            text = torch.zeros(len(lines), 1, dtype=torch.int64)
            ones = torch.ones(len(lines), dtype=torch.int64)
            yield HandwritingBatch(inputs, targets, lengths, text, ones, predictions=int(lengths.sum()), lines=rows)


def optimiser_of(kind, parameters, batch_size):
    group = {"params": list(parameters), "batch_size": batch_size, "rate_power": 1.0 if kind is GravesSGD else 0.5}
    return kind([group], lr=1e-3, momentum=0.9)


def run(case: str, ranks) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Weights, deviations and carried state after three epochs, and the training losses."""
    generator = torch.Generator().manual_seed(3)
    if case == "text":
        # blocks of 25 · 20 symbols: two rounds of 5 streams, one of 3, and a rest of one row
        symbols = np.random.default_rng(1).integers(0, 30, 13 * 500 + 130).astype(np.int64)
        batches = ChunkBatches(symbols, 5, chunk=25, reset_every=20)
        network = PredictionNetwork(30, 24, 2, 30, symbols=True, clip=1.0, generator=generator).double()
        objective, kind = NextSymbol(network), GravesSGD
    else:
        # shares of unlike size in two and three processes, and empty ones at the end of an epoch
        batches = RandomLines(7, 6) if case.startswith("few") else RandomLines(45, 8)
        network = PredictionNetwork(3, 24, 3, 6 * 4 + 1, clip=10.0, generator=generator).double()
        objective, kind = NextPoint(network, 100.0), GravesRMSProp
    optimiser = optimiser_of(kind, network.parameters(), batches.batch_size)
    named, noise = dict(network.named_parameters()), None
    if case.endswith("fixed"):
        noise = WeightNoise(named, 0.075)
    if case.endswith("adaptive"):
        noise = AdaptiveWeightNoise(
            named,
            0.075,
            sequences=batches.sequences_per_epoch,
            optimiser=lambda p: optimiser_of(kind, p, batches.batch_size),
        )
    progress, carried = Progress(), None
    events = train(
        objective,
        batches,
        lambda: {"loss": float(sum(p.detach().square().sum() for p in network.parameters()))},
        optimiser,
        Schedule(3, 10),
        progress,
        noise=noise,
        generator=torch.Generator().manual_seed(11),
        ranks=ranks,
    )
    for event, value in events:
        if event == "update" and value is not None and progress.updates % 50 == 7:
            carried = value
            if ranks is not None:
                carried = ranks.gather(value, next(network.parameters()))
                assert_same(ranks.own_part(carried), value)
    found = {name: p.detach().clone() for name, p in named.items()}
    if isinstance(noise, AdaptiveWeightNoise):
        found |= {f"sigma.{name}": sigma.detach().clone() for name, sigma in noise.sigmas.items()}
    for layer, pair in enumerate(carried or ()):
        found |= {f"carried.{layer}.{name}": part.clone() for name, part in zip("hc", pair, strict=True)}
    return found, [row["train_nats_per_sequence"] for row in progress.history]


def assert_same(some, others) -> None:
    for pair, other in zip(some, others, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(pair, other, strict=True))


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    with join_ranks() as ranks:
        for case in CASES:
            tensors, losses = run(case, ranks)
            name = f"{case}.{0 if ranks is None else ranks.rank}"
            save_file(tensors, folder / f"{name}.safetensors")
            (folder / f"{name}.json").write_text(json.dumps(losses), encoding="utf-8")

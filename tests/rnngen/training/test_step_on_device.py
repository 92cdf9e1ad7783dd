"""Nothing in a training step looks at a tensor, copies one to or from the host, or takes more launches than it must.

The steps run on torch's device `meta`, which knows shapes and no values: what would wait for a GPU is an error there.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rnngen.corpora.handwriting.lines import HandwritingBatches, Lines
from rnngen.corpora.sequences import ChunkBatches, SentenceBatches, Sequences
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.gradients import RecordedGradients
from rnngen.training.loop import Progress, Schedule, train
from rnngen.training.objectives import NextPoint, NextPointGivenText, NextSymbol
from rnngen.training.rmsprop import GravesRMSProp
from rnngen.training.sgd import GravesSGD
from rnngen.training.weight_noise import WeightNoise

RANDOM = np.random.default_rng(0)


class Operations(TorchDispatchMode):
    """Counts what torch is asked to do, and fails where a value would leave or reach the device."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        devices = {x.device.type for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)}
        assert "cpu" not in devices, f"{function} on {devices}"
        self.names[str(function).split(".")[1]] += 1
        return result


class Watched:
    """Batches, with everything after an epoch's first watched; the first copies the order of the epoch."""

    def __init__(self, batches, operations):
        self.batches, self.operations = batches, operations
        self.batches_per_epoch = batches.batches_per_epoch

    def epoch(self, epoch, start=0):
        iterator = self.batches.epoch(epoch, start)
        yield next(iterator)
        with self.operations:
            yield from iterator


@pytest.fixture
def numbers_of_meta(monkeypatch):
    """meta draws no random numbers from a generator of another device."""
    for module in ("weight_noise", "adaptive_weight_noise"):
        monkeypatch.setattr(f"rnngen.training.{module}.standard_normal", lambda w, generator: torch.randn_like(w))


def lines():
    lengths = RANDOM.integers(3, 30, 24)
    steps = RANDOM.normal(size=(lengths.sum(), 3)).astype(np.float32)
    texts = Sequences.of(RANDOM.integers(0, 5, n) for n in RANDOM.integers(1, 9, 24))
    return Lines([""] * 24, [""] * 24, [""] * 24, steps, np.append(0, np.cumsum(lengths)), texts)


def work(kind):
    options = dict(clip=1.0, backend="fused", precision="bfloat16")
    if kind in ("sentences", "chunks"):
        network = PredictionNetwork(9, 20, 2 if kind == "chunks" else 1, 9, symbols=True, **options).to("meta")
        sentences = Sequences.of(RANDOM.integers(0, 9, n) for n in RANDOM.integers(1, 30, 24))
        text = RANDOM.integers(0, 9, 700).astype(np.uint8)
        if kind == "sentences":
            return NextSymbol(network), SentenceBatches(sentences, 4, device="meta")
        return NextSymbol(network), ChunkBatches(text, 4, chunk=10, reset_every=5, device="meta")
    if kind == "points":
        network = PredictionNetwork(3, 20, 3, 13, **options).to("meta")
        return NextPoint(network), HandwritingBatches(lines(), 4, device="meta")
    network = SynthesisNetwork(20, 3, 5, 3, 2, **options).to("meta")
    return NextPointGivenText(network), HandwritingBatches(lines(), 4, device="meta")


@pytest.mark.parametrize("noise", [None, WeightNoise, AdaptiveWeightNoise])
@pytest.mark.parametrize("kind", ["sentences", "chunks", "points", "points given text"])
def test_a_step_waits_for_nothing(numbers_of_meta, monkeypatch, kind, noise):
    """As it is recorded, from the first batch of a shape on; what is made directly may wait."""
    monkeypatch.setattr("rnngen.training.gradients.MADE_DIRECTLY", 0)
    monkeypatch.setattr(
        "rnngen.training.loop.gradients_of",
        lambda network, forward: RecordedGradients(network, forward, lambda step, *like: step),
    )
    objective, batches = work(kind)
    operations, progress = Operations(), Progress()
    named = dict(objective.network.named_parameters())
    options = dict(sequences=24) if noise is AdaptiveWeightNoise else {}
    steps = train(
        objective,
        Watched(batches, operations),
        lambda: {"loss": 0.0},
        GravesRMSProp(named.values()),
        Schedule(1, 1),
        progress,
        noise=None if noise is None else noise(named, **options),
        generator=torch.Generator(),
        look_every=10**6,
    )
    with pytest.raises(RuntimeError, match="meta"):
        list(steps)
    assert progress.updates == batches.batches_per_epoch - 1  # the look at the loss at the end of the epoch
    assert operations.names.total() > 100


@pytest.mark.parametrize("tensors", [3, 40])
def test_optimisers_take_all_tensors_at_once(tensors):
    """Launches do not grow with the number of tensors: 36 of them in 7 × 700."""

    def weights():
        return [torch.zeros(4, 3, device="meta", requires_grad=True) for _ in range(tensors)]

    counts = []
    for optimiser in (
        GravesSGD(weights(), lr=0.1, momentum=0.9),
        GravesRMSProp(weights()),
    ):
        for _ in range(2):  # the first step makes the state
            for w in optimiser.param_groups[0]["params"]:
                w.grad = torch.zeros_like(w)
            with Operations() as operations:
                optimiser.step()
        counts.append(sum(n for name, n in operations.names.items() if not name.startswith("_record_function")))
    assert counts == [3, 11]

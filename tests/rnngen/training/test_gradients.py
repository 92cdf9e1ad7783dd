"""A recorded batch is the batch: with a stand-in for the recording, trainings are the same."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

from rnngen.cells import cuda_graphs
from rnngen.corpora.handwriting.lines import HandwritingBatches, Lines
from rnngen.corpora.sequences import ChunkBatches, SentenceBatches, Sequences, round_length
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.dynamic_evaluation import evaluate_dynamically
from rnngen.training.gradients import MADE_DIRECTLY, RecordedGradients, backpropagate, gradients_of
from rnngen.training.loop import Progress, Schedule, train
from rnngen.training.objectives import NextPoint, NextPointGivenText, NextSymbol
from rnngen.training.rmsprop import GravesRMSProp
from rnngen.training.sgd import GravesSGD
from rnngen.training.weight_noise import WeightNoise


class Recorder:
    """What `cuda_graphs.record` promises, on any device: every call reads its own copies of the arguments
    and writes the same results again, of which the caller gets copies."""

    def __init__(self):
        self.recorded, self.replayed = 0, 0

    def __call__(self, step, *like):
        arguments = [x.clone() for x in like]
        results = step(*arguments)
        self.recorded += 1

        def replay(*tensors):
            for place, x in zip(arguments, tensors, strict=True):
                place.copy_(x)
            for place, x in zip(results, step(*arguments), strict=True):
                place.copy_(x)
            self.replayed += 1
            return tuple(x.clone() for x in results)

        return replay


@pytest.fixture
def recorder(monkeypatch):
    """Records wherever something asks for gradients, whatever device and back end."""
    recorder = Recorder()

    def always(network, forward):
        return RecordedGradients(network, forward, recorder)

    def record(on):
        for module in ("rnngen.training.loop", "rnngen.training.dynamic_evaluation"):
            monkeypatch.setattr(f"{module}.gradients_of", always if on else gradients_of)
        return recorder

    return record


def network():
    generator = torch.Generator().manual_seed(1)
    return PredictionNetwork(9, 6, 2, 9, symbols=True, clip=1.0, init_range=0.5, generator=generator)


SYMBOLS = np.random.default_rng(0).integers(0, 9, 1_234)


def trained(batches, every):
    objective = NextSymbol(network())
    optimiser = GravesSGD(objective.network.parameters(), lr=0.01, momentum=0.9)
    progress, states = Progress(), []
    loop = train(
        objective, batches, lambda: objective.evaluate(batches.epoch(0)), optimiser, Schedule(2, 9, decay="linear"),
        progress, generator=torch.Generator(), look_every=every,
    )  # fmt: skip
    for kind, value in loop:
        if kind == "update" and value is not None:
            states.append([part for pair in value for part in pair])
    for row in progress.history:
        row.pop("seconds")
    # copied only now: a state that a later chunk had overwritten would differ
    return progress.history, [*objective.network.parameters(), *(part for state in states for part in state)]


@pytest.mark.parametrize("every", [1, 4])
def test_a_training_on_recorded_chunks_is_the_same(recorder, every):
    batches = ChunkBatches(SYMBOLS, 4, chunk=10, reset_every=7)
    counts = recorder(on=True)
    history, tensors = trained(batches, every)
    assert counts.recorded == 2  # 4 × 10, and 1 × 10 of the rest; the shorter chunk at the end comes too seldom
    assert counts.replayed > 40
    recorder(on=False)
    expected_history, expected = trained(batches, every)
    assert history == expected_history
    assert all(torch.equal(a, b) for a, b in zip(tensors, expected, strict=True))


@pytest.mark.parametrize("interval", [1, 3])
def test_dynamic_evaluation_on_recorded_chunks_is_the_same(recorder, interval):
    found = []
    for on in (True, False):
        counts, nats = recorder(on), []
        batches = ChunkBatches(SYMBOLS, chunk=10, reset_every=7).epoch(0)
        options = dict(learning_rate=0.05, momentum=0.5, interval=interval)
        measures = evaluate_dynamically(network(), batches, **options, on_sequence=nats.append)
        found.append((measures, torch.cat(nats)))
    assert counts.recorded == 1 and counts.replayed > 90
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])


def sentences():
    random = np.random.default_rng(1)
    return Sequences.of(random.integers(0, 9, n) for n in random.integers(1, 14, 40))


def lines():
    random = np.random.default_rng(2)
    lengths = random.integers(3, 30, 40)
    steps = random.normal(size=(lengths.sum(), 3)).astype(np.float32)
    steps[:, 2] = random.random(len(steps)) < 0.2
    texts = Sequences.of(random.integers(0, 5, n) for n in random.integers(1, 9, 40))
    return Lines([""] * 40, [""] * 40, [""] * 40, steps, np.append(0, np.cumsum(lengths)), texts)


def padded_work(kind):
    """An objective in float64 and batches of sequences that end at different steps."""
    options = dict(clip=0.05, init_range=0.5, generator=torch.Generator().manual_seed(1))  # a clip that takes effect
    if kind == "sentences":
        return NextSymbol(PredictionNetwork(9, 6, 2, 9, symbols=True, **options).double()), SentenceBatches(
            sentences(), 4
        )
    batches = HandwritingBatches(lines(), 4)
    batches.steps_n3 = batches.steps_n3.double()
    if kind == "points":
        return NextPoint(PredictionNetwork(3, 6, 3, 13, **options).double()), batches
    return NextPointGivenText(SynthesisNetwork(6, 2, 5, 3, 2, **options).double()), batches


@pytest.mark.parametrize("noise", [None, WeightNoise, AdaptiveWeightNoise])
@pytest.mark.parametrize("kind", ["sentences", "points", "points given text"])
def test_a_training_on_recorded_sequences_of_all_lengths_is_the_same(recorder, kind, noise):
    """Up to rounding: the sums over time run on through zeros."""
    found = []
    for on in (True, False):
        counts = recorder(on)
        objective, batches = padded_work(kind)
        named = dict(objective.network.named_parameters())
        options = dict(sequences=40) if noise is AdaptiveWeightNoise else {}
        loop = train(
            objective,
            batches,
            lambda: {"loss": 0.0},
            GravesRMSProp(named.values(), lr=1e-3),
            Schedule(4, 9),
            Progress(),
            noise=None if noise is None else noise(named, 0.02, **options),
            generator=torch.Generator().manual_seed(3),
        )
        rows = [row for kind_, row in loop if kind_ == "validation"]
        found.append(([row["train_nats_per_sequence"] for row in rows], list(named.values())))
        if on:
            assert counts.recorded >= 2 and counts.replayed >= 8
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    for one, two in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


def test_sequences_come_in_few_shapes():
    shapes = {round_length(steps) for steps in range(1, 2_049)}
    assert len(shapes) == 4 + 4 * 7  # 4, 8, 12, 16, and four in each octave from there to 2,048
    assert all(steps <= round_length(steps) <= max(steps + 3, 1.25 * steps) for steps in range(1, 2_049))


def test_so_many_shapes_are_recorded_and_no_more(monkeypatch):
    monkeypatch.setattr("rnngen.training.gradients.MOST_RECORDINGS", 1)
    model, record = network(), Recorder()
    gradients = RecordedGradients(model, NextSymbol(model).losses, record)
    for batch in [*SentenceBatches(sentences(), 4)] * (MADE_DIRECTLY + 1):
        gradients(batch, None)
    assert record.recorded == 1


def test_what_does_not_repeat_is_made_directly():
    record = Recorder()
    model = network()
    gradients = RecordedGradients(model, NextSymbol(model).losses, record)
    equally_long = Sequences.of([SYMBOLS[:n] for n in (5, 5, 9, 9) * 8])
    for batch in SentenceBatches(equally_long, 2, shuffle=False):
        gradients(batch, None)
    chunks = list(ChunkBatches(SYMBOLS, 4, chunk=10, reset_every=7).epoch(0))
    state = None
    for batch in chunks[: MADE_DIRECTLY + 1]:  # the first of them begins with no state
        state = gradients(batch, state)[1]
    assert record.recorded == 0
    gradients(chunks[MADE_DIRECTLY + 1], state)
    assert record.recorded == 1


def test_gradients_are_added_as_backward_adds_them():
    batch, chunk = list(ChunkBatches(SYMBOLS, 4, chunk=10, reset_every=7).epoch(0))[:2]
    model = network()
    losses = NextSymbol(model).losses
    state = losses(batch, None)[1]
    recorded, directly = copy.deepcopy(model), copy.deepcopy(model)
    with_recording = RecordedGradients(recorded, NextSymbol(recorded).losses, Recorder())
    without = partial(backpropagate, NextSymbol(directly).losses)
    for _ in range(MADE_DIRECTLY + 3):
        with_recording(chunk, state)
        without(chunk, state)
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(recorded.parameters(), directly.parameters(), strict=True))


def test_nothing_is_recorded_without_a_cuda_device():
    model = network()
    assert not isinstance(gradients_of(model, NextSymbol(model).losses), RecordedGradients)


@pytest.mark.skipif(not torch.cuda.is_available() or not cuda_graphs.GRAPHS, reason="no CUDA device to record on")
@pytest.mark.parametrize("backend", ["fused", "triton"])
@pytest.mark.parametrize("kind", ["chunks", "sentences", "points", "points given text"])
def test_replayed_gradients_are_those_of_the_launches(kind, backend):
    if backend == "triton":
        pytest.importorskip("triton")
    if kind == "chunks":
        objective, batches = NextSymbol(network()), ChunkBatches(SYMBOLS, 4, chunk=20, reset_every=100, device="cuda")
    else:
        objective, batches = padded_work(kind)
        for name in ("steps_n3", "symbols_n"):
            if hasattr(batches, name):
                setattr(batches, name, getattr(batches, name).cuda())
    model = objective.network.double().cuda()
    for layer in model.layers:
        layer.backend = backend
    recorded, directly = gradients_of(model, objective.losses), partial(backpropagate, objective.losses)
    assert isinstance(recorded, RecordedGradients)
    found = []
    for gradients in (directly, recorded):
        state, kept = None, []
        for batch in (batch for epoch in range(4) for batch in batches.epoch(epoch)):
            model.zero_grad()
            losses, state = gradients(batch, state)
            kept += [losses, *(p.grad for p in model.parameters())]
        found.append(kept)
    assert recorded.recordings
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)

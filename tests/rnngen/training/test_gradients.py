"""A recorded chunk is the chunk: with a stand-in for the recording, trainings are equal to the bit."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

from rnngen.cells.cuda_graphs import LOOPS
from rnngen.corpora.sequences import ChunkBatches, SentenceBatches, Sequences
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.training.dynamic_evaluation import evaluate_dynamically
from rnngen.training.gradients import MADE_DIRECTLY, RecordedGradients, backpropagate, gradients_of
from rnngen.training.loop import Progress, Schedule, train
from rnngen.training.objectives import NextSymbol
from rnngen.training.sgd import GravesSGD


class Recorder:
    """What `cuda_graphs.recorded` promises, on any device: every call reads its own copies of the arguments
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


def test_what_does_not_repeat_is_made_directly():
    record = Recorder()
    model = network()
    gradients = RecordedGradients(model, NextSymbol(model).losses, record)
    sentences = Sequences.of([SYMBOLS[:n] for n in (5, 9, 5, 5, 9, 5, 5, 5)])
    for batch in SentenceBatches(sentences, 2, shuffle=False):
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_replayed_gradients_are_those_of_the_launches(precision):
    pytest.importorskip("triton")
    if not LOOPS.graphs:
        pytest.skip("RNNGEN_CUDA_GRAPHS=0: nothing is recorded")
    model = PredictionNetwork(9, 400, 3, 9, symbols=True, clip=1.0, backend="triton", precision=precision).cuda()
    recorded = gradients_of(model, NextSymbol(model).losses)
    assert isinstance(recorded, RecordedGradients)
    directly = partial(backpropagate, NextSymbol(model).losses)
    found = []
    for gradients in (directly, recorded):
        state, kept = None, []
        for batch in ChunkBatches(SYMBOLS, 4, chunk=20, reset_every=100, device="cuda"):
            model.zero_grad()
            losses, state = gradients(batch, state)
            kept += [losses, *(p.grad for p in model.parameters()), *(part for pair in state for part in pair)]
        found.append(kept)
    assert len(recorded.recordings) == 1
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))

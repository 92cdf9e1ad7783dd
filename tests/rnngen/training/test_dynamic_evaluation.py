"""Dynamic evaluation scores before it learns, and leaves the network as it was."""

import copy

import numpy as np
import pytest
import torch

from rnngen.corpora.sequences import ChunkBatches, SentenceBatches, Sequences
from rnngen.losses.bits_per_character import bits
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.training.dynamic_evaluation import evaluate_dynamically
from rnngen.training.objectives import NextSymbol


@pytest.fixture
def network():
    generator = torch.Generator().manual_seed(1)
    return PredictionNetwork(5, 6, 2, 5, symbols=True, clip=1.0, init_range=0.5, generator=generator).double()


@pytest.fixture
def batches():
    random = np.random.default_rng(2)
    sentences = Sequences.of([random.integers(0, 5, n) for n in (4, 1, 9, 3)])
    return lambda: SentenceBatches(sentences, 1, shuffle=False).epoch(0)


def test_without_learning_it_is_the_static_evaluation(network, batches):
    static = NextSymbol(network).evaluate(batches())
    assert evaluate_dynamically(network, batches(), learning_rate=0.0) == pytest.approx(static, rel=1e-12)


@pytest.mark.parametrize(("interval", "momentum"), [(1, 0.0), (2, 0.5)])
def test_each_sentence_is_scored_before_the_weights_move(network, batches, interval, momentum):
    before = copy.deepcopy(network.state_dict())
    scored = []
    found = evaluate_dynamically(
        network, batches(), learning_rate=0.1, momentum=momentum, interval=interval, on_sequence=scored.append
    )
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

    weights = copy.deepcopy(network)
    velocity = {name: torch.zeros_like(p) for name, p in weights.named_parameters()}
    nats, gradients = 0.0, {name: 0 for name in velocity}
    for number, batch in enumerate(batches()):
        loss = NextSymbol(weights).losses(batch, None)[0].sum()
        assert scored[number].sum().item() == pytest.approx(loss.item(), rel=1e-12)
        nats += loss.item()
        for name, gradient in zip(velocity, torch.autograd.grad(loss, weights.parameters()), strict=True):
            gradients[name] = gradients[name] + gradient / interval
        if (number + 1) % interval == 0:
            with torch.no_grad():
                for name, p in weights.named_parameters():
                    velocity[name] = momentum * velocity[name] + gradients[name]
                    p -= 0.1 * velocity[name]
            gradients = {name: 0 for name in velocity}
    assert found["loss"] == pytest.approx(nats / 4, rel=1e-12)
    assert found["bits_per_symbol"] == pytest.approx(bits(nats / 17), rel=1e-12)


def test_the_state_is_carried_from_chunk_to_chunk_and_reset_as_in_the_static_evaluation(network):
    text = np.random.default_rng(3).integers(0, 5, 47)
    chunks = ChunkBatches(text, 1, chunk=4, reset_every=3)
    static = NextSymbol(network).evaluate(chunks.epoch(0))
    assert evaluate_dynamically(network, chunks.epoch(0), learning_rate=0.0) == pytest.approx(static, rel=1e-12)
    forgetful = ChunkBatches(text, 1, chunk=4, reset_every=1)
    assert NextSymbol(network).evaluate(forgetful.epoch(0))["loss"] != pytest.approx(static["loss"], rel=1e-6)

"""Measures over a set against plain loops over its sequences."""

import math

import numpy as np
import pytest
import torch

from rnngen.corpora.handwriting.lines import HandwritingBatches, Lines
from rnngen.corpora.sequences import ChunkBatches, SentenceBatches, Sequences
from rnngen.losses.mixture_density import Mixture
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.training.objectives import NextPoint, NextPointGivenText, NextSymbol
from rnngen.training.weight_noise import WeightNoise


@pytest.fixture(scope="module")
def network():
    generator = torch.Generator().manual_seed(3)
    return PredictionNetwork(6, 5, 2, 6, symbols=True, init_range=1.0, generator=generator).double()


SENTENCES = Sequences.of([np.array(s) for s in ([1, 2, 3], [0], [5, 5, 4, 1, 2, 0, 3], [2, 4])])


def loop(network, sequences):
    """Nats and wrong guesses of independent sequences, one symbol at a time."""
    nats, wrong = 0.0, 0
    for sequence in sequences:
        state, symbol = None, -1
        for target in sequence:
            y, state = network(torch.tensor([[symbol]]), state)
            nats -= torch.log_softmax(y[0, 0], 0)[target].item()
            wrong += int(y[0, 0].argmax() != target)
            symbol = int(target)
    return nats, wrong


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_sentences_are_scored_from_zero_state_each(network, batch_size):
    nats, wrong = loop(network, [SENTENCES[i] for i in range(4)])
    found = NextSymbol(network).evaluate(SentenceBatches(SENTENCES, batch_size, shuffle=False).epoch(0))
    assert found["loss"] == pytest.approx(nats / 4, abs=1e-10)
    assert found["bits_per_symbol"] == pytest.approx(nats / 13 / math.log(2), abs=1e-10)
    assert found["error_rate"] == wrong / 13


def test_chunks_carry_their_state_until_the_reset(network):
    symbols = np.random.default_rng(0).integers(0, 6, 50)
    # blocks of 3 chunks of 4: state is zero at 0, 12, 24, …
    nats, wrong = loop(network, [symbols[i : i + 12] for i in range(0, 50, 12)])
    found = NextSymbol(network).evaluate(ChunkBatches(symbols, 1, chunk=4, reset_every=3).epoch(0))
    assert found["bits_per_symbol"] == pytest.approx(nats / 50 / math.log(2), abs=1e-10)
    assert found["error_rate"] == wrong / 50
    several = NextSymbol(network).evaluate(ChunkBatches(symbols, 2, chunk=4, reset_every=3).epoch(0))
    assert several["bits_per_symbol"] == pytest.approx(found["bits_per_symbol"], abs=1e-10)


def test_gradients_end_at_the_start_of_a_chunk(network):
    """Truncated back-propagation: the second chunk's gradient is that of a sequence that begins with a given state."""
    symbols = np.array([1, 2, 3, 4, 5, 0, 1, 2])
    first, second = list(ChunkBatches(symbols, 1, chunk=4, reset_every=2).epoch(0))
    objective = NextSymbol(network)
    _, state = objective.losses(first, None)
    assert all(not part.requires_grad for layer in state for part in layer)
    loss_b, _ = objective.losses(second, state)
    truncated = torch.autograd.grad(loss_b.sum(), list(network.parameters()))
    fixed = [tuple(part.clone() for part in layer) for layer in state]
    y, _ = network(second.inputs_tb, fixed)
    expected = torch.autograd.grad(
        torch.nn.functional.cross_entropy(y[:, 0], second.targets_tb[:, 0], reduction="sum"), list(network.parameters())
    )
    for a, b in zip(truncated, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_weights_of_a_draw_are_used_and_the_stored_ones_left(network):
    batch = next(SentenceBatches(SENTENCES, 4, shuffle=False).epoch(0))
    before = {name: p.clone() for name, p in network.named_parameters()}
    objective = NextSymbol(network)
    clean, _ = objective.losses(batch, None)
    noise = WeightNoise(dict(network.named_parameters()), 0.5)
    noisy, _ = objective.losses(batch, None, noise.sample(torch.Generator().manual_seed(0)))
    silent = WeightNoise(dict(network.named_parameters()), 0.0)
    same, _ = objective.losses(batch, None, silent.sample(torch.Generator().manual_seed(0)))
    assert torch.equal(clean, same)
    assert not torch.allclose(clean, noisy)
    for name, p in network.named_parameters():
        assert torch.equal(p, before[name])


@pytest.fixture(scope="module")
def handwriting():
    """Four lines of 3 to 9 points with texts."""
    random = np.random.default_rng(1)
    lengths = [5, 3, 9, 4]
    steps = random.normal(size=(sum(lengths), 3)).astype(np.float32)
    steps[:, 2] = random.random(sum(lengths)) < 0.3
    names = [f"line {k}" for k in range(4)]
    texts = Sequences.of(random.integers(0, 7, n) for n in (2, 1, 4, 3))
    return Lines(names, names, names, steps, np.append(0, np.cumsum(lengths)), texts)


@pytest.mark.parametrize("batch_size", [1, 3, 4])
@pytest.mark.parametrize("given_text", [False, True])
def test_handwriting_is_measured_per_line_and_per_point(handwriting, given_text, batch_size):
    generator = torch.Generator().manual_seed(5)
    if given_text:
        network = SynthesisNetwork(6, 2, 7, 2, 3, init_range=0.5, generator=generator)
    else:
        network = PredictionNetwork(3, 6, 2, 19, init_range=0.5, generator=generator)
    objective = (NextPointGivenText if given_text else NextPoint)(network)
    nats = mean = top = end = 0.0
    for k in range(4):
        targets = torch.from_numpy(handwriting[k])
        inputs = torch.cat([torch.zeros(1, 3), targets[:-1]])[:, None]
        text = torch.from_numpy(handwriting.codes[k])[None]
        with torch.no_grad():
            outputs = network(inputs, text, torch.tensor([text.shape[1]])) if given_text else network(inputs)
            mixture = Mixture(outputs[0][:, 0].double())
        nats -= mixture.log_likelihood(targets.double()).sum().item()
        mean += (targets[:, :2] - mixture.mean()).square().sum().item()
        top += (targets[:, :2] - mixture.top_component()).square().sum().item()
        end += (targets[:, 2] - mixture.end_of_stroke).square().sum().item()
    found = objective.evaluate(HandwritingBatches(handwriting, batch_size, shuffle=False).epoch(0))
    expected = {
        "loss": nats / 4,
        "nats_per_point": nats / 21,
        "sse_mean": mean / 21,
        "sse_top": top / 21,
        "sse_mean_and_end_of_stroke": (mean + end) / 21,
        "sse_top_and_end_of_stroke": (top + end) / 21,
    }
    assert found == pytest.approx(expected, rel=1e-5)

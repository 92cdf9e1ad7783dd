"""From settings to optimisers and noise: every option reaches what it is of."""

import copy

import pytest
import torch

from pipeline.assembly import Assembly, make_optimiser, pen_objective
from rnngen.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.corpora.treebank import parse_treebank, write_treebank
from rnngen.objectives import NextPointGivenText
from rnngen.rmsprop import GravesRMSProp
from rnngen.weight_noise import WeightNoise
from tests.pipeline.test_train import SETTINGS


def options_of(options, batch_size):
    optimiser = make_optimiser(options, [torch.zeros(1, requires_grad=True)], batch_size)
    return type(optimiser), optimiser.param_groups[0]


def test_sgd():
    kind, found = options_of({"name": "sgd", "learning_rate": 1e-4, "momentum": 0.99}, 8)
    assert kind is torch.optim.SGD and (found["lr"], found["momentum"]) == (1e-4, 0.99)
    _, found = options_of({"name": "sgd", "learning_rate": 1e-4, "momentum": 0.99, "per_sequence": True}, 8)
    assert (found["lr"], found["momentum"]) == (pytest.approx(8e-4), 0.99)


def test_rmsprop():
    constants = {"decay": 0.9, "momentum": 0.5, "damping": 1e-3}
    kind, found = options_of({"name": "rmsprop", "learning_rate": 2e-4, **constants}, 9)
    assert kind is GravesRMSProp and found["lr"] == 2e-4 and {key: found[key] for key in constants} == constants
    _, found = options_of({"name": "rmsprop", "learning_rate": 2e-4, "per_sequence": True}, 9)
    assert found["lr"] == pytest.approx(6e-4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("treebank")
    for name, sentences in (("ptb.train.txt", 10), ("ptb.valid.txt", 3), ("ptb.test.txt", 2)):
        (folder / name).write_text(" a bad cab \n" * sentences, encoding="ascii")
    table, _ = parse_treebank(folder)
    write_treebank(folder / "treebank.parquet", table, {})
    return folder / "treebank.parquet"


def noise_of(corpus, noise, **training):
    settings = copy.deepcopy(SETTINGS) | {"noise": noise, "standard_deviation": 0.05}
    settings["training"] |= training
    return Assembly(settings, corpus).noise


def test_noise(corpus):
    assert noise_of(corpus, "none") is None
    fixed = noise_of(corpus, "fixed")
    assert isinstance(fixed, WeightNoise) and fixed.sigma == 0.05


def test_adaptive_noise_counts_sequences_and_has_an_optimiser_of_its_own(corpus):
    adaptive = noise_of(corpus, "adaptive")
    assert isinstance(adaptive, AdaptiveWeightNoise) and adaptive.sequences == 10
    assert all((sigma == 0.05).all() for sigma in adaptive.sigmas.values())
    assert adaptive.optimiser.param_groups[0]["lr"] == SETTINGS["training"]["optimiser"]["learning_rate"]
    other = {"name": "rmsprop", "learning_rate": 3e-4, "per_sequence": True}
    adaptive = noise_of(corpus, "adaptive", noise_optimiser=other)
    assert isinstance(adaptive.optimiser, GravesRMSProp)
    assert adaptive.optimiser.param_groups[0]["lr"] == pytest.approx(3e-4 * 4**0.5)


def test_clips_and_sizes_reach_the_network(corpus):
    assembly = Assembly(SETTINGS, corpus)
    assert [layer.clip for layer in assembly.network.layers] == [1.0]
    assert [layer.cells for layer in assembly.network.layers] == [12]
    assert assembly.training_batches.sequences_per_epoch == 10
    assert (assembly.schedule.patience, assembly.schedule.validate_every, assembly.schedule.decay) == (5, 3, "linear")


@pytest.mark.parametrize("kind", ["prediction", "synthesis"])
def test_the_clip_of_the_outputs_reaches_the_density(kind):
    objective = pen_objective(torch.nn.Linear(1, 1), {"kind": kind, "training": {"clip_output": 100.0}})
    assert objective.density.clip == 100.0
    assert isinstance(objective, NextPointGivenText) == (kind == "synthesis")

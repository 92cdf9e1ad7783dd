"""From settings to optimisers and noise: every option reaches what it is of."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline._setup import Assembly, TextData, make_optimiser, pen_objective
from rnngen.corpora.treebank import parse_treebank, write_treebank
from rnngen.corpora.wikipedia.dump import Options
from rnngen.corpora.wikipedia.parquet import write_wikipedia
from rnngen.errors import InputError
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.learning_rate import set_learning_rate
from rnngen.training.loop import Progress
from rnngen.training.objectives import NextPointGivenText
from rnngen.training.rmsprop import GravesRMSProp
from rnngen.training.sgd import GravesSGD
from rnngen.training.weight_noise import WeightNoise
from tests.pipeline.test_train import SETTINGS
from tests.workflow.test_workflow import write_dump


def options_of(options, batch_size):
    optimiser = make_optimiser(options, [torch.zeros(1, requires_grad=True)], batch_size)
    return type(optimiser), optimiser.param_groups[0]


def test_sgd():
    kind, found = options_of({"name": "sgd", "learning_rate": 1e-4, "momentum": 0.99}, 8)
    assert kind is GravesSGD and (found["lr"], found["momentum"]) == (1e-4, 0.99)
    _, found = options_of({"name": "sgd", "learning_rate": 1e-4, "momentum": 0.99, "per_sequence": True}, 8)
    assert (found["lr"], found["momentum"]) == (pytest.approx(8e-4), 0.99)


def test_rmsprop():
    constants = {"decay": 0.9, "momentum": 0.5, "damping": 1e-3}
    kind, found = options_of({"name": "rmsprop", "learning_rate": 2e-4, **constants}, 9)
    assert kind is GravesRMSProp and found["lr"] == 2e-4 and {key: found[key] for key in constants} == constants
    _, found = options_of({"name": "rmsprop", "learning_rate": 2e-4, "per_sequence": True}, 9)
    assert found["lr"] == pytest.approx(6e-4)


@pytest.mark.parametrize("sequences", [1, 3, 8])
def test_a_minibatch_that_is_not_full_takes_the_steps_of_the_sequences_it_has(sequences):
    weight = torch.zeros(1, requires_grad=True)
    optimiser = make_optimiser({"name": "sgd", "learning_rate": 0.25, "per_sequence": True}, [weight], 8)
    set_learning_rate(optimiser, 0.5, sequences)
    weight.grad = torch.full((1,), 3.0)  # the mean over the sequences
    optimiser.step()
    assert weight.item() == -0.5 * 0.25 * 3.0 * sequences
    _, group = options_of({"name": "rmsprop", "learning_rate": 0.25, "per_sequence": True}, 8)
    for factor in (1.0, 0.5):
        set_learning_rate(SimpleNamespace(param_groups=[group]), factor, sequences)
        assert group["lr"] == pytest.approx(factor * 0.25 * sequences**0.5)
    _, group = options_of({"name": "sgd", "learning_rate": 0.25}, 8)
    set_learning_rate(SimpleNamespace(param_groups=[group]), 0.5, sequences)
    assert group["lr"] == 0.125


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


def test_the_loop_and_the_noise_know_how_many_sequences_a_minibatch_has(corpus):
    """Ten sentences in minibatches of four: one of them holds two."""
    settings = copy.deepcopy(SETTINGS) | {"noise": "adaptive", "standard_deviation": 0.05}
    options = {"name": "sgd", "learning_rate": 1e-3, "momentum": 0.9, "per_sequence": True}
    settings["training"] |= {"optimiser": options, "schedule": "constant", "maximum_epochs": 1, "validate_every": 9}
    a = Assembly(settings, corpus)
    progress, seen = Progress(), []
    sequences = [batch.sequences for batch in a.training_batches.epoch(0)]
    for kind, _ in a.training(progress):
        if kind == "update":
            seen.append((a.optimiser.param_groups[0]["lr"], a.noise.optimiser.param_groups[0]["lr"]))
    assert sorted(sequences) == [2, 4, 4]
    assert seen == [(pytest.approx(1e-3 * n), pytest.approx(1e-3 * n)) for n in sequences]


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


def test_a_network_that_no_memory_holds_is_refused_before_it_is_built(corpus):
    settings = copy.deepcopy(SETTINGS) | {"network": {"layers": 100, "cells": 100_000}}
    with pytest.raises(InputError, match=r"weights takes .* GB to train and this machine has .*; lower network.cells"):
        Assembly(settings, corpus)


def test_the_back_end_in_use_is_named(corpus, monkeypatch):
    assert Assembly(SETTINGS, corpus).backend == "compiled"
    monkeypatch.setattr("pipeline._setup.load_fitting_gates", lambda parameter: None)
    assert Assembly(SETTINGS, corpus).backend == "fused"


def test_a_long_text_is_mapped_from_a_file_and_read_the_same(tmp_path, monkeypatch):
    write_dump(tmp_path / "dumps" / "dump.xml.bz2")
    corpus = tmp_path / "wikipedia.parquet"
    write_wikipedia([tmp_path / "dumps" / "dump.xml.bz2"], corpus, Options())
    settings = copy.deepcopy(SETTINGS) | {"unit": "byte"}
    settings["corpus"] = {"name": "wikipedia", "train_bytes": 20_000, "validation_bytes": 3_000}
    settings["training"] |= {"chunk": 50, "reset_every": 20}
    short = TextData(settings, corpus)
    monkeypatch.setattr("pipeline._setup.LARGEST_IN_MEMORY", 22_999)
    long = TextData(settings, corpus)
    assert not isinstance(short.source.stream, np.memmap) and isinstance(long.source.stream, np.memmap)
    assert long.alphabet == short.alphabet
    for one, other in zip(short.batches("train", 4), long.batches("train", 4), strict=True):
        assert torch.equal(one.inputs_tb, other.inputs_tb) and torch.equal(one.targets_tb, other.targets_tb)

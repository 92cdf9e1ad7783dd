"""A trained model becomes the files that the package ships."""

import json

import pytest
import torch

from pipeline import pack_writer
from pipeline.train import main as train
from rnngen.errors import InputError
from rnngen.models.checkpoint import load_network
from rnngen.models.shipped import load_handwriting
from tests.tiny_handwriting import write_corpus, write_model

SETTINGS = {
    "experiment": "synthesis",
    "regularisation": "none",
    "kind": "synthesis",
    "unit": None,
    "network": {"layers": 2, "cells": 6, "mixtures": 2, "window_components": 2, "window_bias": "points-per-character"},
    "training": {
        "optimiser": {"name": "rmsprop", "learning_rate": 1e-3},
        "clip_lstm": 10.0,
        "clip_output": 100.0,
        "batch_size": 4,
        "maximum_epochs": 1,
        "patience": 5,
        "schedule": "constant",
    },
    "noise": "none",
    "standard_deviation": None,
    "corpus": {
        "name": "handwriting",
        "validation": ["testset_v"],
        "training": ["trainset"],
        "every": 2,
        "step_threshold": None,
        "alphabet": "all",
    },
    "seed": 3,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "hw.parquet")


@pytest.fixture(scope="module")
def model(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("models") / "none"
    train(corpus=corpus, output=folder, settings=json.dumps(SETTINGS))
    return folder


def test_the_packed_model_writes_and_says_where_it_comes_from(model, corpus, tmp_path):
    errors = {"reader": {"updates": 9}, "measured": [{"what": "corpus", "character_error_rate": 0.1, "readings": [1]}]}
    (tmp_path / "legibility.json").write_text(json.dumps(errors))
    pack_writer.main(model, corpus, tmp_path / "packed", tmp_path / "legibility.json")
    assert {path.name for path in (tmp_path / "packed").iterdir()} == {"weights.safetensors", "config.json", "run.json"}
    trained, packed = (load_network(folder / "weights.safetensors") for folder in (model, tmp_path / "packed"))
    for a, b in zip(trained.parameters(), packed.parameters(), strict=True):
        assert b.dtype == torch.float16 and torch.equal(a.half(), b)
    writer = load_handwriting(tmp_path / "packed")
    assert all(weight.dtype == torch.float32 for weight in writer.network.parameters())
    assert writer.write("a test", seed=2, steps=40).strokes
    about = writer.about
    before = json.loads((model / "config.json").read_text())
    for key in ("alphabet", "normaliser", "best", "updates"):
        assert about[key] == before[key]
    assert about["provenance"]["settings"] == SETTINGS and about["provenance"]["seed"] == 3
    run = json.loads((tmp_path / "packed" / "run.json").read_text())
    assert run == json.loads((model / "run.json").read_text())
    assert about["legibility"]["measured"] == [{"what": "corpus", "character_error_rate": 0.1}]


def test_a_model_that_went_on_from_another_says_so(model, corpus, tmp_path):
    settings = SETTINGS | {"regularisation": "continued"}
    after = model.parent / "continued"
    train(corpus=corpus, output=after, settings=json.dumps(settings), initial=model)
    pack_writer.main(after, corpus, tmp_path)
    about, before = (json.loads((folder / "config.json").read_text()) for folder in (tmp_path, model))
    assert about["initial"]["updates"] == before["updates"] and about["initial"]["best"] == before["best"]
    assert about["initial"]["provenance"]["wall_seconds"] >= 0


def test_the_loss_of_precision_is_measured(model, corpus, tmp_path):
    pack_writer.main(model, corpus, tmp_path)
    packed = json.loads((tmp_path / "config.json").read_text())["packed"]
    best = json.loads((model / "config.json").read_text())["best"]
    assert packed["nats_per_point"]["trained"] == pytest.approx(best["validation_nats_per_point"], abs=1e-6)
    assert packed["nats_per_point"]["packed"] != packed["nats_per_point"]["trained"]
    assert packed["nats_per_point"]["packed"] == pytest.approx(packed["nats_per_point"]["trained"], abs=1e-2)
    assert 0 < packed["largest_change_of_a_weight"] < 1e-3


def test_what_cannot_be_packed_is_refused(model, corpus, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no experiment.* in it"):
        pack_writer.main(write_model(tmp_path / "prediction", "prediction"), corpus, tmp_path / "a")
    other = write_corpus(tmp_path / "other.parquet", lines=12)
    with pytest.raises(InputError, match="was trained on another corpus"):
        pack_writer.main(model, other, tmp_path / "b")
    monkeypatch.setattr(pack_writer, "LARGEST", 100)
    with pytest.raises(InputError, match="over the 100 of the package; train fewer cells"):
        pack_writer.main(model, corpus, tmp_path / "c")
    assert not any((tmp_path / name).exists() for name in "abc")

"""The training command on a small treebank: resuming, stopping, refusing."""

import copy
import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from pipeline.assembly import Assembly
from pipeline.train import main as train_command
from rnngen.checkpoint import load_optimiser, load_weights
from rnngen.corpora.treebank import parse_treebank, write_treebank
from rnngen.errors import InputError
from rnngen.training import Progress

SETTINGS = {
    "experiment": "treebank-character",
    "regularisation": "none",
    "kind": "text",
    "unit": "character",
    "network": {"layers": 1, "cells": 12},
    "training": {
        "optimiser": {"name": "sgd", "learning_rate": 1e-3, "momentum": 0.9},
        "clip_lstm": 1.0,
        "batch_size": 4,
        "maximum_epochs": 3,
        "patience": 5,
        "schedule": "linear",
        "validate_every": 3,
    },
    "noise": "none",
    "standard_deviation": None,
    "corpus": {"name": "treebank", "end_of_sentence": "symbol"},
    "seed": 3,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Forty short sentences a split, of words made from few letters."""
    folder = tmp_path_factory.mktemp("treebank")
    words = ["abba", "cab", "bad", "dab", "a", "<unk>", "N"]
    for name, shift in (("ptb.train.txt", 0), ("ptb.valid.txt", 1), ("ptb.test.txt", 2)):
        lines = [" ".join(words[(i * j + shift + i) % 7] for j in range(1, 3 + i % 5)) for i in range(40)]
        (folder / name).write_text("\n".join(lines) + "\n")
    table, _ = parse_treebank(folder)
    write_treebank(folder / "treebank.parquet", table, {})
    return folder / "treebank.parquet"


def run(settings, corpus, output, **options):
    """Weights and log of a training."""
    train_command(corpus=corpus, output=output, settings=json.dumps(settings), **options)
    return load_file(output / "weights.safetensors"), pd.read_parquet(output / "log.parquet")


def altered(**changes):
    settings = copy.deepcopy(SETTINGS)
    settings["training"] |= changes.pop("training", {})
    return settings | changes


NOISES = {
    "none": {},
    "fixed": {"noise": "fixed", "standard_deviation": 0.075},
    "adaptive": {"noise": "adaptive", "standard_deviation": 0.075},
}


@pytest.mark.parametrize(
    ("noise", "optimiser"), [("none", "sgd"), ("fixed", "rmsprop"), ("adaptive", "sgd"), ("adaptive", "rmsprop")]
)
def test_a_training_in_slices_ends_at_the_same_weights_bit_for_bit(corpus, tmp_path, noise, optimiser):
    optimisation = {"optimiser": {"name": optimiser, "learning_rate": 1e-3, "momentum": 0.9}, "maximum_epochs": 1}
    settings = altered(**NOISES[noise], training=optimisation)
    whole, log = run(settings, corpus, tmp_path / "whole")
    slices = 0
    while (
        not (tmp_path / "sliced" / "config.json").exists()
        or not json.loads((tmp_path / "sliced" / "config.json").read_text())["complete"]
    ):
        # a budget that is over at once pauses after every update and every validation
        train_command(corpus=corpus, output=tmp_path / "sliced", settings=json.dumps(settings), time_budget=0.0)
        slices += 1
    assert slices == 14  # ten updates, and four validations after updates 3, 6, 9 and 10
    sliced = load_file(tmp_path / "sliced" / "weights.safetensors")
    assert whole.keys() == sliced.keys()
    for name, weight in whole.items():
        assert torch.equal(weight, sliced[name]), name
    again = pd.read_parquet(tmp_path / "sliced" / "log.parquet")
    pd.testing.assert_frame_equal(log.drop(columns="seconds"), again.drop(columns="seconds"), check_exact=True)


def test_the_best_weights_are_kept_not_the_last(corpus, tmp_path):
    """A learning rate that ruins the network late: what is written belongs to the best validation."""
    settings = altered(training={"optimiser": {"name": "sgd", "learning_rate": 5.0}, "schedule": "constant"})
    _, log = run(settings, corpus, tmp_path / "m")
    description = json.loads((tmp_path / "m" / "config.json").read_text())
    assert description["best"]["validation_loss"] == log["validation_loss"].min()
    assert log["validation_loss"].iloc[-1] > log["validation_loss"].min()
    assembly = Assembly(settings, corpus)
    load_weights(assembly.network, tmp_path / "m" / "weights.safetensors")
    assert assembly.validate()["loss"] == pytest.approx(log["validation_loss"].min(), rel=1e-6)


def test_patience_stops_and_counts_validations_without_a_new_best(corpus, tmp_path):
    settings = altered(
        training={
            "optimiser": {"name": "sgd", "learning_rate": 5.0},
            "schedule": "constant",
            "patience": 2,
            "maximum_epochs": 100,
        }
    )
    _, log = run(settings, corpus, tmp_path / "m")
    assert len(log) - 1 - log["validation_loss"].argmin() == 2


def test_a_row_starts_from_the_weights_of_another(corpus, tmp_path):
    first, _ = run(SETTINGS, corpus, tmp_path / "none")
    still = altered(training={"optimiser": {"name": "sgd", "learning_rate": 1e-30}, "maximum_epochs": 1})
    continued, _ = run(still, corpus, tmp_path / "continued", initial=tmp_path / "none")
    for name, weight in first.items():
        assert torch.equal(weight, continued[name])


@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop"])
def test_a_row_goes_on_with_the_averages_of_its_parent(corpus, tmp_path, optimiser):
    """Two epochs at a constant rate are one epoch and a row that starts from it, but for the order of the sentences."""
    options = {"optimiser": {"name": optimiser, "learning_rate": 1e-3, "momentum": 0.9}}
    options |= {"schedule": "constant", "maximum_epochs": 1, "validate_every": None}
    run(altered(training=options), corpus, tmp_path / "none")
    parent, child = (Assembly(altered(training=options), corpus) for _ in range(2))
    for kind, _ in parent.training(Progress()):
        assert kind in ("update", "best", "validation")
    load_weights(child.network, tmp_path / "none" / "weights.safetensors")
    assert load_optimiser(child.network, child.optimiser, tmp_path / "none" / "optimiser.safetensors")
    batch = next(iter(child.training_batches.epoch(1)))
    for assembly in (parent, child):
        assembly.optimiser.zero_grad()
        assembly.objective.losses(batch, None)[0].sum().backward()
        assembly.optimiser.step()
    for ours, theirs in zip(child.network.parameters(), parent.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_memory_of_another_optimiser_is_not_taken_over(corpus, tmp_path, capsys):
    run(SETTINGS, corpus, tmp_path / "none")
    other = altered(training={"optimiser": {"name": "rmsprop", "learning_rate": 1e-3}, "maximum_epochs": 1})
    run(other, corpus, tmp_path / "m", initial=tmp_path / "none")
    assert "of another optimiser than this training's" in capsys.readouterr().out


def test_weights_of_another_size_are_refused_by_name(corpus, tmp_path):
    run(SETTINGS, corpus, tmp_path / "none")
    with pytest.raises(InputError, match="cells: expected 13, came 12"):
        run(altered(network={"layers": 1, "cells": 13}), corpus, tmp_path / "m", initial=tmp_path / "none")


def test_a_loss_that_is_not_finite_stops_names_and_keeps_the_state(corpus, tmp_path):
    settings = altered(training={"optimiser": {"name": "sgd", "learning_rate": 1e38, "momentum": 0.9}})
    with pytest.raises(InputError, match=r"not finite at epoch 0, update \d+, first in "):
        run(settings, corpus, tmp_path / "m")
    assert not (tmp_path / "m" / "weights.safetensors").exists()


def test_a_state_from_other_settings_is_not_resumed(corpus, tmp_path, capsys):
    train_command(corpus=corpus, output=tmp_path / "m", settings=json.dumps(SETTINGS), time_budget=0.0)
    fresh, _ = run(altered(seed=4), corpus, tmp_path / "fresh")
    other, _ = run(altered(seed=4), corpus, tmp_path / "m")
    assert "from other settings: starting anew" in capsys.readouterr().out
    for name, weight in fresh.items():
        assert torch.equal(weight, other[name])


def test_a_state_from_another_corpus_or_parent_is_not_resumed(corpus, tmp_path, capsys):
    """Equal settings do not make equal data: weights and position would be those of another training."""
    (tmp_path / "data").mkdir()
    changed = tmp_path / "data" / "treebank.parquet"
    table = pq.read_table(corpus)
    write_treebank(changed, table.take(list(reversed(range(len(table))))), {})
    whole, _ = run(SETTINGS, changed, tmp_path / "whole")
    train_command(corpus=corpus, output=tmp_path / "m", settings=json.dumps(SETTINGS), time_budget=0.0)
    other, _ = run(SETTINGS, changed, tmp_path / "m")
    assert "from other data or initial weights: starting anew" in capsys.readouterr().out
    assert all(torch.equal(weight, other[name]) for name, weight in whole.items())

    options = {"settings": json.dumps(SETTINGS), "corpus": corpus, "output": tmp_path / "n", "time_budget": 0.0}
    train_command(**options, initial=tmp_path / "whole")
    train_command(**options, initial=tmp_path / "whole")
    assert "resuming at epoch 0, update 1" in capsys.readouterr().out
    train_command(**options)
    assert "from other data or initial weights: starting anew" in capsys.readouterr().out


def test_broken_settings_are_one_line(corpus, tmp_path):
    with pytest.raises(InputError, match="--settings: not JSON at line 1"):
        train_command(corpus=corpus, output=tmp_path, settings="{oops")
    with pytest.raises(InputError, match=r"--settings: no experiment, .*, threads in it"):
        train_command(corpus=corpus, output=tmp_path, settings="{}")
    with pytest.raises(InputError, match=r"--settings .*: no JSON in it, byte 0 is not UTF-8"):
        (tmp_path / "latin").write_bytes(b"\xe9")
        train_command(corpus=corpus, output=tmp_path, settings=str(tmp_path / "latin"))
    with pytest.raises(InputError, match="neither --settings nor --experiment"):
        train_command(corpus=corpus, output=tmp_path)


def test_sigterm_saves_the_state_and_the_same_command_goes_on(corpus, tmp_path):
    settings = altered(training={"maximum_epochs": 400, "patience": 10_000})
    command = [sys.executable, "-m", "pipeline.train", "--settings", json.dumps(settings), "--corpus", str(corpus)]
    command += ["--output", str(tmp_path / "m"), "--checkpoint-seconds", "0.5"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    state = tmp_path / "m" / "state" / "state.json"
    while not state.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "the same command goes on from it" in out
    assert "Traceback" not in err
    reached = json.loads(state.read_text())["values"]["progress"]["updates"]
    again = subprocess.run(
        [*command, "--time-budget", "0"], capture_output=True, text=True, check=True, env=environment
    )
    assert f"update {reached}" in again.stdout


def test_other_files_in_the_state_folder_are_left_alone(corpus, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / ".best.safetensors.1.partial").write_text("of a process that was killed", encoding="utf-8")
    run(SETTINGS, corpus, tmp_path / "m", state=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "notes.txt"]


def test_the_best_weights_of_a_training_without_a_saved_state_are_not_taken_over(corpus, tmp_path, capsys):
    """Killed after its first validation and before it saved a state; the next one has other settings."""
    (tmp_path / "m" / "state").mkdir(parents=True)
    stale = tmp_path / "m" / "state" / "best.safetensors"
    stale.write_text("of another training", encoding="utf-8")
    train_command(corpus=corpus, output=tmp_path / "m", settings=json.dumps(SETTINGS), time_budget=0.0)
    assert not stale.exists() and "paused before the first validation" in capsys.readouterr().out

"""The training command on a small treebank: resuming, stopping, refusing."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from pipeline._setup import Assembly
from pipeline.train import main as train_command
from pipeline.train import release_finished_state
from rnngen.corpora.treebank import parse_treebank, write_treebank
from rnngen.errors import InputError
from rnngen.models.checkpoint import load_optimiser, load_weights, own_training_state
from rnngen.training.loop import Progress

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
    pd.testing.assert_frame_equal(log, again, check_exact=True)
    for name in ("weights.safetensors", "optimiser.safetensors", "log.parquet", "config.json"):
        assert (tmp_path / "sliced" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


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
    assert "of another kind of optimiser than this training's" in capsys.readouterr().out


def test_weights_of_another_size_are_refused_by_name(corpus, tmp_path):
    run(SETTINGS, corpus, tmp_path / "none")
    with pytest.raises(InputError, match="cells: expected 13, got 12"):
        run(altered(network={"layers": 1, "cells": 13}), corpus, tmp_path / "m", initial=tmp_path / "none")


def test_a_loss_that_is_not_finite_stops_names_and_keeps_the_state(corpus, tmp_path):
    settings = altered(training={"optimiser": {"name": "sgd", "learning_rate": 1e38, "momentum": 0.9}})
    with pytest.raises(InputError, match=r"not finite at epoch 0, update \d+, first in "):
        run(settings, corpus, tmp_path / "m")
    assert not (tmp_path / "m" / "weights.safetensors").exists()


def paused(settings, corpus, output, **options):
    """A training that stops after its first update."""
    train_command(corpus=corpus, output=output, settings=json.dumps(settings), time_budget=0.0, **options)


def test_a_state_of_other_settings_is_moved_aside_not_removed(corpus, tmp_path, capsys):
    paused(SETTINGS, corpus, tmp_path / "m")
    fresh, _ = run(altered(seed=4), corpus, tmp_path / "fresh")
    other, _ = run(altered(seed=4), corpus, tmp_path / "m")
    aside = tmp_path / "m" / "state" / "aside-1"
    assert f"of another training (seed: 3, now 4): moved to {aside}, starting afresh" in capsys.readouterr().out
    assert all(torch.equal(weight, other[name]) for name, weight in fresh.items())
    first, _ = run(SETTINGS, corpus, tmp_path / "first")
    shutil.copytree(aside, tmp_path / "n" / "state")
    again, _ = run(SETTINGS, corpus, tmp_path / "n")
    assert "resuming at epoch 0, update 1" in capsys.readouterr().out
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())


def test_a_state_from_another_corpus_or_parent_is_not_resumed(corpus, tmp_path, capsys):
    """Equal settings do not make equal data: weights and position would be those of another training."""
    (tmp_path / "data").mkdir()
    changed = tmp_path / "data" / "treebank.parquet"
    table = pq.read_table(corpus)
    write_treebank(changed, table.take(list(reversed(range(len(table))))), {})
    whole, _ = run(SETTINGS, changed, tmp_path / "whole")
    paused(SETTINGS, corpus, tmp_path / "m")
    other, _ = run(SETTINGS, changed, tmp_path / "m")
    assert "of another training (corpus: " in capsys.readouterr().out
    assert all(torch.equal(weight, other[name]) for name, weight in whole.items())

    paused(SETTINGS, corpus, tmp_path / "n", initial=tmp_path / "whole")
    paused(SETTINGS, corpus, tmp_path / "n", initial=tmp_path / "whole")
    assert "resuming at epoch 0, update 1" in capsys.readouterr().out
    paused(SETTINGS, corpus, tmp_path / "n")
    assert "of another training (initial: " in capsys.readouterr().out


CONSTANT = {"schedule": "constant"}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"threads": 2}, {}),
        ({"device": "auto"}, {}),
        ({"experiment": "renamed"}, {}),
        ({"training": {"patience": 2}}, {}),
        ({"training": {"patience": 5}}, {"training": {"patience": 3}}),
        ({"training": CONSTANT | {"maximum_epochs": 9}}, {"training": CONSTANT}),
        ({"training": CONSTANT | {"maximum_updates": 6}}, {"training": CONSTANT}),
        ({"training": {"backend": "fused"}}, {}),
    ],
)
def test_what_does_not_change_the_outcome_is_no_reason_to_start_anew(corpus, tmp_path, capsys, before, now):
    whole, _ = run(altered(**now), corpus, tmp_path / "whole")
    options = {"corpus": corpus, "output": tmp_path / "m", "settings": json.dumps(altered(**before))}
    for _ in range(7):
        train_command(**options, time_budget=0.0)
    capsys.readouterr()
    again, _ = run(altered(**now), corpus, tmp_path / "m")
    out = capsys.readouterr().out
    assert "resuming at" in out and not (tmp_path / "m" / "state").exists()
    for name, what in (("threads", "number of threads (1, so far 2)"), ("backend", "back end (")):
        assert (f"going on with another {what}" in out) == (name in before or name in before.get("training", {}))
    for name, weight in whole.items():
        torch.testing.assert_close(weight, again[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {"training": {"validate_every": 2}}),  # would have validated elsewhere
        ({"training": CONSTANT}, {"training": CONSTANT | {"maximum_updates": 4}}),  # would have ended before
        ({}, {"training": {"maximum_epochs": 4}}),  # the learning rate follows from the length
        ({}, {"network": {"layers": 1, "cells": 13}}),
        ({}, {"noise": "fixed", "standard_deviation": 0.075}),
    ],
)
def test_what_changes_the_outcome_is_one(corpus, tmp_path, capsys, before, now):
    whole, _ = run(altered(**now), corpus, tmp_path / "whole")
    options = {"corpus": corpus, "output": tmp_path / "m", "settings": json.dumps(altered(**before))}
    for _ in range(7):
        train_command(**options, time_budget=0.0)
    again, _ = run(altered(**now), corpus, tmp_path / "m")
    assert "starting afresh" in capsys.readouterr().out
    assert all(torch.equal(weight, again[name]) for name, weight in whole.items())


def test_more_patience_goes_on_after_the_end(corpus, tmp_path):
    """What had ended for want of patience learns on, as if it had had it from the start."""
    ruined = {"optimiser": {"name": "sgd", "learning_rate": 5.0}, "schedule": "constant"}
    whole, log = run(altered(training=ruined | {"patience": 4}), corpus, tmp_path / "whole")
    state = {"state": tmp_path / "state"}
    _, short = run(altered(training=ruined | {"patience": 1}), corpus, tmp_path / "m", **state)
    weights, longer = run(altered(training=ruined | {"patience": 4}), corpus, tmp_path / "m", **state)
    assert len(short) < len(longer) and not (tmp_path / "state" / "aside-1").exists()
    pd.testing.assert_frame_equal(log, longer, check_exact=True)
    assert all(torch.equal(weight, weights[name]) for name, weight in whole.items())


def test_a_finished_training_whose_model_is_lost_is_written_again_without_an_update(
    corpus, tmp_path, capsys, monkeypatch
):
    state, model = tmp_path / "state", tmp_path / "m"
    run(SETTINGS, corpus, model, state=state)
    before = {path.name: path.read_bytes() for path in model.iterdir() if path.name != "run.json"}
    shutil.rmtree(model)
    monkeypatch.setattr("rnngen.training.loop.set_learning_rate", lambda *a: pytest.fail("an update"))
    capsys.readouterr()
    run(SETTINGS, corpus, model, state=state)
    assert "only the model is written" in capsys.readouterr().out
    assert before == {path.name: path.read_bytes() for path in model.iterdir() if path.name != "run.json"}

    damaged = (model / "weights.safetensors").read_bytes()
    (model / "weights.safetensors").write_bytes(damaged[:-1])
    assert not release_finished_state(state, model)
    assert "weights.safetensors: not what config.json was written for" in capsys.readouterr().out
    (model / "weights.safetensors").write_bytes(damaged)
    assert release_finished_state(state, model) and not state.exists()


def test_a_training_in_hand_keeps_its_state(corpus, tmp_path):
    state, model = tmp_path / "state", tmp_path / "m"
    for _ in range(4):
        paused(SETTINGS, corpus, model, state=state)
    assert not release_finished_state(state, model) and (state / "state.json").exists()


@pytest.mark.parametrize("damage", [b"", b"half"])
@pytest.mark.parametrize("name", ["weights.safetensors", "optimiser.safetensors"])
def test_no_row_starts_from_a_damaged_parent(corpus, tmp_path, name, damage):
    run(SETTINGS, corpus, tmp_path / "none")
    (tmp_path / "none" / name).write_bytes(damage)
    with pytest.raises(InputError, match=f"{name}: not what config.json was written for"):
        run(SETTINGS, corpus, tmp_path / "m", initial=tmp_path / "none")


def test_broken_settings_are_one_line(corpus, tmp_path):
    with pytest.raises(InputError, match="--settings: not JSON at line 1"):
        train_command(corpus=corpus, output=tmp_path, settings="{oops")
    with pytest.raises(InputError, match=r"--settings: no experiment, .*, threads in it"):
        train_command(corpus=corpus, output=tmp_path, settings="{}")
    with pytest.raises(InputError, match=r"--settings .*: not JSON, byte 0 is not UTF-8"):
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


def test_a_closed_terminal_and_a_reader_that_is_gone_lose_no_update(corpus, tmp_path):
    """SIGHUP, standard output and standard error broken."""
    settings = altered(training={"maximum_epochs": 400, "patience": 10_000})
    command = [sys.executable, "-m", "pipeline.train", "--settings", json.dumps(settings), "--corpus", str(corpus)]
    command += ["--output", str(tmp_path / "m"), "--checkpoint-seconds", "1e9"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    state = tmp_path / "m" / "state" / "state.json"
    process.stdout.close()
    process.stderr.close()
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.1)
    before = updates_of(state)
    while updates_of(state) == before:  # it goes on, whoever listens
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 130
    assert updates_of(state) > before


def updates_of(state):
    return json.loads(state.read_text())["values"]["progress"]["updates"]


def test_a_second_process_is_refused_in_one_line(corpus, tmp_path):
    with own_training_state(tmp_path / "m" / "state"), pytest.raises(InputError, match="another process is training"):
        run(SETTINGS, corpus, tmp_path / "m")


def test_two_commands_on_one_state_the_second_is_refused_and_the_first_unharmed(corpus, tmp_path):
    settings = altered(training={"maximum_epochs": 40})
    whole, _ = run(settings, corpus, tmp_path / "whole")
    command = [sys.executable, "-m", "pipeline.train", "--settings", json.dumps(settings), "--corpus", str(corpus)]
    command += ["--output", str(tmp_path / "m"), "--state", str(tmp_path / "state")]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not (tmp_path / "state" / "lock").exists():
        assert first.poll() is None, first.stdout.read()
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    try:
        second = subprocess.run(command, capture_output=True, text=True)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert second.stderr.splitlines() == [
        f"error: {tmp_path / 'state'}: another process is training with this state; wait for it, or end it first"
    ]
    said, _ = first.communicate()
    assert first.returncode == 0, said
    weights = load_file(tmp_path / "m" / "weights.safetensors")
    assert all(torch.equal(weight, weights[name]) for name, weight in whole.items())


def test_other_files_in_the_state_folder_are_left_alone(corpus, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / ".state.json.1.partial").write_text("of a process that was killed", encoding="utf-8")
    run(SETTINGS, corpus, tmp_path / "m", state=tmp_path)
    assert release_finished_state(tmp_path, tmp_path / "m")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "notes.txt"]

"""From a model directory to an evaluation to a table."""

import copy
import json
import math
import shutil

import pandas as pd
import pytest
import torch

from pipeline.evaluate import main as evaluate_command
from pipeline.make_table import main as table_command
from pipeline.measure_baselines import main as baselines_command
from pipeline.sample_text import main as sample_command
from pipeline.train import main as train_command
from rnngen.corpora.treebank import load_treebank, parse_treebank, write_treebank
from rnngen.errors import InputError
from rnngen.models.checkpoint import load_network

SETTINGS = {
    "experiment": "treebank-character",
    "regularisation": "none",
    "kind": "text",
    "unit": "character",
    "network": {"layers": 1, "cells": 10},
    "training": {
        "optimiser": {"name": "sgd", "learning_rate": 1e-2, "momentum": 0.9},
        "clip_lstm": 1.0,
        "batch_size": 4,
        "maximum_epochs": 2,
        "patience": 5,
        "schedule": "constant",
    },
    "noise": "none",
    "standard_deviation": None,
    "corpus": {"name": "treebank", "end_of_sentence": "symbol-and-unk"},
    "seed": 3,
    "device": "cpu",
    "threads": 1,
}


def corpus_in(folder, words):
    for name, shift in (("ptb.train.txt", 0), ("ptb.valid.txt", 1), ("ptb.test.txt", 2)):
        lines = [" ".join(words[(i * j + shift + i) % len(words)] for j in range(1, 3 + i % 5)) for i in range(24)]
        (folder / name).write_text("\n".join(lines) + "\n")
    table, _ = parse_treebank(folder)
    write_treebank(folder / "treebank.parquet", table, {})
    return folder / "treebank.parquet"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpus_in(tmp_path_factory.mktemp("corpus"), ["abba", "cab", "bad", "<unk>", "a", "N"])


@pytest.fixture(scope="module")
def results(tmp_path_factory, corpus):
    """Models and evaluations of a character and a word network."""
    folder = tmp_path_factory.mktemp("results")
    for experiment, unit in (("treebank-character", "character"), ("treebank-word", "word")):
        settings = copy.deepcopy(SETTINGS) | {"experiment": experiment, "unit": unit}
        model = folder / "models" / experiment / "none"
        train_command(corpus=corpus, output=model, settings=json.dumps(settings))
        for name, dynamic in (
            ("static", "null"),
            ("dynamic", '{"learning_rate": 0.05, "momentum": 0.0, "interval": 1}'),
        ):
            evaluate_command(
                model=model,
                corpus=corpus,
                output=folder / "evaluations" / experiment / f"none.{name}.json",
                dynamic=dynamic,
                extract=30,
            )
    return folder


def measures(results, experiment, name):
    return json.loads((results / "evaluations" / experiment / f"none.{name}.json").read_text())["measures"]


def total_bits(results, corpus, experiment, unit):
    """Bits of the test set, one sentence after the other, straight from the network."""
    network = load_network(results / "models" / experiment / "none" / "weights.safetensors")
    treebank = load_treebank(corpus, unit)
    sequences = treebank.sequences["test"]
    nats = 0.0
    with torch.no_grad():
        for i in range(len(sequences)):
            targets = torch.tensor(sequences[i])
            y_tbk, _ = network(torch.cat([torch.tensor([-1]), targets[:-1]]).unsqueeze(1))
            nats += torch.nn.functional.cross_entropy(y_tbk[:, 0].double(), targets, reduction="sum").item()
    return nats / math.log(2), treebank


def test_bits_per_character_are_shared_out_over_the_characters_of_the_file(results, corpus):
    bits, treebank = total_bits(results, corpus, "treebank-character", "character")
    found = measures(results, "treebank-character", "static")
    assert found["bits_per_character"] == pytest.approx(bits / treebank.characters["test"], rel=1e-5)
    assert found["perplexity_paper"] == pytest.approx(2 ** (5.6 * found["bits_per_character"]), rel=1e-12)
    assert found["perplexity_exact"] == pytest.approx(2 ** (bits / treebank.words["test"]), rel=1e-5)
    assert 0 < found["error_percent"] <= 100


def test_perplexity_of_words_counts_the_end_of_a_sentence(results, corpus):
    bits, treebank = total_bits(results, corpus, "treebank-word", "word")
    found = measures(results, "treebank-word", "static")
    assert found["perplexity_paper"] == pytest.approx(2 ** (bits / treebank.words["test"]), rel=1e-5)
    assert found["bits_per_character"] == pytest.approx(bits / treebank.words["test"] / 5.6, rel=1e-5)
    assert found["bits_per_character_exact"] == pytest.approx(bits / treebank.characters["test"], rel=1e-5)


def test_surprisal_of_the_first_symbols_starts_alike_and_parts_after_the_first_sentence(results, corpus):
    static, dynamic = (
        pd.read_parquet(results / "evaluations" / "treebank-character" / f"none.{name}.surprisal.parquet")
        for name in ("static", "dynamic")
    )
    assert len(static) == len(dynamic) == 30
    assert static["symbol"].tolist() == dynamic["symbol"].tolist()
    first = len(load_treebank(corpus).sequences["test"][0])
    assert static["bits"][:first].tolist() == pytest.approx(dynamic["bits"][:first].tolist(), rel=1e-5)
    assert static["bits"][first:].tolist() != pytest.approx(dynamic["bits"][first:].tolist(), rel=1e-5)


def test_a_corpus_with_another_alphabet_is_refused(results, tmp_path):
    other = corpus_in(tmp_path, ["zebra", "yak", "a"])
    with pytest.raises(InputError, match="its alphabet differs from that of the network"):
        evaluate_command(
            model=results / "models" / "treebank-character" / "none", corpus=other, output=tmp_path / "e.json"
        )
    assert not (tmp_path / "e.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dynamic": "{oops"}, "--dynamic: not JSON at column 2"),
        ({"dynamic": '{"momentum": 0.9}'}, "expected null or an object of learning_rate, momentum, interval"),
        ({"dynamic": '{"learning_rate": 0.1, "decay": 1}'}, "expected null or an object of"),
        ({"dynamic": "3"}, "expected null or an object of"),
        ({"dynamic": '{"learning_rate": "fast"}'}, 'learning_rate is "fast"; expected learning_rate from 0'),
        ({"dynamic": '{"learning_rate": -0.1}'}, "learning_rate is -0.1; expected"),
        ({"dynamic": '{"learning_rate": NaN}'}, "learning_rate is NaN; expected"),
        ({"dynamic": '{"learning_rate": 0.1, "momentum": 1.5}'}, "momentum is 1.5; expected"),
        ({"dynamic": '{"learning_rate": 0.1, "interval": 0}'}, "interval is 0; expected"),
        ({"dynamic": '{"learning_rate": 0.1, "interval": 1.5}'}, "interval is 1.5; expected"),
        ({"dynamic": '{"learning_rate": 1e38}'}, r"on test is \w+; lower the learning rate of --dynamic"),
        ({"split": "tests"}, "split 'tests' of a treebank: there are train, validation, test"),
    ],
)
def test_an_option_that_cannot_be_is_named(results, corpus, tmp_path, options, message):
    model = results / "models" / "treebank-character" / "none"
    with pytest.raises(InputError, match=message):
        evaluate_command(model=model, corpus=corpus, output=tmp_path / "e.json", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_model_is_named(corpus, tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        evaluate_command(model=tmp_path, corpus=corpus, output=tmp_path / "e.json")


def test_table_1_puts_the_papers_numbers_beside_ours(results, tmp_path):
    table_command(
        table="table1",
        evaluations=results / "evaluations",
        experiments='{"treebank-character": ["none"], "treebank-word": ["none"]}',
        csv=tmp_path / "t.csv",
        md=tmp_path / "t.md",
    )
    table = pd.read_csv(tmp_path / "t.csv").set_index(["network", "evaluation"])
    row = table.loc[("treebank-character", "dynamic")]
    ours = measures(results, "treebank-character", "dynamic")["bits_per_character"]
    assert row["bits per character"] == pytest.approx(ours, abs=5e-4)
    assert row["bits per character: paper"] == 1.29
    assert row["bits per character: difference"] == pytest.approx(ours - 1.29, abs=1e-3)
    assert table.loc[("treebank-word", "static"), "perplexity (2^(5.6 BPC)): paper"] == 138
    assert table.loc[("treebank-word", "static"), "weights: paper"] == "54 M"
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert " 138 |" in text and " 54 M |" in text and "138.0" not in text
    lines = (tmp_path / "t.md").read_text().splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_a_table_without_its_evaluations_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="no evaluation of none; run snakemake"):
        table_command(
            table="table2",
            evaluations=tmp_path,
            experiments='{"wikipedia": ["none"]}',
            csv=tmp_path / "t.csv",
            md=tmp_path / "t.md",
        )


def test_samples_are_seeded_and_the_extract_is_the_corpus(results, corpus, tmp_path):
    model = results / "models" / "treebank-character" / "none"
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sample_command(
            model=model, corpus=corpus, output=tmp_path / name, symbols=40, seed=seed, extract=tmp_path / "real"
        )
    texts = {name: (tmp_path / name).read_text() for name in "abc"}
    assert texts["a"] == texts["b"] != texts["c"]
    treebank = load_treebank(corpus)
    assert (tmp_path / "real").read_text().startswith(treebank.decode(treebank.sequences["test"][0].tolist()))


@pytest.mark.parametrize(("unit", "prime", "written"), [("character", "a cab", "a cab"), ("word", "a cab", "a cab ")])
def test_a_sample_goes_on_from_its_prime(results, corpus, tmp_path, unit, prime, written):
    model = results / "models" / f"treebank-{unit}" / "none"
    sample_command(model=model, corpus=corpus, output=tmp_path / "s", symbols=12, prime=prime)
    text = (tmp_path / "s").read_text()
    assert text.startswith(written)
    assert len(text) > len(written)
    if unit == "word":
        words = set(load_treebank(corpus, "word").alphabet.symbols)
        assert set(text.split()) <= words


def test_a_prime_outside_the_alphabet_is_named(results, corpus, tmp_path):
    with pytest.raises(InputError, match=r"'Q' \(U\+0051\)"):
        sample_command(
            model=results / "models" / "treebank-character" / "none",
            corpus=corpus,
            output=tmp_path / "s",
            prime="aQ",
        )
    assert not (tmp_path / "s").exists()


def test_compressors_are_measured_on_the_same_split(corpus, tmp_path):
    baselines_command(settings=json.dumps(SETTINGS), corpus=corpus, output=tmp_path / "b.json")
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["split"] == "test"
    assert set(found["measures"]) == {"zstd", "ppmd"}


def test_numbers_of_another_preset_are_not_set_against_the_papers(results, tmp_path):
    table_command(
        table="table1",
        evaluations=results / "evaluations",
        experiments='{"treebank-character": ["none"]}',
        csv=tmp_path / "t.csv",
        md=tmp_path / "t.md",
        preset="demo",
    )
    assert not any("difference" in column for column in pd.read_csv(tmp_path / "t.csv").columns)
    assert "Not comparable" in (tmp_path / "t.md").read_text()


def test_table_2_has_the_training_loss_first(results, tmp_path):
    (tmp_path / "wikipedia").mkdir()
    static = json.loads((results / "evaluations" / "treebank-character" / "none.static.json").read_text())
    static["model"] |= {"experiment": "wikipedia", "train_nats_per_prediction": math.log(2)}
    (tmp_path / "wikipedia" / "none.static.json").write_text(json.dumps(static))
    table_command(
        table="table2",
        evaluations=tmp_path,
        experiments='{"wikipedia": ["none"]}',
        csv=tmp_path / "t.csv",
        md=tmp_path / "t.md",
    )
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["evaluation"].tolist() == ["train", "static"]
    assert table["bits per character"][0] == 1.0
    assert table["bits per character: paper"].tolist() == [1.42, 1.67]


@pytest.fixture
def three_seeds(results, tmp_path):
    """Evaluations of one row, trained with the seeds 1, 2 and 3: 1.5, 1.25 and 1.75 bits a character."""
    for kind in ("static", "dynamic"):
        found = json.loads((results / "evaluations" / "treebank-character" / f"none.{kind}.json").read_text())
        for seed, bits in enumerate((1.5, 1.25, 1.75), 1):
            found["measures"]["bits_per_character"] = bits
            found["model"]["seed"] = seed
            for experiment in ("treebank-character", "size"):
                name = "none" if experiment == "treebank-character" else "8"
                name += "" if seed == 1 else f"--seed-{seed}"
                (tmp_path / experiment).mkdir(exist_ok=True)
                (tmp_path / experiment / f"{name}.{kind}.json").write_text(json.dumps(found))
    return tmp_path


def test_seeds_are_one_line_with_mean_deviation_and_number(three_seeds, tmp_path):
    names = ["none", "none--seed-2", "none--seed-3"]
    places = {"evaluations": three_seeds, "csv": tmp_path / "t.csv", "md": tmp_path / "t.md"}
    table_command(table="table1", experiments=json.dumps({"treebank-character": names}), **places)
    table = pd.read_csv(tmp_path / "t.csv")
    assert len(table) == 2
    assert table["bits per character"].tolist() == [1.5, 1.5] and table["bits per character: ±"].tolist() == [0.25] * 2
    assert table["n"].tolist() == [3, 3] and table["seeds"].tolist() == ["1 2 3"] * 2 and "seed" not in table
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "| 1.5 ± 0.25 |" in text and ": ±" not in text
    (three_seeds / "treebank-character" / "none--seed-2.dynamic.json").unlink()
    with pytest.raises(InputError, match="no evaluation of none--seed-2"):
        table_command(table="table1", experiments=json.dumps({"treebank-character": names}), **places)


def test_a_sweep_has_a_line_a_value(three_seeds, tmp_path):
    sweep = {
        "name": "size",
        "experiment": "treebank-character",
        "row": "none",
        "setting": "network.cells",
        "values": [8, 16],
    }
    for file in (three_seeds / "size").iterdir():
        shutil.copy(file, file.with_name(file.name.replace("8", "16", 1)))
    names = [f"{value}{suffix}" for value in (8, 16) for suffix in ("", "--seed-2", "--seed-3")]
    places = {"evaluations": three_seeds, "csv": tmp_path / "t.csv", "md": tmp_path / "t.md"}
    table_command(table="sweep-size", experiments=json.dumps({"size": names}), sweep=json.dumps(sweep), **places)
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["network.cells"].tolist() == [8, 8, 16, 16]
    assert table["evaluation"].tolist() == ["static", "dynamic"] * 2
    assert not [column for column in table if "paper" in column or "line" in column]
    assert (tmp_path / "t.md").read_text(encoding="utf-8").startswith("# Sweep size: network.cells of treebank-c")


def test_weights_of_another_network_are_not_evaluated(results, corpus, tmp_path):
    model = tmp_path / "mixed"
    shutil.copytree(results / "models" / "treebank-character" / "none", model)
    shutil.copy(results / "models" / "treebank-word" / "none" / "weights.safetensors", model)
    with pytest.raises(InputError, match=r"weights\.safetensors: not what config.json was written for"):
        evaluate_command(model=model, corpus=corpus, output=tmp_path / "e.json")
    (model / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.json: no experiment, .* in it; train the model again"):
        evaluate_command(model=model, corpus=corpus, output=tmp_path / "e.json")


@pytest.mark.parametrize(
    ("text", "message"), [("{", "--experiments: not JSON at column 2"), ("[1]", "expected an object of lists")]
)
def test_experiments_that_are_none_are_one_line(tmp_path, text, message):
    places = {"evaluations": tmp_path, "csv": tmp_path / "t.csv", "md": tmp_path / "t.md"}
    with pytest.raises(InputError, match=message):
        table_command(table="table1", experiments=text, **places)


def test_compressors_want_whole_settings_of_a_text(corpus, tmp_path):
    pen = SETTINGS | {"kind": "synthesis"}
    for settings, message in (("{", "not JSON"), ("{}", "no experiment, "), (pen, "key unit")):
        text = settings if isinstance(settings, str) else json.dumps(settings)
        with pytest.raises(InputError, match=message):
            baselines_command(settings=text, corpus=corpus, output=tmp_path / "b.json")

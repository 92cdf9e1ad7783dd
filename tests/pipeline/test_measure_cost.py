"""The cost of an epoch, by a clock that advances one second an update."""

import itertools
import json
from types import SimpleNamespace

import pytest

from pipeline import measure_cost
from rnngen.corpora.treebank import load_treebank, parse_treebank, write_treebank
from rnngen.errors import InputError

LINES = ["abba cab", "bad dab a", "cab", "N <unk> a", "a bad cab N", "dab dab"] * 6


@pytest.fixture
def corpus(tmp_path):
    for name in ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"):
        (tmp_path / name).write_text("\n".join(LINES) + "\n", encoding="utf-8")
    table, _ = parse_treebank(tmp_path)
    write_treebank(tmp_path / "treebank.parquet", table, {})
    return tmp_path / "treebank.parquet"


@pytest.fixture
def config(tmp_path):
    rows = "regularisations: {continued: null, weight-noise: {}, adaptive-weight-noise: null}"
    (tmp_path / "small.yaml").write_text(
        f"experiments: {{treebank-character: {{network: {{cells: 6}}, training: {{batch_size: 4}}, {rows}}}}}",
        encoding="utf-8",
    )
    return tmp_path / "small.yaml"


def measured(corpus, config, output, monkeypatch, **options):
    monkeypatch.setattr(measure_cost, "time", SimpleNamespace(perf_counter=itertools.count(100.0).__next__))
    measure_cost.main(corpus=[f"treebank={corpus}"], output=output, config=[config], **options)
    return json.loads(output.read_text())["rows"]


def test_rate_and_cost_of_every_row_whose_corpus_is_there(corpus, config, tmp_path, monkeypatch, capsys):
    rows = measured(corpus, config, tmp_path / "cost.json", monkeypatch, seconds=3.0)
    names = [(row["experiment"], row["regularisation"]) for row in rows]
    assert names[:2] == [("treebank-character", "none"), ("treebank-character", "weight-noise")]
    assert {name for name, _ in names} == {"treebank-character", "treebank-word"}
    assert "wikipedia: left out, no --corpus wikipedia=PARQUET" in capsys.readouterr().out
    symbols = len(load_treebank(corpus).sequences["train"].symbols)
    for row in rows[:2]:
        assert (row["symbols_an_epoch"], row["updates_an_epoch"], row["batch_size"]) == (symbols, 9, 4)
        assert (row["measured_seconds"], row["measured_updates"]) == (3.0, measure_cost.WARM_UPDATES + 3)
        assert row["hours_an_epoch"] * 3600 * row["symbols_per_second"] == pytest.approx(symbols)
        # the shortest and the longest minibatch bound the rate of one minibatch a second
        assert 4 * min(len(line) for line in LINES) <= row["symbols_per_second"] <= 4 * max(map(len, LINES)) + 4


def test_a_corpus_of_fewer_updates_than_the_warm_up_is_measured_all_the_same(corpus, config, tmp_path, monkeypatch):
    config.write_text(config.read_text().replace("batch_size: 4", "batch_size: 30"), encoding="utf-8")
    rows = measured(corpus, config, tmp_path / "cost.json", monkeypatch, seconds=1e9, experiment=["treebank-character"])
    assert [row["measured_updates"] for row in rows] == [2, 2]  # up to the first validation
    assert rows[0]["measured_seconds"] == 1.0


def test_a_row_that_would_diverge_is_measured_all_the_same(corpus, config, tmp_path, monkeypatch):
    rate = "optimiser: {name: sgd, learning_rate: 1.0e+300, momentum: 0.9}"
    rows = "regularisations: {continued: null, weight-noise: {}, adaptive-weight-noise: {training: {" + rate + "}}}"
    config.write_text(
        f"experiments: {{treebank-character: {{network: {{cells: 6}}, training: {{{rate}}}, {rows}}}}}",
        encoding="utf-8",
    )
    rows = measured(corpus, config, tmp_path / "cost.json", monkeypatch, experiment=["treebank-character"])
    assert [row["regularisation"] for row in rows] == ["none", "weight-noise", "adaptive-weight-noise"]


def test_what_cannot_be_measured_is_one_line(corpus, config, tmp_path):
    with pytest.raises(InputError, match="none of treebank is a corpus of an experiment"):
        measure_cost.main([f"treebank={corpus}"], tmp_path / "c.json", [config], ["synthesis"])
    with pytest.raises(InputError, match="--corpus treebank: expected NAME=PARQUET"):
        measure_cost.main(["treebank"], tmp_path / "c.json", [config])

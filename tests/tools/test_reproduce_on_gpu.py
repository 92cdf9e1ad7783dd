"""The driver's plan, slices, shards and published records; trainings themselves are stood in for."""

import json

import pytest
import yaml

from pipeline._settings import named_corpora
from rnngen.artifacts import write_json
from rnngen.corpora.treebank import parse_treebank, write_treebank
from rnngen.errors import InputError
from tools import reproduce_on_gpu as driver


class Trainer:
    """Stands in for pipeline.train and pipeline.evaluate: a training needs three calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, name, *options):
        given = dict(zip(options[::2], options[1::2], strict=True))
        self.calls.append((name, given))
        if name == "evaluate":
            measures = {"bits_per_character": 1.5}
            adaptation = json.loads(given["--dynamic"])
            provenance = {"wall_seconds": 2.0, "settings": {"dynamic": adaptation}}
            experiment, regularisation = given["--model"].parts[-2:]
            found = {"evaluation": given["--output"].stem, "split": "test", "rule": "r", "measures": measures}
            found |= {"model": {"experiment": experiment, "regularisation": regularisation}, "provenance": provenance}
            write_json(given["--output"], found)
            return
        model = given["--output"]
        state = model / "state" / "state.json"
        done = json.loads(state.read_text())["values"]["progress"]["updates"] if state.exists() else 0
        finished = done == 2
        write_json(state, {"values": {"progress": {"epoch": 1, "updates": done + 1, "seconds": 60.0}}})
        if finished:
            state.unlink()
            state.parent.rmdir()
        (model / "weights.safetensors").write_bytes(b"weights" * 1000)
        (model / "log.parquet").write_bytes(b"curve")
        settings = json.loads(given["--settings"].read_text())
        description = dict.fromkeys(("weights", "epochs", "best_epoch", "updates"), 1)
        description |= {"network": "PredictionNetwork", "best": {"validation_loss": 1.0}, "initial": None}
        description |= {name: settings[name] for name in ("experiment", "regularisation", "kind")}
        provenance = {"settings": settings, "machine": "m", "commit": None, "wall_seconds": 120.0}
        write_json(model / "config.json", description | {"complete": finished, "provenance": provenance})


@pytest.fixture
def slice_(tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(driver, "module", trainer)
    corpus = tmp_path / "corpus.parquet"
    corpus.write_bytes(b"")

    def run(work="work", seconds=1000.0, experiment="prediction-3-layer", **options):
        options = {"shards": tmp_path / "shards", "shard_mib": 1, "shard_count": 2, "commit": "abc"} | options
        driver.main(
            corpus=[f"handwriting={corpus}", f"treebank={corpus}"],
            config=None,
            experiment=[experiment],
            seconds=seconds,
            work=tmp_path / work,
            results=tmp_path / "results",
            **({"plan": False} | options),
        )
        return trainer.calls

    run.trainer, run.path = trainer, tmp_path
    return run


def test_a_chain_is_trained_over_slices_and_machines(slice_, capsys):
    for n in range(12):
        slice_(work=f"machine-{n}")  # every slice begins with nothing but the shards
    results = slice_.path / "results" / "prediction-3-layer"
    rows = ["adaptive-weight-noise", "none"]
    assert sorted(path.stem for path in results.glob("*.json")) == rows
    assert sorted(path.stem for path in results.glob("*.parquet")) == rows
    record = json.loads((results / "adaptive-weight-noise.json").read_text())
    assert record["training"]["commit"] == "abc" and record["training"]["wall_seconds"] == 120.0
    assert record["evaluations"]["static"]["measures"] == {"bits_per_character": 1.5}
    assert "dynamic" not in record["evaluations"]  # handwriting is evaluated statically
    trainings = [given for name, given in slice_.trainer.calls if name == "train"]
    assert len(trainings) == 6
    assert "--initial" not in trainings[0] and trainings[-1]["--initial"].name == "none"
    assert "published: 2.0 min" in capsys.readouterr().out


def test_text_is_evaluated_dynamically_too(slice_):
    for _ in range(3):
        slice_(experiment="treebank-character")
    evaluations = [given["--dynamic"] for name, given in slice_.trainer.calls if name == "evaluate"]
    assert evaluations[0] == "null" and json.loads(evaluations[1])["learning_rate"] > 0


def test_no_training_begins_after_the_time(slice_, capsys):
    assert slice_(seconds=driver.SAFETY) == []
    assert "time is over at prediction-3-layer/none" in capsys.readouterr().out


def test_the_plan_runs_nothing(slice_, capsys):
    assert slice_(plan=True) == []
    assert "3 × 400" in capsys.readouterr().out
    slice_()
    slice_(plan=True)
    assert "paused at epoch 1, update 1, 1.0 min" in capsys.readouterr().out


def test_a_record_of_other_settings_is_made_anew(slice_):
    for _ in range(3):
        slice_()
    path = slice_.path / "results" / "prediction-3-layer" / "none.json"
    record = json.loads(path.read_text())
    record["training"]["settings"]["seed"] += 1
    path.write_text(json.dumps(record))
    job = driver.list_jobs(driver.load_config([driver.ROOT / "config.yaml", driver.PAPER]), ["prediction-3-layer"])[0]
    assert not driver.published(job, slice_.path / "results")


def test_missing_initial_weights_are_named(slice_):
    for _ in range(3):
        slice_()
    with pytest.raises(InputError, match="starts from the weights of none"):
        slice_(work="fresh", shards=None)


@pytest.mark.parametrize("text", ["handwriting", "handwriting=/nowhere.parquet"])
def test_bad_corpora_are_named(text):
    with pytest.raises(InputError, match="--corpus handwriting"):
        named_corpora([text])


def test_the_default_is_the_paper_on_triton():
    jobs = driver.list_jobs(driver.load_config([driver.ROOT / "config.yaml", driver.PAPER]), None)
    assert {job.settings["training"]["backend"] for job in jobs} == {"triton"}
    assert {job.settings["network"]["cells"] for job in jobs} == {1000, 900, 700, 400}


def test_unknown_experiments_are_named():
    with pytest.raises(InputError, match="--experiment nothing: expected one of treebank-character"):
        driver.list_jobs(driver.load_config([driver.ROOT / "config.yaml"]), ["nothing"])


@pytest.mark.slow
def test_a_tiny_experiment_is_trained_evaluated_and_published_on_a_cpu(tmp_path):
    """The real trainer and evaluator, in processes of their own; the backend is the only thing a GPU would change."""
    for name in ("train", "valid", "test"):
        (tmp_path / f"ptb.{name}.txt").write_text("a cab\nbad abba dab\n" * 5)
    table, _ = parse_treebank(tmp_path)
    write_treebank(tmp_path / "treebank.parquet", table, {})
    entry = {"network": {"layers": 1, "cells": 6}, "training": {"batch_size": 4, "maximum_epochs": 1}}
    config = tmp_path / "tiny.yaml"
    others = dict.fromkeys(("continued", "weight-noise", "adaptive-weight-noise"))
    config.write_text(yaml.safe_dump({"experiments": {"treebank-character": entry | {"regularisations": others}}}))
    driver.main(
        corpus=[f"treebank={tmp_path / 'treebank.parquet'}"], config=[config], experiment=["treebank-character"],
        backend="auto", seconds=600.0, work=tmp_path / "work", shards=tmp_path / "shards", shard_mib=1, shard_count=1,
        results=tmp_path / "results", commit="abc", plan=False,
    )  # fmt: skip
    record = json.loads((tmp_path / "results" / "treebank-character" / "none.json").read_text())
    for name in ("static", "dynamic"):
        assert 0 < record["evaluations"][name]["measures"]["bits_per_character"] < 6
    assert list((tmp_path / "shards").iterdir())

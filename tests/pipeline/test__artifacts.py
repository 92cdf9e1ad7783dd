"""Artifacts of configurations, without Snakemake."""

from pathlib import Path

import pytest

from pipeline._artifacts import Artifacts
from pipeline._settings import load_config
from pipeline.paper import FIGURES, TABLES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return load_config([ROOT / "config.yaml"])


def test_the_whole_paper(config):
    made = Artifacts(config)
    assert list(made.figures) == ["fig09", "fig10", "fig11", *(f"fig{n}" for n in range(13, 22))]
    assert list(made.tables) == list(TABLES)
    everything = made.all()
    assert len(set(everything)) == len(everything)
    assert {path.rsplit("/", 1)[0] for path in made.pictures()} == {f"{config['results']}/figures"}
    assert set(made.pictures()) < set(everything)
    assert all(path in everything for name in made.text for path in made.evaluations(name))


def test_every_figure_has_a_module_that_draws_it_and_lines_where_it_shows_samples():
    for number, figure in FIGURES.items():
        assert (ROOT / "pipeline" / f"{figure['draw']}.py").exists()
        assert ("lines" in figure) == (figure["draw"] == "draw_samples"), number


def test_without_synthesis_only_what_prediction_shows(config):
    config["experiments"] = {name: e for name, e in config["experiments"].items() if e["kind"] == "prediction"}
    made = Artifacts(config)
    assert list(made.figures) == ["fig09", "fig10", "fig11"] and list(made.tables) == ["table3"]
    assert made.text == made.synthesis == []
    assert made.writer("prediction").startswith(f"{config['results']}/models/prediction-3-layer/")
    assert made.drawn_from() == [
        f"{config['results']}/samples/handwriting/{name}.parquet" for name in ("trace.prediction", "fig11")
    ]


def test_without_handwriting_no_figure(config):
    config["experiments"] = {name: e for name, e in config["experiments"].items() if e["kind"] == "text"}
    assert Artifacts(config).figures == {} and list(Artifacts(config).tables) == ["table1", "table2"]


def test_a_row_starts_from_the_one_that_it_names(config):
    made = Artifacts(config)
    name = "treebank-character"
    assert made.parent(name, "none") == []
    assert made.parent(name, "weight-noise") == [
        f"{made.model(name, 'none')}/{file}" for file in ("weights.safetensors", "optimiser.safetensors", "config.json")
    ]
    config["seeds"] = [config["seed"], 7]
    assert made.parent(name, "weight-noise--seed-7")[0] == f"{made.model(name, 'none--seed-7')}/weights.safetensors"
    assert made.all_rows(name)[:2] == ["none", "none--seed-7"] and made.rows(name)[0] == "none"


def test_data_that_are_not_the_papers_are_named_once(config):
    made = Artifacts(config)
    words = made.foreign_data(TABLES["table1"]["experiments"])
    assert words and words.count("; ") == 0

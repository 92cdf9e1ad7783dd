"""What a configuration asks for: which artifacts there are, under which names, and what each is made from.

The rules of the workflow read it; nothing here is Snakemake's.
"""

import json
from typing import Any

from pipeline._settings import data_of, parent_of_training, trainings
from pipeline.paper import FIGURES, TABLES, holds, name_of_figure


class Artifacts:
    """The artifacts of a configuration, as paths in its folder of results.

    experiments are those of the report; sweeps have a table of their own. With several seeds, `rows` are those of the
    first, which figures and samples show, and `all_rows` those of all.
    """

    def __init__(self, config: dict[str, Any]):
        self.config, self.results = config, config["results"]
        self.sweeps: dict[str, dict[str, Any]] = config.get("sweeps", {})
        self.experiments = {name: e for name, e in config["experiments"].items() if name not in self.sweeps}
        self.text = [name for name, e in self.experiments.items() if e["kind"] == "text"]
        self.synthesis = [name for name, e in self.experiments.items() if e["kind"] == "synthesis"]
        self.figures = {
            name_of_figure(number): figure
            for number, figure in FIGURES.items()
            if any(figure.get("network", e["kind"]) == e["kind"] != "text" for e in self.experiments.values())
        }
        """Name → facts of each of the paper's handwriting figures that the configuration's networks can draw."""
        held = {
            table: [name for name, e in self.experiments.items() if holds(table, name, e["kind"])] for table in TABLES
        }
        self.tables = {table: names for table, names in held.items() if names}
        """Name → the experiments of a table, the paper's and one for every sweep."""
        self.tables |= {f"sweep-{name}": [name] for name in self.sweeps}

    def rows(self, experiment: str) -> list[str]:
        """The rows (regularisations) of an experiment, in the order of the configuration."""
        return [names[0] for names in trainings(self.config, experiment).values()]

    def all_rows(self, experiment: str) -> list[str]:
        """The rows of an experiment with every seed."""
        return [name for names in trainings(self.config, experiment).values() for name in names]

    def model(self, experiment: str, row: str) -> str:
        """Folder of a model."""
        return f"{self.results}/models/{experiment}/{row}"

    def parent(self, experiment: str, row: str) -> list[str]:
        """The weights a row starts from, and the optimiser's memory of them; none for the first of a chain."""
        parent = parent_of_training(self.config, experiment, row)
        files = ("weights.safetensors", "optimiser.safetensors", "config.json")
        return [f"{self.model(*parent)}/{name}" for name in files] if parent else []

    def corpus(self, experiment: str) -> str:
        """The corpus that an experiment is trained on."""
        return f"{self.results}/corpora/{self.config['experiments'][experiment]['corpus']}.parquet"

    def evaluations(self, experiment: str) -> list[str]:
        """Every evaluation of an experiment: static for all, dynamic for text."""
        text = self.config["experiments"][experiment]["kind"] == "text"
        return [
            f"{self.results}/evaluations/{experiment}/{row}.{kind}.json"
            for row in self.all_rows(experiment)
            for kind in (("static", "dynamic") if text else ("static",))
        ]

    def writer(self, kind: str) -> str:
        """The model that draws the figures of a kind of network: the last row of its last experiment."""
        experiment = [name for name, e in self.experiments.items() if e["kind"] == kind][-1]
        return self.model(experiment, self.rows(experiment)[-1])

    def drawn_from(self) -> list[str]:
        """What networks wrote for the handwriting figures to be drawn from."""
        paths = dict.fromkeys(f"{self.results}/{figure['data']}" for figure in self.figures.values())
        return [path for path in paths if path.startswith(f"{self.results}/samples/")]

    def pictures(self) -> list[str]:
        """The handwriting figures, each as SVG and PNG."""
        return [f"{self.results}/figures/{name}.{kind}" for name in self.figures for kind in ("svg", "png")]

    def foreign_data(self, experiments: list[str]) -> str:
        """What the data of experiments are, each kind once; empty where they are the paper's."""
        found = [data_of(self.config, name) for name in experiments]
        return "; ".join(dict.fromkeys(data["words"] for data in found if not data["as_in_paper"]))

    def described_sweep(self, table: str) -> list[str]:
        """The option that makes the table of a sweep; none for a table of the paper."""
        name = table.removeprefix("sweep-")
        return ["--sweep", json.dumps(self.sweeps[name] | {"name": name})] if name in self.sweeps else []

    def described_experiments(self) -> dict[str, dict[str, Any]]:
        """What the report is told about each experiment: its kind, its rows and its data."""
        return {
            name: {"kind": e["kind"], "rows": self.all_rows(name), "data": data_of(self.config, name)}
            for name, e in self.experiments.items()
        }

    def all(self) -> list[str]:
        """All artifacts a user may look at, one by one, so that a deleted one is made again."""
        results, names = self.results, list(self.config["experiments"])
        return [
            f"{results}/report.html",
            *(
                f"{self.model(name, row)}/{file}"
                for name in names
                for row in self.all_rows(name)
                for file in ("weights.safetensors", "config.json", "log.parquet")
            ),
            *(path for name in names for path in self.evaluations(name)),
            *(f"{results}/evaluations/{name}/compressors.json" for name in self.text),
            *(f"{results}/samples/{name}/{self.rows(name)[-1]}.txt" for name in self.text),
            *(f"{results}/tables/{table}.{kind}" for table in self.tables for kind in ("csv", "md")),
            *(f"{results}/figures/curves.{name}.{kind}" for name in names for kind in ("svg", "png")),
            *self.pictures(),
            *self.drawn_from(),
        ]

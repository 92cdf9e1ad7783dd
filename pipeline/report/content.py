"""What the folder of results has to show: numbers, curves, figures, texts, lines, and the network itself."""

import base64
import csv
import io
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline._evaluations import read_evaluation
from pipeline._settings import by_row
from pipeline.paper import CLAIMS, FIGURES, TABLES, holds, name_of_figure
from pipeline.paper.verdict import Evaluations, comparisons, orderings
from pipeline.report.embedding import LARGEST_NETWORK, line_json
from rnngen.artifacts import read_json_object
from rnngen.checked_parquet import read_parquet
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.errors import InputError
from rnngen.ink.sampled_lines import WRITTEN_LINES, read_sampled_lines
from rnngen.losses.bits_per_character import bits
from rnngen.models.handwriting_model import HandwritingModel
from rnngen.models.model_directory import read_config
from rnngen.training.log import read_log
from rnngen.web.embedding import network_json, prime_json

LARGEST_FIGURE = 250_000  # bytes of a figure in the page; a larger SVG gives way to its PNG
LINES_A_GROUP = 8
PRIMES = 8
SAMPLE_CHARACTERS = 3_000


@dataclass
class Experiment:
    """One experiment as the page shows it."""

    name: str
    kind: str
    title: str
    data: str
    as_in_paper: bool
    comparable: bool
    claim: dict[str, Any] | None
    comparisons: list[dict[str, Any]]
    orderings: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    curves: dict[str, Any] | None
    figures: list[dict[str, Any]]
    texts: dict[str, Any] | None
    legibility: list[dict[str, Any]]
    command: str


@dataclass
class Content:
    """The whole page."""

    preset: str
    experiments: list[Experiment]
    tables: list[dict[str, Any]]
    network: dict[str, Any] | None = None
    network_note: str = ""
    network_about: dict[str, Any] | None = None
    writer: dict[str, Any] | None = None  # the network of the package, where it writes in place of the run's own
    writer_weights: int = 0
    model: str = ""
    corpus: str = ""
    primes: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    biased: list[dict[str, Any]] = field(default_factory=list)
    generated: bool = False  # the handwriting, by a pen model
    command: str = ""


def gather(
    results: Path, chosen: dict[str, dict[str, Any]], preset: str, configfiles: list[str], writer: Path
) -> Content:
    """Everything of the experiments `chosen` (name → kind, rows and data) that is in `results`.

    The model of the folder `writer` writes in the page where it is larger than the run's own.
    """
    found = read_evaluations(results / "evaluations", chosen)
    options = f" --configfile {shlex.join(configfiles)}" if configfiles else ""
    experiments = [experiment(results, name, entry, found, preset, options) for name, entry in chosen.items()]
    content = Content(preset, experiments, tables(results / "tables", experiments))
    content.generated = any(entry["data"]["generated"] for entry in chosen.values())
    content.command = f"snakemake reproduce-all{options}"
    add_handwriting(content, results, chosen, writer)
    return content


def experiment(
    results: Path, name: str, entry: dict[str, Any], found: Evaluations, preset: str, options: str
) -> Experiment:
    kind, rows, data = entry["kind"], first_seeds(entry["rows"]), entry["data"]
    claim = CLAIMS.get(name)
    models = results / "models" / name
    comparable = preset == "paper" and data["as_in_paper"]
    table = next((table for table in TABLES if holds(table, name, kind)), None)
    wanted = results / "tables" / f"{table}.csv" if table else models / rows[-1] / "weights.safetensors"
    rule = "train_synthesis" if kind == "synthesis" else "train"
    read = legibility(results / "evaluations" / "legibility.json", data["generated"]) if kind == "synthesis" else []
    return Experiment(
        name=name,
        kind=kind,
        title=claim["title"] if claim else name,
        data=data["words"],
        as_in_paper=data["as_in_paper"],
        comparable=comparable,
        claim=claim,
        comparisons=comparisons(name, list(by_row(rows)), found, comparable),
        orderings=orderings(name, found),
        rows=[row_facts(models / row, row, found.get(name, {}), options) for row in entry["rows"]],
        curves=curves(models, rows, kind),
        figures=figures(results, name),
        texts=texts(results, name, rows[-1], found.get(name, {})) if kind == "text" else None,
        legibility=read,
        command=f"snakemake {shlex.quote(str(wanted))}{options} --forcerun {rule}",
    )


def first_seeds(names: list[str]) -> list[str]:
    """Of trainings with several seeds the first of every row."""
    return [trainings[0] for trainings in by_row(names).values()]


def legibility(path: Path, generated: bool) -> list[dict[str, Any]]:
    """What a reader trained on the corpus makes of its other lines and of samples; nothing where not measured."""
    if not path.exists():
        return []
    names = {
        "corpus": "generated lines, held out" if generated else "real lines, held out",
        "generator": "the samples' texts by the generator",
        "samples": "samples",
    }
    rows = read_json_object(path, "a measurement of legibility")["measured"]
    return [
        {
            "what": names.get(row["what"], row["what"]) + (", primed" if row.get("primed") else ""),
            "bias": row.get("bias"),
            "lines": row["lines"],
            "right": row["lines_read_right"],
            "characters": row["characters"],
            "percent": 100 * row["character_error_rate"],
        }
        for row in rows
    ]


def read_evaluations(folder: Path, chosen: dict[str, dict[str, Any]]) -> Evaluations:
    """All evaluations of the rows, by experiment and "row.kind"."""
    return {
        name: {
            f"{row}.{kind}": read_evaluation(path)
            for row in entry["rows"]
            for kind in ("static", "dynamic")
            if (path := folder / name / f"{row}.{kind}.json").exists()
        }
        for name, entry in chosen.items()
    }


def row_facts(model: Path, row: str, evaluations: dict[str, dict[str, Any]], options: str) -> dict[str, Any]:
    """Where a row comes from and what was measured on it."""
    return {
        "name": row,
        "description": read_config(model) if (model / "config.json").exists() else None,
        "measures": {
            kind: evaluations[f"{row}.{kind}"]["measures"]
            for kind in ("static", "dynamic")
            if f"{row}.{kind}" in evaluations
        },
        "rule": next((e["rule"] for key, e in evaluations.items() if key.startswith(f"{row}.")), None),
        "command": f"snakemake {shlex.quote(f'{model}/weights.safetensors')}{options} --force",
    }


def curves(models: Path, rows: list[str], kind: str) -> dict[str, Any] | None:
    """Training and validation loss of every row by epoch: bits per symbol for text, nats per point for handwriting."""
    logs = {row: read_log(path).to_pandas() for row in rows if (path := models / row / "log.parquet").exists()}
    entries = []
    for row, log in logs.items():
        train = log["train_nats_per_prediction"]
        if kind == "text":
            train, validation = train.map(bits), log["validation_bits_per_symbol"]
        else:
            validation = log["validation_nats_per_point"]
        entries.append(
            {
                "name": row,
                "epochs": log["epoch"].round(4).tolist(),
                "train": _numbers(train),
                "validation": _numbers(validation),
            }
        )
    return {"unit": "bits per symbol" if kind == "text" else "nats per point", "rows": entries} if entries else None


def _numbers(values: pd.Series) -> list[float | None]:
    return [None if not np.isfinite(value) else round(float(value), 5) for value in values]


def figures(results: Path, name: str) -> list[dict[str, Any]]:
    """The paper's figures that belong to an experiment and are in the results, as data: addresses."""
    found = []
    for number, figure in FIGURES.items():
        path = results / "figures" / f"{name_of_figure(number)}.svg"
        if figure["experiment"] == name and path.exists():
            raster = path.with_suffix(".png")
            shown = raster if path.stat().st_size > LARGEST_FIGURE and raster.exists() else path
            kind = "image/png" if shown.suffix == ".png" else "image/svg+xml"
            data = base64.b64encode(shown.read_bytes()).decode("ascii")
            found.append({"number": number, **figure, "data": f"data:{kind};base64,{data}"})
    return found


SURPRISAL = {"symbol": None, "bits": pa.float64()}


def texts(results: Path, name: str, row: str, evaluations: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What the last row of a text experiment writes, and the surprisal of real text, static and dynamic."""
    settings = evaluations.get(f"{row}.static", {}).get("provenance", {}).get("settings", {})
    unit = settings.get("unit")
    sample = results / "samples" / name / f"{row}.txt"
    scored = []
    for kind in ("static", "dynamic"):
        path = results / "evaluations" / name / f"{row}.{kind}.surprisal.parquet"
        if path.exists():
            table = read_parquet(path, SURPRISAL, "surprisal of a text, made with pipeline.evaluate").to_pandas()
            scored.append(
                {
                    "evaluation": kind,
                    "symbols": table["symbol"].tolist(),
                    "words": unit == "word",
                    "bits": table["bits"].round(2).tolist(),
                    "mean": float(table["bits"].mean()),
                }
            )
    if not sample.exists() and not scored:
        return None
    baselines = results / "evaluations" / name / "compressors.json"
    return {
        "row": row,
        "unit": evaluations.get(f"{row}.static", {}).get("rule", ""),
        "sample": sample.read_text(encoding="utf-8")[:SAMPLE_CHARACTERS] if sample.exists() else None,
        "scored": scored,
        "baselines": read_json_object(baselines, "a measurement of compressors")["measures"]
        if baselines.exists()
        else {},
    }


def tables(folder: Path, experiments: list[Experiment]) -> list[dict[str, Any]]:
    """The paper's tables as they were measured: header, cells, the CSV itself, and data that are not the paper's."""
    found = []
    sweeps = {path.stem: path.stem.replace("sweep-", "Sweep · ") for path in sorted(folder.glob("sweep-*.csv"))}
    titles = {name: about["title"].replace(": ", " · ", 1) for name, about in TABLES.items()}
    for name, title in (titles | sweeps).items():
        path = folder / f"{name}.csv"
        if path.exists():
            text = path.read_text(encoding="utf-8")
            header, *rows = csv.reader(io.StringIO(text))
            of = [e for e in experiments if name in TABLES and holds(name, e.name, e.kind)]
            data = "; ".join(dict.fromkeys(e.data for e in of if not e.as_in_paper))
            found.append({"name": name, "title": title, "data": data, "header": header, "rows": rows, "csv": text})
    return found


# --- handwriting -----------------------------------------------------------------------------------------------------


def add_handwriting(content: Content, results: Path, chosen: dict[str, dict[str, Any]], writer: Path) -> None:
    """The network that writes in the page, styles for it, and lines of the run."""
    names = [name for name, entry in chosen.items() if entry["kind"] == "synthesis"]
    if not names:
        content.network_note = "This configuration has no handwriting synthesis experiment: no network can write here."
        return
    name, row = names[0], first_seeds(chosen[names[0]]["rows"])[-1]
    folder = results / "models" / name / row
    content.model = str(folder)
    model = HandwritingModel.load(folder)
    other = HandwritingModel.load(writer)
    weights, content.writer_weights = (
        sum(parameter.numel() for parameter in one.network.parameters()) for one in (model, other)
    )
    content.network_about = {"experiment": name, "row": row, "weights": weights}
    if weights > LARGEST_NETWORK:
        content.network_note = (
            f"The network of this run has {weights:,} weights, too many for a page; "
            f"on the command line it writes with rnngen write --model {folder}."
        )
    else:
        content.network = network_json(model)
    splits = model.about["provenance"]["settings"]["corpus"]["training"]
    if weights < content.writer_weights:
        model, content.writer, content.model = other, network_json(other), ""
    corpus = results / "corpora" / "handwriting.parquet"
    content.corpus = str(corpus)
    if corpus.exists():
        content.primes = primes(model, corpus, splits)
    for path in sorted((results / "samples").rglob("*.parquet")):
        if set(WRITTEN_LINES.names) - set(pq.read_schema(path).names):
            continue  # samples of another kind
        lines, about = read_sampled_lines(path)
        drawn = [line for line in lines if line.strokes]
        if path.stem == "biases":
            content.biased = [line_json(line) for line in drawn]
            continue
        number, reading = about.get("figure"), about["network"] == "SynthesisNetwork"
        if any(line.outputs_so is not None for line in drawn):
            number = 13 if reading else 10
        if str(number) in FIGURES and drawn:
            content.groups.append(
                {
                    "title": f"Figure {number} · {FIGURES[str(number)]['title']}",
                    "order": number,
                    "readable": reading,
                    "real": "generated line" if content.generated else "real line",
                    "units": {"mean": about["mean"], "deviation": about["deviation"]},
                    "lines": [line_json(line) for line in _some(drawn)],
                }
            )
    content.groups.sort(key=lambda group: (not group["readable"], group["order"]))


def _some(lines: list[Any]) -> list[Any]:
    """At most a handful of lines, evenly from all blocks."""
    return (
        [lines[k * len(lines) // LINES_A_GROUP] for k in range(LINES_A_GROUP)] if len(lines) > LINES_A_GROUP else lines
    )


def primes(model: HandwritingModel, corpus: Path, splits: list[str]) -> list[dict[str, Any]]:
    """A few lines of the training sets `splits`, each by another writer, as styles; those that the model can read."""
    lines = CorpusLines(corpus)
    lengths = sorted(map(len, lines.texts(splits)))
    if not lengths:
        raise InputError(f"{corpus}: no training line ({', '.join(splits)}) with a text")
    middle = lengths[len(lengths) // 2]
    return [
        prime_json(model.prime(line.ink, line.text, line.line))
        for line in lines.spread(PRIMES, splits, middle, lengths[-1])
        if line.text and not model.replacements(line.text)
    ]

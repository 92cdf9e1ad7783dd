"""A folder of results with a little of everything that a report shows, none of it trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.paper import TABLES, holds
from rnngen.artifacts import provenance, write_json
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.ink.figures import Block, FigureLine, lines_figure, save
from rnngen.ink.sampled_lines import WrittenLine, write_sampled_lines
from rnngen.models.handwriting_model import HandwritingModel
from rnngen.sampling.handwriting import sample
from tests.tiny_handwriting import write_corpus, write_model

DERIVED = {"words": "text derived from an encyclopaedia", "as_in_paper": False, "generated": False}
PAPERS = {"words": "enwik8", "as_in_paper": True, "generated": False}
GENERATED = {"words": "generated handwriting", "as_in_paper": False, "generated": True}
EXPERIMENTS = {
    "treebank-character": {"kind": "text", "rows": ["none", "weight-noise"], "data": DERIVED},
    "wikipedia": {"kind": "text", "rows": ["none"], "data": PAPERS},
    "prediction-3-layer": {"kind": "prediction", "rows": ["none"], "data": GENERATED},
    "synthesis": {"kind": "synthesis", "rows": ["none", "adaptive-weight-noise"], "data": GENERATED},
}
TEXT_ONLY = {name: entry for name, entry in EXPERIMENTS.items() if entry["kind"] == "text"}
REAL_TEXT = "the share price of <b>one</b> & two fell .\n"


def write_results(folder: Path, experiments: dict[str, Any] = EXPERIMENTS) -> Path:
    """Models, evaluations, samples, figures and tables of `experiments`, in the places where the workflow has them."""
    folder.mkdir(parents=True)
    for name, entry in experiments.items():
        for number, row in enumerate(entry["rows"]):
            if entry["kind"] == "text":
                _text(folder, name, row, number)
            else:
                write_model(folder / "models" / name / row, entry["kind"])
                measures = {"loss": -100.0 - number, "nats_per_point": -1.5, "sse_mean": 0.4}
                _evaluation(folder, name, row, "static", measures)
            _model(folder / "models" / name / row, name, row, entry["kind"])
    (folder / "tables").mkdir()
    for table in TABLES:
        if any(holds(table, name, entry["kind"]) for name, entry in experiments.items()):
            frame = pd.DataFrame(
                {"row": ["b", "a", "c"], "bits": [1.5, 10.25, None], "rule": ["<unk>", 'say "x", y', "z"]}
            )
            frame.to_csv(folder / "tables" / f"{table}.csv", index=False)
    if "synthesis" in experiments:
        _handwriting(folder)
    return folder


def _model(folder: Path, experiment: str, row: str, kind: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    about = pd.read_json(config, typ="series").to_dict() if config.exists() else {}
    settings = about.get("provenance", {}).get("settings", {"kind": kind})
    about |= {
        "experiment": experiment,
        "regularisation": row,
        "kind": kind,
        "network": "SynthesisNetwork" if kind == "synthesis" else "PredictionNetwork",
        "weights": 12_345,
        "complete": True,
        "epochs": 3.0,
        "best_epoch": 2.0,
        "updates": 300,
        "initial": None if row == "none" else "none",
        "provenance": provenance(settings, 1, "cpu", 61.5),
    }
    write_json(config, about)
    validation = "validation_bits_per_symbol" if kind == "text" else "validation_nats_per_point"
    log = {"epoch": [1.0, 2.0, 3.0], "updates": [100, 200, 300], "seconds": [20.0, 40.0, 61.5]}
    log |= {"train_nats_per_prediction": [2.0, 1.5, 1.25], "validation_loss": [50.0, 45.0, 40.0]}
    pd.DataFrame(log | {validation: [2.5, np.nan, 2.0]}).to_parquet(folder / "log.parquet")


def _evaluation(folder: Path, experiment: str, row: str, kind: str, measures: dict[str, float]) -> None:
    model = {"experiment": experiment, "regularisation": row, "weights": 12_345, "complete": True}
    write_json(
        folder / "evaluations" / experiment / f"{row}.{kind}.json",
        {"evaluation": kind, "split": "test", "rule": "one symbol for <unk>", "measures": measures, "model": model},
    )


def _text(folder: Path, experiment: str, row: str, number: int) -> None:
    for step, kind in enumerate(("static", "dynamic")):
        bits = 2.0 - 0.1 * number - 0.05 * step
        _evaluation(folder, experiment, row, kind, {"bits_per_character": bits, "error_percent": 40.0})
        scored = pd.DataFrame({"symbol": list(REAL_TEXT), "bits": np.linspace(0, 9, len(REAL_TEXT))})
        scored.to_parquet(folder / "evaluations" / experiment / f"{row}.{kind}.surprisal.parquet")
    write_json(folder / "evaluations" / experiment / "compressors.json", {"measures": {"zstd": 2.25}})
    sample_path = folder / "samples" / experiment / f"{row}.txt"
    sample_path.parent.mkdir(parents=True, exist_ok=True)
    sample_path.write_text(f"{REAL_TEXT}</script><script>alert(1)</script>", encoding="utf-8")


def _handwriting(folder: Path) -> None:
    corpus = folder / "corpora" / "handwriting.parquet"
    corpus.parent.mkdir()
    real = CorpusLines(write_corpus(corpus)).spread(4, ["testset_v"])
    model = HandwritingModel.load(folder / "models" / "synthesis" / "none")
    about = {
        "network": "SynthesisNetwork",
        "mean": model.normaliser.mean.tolist(),
        "deviation": model.normaliser.deviation.tolist(),
    }
    biases = [0.0, 0.5, 0.5, 2.0]
    written = sample(model.network, [model.request("a line", bias=bias, seed=seed) for seed, bias in enumerate(biases)])
    lines = [
        WrittenLine(f"sample-{k}", "sample", model.strokes(line), 0, "a line", bias, k)
        for k, (line, bias) in enumerate(zip(written, biases, strict=True))
    ]
    write_sampled_lines(folder / "samples" / "biases.parquet", lines, about | {"figure": None})
    shown = [WrittenLine(line.line, "real", line.strokes, 0, line.text) for line in real]
    write_sampled_lines(folder / "samples" / "figure-15.parquet", [*shown, lines[0]], about | {"figure": 15})
    outputs = np.random.default_rng(0).normal(size=(sum(map(len, real[1].strokes)) - 1, 13)).astype(np.float32)
    trace = [WrittenLine(real[1].line, "real", real[1].strokes, 0, real[1].text, outputs_so=outputs)]
    about_reader = about | {"network": "PredictionNetwork"}
    write_sampled_lines(folder / "samples" / "handwriting" / "trace.prediction.parquet", trace, about_reader)
    row = {"lines": 4, "characters": 40, "lines_read_right": 3, "character_error_rate": 0.125}
    measured = [{"what": "corpus", **row}, {"what": "samples", "bias": 0.5, "primed": False, **row}]
    write_json(folder / "evaluations" / "legibility.json", {"measured": measured})
    free = [WrittenLine("sample-1", "sample", real[-1].strokes[:5])]
    write_sampled_lines(folder / "samples" / "figure-11.parquet", free, about_reader | {"figure": 11})
    figure = lines_figure([Block([FigureLine(line.strokes) for line in real])])
    (folder / "figures").mkdir()
    save(figure, folder / "figures" / "fig15.svg", folder / "figures" / "fig15.png", dpi=60)

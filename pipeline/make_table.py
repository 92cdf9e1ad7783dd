"""Make one of the paper's four tables, with every measured number beside the printed one.

    python -m pipeline.make_table --table table1 --experiments '{"treebank-character": ["none"]}' \\
        --evaluations results/evaluations --csv results/tables/table1.csv --md results/tables/table1.md
"""

import json
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from pipeline._command import command
from pipeline._evaluations import read_evaluation
from pipeline.paper import NUMBERS
from rnngen.artifacts import write_whole
from rnngen.errors import InputError
from rnngen.losses.bits_per_character import bits

TITLES = {
    "table1": "Table 1: Penn Treebank, test set",
    "table2": "Table 2: Wikipedia",
    "table3": "Table 3: handwriting prediction, validation set",
    "table4": "Table 4: handwriting synthesis, validation set",
}
MEASURES: dict[str, dict[str, tuple[str, str | None, int]]] = {
    # column: (where in an evaluation, the paper's name for it, digits)
    "table1": {
        "bits per character": ("bits_per_character", "bits_per_character", 3),
        "bits per predicted symbol": ("bits_per_symbol", None, 3),
        "bits per character (exact)": ("bits_per_character_exact", None, 3),
        "perplexity (2^(5.6 BPC))": ("perplexity_paper", "perplexity", 1),
        "perplexity (exact)": ("perplexity_exact", None, 1),
        "error %": ("error_percent", "error_percent", 1),
    },
    "table2": {"bits per character": ("bits_per_character", "bits_per_character", 3)},
    "table3": {
        "log-loss (nats/line)": ("loss", "nats_per_sequence", 1),
        "log-loss (nats/point)": ("nats_per_point", None, 3),
        "SSE (mixture mean)": ("sse_mean", "sse", 3),
        "SSE (top component)": ("sse_top", "sse", 3),
        "SSE (mixture mean, with end of stroke)": ("sse_mean_and_end_of_stroke", None, 3),
        "SSE (top component, with end of stroke)": ("sse_top_and_end_of_stroke", None, 3),
    },
}
MEASURES["table4"] = MEASURES["table3"]


def main(
    table: Annotated[str, typer.Option(help="table1, table2, table3 or table4.")],
    evaluations: Annotated[Path, typer.Option(help="Folder of the evaluations.")],
    experiments: Annotated[str, typer.Option(help="JSON: experiment → its rows.")],
    csv: Annotated[Path, typer.Option(help="CSV to write.")],
    md: Annotated[Path, typer.Option(help="Markdown to write.")],
    preset: Annotated[
        str, typer.Option(help="Name of the preset; only the numbers of `paper` are compared with the paper's.")
    ] = "paper",
    data: Annotated[str, typer.Option(help="What the data are, if they are not the paper's.")] = "",
) -> None:
    """The table is written as CSV and as Markdown."""
    if table not in TITLES:
        raise InputError(f"--table {table}: expected one of {', '.join(TITLES)}")
    chosen = experiments_of(experiments)
    paper = NUMBERS[table]
    rows = [
        line(table, evaluation, paper.get(experiment, {}).get(row, {}), preset == "paper" and not data)
        for experiment, names in chosen.items()
        for row in names
        for evaluation in read_evaluations(evaluations, experiment, row)
    ]
    frame = pd.DataFrame(rows, dtype=object)  # numbers of the paper keep the digits it prints, 167 and 0.40
    with write_whole(csv) as partial:
        frame.to_csv(partial, index=False)
    with write_whole(md) as partial:
        partial.write_text(f"# {TITLES[table]}\n\n{remark(table, preset, data)}{markdown(frame)}", encoding="utf-8")


def experiments_of(text: str) -> dict[str, list[str]]:
    """Experiment → its rows, from JSON."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--experiments: not JSON at column {error.colno}: {error.msg}") from error
    if not isinstance(found, dict) or not all(isinstance(names, list) for names in found.values()):
        raise InputError(f"--experiments {text}: expected an object of lists, experiment to rows")
    return found


def remark(table: str, preset: str, data: str) -> str:
    """What a reader has to know before comparing."""
    if preset == "paper" and not data:
        return ""
    text = f"The title is the paper's. **Here: {data or 'other data'}**, and the networks of the preset `{preset}`. "
    text += "Not comparable with the paper's numbers beside them.\n\n"
    if table == "table1":
        text += (
            "Bits per character are shared out over the characters of the file, where `<unk>`, one symbol, counts as "
            "five. In a small corpus it is common, which flatters them; bits per predicted symbol do not.\n\n"
        )
    return text


def read_evaluations(folder: Path, experiment: str, row: str) -> list[dict[str, Any]]:
    """The static and, where there is one, the dynamic evaluation of a row; for bytes the training loss before them."""
    found = [folder / experiment / f"{row}.{kind}.json" for kind in ("static", "dynamic")]
    found = [path for path in found if path.exists()]
    if not found:
        raise InputError(f"{folder / experiment}: no evaluation of {row}; run snakemake for it first")
    needed = ["epochs", "weights", "complete", "seed"]
    needed += ["train_nats_per_prediction"] if experiment == "wikipedia" else []
    evaluations = [read_evaluation(path, *needed) for path in found]
    if experiment == "wikipedia":
        train = bits(evaluations[0]["model"]["train_nats_per_prediction"])
        evaluations.insert(0, evaluations[0] | {"evaluation": "train", "measures": {"bits_per_character": train}})
    return evaluations


def line(table: str, evaluation: dict[str, Any], paper: dict[str, Any], comparable: bool) -> dict[str, Any]:
    """One line of the table; None where the paper prints nothing or the measure does not exist.

    Differences stand only where corpora and networks are the paper's.
    """
    printed = paper.get(evaluation["evaluation"], {})
    model = evaluation["model"]
    cells: dict[str, Any] = {
        "network": model["experiment"],
        "regularisation": model["regularisation"],
        "evaluation": evaluation["evaluation"],
    }
    for column, (ours, theirs, digits) in MEASURES[table].items():
        value = evaluation["measures"].get(ours)
        cells[column] = None if value is None else round(value, digits)
        if theirs is not None:
            reference = printed.get(theirs)
            cells[f"{column}: paper"] = reference
            if comparable:
                both = value is not None and reference is not None
                cells[f"{column}: difference"] = round(value - float(reference), digits) if both else None
    return cells | {
        "epochs": round(model["epochs"], 2),
        "epochs: paper": paper.get("epochs"),
        "weights": model["weights"],
        "weights: paper": paper.get("weights"),
        "training complete": model["complete"],
        "seed": model["seed"],
        "rule": evaluation["rule"],
    }


def markdown(frame: pd.DataFrame) -> str:
    """The frame as a Markdown table, empty cells blank."""
    header = "| " + " | ".join(frame.columns) + " |\n|" + "---|" * len(frame.columns) + "\n"
    body = ""
    for record in frame.where(frame.notna(), "").to_numpy():
        body += "| " + " | ".join(str(cell) for cell in record) + " |\n"
    return header + body


if __name__ == "__main__":
    command(main)

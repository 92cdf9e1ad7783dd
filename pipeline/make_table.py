"""Make one of the paper's four tables, with every measured number beside the printed one, or the table of a sweep.

    python -m pipeline.make_table --table table1 --experiments '{"treebank-character": ["none"]}' \\
        --evaluations results/evaluations --csv results/tables/table1.csv --md results/tables/table1.md

A row that was trained with several seeds (none, none--seed-2 …) is one line: the mean over its seeds, the deviation of
a single one in a column ± beside it (in the Markdown behind the mean), and their number n.
"""

import json
import statistics
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from pipeline._command import command
from pipeline._evaluations import read_evaluation
from pipeline._settings import by_row, name_of_value
from pipeline.paper import NUMBERS, TABLES
from rnngen.artifacts import write_whole
from rnngen.errors import InputError
from rnngen.losses.bits_per_character import bits

SPREAD = ": ±"
ABOUT_TRAINING = ["epochs", "weights", "training complete", "seed", "seeds", "n"]


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
    sweep: Annotated[
        str | None, typer.Option(help="JSON: name, experiment, row, setting and values of a sweep; no --table's name.")
    ] = None,
) -> None:
    """The table is written as CSV and as Markdown."""
    chosen = experiments_of(experiments)
    if sweep is not None:
        frame, title, text = *sweep_table(evaluations, chosen, json.loads(sweep)), ""
    elif table in TABLES:
        frame, title = paper_table(table, evaluations, chosen, preset, data), TABLES[table]["title"]
        text = remark(table, preset, data)
    else:
        raise InputError(f"--table {table}: expected one of {', '.join(TABLES)}")
    with write_whole(csv) as partial:
        frame.to_csv(partial, index=False)
    with write_whole(md) as partial:
        partial.write_text(f"# {title}\n\n{text}{markdown(frame)}", encoding="utf-8")


def paper_table(table: str, evaluations: Path, chosen: dict[str, list[str]], preset: str, data: str) -> pd.DataFrame:
    """A table of the paper."""
    paper = NUMBERS[table]
    rows = [
        line(TABLES[table]["measures"], found, paper.get(experiment, {}).get(row, {}), preset == "paper" and not data)
        for experiment, names in chosen.items()
        for row, trainings in by_row(names).items()
        for found in read_evaluations(evaluations, experiment, trainings)
    ]
    return pd.DataFrame(rows, dtype=object)  # numbers of the paper keep the digits it prints, 167 and 0.40


def sweep_table(evaluations: Path, chosen: dict[str, list[str]], sweep: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """A table with a line for every value of a setting, and its title."""
    values = {name_of_value(value): value for value in sweep["values"]}
    everything = {column: measure for about in TABLES.values() for column, measure in about["measures"].items()}
    rows = []
    for row, trainings in by_row(chosen[sweep["name"]]).items():
        for found in read_evaluations(evaluations, sweep["name"], trainings):
            measured = {column: m for column, m in everything.items() if m[0] in found[0]["measures"]}
            cells = line(
                {column: (ours, "", digits) for column, (ours, _, digits) in measured.items()}, found, {}, False
            )
            del cells["network"], cells["regularisation"]
            rows.append({sweep["setting"]: values[row]} | cells)
    frame = pd.DataFrame(rows, dtype=object).drop(columns=["epochs: paper", "weights: paper"])
    return frame, f"Sweep {sweep['name']}: {sweep['setting']} of {sweep['experiment']}, {sweep['row']}"


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
            "Bits per character are counted over the characters of the file, where `<unk>`, one symbol, counts as "
            "five. In a small corpus it is common, which flatters them; bits per predicted symbol do not.\n\n"
        )
    return text


def read_evaluations(folder: Path, experiment: str, trainings: list[str]) -> list[list[dict[str, Any]]]:
    """Evaluations of a row by kind, each of all seeds: static and, if any, dynamic; for Wikipedia, training's first."""
    found = [
        [path for training in trainings if (path := folder / experiment / f"{training}.{kind}.json").exists()]
        for kind in ("static", "dynamic")
    ]
    lacking = next((paths for paths in found if 0 < len(paths) < len(trainings)), [])
    if lacking or not any(found):
        names = {path.name.rpartition(".")[0].rpartition(".")[0] for path in lacking}
        missing = next(training for training in trainings if training not in names)
        raise InputError(f"{folder / experiment}: no evaluation of {missing}; run snakemake for it first")
    needed = ["epochs", "weights", "complete", "seed"]
    needed += ["train_nats_per_prediction"] if experiment == "wikipedia" else []
    evaluations = [[read_evaluation(path, *needed) for path in paths] for paths in found if paths]
    if experiment == "wikipedia":
        trained = [
            evaluation
            | {
                "evaluation": "train",
                "measures": {"bits_per_character": bits(evaluation["model"]["train_nats_per_prediction"])},
            }
            for evaluation in evaluations[0]
        ]
        evaluations.insert(0, trained)
    return evaluations


def line(
    measures: dict[str, tuple[str, str, int]],
    evaluations: list[dict[str, Any]],
    paper: dict[str, Any],
    comparable: bool,
) -> dict[str, Any]:
    """One line of the table, from the evaluations of all seeds; None where nothing was printed or measured.

    Differences are given only where corpora and networks are the paper's.
    """
    first, models = evaluations[0], [evaluation["model"] for evaluation in evaluations]
    printed = paper.get(first["evaluation"], {})
    cells: dict[str, Any] = {
        "network": models[0]["experiment"],
        "regularisation": models[0]["regularisation"],
        "evaluation": first["evaluation"],
    }
    for column, (ours, theirs, digits) in measures.items():
        values = [evaluation["measures"][ours] for evaluation in evaluations if ours in evaluation["measures"]]
        value = statistics.fmean(values) if values else None
        cells[column] = None if value is None else round(value, digits)
        if len(evaluations) > 1:
            cells[column + SPREAD] = None if value is None else round(statistics.stdev(values), digits)
        if theirs:
            reference = printed.get(theirs)
            cells[f"{column}: paper"] = reference
            if comparable:
                cells[f"{column}: difference"] = (
                    None if value is None or reference is None else round(value - float(reference), digits)
                )
    seeds = [model["seed"] for model in models]
    return cells | {
        "epochs": round(statistics.fmean(model["epochs"] for model in models), 2),
        "epochs: paper": paper.get("epochs"),
        "weights": models[0]["weights"],
        "weights: paper": paper.get("weights"),
        "training complete": all(model["complete"] for model in models),
        **({"seed": seeds[0]} if len(seeds) == 1 else {"seeds": " ".join(map(str, seeds)), "n": len(seeds)}),
        "rule": first["rule"],
    }


def markdown(frame: pd.DataFrame) -> str:
    """The frame as a Markdown table, empty cells blank, deviations behind their means.

    What is the same for every training is written below the table, and so are the rules, which are long. A column
    without content is left out.
    """
    frame = frame.copy()
    for column in [name.removesuffix(SPREAD) for name in frame.columns if name.endswith(SPREAD)]:
        spread = frame.pop(column + SPREAD)
        frame[column] = [
            value if pd.isna(value) else f"{value} ± {deviation}"
            for value, deviation in zip(frame[column], spread, strict=True)
        ]
    frame = frame.dropna(axis="columns", how="all")
    rules = frame.pop("rule")
    of = frame["network"] if "network" in frame and rules.nunique() > 1 else [""] * len(frame)
    notes = [f"{network}: {rule}" if network else rule for network, rule in dict.fromkeys(zip(of, rules, strict=True))]
    alike = [name for name in frame.columns if name in ABOUT_TRAINING and frame[name].nunique() == 1 < len(frame)]
    if alike:
        notes.append("In every line: " + "; ".join(f"{name} {frame.pop(name).iloc[0]}" for name in alike))
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.where(frame.notna(), "").to_numpy().tolist()]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines) + "".join(
        f"\n{note}.\n" for note in notes
    )


if __name__ == "__main__":
    command(main)

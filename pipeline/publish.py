"""Put a measured reproduction into results/published: its numbers, its learning curve, and how they were obtained.

    python -m pipeline.publish --model results/paper/models/treebank-character/none \\
        --evaluation results/paper/evaluations/treebank-character/none.static.json \\
        --evaluation results/paper/evaluations/treebank-character/none.dynamic.json

Neither weights nor data are published. A training that was cut off is marked: `complete` is false.
"""

import shutil
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from pipeline._command import command
from pipeline._evaluations import read_evaluation
from pipeline._settings import ROOT
from rnngen.artifacts import write_json, write_whole
from rnngen.errors import InputError
from rnngen.models.model_directory import read_config

MODEL = ("network", "weights", "complete", "epochs", "best_epoch", "updates", "best", "initial")

CORPORA = {"text": "CORPUS.parquet", "prediction": "handwriting.parquet", "synthesis": "handwriting.parquet"}


def main(
    model: Annotated[Path, typer.Option(help="Model directory.")],
    evaluation: Annotated[list[Path], typer.Option(help="JSON of pipeline.evaluate; repeat for static and dynamic.")],
    results: Annotated[Path, typer.Option(help="Folder of published results.")] = ROOT / "results" / "published",
    note: Annotated[str, typer.Option(help="What a reader must know besides the numbers.")] = "",
) -> None:
    """Writes EXPERIMENT/REGULARISATION.json and, beside it, the learning curve as Parquet."""
    description = read_config(model)
    measures = {}
    for path in evaluation:
        found = read_evaluation(path)
        evaluated = {key: found["model"].get(key) for key in ("experiment", "regularisation", "epochs")}
        if any(value != description.get(key) for key, value in evaluated.items()):
            raise InputError(
                f"{path}: evaluates {found['model']}, which is not the model in {model}; evaluate it again"
            )
        measures[found["evaluation"]] = found
    publish(description, measures, model / "log.parquet", results, note=note)


def publish(
    description: dict[str, Any],
    measures: dict[str, Any],
    curve: Path,
    results: Path,
    *,
    commit: str | None = None,
    note: str = "",
) -> None:
    """Write the result and, first, its learning curve."""
    training = description["provenance"]
    path = results / description["experiment"] / f"{description['regularisation']}.json"
    with write_whole(path.with_suffix(".parquet")) as partial:
        shutil.copyfile(curve, partial)
    write_json(
        path,
        {
            "experiment": description["experiment"],
            "regularisation": description["regularisation"],
            "note": note,
            "evaluations": {
                name: {key: found[key] for key in ("split", "rule", "measures")}
                | {
                    "dynamic": found["provenance"]["settings"]["dynamic"],
                    "wall_seconds": found["provenance"]["wall_seconds"],
                }
                for name, found in measures.items()
            },
            "model": {key: description[key] for key in MODEL},
            "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else training["machine"],
            # the command without the folders of one machine
            "training": training
            | {
                "commit": training["commit"] or commit,
                "command": f"python -m pipeline.train --settings SETTINGS.json --corpus {CORPORA[description['kind']]}"
                f" --output {description['experiment']}/{description['regularisation']}",
            },
        },
    )
    print(f"published {path}", flush=True)


if __name__ == "__main__":
    command(main)

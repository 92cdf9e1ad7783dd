"""Measure what an epoch of every row of a configuration costs on this machine; each is trained for a few seconds.

    python -m pipeline.measure_cost --config workflow/presets/paper.yaml --corpus treebank=treebank.parquet \\
        --corpus handwriting=iam-ondb.parquet --output cost.json

Rows whose corpus is not given are left out, and named. The JSON has symbols per second, symbols per epoch and, from the
two, hours of training per epoch, without validation. The learning rates are zero, because rows start from scratch here,
not from the network that they retrain, and could diverge.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline._command import command
from pipeline._settings import ROOT, Settings, load_config, named_corpora, rows, select, training_settings
from pipeline._setup import Assembly
from rnngen.artifacts import provenance, write_json
from rnngen.errors import InputError
from rnngen.training.loop import Progress

WARM_UPDATES = 3
"""Left out of the time: they compile, choose kernels and touch memory for the first time."""


def main(
    corpus: Annotated[list[str], typer.Option(help="NAME=PARQUET; repeat for each corpus.")],
    output: Annotated[Path, typer.Option(help="JSON to write.")],
    config: Annotated[
        list[Path] | None, typer.Option(help="Configuration file; repeat for several, later ones override.")
    ] = None,
    experiment: Annotated[
        list[str] | None, typer.Option(help="Only this experiment; repeat for several; default: all.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Training time of each row.")] = 60.0,
) -> None:
    """The rows are measured one after the other."""
    chosen = load_config([ROOT / "config.yaml", *(config or [])])
    corpora = named_corpora(corpus)
    measured = []
    for name in experiment or chosen["experiments"]:
        entry = select(chosen["experiments"], name, "experiment")
        if entry["corpus"] not in corpora:
            print(f"{name}: left out, no --corpus {entry['corpus']}=PARQUET", flush=True)
            continue
        for regularisation in rows(entry):
            cost = measure(training_settings(chosen, name, regularisation), corpora[entry["corpus"]], seconds)
            measured.append({"experiment": name, "regularisation": regularisation} | cost)
            print(
                f"{name}/{regularisation}: {cost['symbols_per_second']:,.0f} {cost['unit']}s/s, "
                f"{cost['hours_an_epoch']:.2f} h per epoch",
                flush=True,
            )
    if not measured:
        raise InputError(f"--corpus: none of {', '.join(corpora)} is a corpus of an experiment that is asked for")
    write_json(output, {"rows": measured, "provenance": provenance({"seconds": seconds})})


def measure(settings: Settings, corpus: Path, seconds: float) -> dict[str, Any]:
    """Rate and cost of one training."""
    assembly = Assembly(settings, corpus)
    for optimiser in (assembly.optimiser, getattr(assembly.noise, "optimiser", None)):
        for group in optimiser.param_groups if optimiser is not None else ():
            group["lr"] = 0.0
    progress = Progress()
    done = [(time.perf_counter(), 0)]  # a loss was looked at after every update, so a GPU has been waited for
    for _ in assembly.training(progress):
        done.append((time.perf_counter(), progress.predictions))
        warm = done[min(WARM_UPDATES, len(done) - 2)]
        if done[-1][0] - warm[0] >= seconds or progress.validation_due:
            break
    rate = (done[-1][1] - warm[1]) / (done[-1][0] - warm[0])
    symbols = sum(batch.predictions for batch in assembly.training_batches.epoch(0))
    return {
        "weights": sum(p.numel() for p in assembly.network.parameters()),
        "batch_size": settings["training"]["batch_size"],
        "unit": assembly.unit,
        "symbols_per_second": rate,
        "symbols_an_epoch": symbols,
        "updates_an_epoch": assembly.training_batches.batches_per_epoch,
        "hours_an_epoch": symbols / rate / 3600,
        "measured_updates": progress.updates,
        "measured_seconds": done[-1][0] - warm[0],
    }


if __name__ == "__main__":
    command(main)

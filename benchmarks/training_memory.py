"""Resident memory of a training of handwriting prediction at the paper's size, update by update.

    python -m benchmarks.training_memory iam-ondb.parquet --batch 4 --updates 3000

Minibatches have a new number of points nearly every time, so whatever is kept for every shape shows as a curve that
rises. Resident memory includes the corpus, the libraries and what the longest minibatch so far has needed. Speed is in
points a second of CPU time.
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from pipeline._command import command
from pipeline._settings import ROOT, load_config, training_settings
from pipeline._setup import Assembly
from rnngen.artifacts import machine
from rnngen.freed_memory import give_back_freed_memory
from rnngen.training.loop import Progress


def resident_megabytes() -> tuple[float, float]:
    """Resident memory of this process, now and at its highest, in MB of 10⁶ bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kilobytes = {name: text.split()[0] for name, _, text in (line.partition(":") for line in lines) if text.strip()}
    return int(kilobytes["VmRSS"]) * 1.024e-3, int(kilobytes["VmHWM"]) * 1.024e-3


def main(
    corpus: Annotated[Path, typer.Argument(help="Parquet of lines of handwriting.")],
    batch: Annotated[int, typer.Option(help="Lines a minibatch.")] = 4,
    updates: Annotated[int, typer.Option(help="Updates to make.")] = 3000,
    look_every: Annotated[int, typer.Option(help="Updates between two rows of the table.")] = 100,
    experiment: Annotated[
        str, typer.Option(help="prediction-3-layer or synthesis, for example.")
    ] = "prediction-3-layer",
    regularisation: Annotated[str, typer.Option(help="Row of the experiment.")] = "none",
) -> None:
    """Print a table in Markdown: memory and speed by update."""
    config = load_config([ROOT / "config.yaml", ROOT / "workflow" / "presets" / "paper.yaml"])
    settings = training_settings(config, experiment, regularisation)
    settings["training"] |= {"batch_size": batch, "maximum_updates": updates + 1}
    assembly = Assembly(settings, corpus)
    print(f"{machine()}, torch {torch.__version__}, {settings['threads']} thread; {experiment}, B = {batch}\n")
    print("| update | resident, MB | highest, MB | points/s |\n|---|---|---|---|")
    print("| 0 | {:.0f} | {:.0f} | |".format(*resident_megabytes()), flush=True)
    progress = Progress()
    points, counted, started = 0, 0, time.process_time()
    for kind, _ in assembly.training(progress):
        if kind != "update":
            continue
        # the loop counts anew after a validation
        points += progress.predictions - (counted if counted <= progress.predictions else 0)
        counted = progress.predictions
        if progress.updates % look_every == 0:
            seconds = time.process_time() - started
            rate = points / seconds
            print(
                "| {} | {:.0f} | {:.0f} | {:,.0f} |".format(progress.updates, *resident_megabytes(), rate), flush=True
            )
            give_back_freed_memory()  # as a training does when it saves its state
            points, started = 0, time.process_time()
        if progress.updates == updates:
            return


if __name__ == "__main__":
    torch.set_num_threads(1)
    command(main)

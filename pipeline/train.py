"""Train one network of one experiment: corpus in, model directory out.

    python -m pipeline.train --experiment treebank-character --regularisation none \\
        --corpus results/corpora/treebank.parquet --output results/models/treebank-character/none

The model directory holds weights.safetensors (the best on the validation set), optimiser.safetensors (what the
optimiser remembered of the gradients at those weights, for a training that starts from them), config.json (settings,
network, alphabet or normaliser, headline numbers, provenance) and log.parquet (a row a validation). Training state goes
to --state after every validation, every --checkpoint-seconds and on Ctrl-C or SIGTERM; the same command goes on from
it, on a CPU to the same weights bit for bit. --time-budget pauses cleanly after that many seconds.
"""

import hashlib
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import pandas as pd
import torch
import typer

from pipeline.assembly import Assembly
from pipeline.command import command
from pipeline.experiment import ROOT, load_config, read_settings, training_settings
from pipeline.progress import Bar
from rnngen.artifacts import provenance, write_json, written_whole
from rnngen.checkpoint import (
    STATE,
    load_optimiser,
    load_training_state,
    load_weights,
    remove_training_state,
    save_network,
    save_optimiser,
    save_training_state,
)
from rnngen.errors import InputError
from rnngen.training import Progress

BEST, BEST_OPTIMISER, LOG = "best.safetensors", "best-optimiser.safetensors", "log.parquet"
"""Beside the state: weights of the best validation so far, the optimiser's memory then, and the log."""
LOOK_EVERY = 32
"""Updates between two looks at the training loss on a GPU, each of which waits for it; on a CPU there is no waiting."""


def main(
    corpus: Annotated[Path, typer.Option(help="Parquet of the corpus.")],
    output: Annotated[Path, typer.Option(help="Model directory to write.")],
    settings: Annotated[
        str | None, typer.Option(help="Settings as JSON, or a file of them; else from --config.")
    ] = None,
    config: Annotated[list[Path] | None, typer.Option(help="Configuration files, later ones on top.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Experiment of the configuration.")] = None,
    regularisation: Annotated[str, typer.Option(help="Row of the experiment.")] = "none",
    initial: Annotated[Path | None, typer.Option(help="Model directory to start from.")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of the resumable state; default OUTPUT/state.")] = None,
    time_budget: Annotated[float | None, typer.Option(help="Pause after this many seconds of this call.")] = None,
    checkpoint_seconds: Annotated[float, typer.Option(help="Longest time between two saved states.")] = 120.0,
) -> None:
    """Train one network; resume if it was interrupted."""
    if settings is not None:
        chosen = read_settings(settings)
    elif experiment is not None:
        chosen = training_settings(load_config([ROOT / "config.yaml", *(config or [])]), experiment, regularisation)
    else:
        raise InputError(
            "neither --settings nor --experiment given: name what to train, for example --experiment wikipedia"
        )
    state_folder = state or output / "state"
    assembly = Assembly(chosen, corpus)
    print(assembly.data.summary, flush=True)
    if initial is not None:
        load_weights(assembly.network, initial / "weights.safetensors")
        memory = initial / "optimiser.safetensors"
        if not load_optimiser(assembly.network, assembly.optimiser, memory):
            print(f"{memory}: of another optimiser than this training's, whose averages start at 0", flush=True)
    inputs = {
        "corpus": sha256(corpus),
        "initial": initial and [sha256(initial / name) for name in ("weights.safetensors", "optimiser.safetensors")],
    }
    progress, carried = resume(assembly, state_folder, chosen, inputs) or (Progress(), None)
    if progress.updates:
        print(f"resuming at epoch {progress.epoch}, update {progress.updates}", flush=True)

    def save(carried: Any) -> None:
        save_training_state(
            state_folder,
            assembly.tensors(carried),
            {"settings": chosen, "inputs": inputs, "progress": progress.as_json()},
        )

    started = last_saved = time.perf_counter()
    events = assembly.training(progress, carried, look_every=1 if assembly.device.type == "cpu" else LOOK_EVERY)
    best = state_folder / BEST
    paused = False
    with stop_requests() as stop, Bar(assembly, progress) as bar:
        for kind, value in events:
            if kind == "update":
                carried = value
                bar.update()
            elif kind == "best":
                save_network(assembly.network, best)
                save_optimiser(assembly.network, assembly.optimiser, state_folder / BEST_OPTIMISER)
                continue
            else:
                bar.validation(value)
                write_log(progress, state_folder / LOG)
            now = time.perf_counter()
            paused = time_budget is not None and now - started >= time_budget
            if kind != "best" and (kind == "validation" or stop or paused or now - last_saved >= checkpoint_seconds):
                assembly.require_finite(progress)
                save(carried)
                last_saved = now
            if stop or paused:
                break
    if stop:
        print(f"state saved in {state_folder}; the same command goes on from it", flush=True)
        raise KeyboardInterrupt
    if not progress.finished and not best.exists():
        print(f"paused before the first validation at update {progress.updates}; run again to go on", flush=True)
        return
    write_model(output, assembly, chosen, progress, state_folder, initial)
    if progress.finished:
        remove_training_state(state_folder, BEST, BEST_OPTIMISER, LOG)
    else:
        print(f"paused at epoch {progress.epoch}, update {progress.updates}; run again to go on", flush=True)


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resume(assembly: Assembly, folder: Path, chosen: dict, inputs: dict) -> tuple[Progress, Any] | None:
    """Progress and carried state from an interrupted run with the same settings and the same inputs, else None."""
    if not (folder / STATE).exists():
        # the best weights of a training that ended before it saved a state are none of this one
        remove_training_state(folder, BEST, BEST_OPTIMISER, LOG)
        return None
    tensors, values = load_training_state(folder)
    for what, same in (
        ("settings", values["settings"] == chosen),
        ("data or initial weights", values.get("inputs", inputs) == inputs),
    ):
        if not same:
            print(f"the state in {folder} is from other {what}: starting anew", flush=True)
            remove_training_state(folder, BEST, BEST_OPTIMISER, LOG)
            return None
    return Progress.from_json(values["progress"]), assembly.restore(tensors)


def write_log(progress: Progress, path: Path) -> None:
    with written_whole(path) as partial:
        pd.DataFrame(progress.history).to_parquet(partial, index=False)


def write_model(
    output: Path, assembly: Assembly, chosen: dict, progress: Progress, state_folder: Path, initial: Path | None
) -> None:
    """The artifacts of a finished or paused training."""
    for name, best in (("weights.safetensors", BEST), ("optimiser.safetensors", BEST_OPTIMISER)):
        with written_whole(output / name) as partial:
            shutil.copyfile(state_folder / best, partial)
    write_log(progress, output / LOG)
    best_row = min(progress.history, key=lambda row: row["validation_loss"])
    write_json(
        output / "config.json",
        {
            "experiment": chosen["experiment"],
            "regularisation": chosen["regularisation"],
            "kind": chosen["kind"],
            "weights": sum(p.numel() for p in assembly.network.parameters()),
            "complete": progress.finished,
            "epochs": progress.history[-1]["epoch"],
            "best_epoch": progress.best_epoch,
            "updates": progress.updates,
            "best": best_row,
            "initial": None if initial is None else initial.name,
            **assembly.description(),
            "provenance": provenance(chosen, chosen["seed"], str(assembly.device), round(progress.seconds, 1)),
        },
    )


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that stays empty until Ctrl-C or SIGTERM arrives, so that an update is never cut in half.

    A second Ctrl-C stops at once.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    torch.set_num_threads(1)
    command(main)

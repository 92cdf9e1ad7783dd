"""Measure how well a network tells generated handwriting from real, by ink alone.

    python -m pipeline.measure_likeness --real iam-ondb.parquet --generated generated.parquet --output likeness.json

Both corpora are split by writers. The network is trained on the set `trainset` of each and tried on the other sets.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from pipeline._command import command
from pipeline.measure_legibility import read_corpus
from rnngen.artifacts import provenance, write_result
from rnngen.ink.discriminator import accuracy, pieces_of, train_discriminator


def main(
    real: Annotated[Path, typer.Option(help="Parquet of real handwriting.")],
    generated: Annotated[Path, typer.Option(help="Parquet of generated handwriting.")],
    output: Annotated[Path, typer.Option(help="JSON of the accuracy.")],
    lines: Annotated[int, typer.Option(min=1, help="Use at most this many lines of each set.")] = 3000,
    updates: Annotated[int, typer.Option(min=1, help="Updates of the network's training.")] = 600,
    every: Annotated[int, typer.Option(min=1, help="Draw every Nth point of both, as networks do.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 1,
) -> None:
    """An accuracy of 0.5 is guessing, 1 is never wrong."""
    torch.set_num_threads(1)
    training, others = [], []
    for path in (real, generated):
        known, unknown = read_corpus(path)
        training.append(pieces_of(known[:: max(1, len(known) // lines)], every))
        others.append(pieces_of(unknown[:: max(1, len(unknown) // lines)], every))
    network = train_discriminator(training[0], training[1], updates, seed)
    unseen, seen = (accuracy(network, pieces[0], pieces[1], seed) for pieces in (others, training))
    result = {
        "accuracy": unseen,
        "accuracy_in_training": seen,
        "lines": {"training": [*map(len, training)], "others": [*map(len, others)]},
    }
    write_result(output, result, provenance({"updates": updates, "every": every, "lines": lines}, seed))
    print(f"{unseen:.1%} of the pieces by unseen writers are judged correctly, {seen:.1%} of those by seen ones")


if __name__ == "__main__":
    command(main)

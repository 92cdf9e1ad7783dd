"""Measure how many bits per character general compressors need for the data that a text experiment is evaluated on."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from pipeline._settings import Reading, read_settings
from pipeline._setup import TextData
from rnngen.artifacts import provenance, write_result
from rnngen.errors import InputError
from rnngen.losses.compressors import bits_per_character


def main(
    settings: Annotated[str, typer.Option(help="How the experiment reads its corpus, as JSON or a file.")],
    corpus: Annotated[Path, typer.Option(help="Parquet of the corpus.")],
    output: Annotated[Path, typer.Option(help="JSON to write.")],
) -> None:
    """The compressors are zstd and PPMd; both read the training data first."""
    chosen: Reading = read_settings(settings, Reading)
    if chosen["kind"] != "text":
        raise InputError(
            f"--settings: these are of a {chosen['kind']} network; compressors need those of a text network"
        )
    data = TextData(chosen, corpus)
    training, test = data.as_bytes("train"), data.as_bytes(data.reported)
    measures = bits_per_character(training, test, data.characters(data.reported))
    write_result(output, {"split": data.reported, "measures": measures}, provenance(None))


if __name__ == "__main__":
    command(main)

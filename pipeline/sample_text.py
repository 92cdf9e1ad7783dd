"""Let a text network write (like Figures 5–8), and put an extract of the real text beside it (like Figures 3–4).

    python -m pipeline.sample_text --model results/models/wikipedia/none --corpus results/corpora/wikipedia.parquet \\
        --symbols 2000 --output sample.txt --extract real.txt
"""

import itertools
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from tqdm import tqdm

from pipeline._command import command
from pipeline._settings import Settings, check_settings
from pipeline._setup import TextData, take_leading
from pipeline.evaluate import require_same
from rnngen.artifacts import write_whole
from rnngen.errors import InputError
from rnngen.models.model_directory import read_config
from rnngen.models.text_model import load_described_network, settings_of
from rnngen.sampling.text import sample_symbols


def main(
    model: Annotated[Path, typer.Option(help="Model directory.")],
    corpus: Annotated[Path, typer.Option(help="Parquet of the corpus.")],
    output: Annotated[Path, typer.Option(help="Text file to write; bytes that are not UTF-8 are replaced.")],
    symbols: Annotated[int, typer.Option(min=1, help="Symbols to draw.")] = 2000,
    temperature: Annotated[float, typer.Option(help="1: the network's own distribution.")] = 1.0,
    prime: Annotated[str, typer.Option(help="Text the network reads first.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 1,
    extract: Annotated[Path | None, typer.Option(help="Also write as much of the real text here.")] = None,
) -> None:
    """One sample is written. Long ones go to the file as they are drawn."""
    description = read_config(model)
    settings: Settings = check_settings(settings_of(model, description), str(model / "config.json"))
    if settings["kind"] != "text":
        raise InputError(f"{model}: a {settings['kind']} network writes with pipeline.sample_handwriting")
    torch.set_num_threads(settings["threads"])
    data = TextData(settings, corpus)
    require_same(data.describe(), description, corpus)
    network = load_described_network(model, description)
    read = data.encode(prime)
    draws = sample_symbols(network, symbols, seeds=[seed], prime=read, temperature=temperature)
    codes = (
        int(symbol_b[0]) for symbol_b in tqdm(draws, total=symbols, unit="symbol", disable=not sys.stderr.isatty())
    )
    with write_whole(output) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        for piece in itertools.chain(data.text(read), data.text(codes)):
            file.write(piece)
    if extract is not None:
        real = (
            c
            for batch in take_leading(data.batches(data.reported, 1), symbols)
            for c in batch.targets_tb[:, 0].tolist()
        )
        with write_whole(extract) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            for piece in data.text(real):
                file.write(piece)


if __name__ == "__main__":
    command(main)

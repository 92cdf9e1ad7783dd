"""`rnngen text`: what a text network writes."""

import json
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from tqdm import tqdm

from rnngen.artifacts import write_whole
from rnngen.cli.typed_text import read_typed
from rnngen.models.text_model import TextModel


def text(
    model: Annotated[Path, typer.Option(envvar="RNNGEN_TEXT_MODEL", help="Directory of a text model.")],
    prime: Annotated[str, typer.Argument(help="Text to continue; - reads it from standard input.")] = "",
    symbols: Annotated[int, typer.Option("--symbols", "-n", min=1, help="Symbols to draw.")] = 500,
    temperature: Annotated[
        float, typer.Option(help="1 samples as the paper does; lower is safer, higher is wilder.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed; with --samples, the next sample has the next seed.")] = 1,
    samples: Annotated[int, typer.Option(min=1, help="How many texts to write.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Text file to write; default, and for -: standard output.")
    ] = None,
    summary: Annotated[bool, typer.Option("--json", help="Print texts, seeds and settings as JSON.")] = False,
) -> None:
    """Write text, from nothing or as a continuation of PRIME. It appears as it is drawn.

    \b
    rnngen text --model results/models/wikipedia/none
    rnngen text "The history of " --model results/models/wikipedia/none -n 2000 --temperature 0.7
    echo "[[" | rnngen text - --model results/models/wikipedia/none --samples 3 --json
    """
    torch.set_num_threads(1)
    output = None if output == Path("-") else output
    source = read_typed(prime, "the prime")
    source = source.rstrip("\r\n") if prime == "-" else source
    writer = TextModel.load(model)
    written = []
    streams = output is None and not summary
    for number in range(samples):
        pieces = writer.stream(source, symbols, temperature, seed + number)
        if streams:
            if number:
                print("---")
            print(source, end="")
            for piece in pieces:
                print(piece, end="", flush=sys.stdout.isatty())
            print()
        else:
            bar = tqdm(pieces, total=symbols, unit="symbol", leave=False, disable=not sys.stderr.isatty())
            written.append(source + "".join(bar))
    if output is not None:
        with write_whole(output) as partial:
            partial.write_text("\n---\n".join(written), encoding="utf-8")
    if summary:
        about = {"model": str(model), "temperature": temperature, "symbols": symbols}
        texts = [{"seed": seed + number, "text": item} for number, item in enumerate(written)]
        print(json.dumps(about | {"texts": texts}))

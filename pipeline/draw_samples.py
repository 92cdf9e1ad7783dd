"""Draw lines of handwriting under one another: Figures 11 and 15 to 21.

python -m pipeline.draw_samples results/samples/handwriting/fig16.parquet --labels bias --svg fig16.svg --png fig16.png
"""

from dataclasses import replace
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from rnngen.errors import InputError
from rnngen.ink.figures import Block, FigureLine, lines_figure, save
from rnngen.ink.sampled_lines import WrittenLine, read_sampled_lines
from rnngen.ink.strokes import smooth_strokes


class Labels(StrEnum):
    """What stands at the left of a line."""

    NONE = "none"
    BIAS = "bias"


def main(
    lines: Annotated[Path, typer.Argument(help="Parquet of pipeline.sample_handwriting.")],
    svg: Annotated[Path | None, typer.Option(help="Vector file to write.")] = None,
    png: Annotated[Path | None, typer.Option(help="Pixel file to write.")] = None,
    labels: Annotated[Labels, typer.Option(help="What to write to the left of a line.")] = Labels.NONE,
    captions: Annotated[bool, typer.Option(help="Write the text of a prime above its block.")] = False,
    width: Annotated[float, typer.Option(min=2, max=30, help="Width in inches.")] = 7.0,
) -> None:
    """Real lines, primes included, are drawn in a different colour from samples."""
    found, about = read_sampled_lines(lines)
    # a sample has as few points as the network was trained on; a real line has all that were recorded
    drawn = [
        replace(line, strokes=smooth_strokes(line.strokes, about["every"])) if line.kind == "sample" else line
        for line in found
        if line.strokes
    ]
    if not drawn:
        raise InputError(f"{lines}: no line with a stroke; sample with another seed or more steps")
    blocks = [
        block_of(list(members), labels is Labels.BIAS, captions) for _, members in groupby(drawn, lambda x: x.block)
    ]
    save(lines_figure(blocks, width), svg, png)


def block_of(lines: list[WrittenLine], bias: bool, captions: bool) -> Block:
    """One block of the figure."""
    rows = [
        FigureLine(line.strokes, f"{line.bias:g}" if bias and line.bias is not None else "", line.kind == "real")
        for line in lines
    ]
    primes = [line.prime_text for line in lines if line.prime_text]
    return Block(rows, f"primed with “{primes[0]}”" if captions and primes else "")


if __name__ == "__main__":
    command(main)

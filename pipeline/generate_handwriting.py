"""Generate a corpus of handwriting with a pen model."""

import itertools
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline._command import command
from rnngen.corpora.prose import read_paragraphs, take_leading
from rnngen.errors import InputError
from rnngen.handwriting_generator.choose_texts import choose_lines
from rnngen.handwriting_generator.corpus import draw_writers, write_forms
from rnngen.handwriting_generator.glyphs import LATIN, load_letterforms
from rnngen.handwriting_generator.iam_ondb_files import write_archives

POOL, LEAST_POOL = 40, 1_000_000
"""Lines are chosen from the beginning of the text: from this many times their own characters, and from at least the
second number of characters. The rest is not read."""


def main(
    text: Annotated[list[Path], typer.Option(help="Text file, or Parquet of Wikipedia pages; repeat for several.")],
    output: Annotated[Path, typer.Option(help="Folder for the archives and the lists of the sets.")],
    lines: Annotated[int, typer.Option(min=1, help="Lines of handwriting.")] = 5000,
    writers: Annotated[int, typer.Option(min=1, help="Hands; with ten or more, no hand is in two sets.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the text, the hands and the writing.")] = 1,
    shortest: Annotated[int, typer.Option(min=1, help="Characters of the shortest line.")] = 5,
    longest: Annotated[int, typer.Option(min=1, help="Characters of the longest line.")] = 15,
    per_form: Annotated[int, typer.Option(min=1, max=99, help="Lines per form.")] = 8,
    variety: Annotated[
        float, typer.Option(min=0, max=1, help="How much hands differ: 0, one neat hand; 1, hands of all kinds.")
    ] = 1.0,
    joining: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="0: all hands print; 1: all join their letters; default: a random degree for each hand."
        ),
    ] = None,
    characters: Annotated[str | None, typer.Option(help="Write only these characters, not the whole alphabet.")] = None,
    ascii: Annotated[bool, typer.Option("--ascii", help="Write characters of ASCII only, no é or ß.")] = False,
    uneven_clock: Annotated[
        bool, typer.Option("--uneven-clock", help="A clock that misses ticks, as IAM-OnDB's does, not an even one.")
    ] = False,
    held_out: Annotated[Path | None, typer.Option(help="File of words that no line may hold, for later tests.")] = None,
    alphabet: Annotated[Path, typer.Option(help="Glyphs, in the format of latin.txt, the default.")] = LATIN,
) -> None:
    """The corpus has the file formats of IAM-OnDB, so pipeline.parse_iamondb reads it."""
    if shortest > longest:
        raise InputError(f"--shortest {shortest} exceeds --longest {longest}: give a range of line lengths")
    glyphs = load_letterforms(alphabet)
    if characters is not None:
        glyphs.require(characters, "--characters")
    try:
        avoided = held_out.read_text(encoding="utf-8").split() if held_out else []
    except UnicodeDecodeError as error:
        raise InputError(f"{held_out}: byte {error.start} is not UTF-8; convert the file first") from error
    paragraphs = take_leading(
        itertools.chain.from_iterable(map(read_paragraphs, text)), max(LEAST_POOL, POOL * lines * longest)
    )
    allowed = "".join(c for c in characters or glyphs.characters if c != " " and (c.isascii() or not ascii))
    chosen = choose_lines(
        paragraphs, lines, shortest, longest, allowed, np.random.default_rng([seed, 0]), held_out=avoided
    )
    hands = draw_writers(glyphs, writers, seed, variety, joining)
    write_archives(write_forms(chosen, hands, seed, per_form, uneven_clock), output)
    print(f"{lines} lines, {sum(map(len, chosen))} characters, {min(writers, -(-lines // per_form))} writers: {output}")


if __name__ == "__main__":
    command(main)

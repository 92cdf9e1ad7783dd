"""Draw a specimen sheet of the pen model's handwriting."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from rnngen.errors import InputError
from rnngen.handwriting_generator.glyphs import LATIN, load_letterforms
from rnngen.handwriting_generator.specimen import draw_specimen

SENTENCES = ("The quick brown fox jumps over the lazy dog.", "Generating sequences, 1234567890: joined or printed?")


def main(
    output: Annotated[Path, typer.Option(help="The sheet; .png or .svg.")],
    text: Annotated[list[str] | None, typer.Option(help="Sentence to write; repeat for several.")] = None,
    writers: Annotated[int, typer.Option(min=1, help="Number of hands that write the sentences.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the hands and the writing.")] = 1,
    alphabet: Annotated[Path, typer.Option(help="Glyphs, in the format of latin.txt, the default.")] = LATIN,
) -> None:
    """The sheet shows every form of every character, and sentences in several hands."""
    if output.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"--output {output}: give a file that ends in .png or .svg")
    glyphs = load_letterforms(alphabet)
    sentences = text or list(SENTENCES)
    for sentence in sentences:
        glyphs.require(sentence, f"--text {sentence!r}")
    draw_specimen(output, glyphs, sentences, writers, seed)


if __name__ == "__main__":
    command(main)

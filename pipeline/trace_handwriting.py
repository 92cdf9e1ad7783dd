"""Let a network read a real line and keep what it expected at every step: the data of Figures 10, 13 and 14.

    python -m pipeline.trace_handwriting --model results/models/prediction-3-layer/none \\
        --corpus results/corpora/handwriting.parquet --containing under --output trace.parquet
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from pipeline._command import command
from pipeline.sample_handwriting import description, splits_of
from rnngen.corpora.handwriting.parquet import CorpusLine, CorpusLines
from rnngen.errors import InputError
from rnngen.ink.sampled_lines import WrittenLine, write_sampled_lines
from rnngen.ink.strokes import strokes_from_offsets
from rnngen.models.handwriting_model import HandwritingModel
from rnngen.sampling.handwriting import read_line


def main(
    model: Annotated[Path, typer.Option(help="Model directory.")],
    corpus: Annotated[Path, typer.Option(help="Parquet of the corpus.")],
    output: Annotated[Path, typer.Option(help="Parquet to write.")],
    line: Annotated[str | None, typer.Option(help="Line of the corpus.")] = None,
    containing: Annotated[
        str,
        typer.Option(help="Without --line: a validation line whose text contains this, or else one of middle length."),
    ] = "under",
) -> None:
    """The network reads the real points, whatever it expected (teacher forcing)."""
    torch.set_num_threads(1)
    reader = HandwritingModel.load(model)
    lines = CorpusLines(corpus)
    chosen = lines.line_named(line) if line else validation_line(lines, splits_of(reader)[1], containing)
    offsets_t3 = reader.normaliser.to_network(chosen.ink.strokes, chosen.ink.times)
    symbols_u = None if reader.alphabet is None else reader.alphabet.encode(chosen.text or "", f"line {chosen.line}")
    outputs_so, phi_su = read_line(reader.network, offsets_t3, symbols_u)
    strokes = strokes_from_offsets(reader.normaliser.to_corpus(offsets_t3))
    written = WrittenLine(
        chosen.line,
        "real",
        strokes,
        text=chosen.text,
        steps=len(offsets_t3),
        window_text=None if phi_su is None else chosen.text,
        phi_su=phi_su,
        outputs_so=outputs_so,
    )
    write_sampled_lines(output, [written], description(reader))
    print(f"{chosen.line}: {chosen.text!r}, {len(offsets_t3)} points")


def validation_line(lines: CorpusLines, splits: list[str], containing: str) -> CorpusLine:
    """A validation line with `containing` in its text, else one of middle length."""
    texts = sorted(lines.texts(splits), key=len)
    wanted = [*(text for text in texts if containing in text), *texts[len(texts) // 2 :]]
    found = lines.with_text(wanted[0], splits) if wanted else None
    if found is None:
        raise InputError(f"{lines.path}: no validation line ({', '.join(splits)}) with a text")
    return found


if __name__ == "__main__":
    command(main)

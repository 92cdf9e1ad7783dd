"""Draw how the window moves along the text while a line is written: Figure 13.

python -m pipeline.draw_window results/samples/handwriting/trace.synthesis.parquet --svg fig13.svg --png fig13.png
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pipeline._command import command
from rnngen.errors import InputError
from rnngen.ink.figures import save, window_figure
from rnngen.ink.sampled_lines import WrittenLine, read_sampled_lines
from rnngen.ink.strokes import smooth_strokes


def main(
    lines: Annotated[
        Path, typer.Argument(help="Parquet of pipeline.trace_handwriting or pipeline.sample_handwriting.")
    ],
    svg: Annotated[Path | None, typer.Option(help="Vector file to write.")] = None,
    png: Annotated[Path | None, typer.Option(help="Pixel file to write.")] = None,
    line: Annotated[str | None, typer.Option(help="Line of the file; default: the first with window weights.")] = None,
    width: Annotated[float, typer.Option(min=2, max=30, help="Width in inches.")] = 7.0,
) -> None:
    """Characters run upwards, steps of the pen to the right; the writing is below."""
    chosen, phi_su, about = choose_line(lines, line, "phi_su")
    if chosen.window_text is None:
        raise InputError(f"{lines}: line {chosen.line} has window weights and no text of theirs; write it again")
    strokes = smooth_strokes(chosen.strokes, about["every"])
    save(window_figure(phi_su, chosen.window_text, strokes, width=width), svg, png)


def choose_line(path: Path, name: str | None, needed: str) -> tuple[WrittenLine, np.ndarray, dict[str, Any]]:
    """The line `name` of a file, or its first, that has `needed` (outputs_so or phi_su); these; what the file says."""
    lines, about = read_sampled_lines(path)
    for line in lines:
        matrix: np.ndarray | None = getattr(line, needed)
        if matrix is not None and line.strokes and name in (None, line.line):
            return line, matrix, about
    what = {"outputs_so": "the network's outputs", "phi_su": "window weights"}[needed]
    raise InputError(f"{path}: no line {name or ''} with {what}; write it with pipeline.trace_handwriting")


if __name__ == "__main__":
    command(main)

"""Draw lines of the corpus that the networks are trained on: Figure 9.

python -m pipeline.draw_training_lines results/corpora/handwriting.parquet --svg fig09.svg --png fig09.png
"""

from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.errors import InputError
from rnngen.ink.figures import Block, FigureLine, lines_figure, save


def main(
    corpus: Annotated[Path, typer.Argument(help="Parquet of the corpus.")],
    svg: Annotated[Path | None, typer.Option(help="Vector file to write.")] = None,
    png: Annotated[Path | None, typer.Option(help="Pixel file to write.")] = None,
    training: Annotated[list[str] | None, typer.Option(help="Set of training lines; repeat for several.")] = None,
    lines: Annotated[int, typer.Option(min=1, help="How many lines to draw, by as many hands as possible.")] = 18,
    width: Annotated[float, typer.Option(min=2, max=30, help="Width in inches.")] = 7.0,
) -> None:
    """The lines are spread evenly over the training sets and drawn as they were recorded."""
    chosen = CorpusLines(corpus).spread(lines, training or ["trainset", "testset_t", "testset_f"])
    if not chosen:
        raise InputError(f"{corpus}: no line in the sets {', '.join(training or [])}; name others with --training")
    save(lines_figure([Block([FigureLine(line.strokes) for line in chosen])], width), svg, png)


if __name__ == "__main__":
    command(main)

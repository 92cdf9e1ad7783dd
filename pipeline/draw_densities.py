"""Draw where a network expects each next point of a line, and which components act: Figures 10 and 14.

python -m pipeline.draw_densities results/samples/handwriting/trace.synthesis.parquet --svg fig14.svg --png fig14.png
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from pipeline._command import command
from pipeline.draw_window import choose_line
from rnngen.ink.density_figure import density_figure
from rnngen.ink.figures import save


def main(
    traces: Annotated[Path, typer.Argument(help="Parquet of pipeline.trace_handwriting.")],
    svg: Annotated[Path | None, typer.Option(help="Vector file to write.")] = None,
    png: Annotated[Path | None, typer.Option(help="Pixel file to write.")] = None,
    line: Annotated[str | None, typer.Option(help="Line of the file; default: the first.")] = None,
    width: Annotated[float, typer.Option(min=2, max=30, help="Width in inches.")] = 7.0,
    columns: Annotated[int, typer.Option(min=10, max=5000, help="Cells of the map from left to right.")] = 560,
) -> None:
    """The map is the sum of the predictions of all steps, each of which integrates to one."""
    chosen, outputs_so, about = choose_line(traces, line, "outputs_so")
    torch.set_num_threads(1)
    figure = density_figure(
        chosen.strokes,
        outputs_so[: sum(map(len, chosen.strokes)) - 1],
        np.array(about["mean"]),
        np.array(about["deviation"]),
        caption=f"“{chosen.text}”",
        width=width,
        columns=columns,
    )
    save(figure, svg, png)


if __name__ == "__main__":
    command(main)

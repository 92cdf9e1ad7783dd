"""Draw the learning curves of an experiment's rows: training and validation loss against epochs."""

from pathlib import Path
from typing import Annotated

import matplotlib
import typer

from pipeline._command import command
from rnngen.artifacts import write_whole
from rnngen.losses.bits_per_character import bits
from rnngen.training.log import read_log

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "rnngen"
matplotlib.rcParams["svg.fonttype"] = "none"


def main(
    logs: Annotated[list[Path], typer.Argument(help="log.parquet of each row.")],
    names: Annotated[str, typer.Option(help="Names of the rows, separated by blanks.")],
    svg: Annotated[Path, typer.Option(help="Vector file to write.")],
    png: Annotated[Path, typer.Option(help="Pixel file to write.")],
    unit: Annotated[str, typer.Option(help="What is predicted: character, word, byte or point.")] = "character",
    title: Annotated[str, typer.Option(help="Title.")] = "",
    width: Annotated[float, typer.Option(help="Width in inches.")] = 7.0,
) -> None:
    """Text is shown in bits per symbol, handwriting in nats per point."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(width, 0.55 * width), layout="constrained")
    for index, (path, name) in enumerate(zip(logs, names.split(), strict=True)):
        log = read_log(path).to_pandas()
        per_unit = "validation_bits_per_symbol" if "validation_bits_per_symbol" in log else "validation_nats_per_point"
        trained = log["train_nats_per_prediction"]
        colour = f"C{index}"
        axes.plot(log["epoch"], log[per_unit], color=colour, marker=".", label=f"{name}, validation")
        axes.plot(
            log["epoch"],
            trained.map(bits) if unit != "point" else trained,
            color=colour,
            linestyle=":",
            label=f"{name}, training",
        )
    axes.set_xlabel("epochs of this row (each row but the first starts from the best weights of an earlier one)")
    axes.set_ylabel("nats per point" if unit == "point" else f"bits per {unit}")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    for path in (svg, png):
        with write_whole(path) as partial:
            figure.savefig(partial, format=path.suffix[1:], dpi=150, metadata={"Date": None} if path == svg else None)


if __name__ == "__main__":
    command(main)

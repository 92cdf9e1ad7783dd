"""What bounds a training on minibatches of one to four lines: one step's recurrent product, by size of the weights.

    python -m benchmarks.small_batches

The product of a step, bfloat16 weights (4H, I) packed as a training packs them, for weights that fit the second-level
cache and weights that do not. If time a weight is the same for both, keeping a layer's weights near the core would gain
nothing. CPU time of one thread; all sizes in turn, a figure is the median.
"""

import statistics
import time
from typing import Annotated

import torch
import typer

from pipeline._command import command
from rnngen.artifacts import machine
from rnngen.cells.matmul import lay_out

SIZES = ((1600, 100), (1600, 200), (1600, 400), (1600, 800), (1600, 1600))
"""4H and I; 3 × 400 has (1600, 400) in each layer, 1.28 MB."""
CALLS = 200


def main(rounds: Annotated[int, typer.Option(help="Rounds of which a figure is the median.")] = 15) -> None:
    """Print a table in Markdown: nanoseconds for 1,000 weights, by rows and size of the weights."""
    torch.set_num_threads(1)
    print(f"{machine()}, torch {torch.__version__}, one thread\n")
    print("| weights, MB | " + " | ".join(f"B = {rows}" for rows in (1, 2, 4, 32)) + " |\n|---|" + "---|" * 4)
    runs = {}
    for size in SIZES:
        for rows in (1, 2, 4, 32):
            product, x = lay_out(torch.randn(size).bfloat16(), rows), torch.randn(rows, size[1]).bfloat16()
            runs[size, rows] = (product, x, [])
    for _ in range(rounds):
        for product, x, taken in runs.values():
            product(x)
            started = time.process_time()
            for _ in range(CALLS):
                product(x)
            taken.append((time.process_time() - started) / CALLS)
    for size in SIZES:
        weights = size[0] * size[1]
        cells = []
        for rows in (1, 2, 4, 32):
            spent = statistics.median(runs[size, rows][2])
            cells.append(f"{1e12 * spent / weights:.1f} ns, {2 * weights / spent / 1e9:.0f} GB/s")
        print(f"| {2 * weights / 1e6:.2f} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    command(main)

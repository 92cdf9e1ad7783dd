"""`rnngen watch`: trainings while they run.

A training writes its log as a Parquet file after every validation (STATE/log.parquet, in the end MODEL/log.parquet).
This is the only log there is: the report's curves are drawn from the same file, pandas and every other reader of
Parquet open it, and nothing has to be installed, served or kept in step beside it. TensorBoard would be a second copy
in a format that only TensorBoard reads, and a server to look at it.
"""

import json
import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rnngen.commands import console
from rnngen.errors import InputError
from rnngen.training_log import read_log

BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 20


def watch(
    results: Annotated[Path, typer.Argument(help="Folder of results, of one model, or of its training state.")] = Path(
        "results"
    ),
    once: Annotated[bool, typer.Option("--once", help="Show it once and leave.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the last validation of every training as JSON.")
    ] = False,
) -> None:
    """Show the learning curves of the trainings below RESULTS, finished and running; Ctrl-C leaves.

    \b
    rnngen watch
    rnngen watch results/state/wikipedia/none --every 10
    rnngen watch --once --json
    """
    if not results.is_dir():
        raise InputError(f"{results}: no such folder; give the folder of the results")
    if as_json:
        found = {name: {"running": running, **rows[-1]} for name, running, rows in logs(results)}
        print(json.dumps(found, default=str))
        return
    screen = console()
    if once or not screen.is_terminal:
        screen.print(table_of(results))
        return
    with Live(table_of(results), console=screen, auto_refresh=False, screen=False) as live:
        while True:
            time.sleep(every)
            live.update(table_of(results), refresh=True)


def logs(folder: Path) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """(experiment/row, whether it runs, its validations) of every training below a folder; the latest one last."""
    found: dict[str, tuple[float, bool, list[dict[str, Any]]]] = {}
    for path in sorted(folder.rglob("log.parquet")):
        running = "state" in path.parts or (path.parent / "state.json").exists()
        name = "/".join([part for part in path.parent.parts if part != "state"][-2:])
        try:
            rows = read_log(path).to_pylist()
            changed = path.stat().st_mtime
        except (FileNotFoundError, InputError):
            continue  # replaced or moved by its training between the listing and the reading, or damaged
        if rows and (name not in found or changed > found[name][0]):
            found[name] = (changed, running, rows)
    return [(name, running, rows) for name, (_, running, rows) in sorted(found.items(), key=lambda item: item[1][0])]


def table_of(folder: Path) -> Table:
    """One line a training."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("training", "", "epoch", "updates", "train", "validation", "best", "time", "course"):
        number = heading in ("epoch", "updates", "train", "validation", "best", "time")
        table.add_column(heading, justify="right" if number else "left", no_wrap=heading != "training", overflow="fold")
    for name, running, rows in logs(folder):
        losses, last = [row["validation_loss"] for row in rows], rows[-1]
        table.add_row(
            Text(name),
            Text("running", style="green") if running else Text("done", style="dim"),
            f"{last['epoch']:.2f}",
            f"{last['updates']:,}",
            f"{last['train_nats_per_prediction']:.4f}",
            f"{losses[-1]:.3f}",
            f"{min(losses):.3f}",
            f"{last['seconds']:.0f} s" if "seconds" in last else "",  # of a finished one they are in run.json
            Text(curve(losses), style="cyan"),
        )
    if not table.row_count:
        table.add_row(Text(f"no training has validated below {folder} yet"))
    return table


def curve(values: list[float], width: int = CURVE_WIDTH) -> str:
    """A line of bars: the means of as many stretches, low to high; what is no number is a blank."""
    count = min(width, len(values))
    parts = [values[k * len(values) // count : (k + 1) * len(values) // count] for k in range(count)]
    means = [sum(part) / len(part) for part in parts]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return " " * count
    low, high = min(finite), max(finite)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0
    return "".join(BARS[round((mean - low) * scale)] if math.isfinite(mean) else " " for mean in means)

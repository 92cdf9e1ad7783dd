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
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rnngen.cli.console import BARS, console
from rnngen.errors import InputError
from rnngen.training.log import read_log

CURVE_WIDTH = 20
NUMBERS = ("epoch", "updates", "train_nats_per_prediction", "validation_loss")  # of a log, in every row
SPARED = (
    (),
    ("updates",),
    ("updates", "train"),
    ("updates", "train", "best", "time"),
)  # on narrower and narrower screens


def watch(
    results: Annotated[Path, typer.Argument(help="Folder of results, of one model, or of its training state.")] = Path(
        "results"
    ),
    once: Annotated[bool, typer.Option("--once", help="Show them once and exit.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between updates.")] = 2.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the last validation of every training as JSON.")
    ] = False,
) -> None:
    """Show the learning curves of all trainings in RESULTS, finished and running; Ctrl-C ends it.

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
        screen.print(fit_table(results, screen))
        return
    with Live(fit_table(results, screen), console=screen, auto_refresh=False, screen=False) as live:
        while True:
            time.sleep(every)
            live.update(fit_table(results, screen), refresh=True)


def logs(folder: Path) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """(experiment/row, whether it runs, its validations) of every training below a folder; the latest one last.

    InputError for a log that cannot be read, or lacks a number.
    """
    found: dict[str, tuple[float, bool, list[dict[str, Any]]]] = {}
    for path in sorted(folder.rglob("log.parquet")):
        running = "state" in path.parts or (path.parent / "state.json").exists()
        name = "/".join([part for part in path.parent.parts if part != "state"][-2:])
        try:
            rows = log_rows(path)
            changed = path.stat().st_mtime
        except FileNotFoundError:
            continue  # moved by its training between the listing and the reading: the next round finds it
        if rows and (name not in found or changed > found[name][0]):
            found[name] = (changed, running, rows)
    return [(name, running, rows) for name, (_, running, rows) in sorted(found.items(), key=lambda item: item[1][0])]


def log_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; InputError unless every row has the numbers shown here."""
    if not path.is_file():
        raise FileNotFoundError(path)
    rows = read_log(path).to_pylist()
    for number, row in enumerate(rows):
        for name in (*NUMBERS, *({"seconds"} & row.keys())):
            if not isinstance(row.get(name), int | float):
                raise InputError(f"{path}: not a log of a training: no number {name} in row {number}; remove it")
    return rows


def fit_table(folder: Path, screen: Console) -> Table:
    """The table with as many columns as the screen has room for."""
    found = logs(folder)
    for spared in SPARED:
        table = table_of(folder, found, spared)
        if screen.measure(table, options=screen.options.update(max_width=1000)).maximum <= screen.width:
            break
    return table


def table_of(folder: Path, found: list[tuple[str, bool, list[dict[str, Any]]]], spared: tuple[str, ...] = ()) -> Table:
    """One line per training. Without the columns `spared`, if any; experiment and row then stand below each other."""
    if not found:
        table = Table(box=None, show_header=False)
        table.add_row(Text(f"no training has validated below {folder} yet"))
        return table
    table = Table(box=None, padding=(0, 1, 0, 0) if spared else (0, 2, 0, 0))
    cells: dict[str, list[Text | str]] = {}
    for name, running, rows in found:
        losses, last = [row["validation_loss"] for row in rows], rows[-1]
        line: dict[str, Text | str] = {
            "training": Text(name.replace("/", "/\n  ") if spared else name),
            "": Text("running", style="green") if running else Text("done", style="dim"),
            "epoch": f"{last['epoch']:.2f}",
            "updates": f"{last['updates']:,}",
            "train": f"{last['train_nats_per_prediction']:.4f}",
            "validation": f"{losses[-1]:.3f}",
            "best": f"{min(losses):.3f}",
            "time": duration(last["seconds"]) if "seconds" in last else "",  # of a finished one: run.json
            "course": Text(curve(losses, CURVE_WIDTH // 2 if spared else CURVE_WIDTH), style="cyan"),
        }
        for heading, cell in line.items():
            if heading not in spared:
                cells.setdefault(heading, []).append(cell)
    for heading in cells:
        number = heading in ("epoch", "updates", "train", "validation", "best", "time")
        table.add_column(heading, justify="right" if number else "left", no_wrap=True, overflow="fold")
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    return table


def duration(seconds: float) -> str:
    """A time as people say it."""
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def curve(values: list[float], width: int = CURVE_WIDTH) -> str:
    """A line of bars: the means of as many stretches, low to high; what is not a number is a blank."""
    count = min(width, len(values))
    parts = [values[k * len(values) // count : (k + 1) * len(values) // count] for k in range(count)]
    means = [sum(part) / len(part) for part in parts]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return " " * count
    low, high = min(finite), max(finite)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0
    return "".join(BARS[round((mean - low) * scale)] if math.isfinite(mean) else " " for mean in means)

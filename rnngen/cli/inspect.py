"""`rnngen inspect`: an artifact in one screen."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from rnngen.cli.console import console
from rnngen.cli.facts import facts


def inspect(
    artifact: Annotated[Path, typer.Argument(help="Model directory, results folder, .parquet, .json or .safetensors.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Show what ARTIFACT is: sizes, parameters, provenance, headline numbers.

    \b
    rnngen inspect results/models/synthesis/none
    rnngen inspect results/corpora/handwriting.parquet
    rnngen inspect results/evaluations/wikipedia/none.dynamic.json --json
    """
    found = facts(artifact)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, default=str))
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for section, values in found.items():
        for number, (name, value) in enumerate(values.items()):
            table.add_row(section if number == 0 else "", Text(str(name)), Text(show_value(value)))
    console().print(table)


def show_value(value: Any) -> str:
    """A value as people read it: thousands separated, floats short, shapes with a ×, mappings in a row."""
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "–"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.5g}" if abs(value) < 1e6 else f"{value:,.0f}"
        case list() if value and all(isinstance(item, int) for item in value):
            return " × ".join(map(str, value))
        case list():
            return ", ".join(map(show_value, value))
        case dict():
            return ", ".join(f"{key} {show_value(item)}" for key, item in value.items())
    return str(value)

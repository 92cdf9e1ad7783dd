"""`rnngen compare`: two runs side by side."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from rnngen.cli.console import console
from rnngen.cli.facts import measures, nature, settings
from rnngen.cli.inspect import show_value
from rnngen.errors import InputError


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Model directory, evaluation, or results folder.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another of the same kind.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers and differences as JSON.")] = False,
) -> None:
    """Show what two runs measured, how far apart they are, and which settings differ.

    \b
    rnngen compare results results-of-yesterday
    rnngen compare results/models/synthesis/none results/models/synthesis/adaptive-weight-noise
    rnngen compare before.static.json after.static.json --json
    """
    natures = nature(first), nature(second)
    if natures[0] != natures[1]:
        raise InputError(
            f"{first} is {natures[0]}, {second} is {natures[1]}: their numbers cannot be compared; give two of one kind"
        )
    numbers = [measures(path) for path in (first, second)]
    common = [name for name in numbers[0] if name in numbers[1]]
    if not common:
        raise InputError(f"{first} and {second} have no measure in common; compare two runs of one kind")
    options = [settings(path) for path in (first, second)]
    names = list(dict.fromkeys([*options[0], *options[1]]))
    differing = {
        name: [option.get(name) for option in options] for name in names if options[0].get(name) != options[1].get(name)
    }
    rows = [(name, numbers[0][name], numbers[1][name]) for name in common]
    only = [[name for name in mine if name not in theirs] for mine, theirs in (numbers, numbers[::-1])]
    if as_json:
        print(
            json.dumps(
                {
                    "measures": {n: {"first": a, "second": b, "difference": b - a} for n, a, b in rows},
                    "only_first": only[0],
                    "only_second": only[1],
                    "settings": differing,
                },
                ensure_ascii=False,
            )
        )
        return
    table = Table(box=None, padding=(0, 2, 0, 0), caption=f"first: {first}   second: {second}", caption_justify="left")
    for heading in ("measure", "first", "second", "difference", "%"):
        table.add_column(heading, justify="left" if heading == "measure" else "right", no_wrap=heading != "measure")
    for name, a, b in rows:
        percent = f"{100 * (b - a) / abs(a):+.2f}" if a else ""
        table.add_row(
            Text(name), show_value(a), show_value(b), f"{b - a:+.5g}" if b != a else "=", percent if b != a else ""
        )
    console().print(table)
    for path, missing in zip((first, second), only, strict=True):
        if missing:
            console().print(Text(f"only in {path}: {', '.join(missing)}"))
    if differing:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("setting", "first", "second"):
            table.add_column(heading, overflow="fold")
        for name, (one, other) in differing.items():
            table.add_row(Text(name), Text(show_value(one)), Text(show_value(other)))
        console().print(table)

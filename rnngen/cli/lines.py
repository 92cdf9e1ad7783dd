"""`rnngen lines`: the lines of a corpus of handwriting, by the names that `--style` takes."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from rnngen.cli.console import console
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.errors import InputError


def lines(
    corpus: Annotated[Path, typer.Argument(help="Parquet of a corpus of handwriting.")] = Path(
        "results/corpora/handwriting.parquet"
    ),
    writer: Annotated[str | None, typer.Option(help="Only lines of this writer.")] = None,
    split: Annotated[str | None, typer.Option(help="Only lines of this split.")] = None,
    containing: Annotated[str, typer.Option(help="Only lines whose text contains this.")] = "",
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="Show at most this many lines.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as JSON.")] = False,
) -> None:
    """List the lines of CORPUS with the names that `rnngen write --style` takes, their writers, splits and texts.

    \b
    rnngen lines
    rnngen lines results/corpora/handwriting.parquet --containing "the" --most 5
    """
    found = [
        line
        for line in CorpusLines(corpus).names.to_pylist()
        if (writer is None or line["writer"] == writer)
        and (split is None or line["split"] == split)
        and containing in (line["text"] or "")
    ]
    if not found:
        raise InputError(f"{corpus}: no line of that kind; leave out --writer, --split or --containing")
    if as_json:
        print(json.dumps({"lines": found[:most], "of": len(found)}, ensure_ascii=False))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("line", "writer", "split", "text"):
        table.add_column(heading, no_wrap=heading == "line", overflow="fold")
    for line in found[:most]:
        table.add_row(*(Text(line[name] or "–") for name in ("line", "writer", "split", "text")))
    console().print(table)
    if len(found) > most:
        console().print(Text(f"{len(found) - most:,} more; --most {len(found)} lists them all"))

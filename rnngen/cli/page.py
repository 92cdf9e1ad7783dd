"""`rnngen page`: a network that writes in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from rnngen.artifacts import write_whole
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.errors import InputError
from rnngen.models.shipped import HANDS, load_handwriting

WriterModel = Annotated[
    Path | None,
    typer.Option(
        envvar="RNNGEN_MODEL", help="Directory of a handwriting synthesis model; default: the one in the package."
    ),
]
"""The option --model of the commands that write by hand."""


def page(
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")],
    model: WriterModel = None,
    style: Annotated[
        list[str] | None,
        typer.Option(help="Line of --corpus to write like (`rnngen lines` lists them); repeat for several."),
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="Parquet of the corpus that has the lines of --style.")] = None,
) -> None:
    """Write a page in which the network writes what is typed: one file, offline, for a disk or a web server.

    The network of the package comes with some hands to choose from.

    \b
    rnngen page -o writer.html
    rnngen page --model results/models/synthesis/none -o own.html
    rnngen page --style a00-000z-01 --corpus results/corpora/handwriting.parquet -o writer.html
    """
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output}: a page is HTML; give a file that ends in .html")
    if bool(style) != (corpus is not None):
        raise InputError("--style and --corpus belong together: give both, or neither")
    from rnngen.web.writer_page import render_writer  # brings a template engine that no other command needs

    writer = load_handwriting(model)
    lines = [] if corpus is None else [CorpusLines(corpus).line_named(name) for name in style or ()]
    styles = [writer.prime(line.ink, line.text, line.line) for line in lines]
    if model is None and not styles:
        styles = [writer.hand(number) for number in HANDS]
    html = render_writer(writer, "" if model is None else str(model), styles, "" if corpus is None else str(corpus))
    with write_whole(output) as partial:
        partial.write_text(html, encoding="utf-8")
    print(f"{output}: {len(html.encode()):,} bytes")

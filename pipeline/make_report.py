"""Gather everything the run has made into one page that opens from disk, without a network.

    python -m pipeline.make_report --results results --preset demo --output results/report.html \\
        --experiments '{"wikipedia": {"kind": "text", "rows": ["none"],
            "data": {"words": "enwik8", "as_in_paper": true, "generated": false}}}'

The page shows what is there. If figures, samples or the handwriting network are missing, it leaves them out and says
so. When and where it was made goes into report.run.json, so that equal runs give equal pages. Its parts are in
pipeline/report/.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from pipeline.report.content import gather
from pipeline.report.render import render
from rnngen.artifacts import provenance, run_file, write_json, write_whole
from rnngen.errors import InputError
from rnngen.models.shipped import SHIPPED

LARGEST_PAGE = 10_000_000


def main(
    results: Annotated[Path, typer.Option(help="Folder of the results.")],
    experiments: Annotated[str, typer.Option(help="JSON: experiment → its kind, rows and data.")],
    preset: Annotated[str, typer.Option(help="Name of the configuration.")],
    output: Annotated[Path, typer.Option(help="HTML file to write.")],
    configfile: Annotated[
        list[str] | None, typer.Option(help="Configuration file, for the commands shown; repeat in their order.")
    ] = None,
    writer: Annotated[
        Path, typer.Option(help="Model directory whose network writes in the page if it is larger than the run's own.")
    ] = SHIPPED,
) -> None:
    """The workflow gives all of these options itself; `snakemake results/report.html` is the short way."""
    chosen = json.loads(experiments)
    if not chosen:
        raise InputError("--experiments: empty; a report needs at least one")
    about = provenance({"preset": preset})
    html = render(gather(results, chosen, preset, configfile or [], writer), about)
    size = len(html.encode("utf-8"))
    if size > LARGEST_PAGE:
        raise InputError(f"{output}: the page has {size:,} bytes, over {LARGEST_PAGE:,}; show fewer samples or figures")
    write_json(run_file(output), about)
    with write_whole(output) as partial:
        partial.write_text(html, encoding="utf-8")
    print(f"{output}: {size:,} bytes")


if __name__ == "__main__":
    command(main)

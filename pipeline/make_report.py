"""Gather tables, figures, samples and provenance in one page that opens from disk."""

import base64
import json
from pathlib import Path
from typing import Annotated

import jinja2
import pandas as pd
import typer

from pipeline.command import command
from rnngen.artifacts import written_whole

TEMPLATE = Path(__file__).with_name("report.html.j2")


def main(
    results: Annotated[Path, typer.Option(help="Folder of the results.")],
    experiments: Annotated[str, typer.Option(help="JSON: experiment → its rows.")],
    preset: Annotated[str, typer.Option(help="Name of the configuration.")],
    output: Annotated[Path, typer.Option(help="HTML file to write.")],
) -> None:
    """Write the report."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    tables = {
        path.stem: pd.read_csv(path).to_html(index=False, na_rep="", border=0)
        for path in sorted((results / "tables").glob("table*.csv"))
    }
    pages = []
    for experiment, rows in json.loads(experiments).items():
        curve = results / "figures" / f"curves.{experiment}.png"
        pages.append(
            {
                "name": experiment,
                "curve": base64.b64encode(curve.read_bytes()).decode("ascii"),
                "rows": [
                    {
                        "name": row,
                        "evaluations": [
                            json.loads(path.read_text(encoding="utf-8"))
                            for path in sorted((results / "evaluations" / experiment).glob(f"{row}.*.json"))
                        ],
                        "samples": [
                            path.read_text(encoding="utf-8")
                            for path in sorted((results / "samples" / experiment).glob(f"{row}.txt"))
                        ],
                    }
                    for row in rows
                ],
            }
        )
    html = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        preset=preset, tables=tables, experiments=pages
    )
    with written_whole(output) as partial:
        partial.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    command(main)

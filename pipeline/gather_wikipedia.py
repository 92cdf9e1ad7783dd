"""Join the corpora of several Wikipedia dumps, each parsed by a process of its own, into one Parquet file.

The file equals, byte for byte, the one that parsing all dumps by one command gives; parsed rows are copied, not read.

    python -m pipeline.parse_wikipedia DUMP.xml.bz2 --part 0 --output part0.parquet
    python -m pipeline.gather_wikipedia part0.parquet --output pages.parquet
"""

from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from rnngen.corpora.wikipedia.parquet import gather_wikipedia


def main(
    parts: Annotated[list[Path], typer.Argument(help="Parquet files of parse_wikipedia --part 0, 1, …, in order.")],
    output: Annotated[Path, typer.Option(help="Parquet file; the report goes beside it (.quality.json, .quality.md).")],
) -> None:
    """A revision that occurs in two dumps is refused."""
    report = gather_wikipedia(parts, output)
    rows = report["rows"]["revision"]
    print(f"{output}: {len(parts)} parts, {report['pages']:,} pages, {rows:,} revisions, {report['raw_bytes']:,} bytes")


if __name__ == "__main__":
    command(main)

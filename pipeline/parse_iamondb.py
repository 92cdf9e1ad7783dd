"""Turn IAM-OnDB, packed or unpacked, into Parquet with one row per line, and a quality report."""

import sys
from pathlib import Path
from typing import Annotated

import pyarrow
from typer import Argument, Option

from pipeline._command import command
from rnngen.corpora.handwriting.iam_ondb import parse_iam_ondb
from rnngen.corpora.handwriting.parquet import write_corpus_lines
from rnngen.corpora.quality import write_quality


def main(
    folder: Annotated[Path, Argument(help="Folder with lineStrokes-all, ascii-all, the lists; packed or not.")],
    output: Annotated[Path, Option(help="Parquet file; NAME.quality.json and NAME.quality.md appear beside it.")],
    keep_going: Annotated[
        bool, Option("--keep-going", help="Skip what cannot be read and record it in the report.")
    ] = False,
) -> None:
    """A corpus of pipeline.generate_handwriting is read in the same way."""
    # Arrow's default pool keeps what is freed, here 20 MB
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    lines, report = parse_iam_ondb(folder, keep_going)
    lines.reverse()
    taken = (lines.pop() for _ in range(len(lines)))  # what is written is no longer held
    write_corpus_lines(output, taken, {"corpus": report["corpus"], "refused": report["refused_items"]})
    write_quality(output, report)
    by_split = ", ".join(f"{split} {counts['lines']:,}" for split, counts in report["splits"].items())
    unlisted = report["oddities"]["unlisted_lines"]
    print(f"{output}: {report['lines']:,} lines, {report['points']:,} points ({by_split}, in no list {unlisted:,})")
    if report["lists"]["missing"]:
        print(f"not found: the lists {', '.join(report['lists']['missing'])}", file=sys.stderr)
    if report["refused_items"]:
        print(f"skipped {report['refused_items']} items, see {output.with_suffix('.quality.md')}", file=sys.stderr)


if __name__ == "__main__":
    command(main)

"""Turn ptb.train.txt, ptb.valid.txt and ptb.test.txt into Parquet with one row per sentence, and a quality report."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pipeline._command import command
from rnngen.corpora.quality import write_quality
from rnngen.corpora.treebank import parse_treebank, write_treebank


def main(
    folder: Annotated[Path, Argument(help="Folder or archive with ptb.train.txt …, plain or in simple-examples.tgz.")],
    output: Annotated[Path, Option(help="Parquet file; NAME.quality.json and NAME.quality.md appear beside it.")],
) -> None:
    """The files are the Penn Treebank as T. Mikolov prepared it, or others of the same form."""
    table, report = parse_treebank(folder)
    files = {split: counts["sha256"] for split, counts in report["splits"].items()}
    write_treebank(output, table, {"corpus": "treebank", "sha256": files})
    write_quality(output, report)
    counts = ", ".join(f"{split} {c['sentences']:,}" for split, c in report["splits"].items())
    print(f"{output}: {table.num_rows:,} sentences ({counts})")


if __name__ == "__main__":
    command(main)

"""Penn Treebank: ptb.train.txt, ptb.valid.txt, ptb.test.txt → Parquet, one row a sentence, and a quality report."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pipeline.command import command
from rnngen.corpora.quality import write_quality
from rnngen.corpora.treebank import parse_treebank, write_treebank


def main(
    folder: Annotated[Path, Argument(help="folder (or archive) with ptb.train.txt …, plain or in simple-examples.tgz")],
    output: Annotated[Path, Option(help="Parquet file; NAME.quality.json and NAME.quality.md appear beside it")],
) -> None:
    """Parse the Penn Treebank as T. Mikolov prepared it."""
    table, report = parse_treebank(folder)
    files = {split: counts["sha256"] for split, counts in report["splits"].items()}
    write_treebank(output, table, {"corpus": "treebank", "sha256": files})
    write_quality(output, report)
    counts = ", ".join(f"{split} {c['sentences']:,}" for split, c in report["splits"].items())
    print(f"{output}: {table.num_rows:,} sentences ({counts})")


if __name__ == "__main__":
    command(main)

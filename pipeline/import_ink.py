"""Turn strokes of your own (JSON, InkML, SVG, Xournal++) with transcripts into Parquet, with a quality report.

    python -m pipeline.import_ink data/my-hand --output results/my-hand/corpora/handwriting.parquet

docs/your-own-data.md says what the folder holds. The workflow runs this if corpora.handwriting.folder is such a folder.
"""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pipeline._command import command
from rnngen.corpora.handwriting.own_files import read_own_handwriting
from rnngen.corpora.handwriting.parquet import write_corpus_lines
from rnngen.corpora.quality import write_quality


def main(
    folder: Annotated[Path, Argument(help="Folder of NAME.json, .inkml, .svg or .xopp with NAME.txt beside each.")],
    output: Annotated[Path, Option(help="Parquet file; NAME.quality.json and NAME.quality.md appear beside it.")],
    validation: Annotated[float, Option(min=0.0, max=1.0, help="Share of the pages that is held out.")] = 0.1,
) -> None:
    """Every file of strokes becomes one line of the corpus."""
    lines, report = read_own_handwriting(folder, validation)
    write_corpus_lines(output, lines, {"corpus": report["corpus"], "scale": report["scale"]})
    write_quality(output, report)
    by_split = ", ".join(f"{split} {counts['lines']:,}" for split, counts in report["splits"].items())
    print(f"{output}: {report['lines']:,} lines, {report['points']:,} points ({by_split})")


if __name__ == "__main__":
    command(main)

"""Parse MediaWiki XML dumps into one Parquet file whose rows, joined, are the dumps byte for byte."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from rnngen.corpora.sources import path_of
from rnngen.corpora.wikipedia.dump import SHA1_MISMATCHES, TEXT_LIMIT, Options
from rnngen.corpora.wikipedia.parquet import write_wikipedia


def main(
    dumps: Annotated[
        list[str],
        typer.Argument(
            help="Dump files in order (plain, bzip2, gzip, xz, zstd, 7z, zip), or names in rnngen/corpora/sources.toml."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Parquet file; the report goes beside it (.quality.json, .quality.md).")],
    folder: Annotated[Path, typer.Option(help="Folder of downloads, for names.")] = Path("data/raw"),
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Accept a dump that ends early, such as enwik8.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Skip what cannot be read and record it in the report.")
    ] = False,
    sha1_mismatches: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of texts that may differ from the SHA-1 beside them; 0: none."),
    ] = SHA1_MISMATCHES,
    parser: Annotated[
        str, typer.Option(help="columnar: fast, with lxml where it must; lxml: the reference.")
    ] = "columnar",
    workers: Annotated[int, typer.Option(min=1, help="Threads that decompress a multistream bzip2 file.")] = 1,
    raw: Annotated[bool, typer.Option(help="Keep the bytes of every row; training on bytes needs them.")] = True,
    text_limit: Annotated[int, typer.Option(min=1, help="Bytes of the longest revision.")] = TEXT_LIMIT,
    part: Annotated[
        int | None,
        typer.Option(min=0, help="Number, from 0, of the one dump in a corpus of pipeline.gather_wikipedia."),
    ] = None,
) -> None:
    """Dumps may have export schema 0.3 to 0.11 and hold current pages or the full history."""
    if parser not in ("columnar", "lxml"):
        raise typer.BadParameter("columnar or lxml", param_hint="--parser")
    if part is not None and len(dumps) > 1:
        raise typer.BadParameter("one dump has one number", param_hint="--part")
    options = Options(
        allow_truncated=allow_truncated,
        keep_going=keep_going,
        sha1_mismatches=sha1_mismatches,
        columnar=parser == "columnar",
        workers=workers,
        text_limit=text_limit,
    )
    report = write_wikipedia([path_of(dump, folder) for dump in dumps], output, options, raw=raw, part=part)
    rows = report["rows"]["revision"]
    failed = [part["failed"] for part in report["parts"] if part["failed"]]
    whole = "all accounted for" if not failed else f"{len(failed)} of {len(dumps)} files not read to their end"
    print(
        f"{output}: {report['pages']:,} pages, {rows:,} revisions, {report['raw_bytes']:,} bytes, {whole}; "
        f"SHA-1 of {report['sha1_equal']:,} texts equal, of {report['sha1_different']:,} different, "
        f"of {report['sha1_not_checked']:,} not given"
    )
    quality = output.with_suffix(".quality.md")
    if report["sha1_different"]:
        print(
            f"{report['sha1_different']:,} texts differ from their SHA-1 and are kept, see {quality}", file=sys.stderr
        )
    if report["texts_absent"]:
        print(
            f"{report['texts_absent']:,} texts are not in the dump; one without any is a stub: the text is in "
            f"pages-articles or pages-meta-history",
            file=sys.stderr,
        )
    for reason in failed:
        print(f"not read to its end: {reason}", file=sys.stderr)
    if report["skipped_items"]:
        print(f"skipped {report['skipped_items']:,} items, see {quality}", file=sys.stderr)


if __name__ == "__main__":
    command(main)

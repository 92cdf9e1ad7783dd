"""Download the files that the corpora are made from, checked against rnngen/corpora/sources.toml."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from rnngen.corpora import sources


def main(
    names: Annotated[
        list[str], typer.Argument(help="Names in rnngen/corpora/sources.toml, or URLs of dated Wikimedia dumps.")
    ],
    folder: Annotated[Path, typer.Option(help="Folder of downloads.")] = Path("data/raw"),
) -> None:
    """A file that is already there with the right checksum needs no network."""
    for name in names:
        path = sources.fetch(name, folder)
        print(f"{path} ({path.stat().st_size:,} bytes)")


if __name__ == "__main__":
    command(main)

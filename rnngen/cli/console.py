"""Where the commands of `rnngen` print their tables."""

import codecs
import io
import os
import sys

from rich.console import Console

BARS = "▁▂▃▄▅▆▇█"
PLAIN = dict(zip(BARS, "_.:-=+*#", strict=True)) | {"×": "x", "–": "-", "−": "-", "␣": "_", "…": "..."}
"""What replaces the signs of our tables on a terminal that has only ASCII."""


def console() -> Console:
    """A console as wide as the terminal, or as COLUMNS says; wide enough for paths where neither is known."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("plain", _plain)
        sys.stdout.reconfigure(errors="plain")
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return Console(highlight=False, width=None if known else 140)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    first = error.object[error.start]
    return PLAIN.get(first) or first.encode("unicode_escape").decode("ascii"), error.start + 1

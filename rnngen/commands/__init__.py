"""The commands of `rnngen`, one a module."""

import sys

from rich.console import Console


def console() -> Console:
    """Where tables are printed: as wide as the terminal, and wide enough for paths where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)

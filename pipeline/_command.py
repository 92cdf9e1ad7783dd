"""Turns a function into a command: arguments by typer, bad input as one line on stderr, Ctrl-C without a traceback."""

import inspect
import re
import sys
from collections.abc import Callable

import typer

from rnngen.errors import leave_quietly_if_interrupted, make_interruptible, one_line_exits


def command(function: Callable[..., None]) -> None:
    """Run `function` as the command line of its module; `--help` shows the docstrings of both.

    Exit status: 0 done, 1 bad input (one line on stderr), 2 bad usage, 130 interrupted.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(help=_help(function))(make_interruptible(function))
    with one_line_exits():
        leave_quietly_if_interrupted()
        app(standalone_mode=True)


def _help(function: Callable[..., None]) -> str:
    """The docstrings of the module and of `function`; examples keep their lines, marked by \\b as click wants it."""
    texts = (inspect.getdoc(sys.modules[function.__module__]), inspect.getdoc(function))
    paragraphs = "\n\n".join(text for text in texts if text).split("\n\n")
    return "\n\n".join(f"\b\n{p}" if re.match(r" |python -m ", p) else p for p in paragraphs)

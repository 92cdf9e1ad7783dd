"""Turns a function into a command: arguments by typer, bad input as one line on stderr, Ctrl-C without a traceback."""

from collections.abc import Callable

import typer

from rnngen.errors import one_line_exits


def command(function: Callable[..., None]) -> None:
    """Run `function` as the command line of its module.

    Exit status: 0 done, 1 bad input (one line on stderr), 2 bad usage, 130 interrupted.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(function)
    with one_line_exits():
        app(standalone_mode=True)

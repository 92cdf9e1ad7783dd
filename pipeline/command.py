"""Turns a function into a command: arguments by typer, bad input as one line on stderr, Ctrl-C without a traceback."""

import signal
import sys
from collections.abc import Callable

import typer

from rnngen.errors import InputError


def command(function: Callable[..., None]) -> None:
    """Run `function` as the command line of its module.

    Exit status: 0 done, 1 bad input (one line on stderr), 2 bad usage, 130 interrupted.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(function)
    # a workflow engine stops its jobs with SIGTERM: leave by the same clean path as Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(standalone_mode=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)

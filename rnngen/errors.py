"""Errors a user can act on."""

import functools
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, ParamSpec

LONGEST_MESSAGE = 300
P = ParamSpec("P")


class InputError(Exception):
    """Bad input: one line that says what is wrong, where (file, byte offset, line, key), and the remedy.

    Options of the library appear in it as `keep_going`; a command prints --keep-going instead and exits with status 1.
    Anything else that escapes is a bug. Messages of other libraries that it quotes may have had several lines, and what
    they quote from a file may be of any length. So a message is shortened to LONGEST_MESSAGE characters, in its middle,
    since the file's name is at its beginning and the remedy at its end.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """A text as one line of LONGEST_MESSAGE characters at most; what a terminal would not show is escaped."""
    shown = _shorten(" ".join(text.splitlines()))
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return _shorten(shown)


def _shorten(text: str) -> str:
    if len(text) <= LONGEST_MESSAGE:
        return text
    head = LONGEST_MESSAGE // 2
    return f"{text[:head]} … {text[head + 3 - LONGEST_MESSAGE :]}"


def leave_quietly_if_interrupted() -> None:
    """Until `clean_up_if_interrupted`: Ctrl-C and SIGTERM end the process with status 130 and no message.

    For the seconds in which a command imports its libraries. They could swallow a KeyboardInterrupt or turn it into
    an ImportError, and there is nothing to clean up yet.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        os._exit(130)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


def clean_up_if_interrupted() -> None:
    """From now on Ctrl-C and SIGTERM raise KeyboardInterrupt, and what is half done is undone on the way out."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def make_interruptible(function: Callable[P, None]) -> Callable[P, None]:
    """A command that undoes what is half done when it is interrupted; while its arguments are read, nothing is.

    The parser of the command line imports libraries too, which an exception must not disturb.
    """

    @functools.wraps(function)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        clean_up_if_interrupted()
        function(*arguments, **options)

    return run


@contextmanager
def one_line_exits() -> Iterator[None]:
    """Around a command: bad input ends it with one line on stderr and status 1, an interruption with status 130.

    SIGTERM, with which a workflow engine stops its jobs, leaves by the same clean path as Ctrl-C. A character that
    standard output cannot show, for a terminal of ASCII say, is escaped there.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    clean_up_if_interrupted()
    try:
        yield
    except InputError as error:
        _leave(f"error: {_spell_options(str(error))}", 1)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        _leave(f"error: {one_line(f'{where}{error.strerror or error}')}", 1)
    except UnicodeEncodeError as error:  # lone surrogates: how Python carries bytes that are not UTF-8
        piece = error.object[max(0, error.start - 40) : error.end + 40]
        _leave(f"error: {piece!a}: a file name or a text that is not UTF-8; rename the file or correct the text", 1)
    except KeyboardInterrupt:
        _leave("interrupted", 130)


def _spell_options(message: str) -> str:
    """`keep_going` as it is typed on a command line."""
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda found: "--" + found[1].replace("_", "-"), message)


def _leave(message: str, status: int) -> NoReturn:
    try:
        sys.stderr.write(f"{message}\n")  # at once: lines of several unbuffered processes must not run together
        sys.stderr.flush()
    finally:  # the status counts, whether or not anybody still reads
        sys.exit(status)

"""Errors a user can act on."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """Bad input: one line that says what is wrong, where (file, byte offset, line, key), and the remedy.

    Commands print it as it stands and exit with status 1; anything else that escapes is a bug. Messages of other
    libraries that became a part of it may have had several lines.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """The lines of a text as one."""
    return " ".join(text.splitlines())


@contextmanager
def one_line_exits() -> Iterator[None]:
    """Around a command: bad input ends it with one line on stderr and status 1, an interruption with status 130.

    SIGTERM, with which a workflow engine stops its jobs, leaves by the same clean path as Ctrl-C.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"error: {where}{one_line(str(error.strerror or error))}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)

"""Text that was typed: an argument of the command line, or standard input in its place."""

import sys

from rnngen.errors import InputError


def read_typed(argument: str, what: str) -> str:
    """`argument`, or for `-` the whole of standard input, which is read as UTF-8 whatever the terminal's encoding.

    Raises InputError that says `what` was read and names its first byte that is not UTF-8.
    """
    if argument == "-":
        data = sys.stdin.buffer.read()
        where = f"standard input ({what})"
    else:
        data = argument.encode("utf-8", "surrogateescape")  # Python's stand-ins for undecodable bytes become bytes
        where = what
    try:
        return data.decode("utf-8-sig" if argument == "-" else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: byte {error.start + 1}, 0x{data[error.start]:02X}, is not UTF-8; convert the text first"
        ) from error

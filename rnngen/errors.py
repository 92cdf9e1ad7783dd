"""Errors a user can act on."""


class InputError(Exception):
    """Bad input: one line that says what is wrong, where (file, byte offset, line, key), and the remedy.

    Commands print it as it stands and exit with status 1; anything else that escapes is a bug.
    """

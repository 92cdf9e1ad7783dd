"""How a command ends: one line and a status, whatever went wrong."""

import socket
import subprocess
import sys

import pytest

from rnngen.errors import LONGEST_MESSAGE, InputError, one_line_exits


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a: wrong\nin two lines"), 1, "error: a: wrong in two lines\n"),
        (FileNotFoundError(2, "No such file or directory", "a b"), 1, "error: a b: No such file or directory\n"),
        (OSError("a, of another library"), 1, "error: a, of another library\n"),
        (
            UnicodeEncodeError("utf-8", "caf\udce9.txt", 3, 4, "surrogates not allowed"),
            1,
            "error: 'caf\\udce9.txt': a file name or a text that is not UTF-8; rename the file or correct the text\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_one_line_and_a_status(capsys, error, status, line):
    with pytest.raises(SystemExit) as exit_, one_line_exits():
        raise error
    assert exit_.value.code == status
    assert capsys.readouterr().err == line


def test_a_bug_is_not_hidden():
    with pytest.raises(KeyError), one_line_exits():
        raise KeyError


@pytest.mark.parametrize("length", [LONGEST_MESSAGE + 1, 5_000_000])
def test_a_long_message_keeps_its_beginning_and_its_end(length):
    message = str(InputError("a/file.xml, line 3: " + "x" * length + "; remove it"))
    assert len(message) == LONGEST_MESSAGE
    assert message.startswith("a/file.xml, line 3: xx") and " … " in message and message.endswith("xx; remove it")


def test_a_message_of_the_greatest_length_is_whole():
    assert str(InputError("x" * LONGEST_MESSAGE)) == "x" * LONGEST_MESSAGE


def test_what_a_terminal_does_not_show_is_escaped():
    assert str(InputError("a\x1b[2J\udcff é\u2028b\x00")) == "a\\x1b[2J\\udcff é b\\x00"
    assert len(str(InputError("\x00" * 1000))) == LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("arguments", "library"),
    [
        (["pipeline.train"], "torch"),
        (["rnngen"], "torch"),
        (["pipeline.sample_handwriting", "--model=m", "--text=a", "--output=o"], "pydantic"),
        (["rnngen", "write", "a"], "pydantic"),
    ],
)
def test_an_interruption_while_the_libraries_are_imported_is_quiet(arguments, library):
    """The import of torch, which takes the longest, interrupts itself; or what the command line's parser needs."""
    program = (
        "import builtins, os, signal, sys, runpy\n"
        "imported = builtins.__import__\n"
        "class Interrupting:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGINT)\n"  # Python says and ignores what is raised here
        "def interrupting(name, *rest, **options):\n"
        f"    if name == {library!r}: Interrupting()\n"
        "    return imported(name, *rest, **options)\n"
        "builtins.__import__ = interrupting\n"
        f"sys.argv = {['-m', *arguments[1:]]!r}; runpy.run_module({arguments[0]!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_the_status_counts_where_nobody_reads_any_more():
    program = (
        "import os, sys\nfrom rnngen.errors import one_line_exits\n"
        "with one_line_exits(): os.close(2); raise KeyboardInterrupt"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 130


def test_an_unbuffered_process_writes_its_line_at_once():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # keeps the bounds of every write
    program = "from rnngen.errors import *\nwith one_line_exits(): raise InputError('a: wrong')"
    with here, there:
        assert subprocess.run([sys.executable, "-u", "-c", program], stderr=there).returncode == 1
        assert here.recv(1000) == b"error: a: wrong\n"

"""How a command ends: one line and a status, whatever went wrong."""

import pytest

from rnngen.errors import InputError, one_line_exits


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a: wrong\nin two lines"), 1, "error: a: wrong in two lines\n"),
        (FileNotFoundError(2, "No such file or directory", "a b"), 1, "error: a b: No such file or directory\n"),
        (OSError("a, of another library"), 1, "error: a, of another library\n"),
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

"""What tests of the command line share."""

import sys

import pytest

from rnngen.cli.main import main


@pytest.fixture
def rnngen(monkeypatch, capsys):
    """Run a command line; (exit status, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rnngen", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code or 0, *capsys.readouterr()

    return run

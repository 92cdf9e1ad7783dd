"""`python -m rnngen`, and what the command `rnngen` runs."""

from rnngen.errors import leave_quietly_if_interrupted


def main() -> None:
    """The command `rnngen`; Ctrl-C is quiet from here on, while its libraries are imported too."""
    leave_quietly_if_interrupted()
    from rnngen.cli.main import main as run

    run()


if __name__ == "__main__":
    main()

"""Remove the states of finished trainings whose models are there and undamaged. The workflow does so when it ends.

    python -m pipeline.release_states --states results/state --models results/models

A finished state stays until then, because its job may still fail after the training is done. The model is then written
again from the state, without another update.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from pipeline.train import release_finished_state


def main(
    states: Annotated[Path, typer.Option(help="Folder of the states, EXPERIMENT/ROW below it.")],
    models: Annotated[Path, typer.Option(help="Folder of the models, EXPERIMENT/ROW below it.")],
) -> None:
    """Any state in doubt stays."""
    for state in sorted(path.parent for path in states.glob("*/*/state.json")):
        released = release_finished_state(state, models / state.relative_to(states))
        if released and not any(state.parent.iterdir()):
            state.parent.rmdir()


if __name__ == "__main__":
    command(main)

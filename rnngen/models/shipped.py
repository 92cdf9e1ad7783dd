"""The writer that comes with the package: a synthesis network trained on generated handwriting, ready to write."""

from pathlib import Path

from rnngen.models.handwriting_model import HandwritingModel

SHIPPED = Path(__file__).resolve().parents[1] / "writer"
"""Model directory in the package; config.json and run.json say how it was trained and how well it can be read."""

HANDS = (1, 4, 6, 9, 11, 12, 15, 17)
"""Some that differ: slanted and upright, wide and narrow, print and joined."""


def load_handwriting(model: str | Path | None = None) -> HandwritingModel:
    """The writer of the package, or that of a model directory.

    `load_handwriting().write("any text", bias=1, seed=3)` gives strokes that a notebook shows.
    """
    return HandwritingModel.load(SHIPPED if model is None else model)

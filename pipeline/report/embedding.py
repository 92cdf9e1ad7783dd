"""The synthesis network and lines of handwriting as a page can hold them.

Shapes: t points of a line, c coordinates (x, y).
"""

import base64
from typing import Any

import numpy as np

from rnngen.ink.sampled_lines import WrittenLine
from rnngen.models.handwriting_model import PLAIN, STROKE_SECONDS, HandwritingModel, Prime

LARGEST_NETWORK = 2_500_000
"""Weights above which the network stays out of the page; in half precision and base64 that many are 6.7 MB."""


def network_json(model: HandwritingModel) -> dict[str, Any]:
    """Sizes, alphabet, normalisation and weights; the weights in half precision, little-endian, as base64."""
    tensors = {name: tensor.numpy() for name, tensor in model.network.state_dict().items()}
    halves = np.concatenate([array.astype("<f2").ravel() for array in tensors.values()])
    return {
        "sizes": model.network.arguments,
        "tensors": [[name, int(array.size)] for name, array in tensors.items()],
        "weights": base64.b64encode(halves.tobytes()).decode("ascii"),
        "alphabet": None if model.alphabet is None else model.alphabet.as_json(),
        "plain": PLAIN,
        "mean": [float(value) for value in model.normaliser.mean],
        "deviation": [float(value) for value in model.normaliser.deviation],
        "pointsPerCharacter": model.points_per_character,
        "finishStroke": round(STROKE_SECONDS * model.points_per_second),
    }


def line_json(line: WrittenLine) -> dict[str, Any]:
    """A line as the page draws it: points in tenths of the corpus's unit, lengths of its strokes, what it is.

    With it go the outputs of the network that read it, where they were kept: row t is what followed point t.
    """
    p_tc = np.concatenate(line.strokes)
    tenths = np.rint(10 * (p_tc - p_tc[0])).astype(int)
    return {
        "kind": line.kind,
        "text": line.text,
        "bias": line.bias,
        "seed": line.seed,
        "primeText": line.prime_text,
        "block": line.block,
        "x": tenths[:, 0].tolist(),
        "y": tenths[:, 1].tolist(),
        "lengths": [len(stroke) for stroke in line.strokes],
        "outputs": matrix_json(line.outputs_so),
        "phi": None if line.outputs_so is None else matrix_json(line.phi_su),
    }


def matrix_json(matrix: np.ndarray | None) -> dict[str, Any] | None:
    """A matrix in half precision as base64, row after row, and the length of a row."""
    if matrix is None:
        return None
    data = base64.b64encode(matrix.astype("<f2").tobytes()).decode("ascii")
    return {"columns": matrix.shape[1], "data": data}


def prime_json(prime: Prime) -> dict[str, Any]:
    """A style: its text, its name in the corpus, its offsets in the network's units."""
    return {"text": prime.text, "name": prime.name, "offsets": _exact(prime.offsets_t3)}


def _exact(offsets_t3: np.ndarray) -> list[list[float]]:
    """Single-precision numbers with the digits that give them back."""
    return [[float(f"{value:.9g}") for value in row] for row in offsets_t3.astype(np.float32).tolist()]

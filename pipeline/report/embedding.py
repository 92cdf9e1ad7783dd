"""Lines of handwriting as a page can hold them.

Shapes: t points of a line, c coordinates (x, y).
"""

import base64
from typing import Any

import numpy as np

from rnngen.ink.sampled_lines import WrittenLine

LARGEST_NETWORK = 2_500_000
"""Weights above which the network stays out of the page; in half precision and base64 that many are 6.7 MB."""


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

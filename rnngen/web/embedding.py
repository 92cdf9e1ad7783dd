"""A synthesis network and its styles as a page can hold them."""

import base64
from typing import Any

import numpy as np

from rnngen.models.handwriting_model import PLAIN, RETRY, STROKE_SECONDS, TRIES, End, HandwritingModel, Prime
from rnngen.sampling.alignment import CLEAR, LONG, MISSING


def network_json(model: HandwritingModel) -> dict[str, Any]:
    """Sizes, alphabet, normalisation and weights; the weights in half precision, little-endian, as base64."""
    assert model.alphabet is not None, "only a synthesis network can write in a page"
    tensors = {name: tensor.numpy() for name, tensor in model.network.state_dict().items()}
    next_word = model.request(next(c for c in model.alphabet.symbols if c.strip()), end=End.WORD).next_word
    halves = np.concatenate([array.astype("<f2").ravel() for array in tensors.values()])
    return {
        "sizes": model.network.arguments,
        "tensors": [[name, int(array.size)] for name, array in tensors.items()],
        "weights": base64.b64encode(halves.tobytes()).decode("ascii"),
        "alphabet": model.alphabet.as_json(),
        "plain": PLAIN,
        "mean": [float(value) for value in model.normaliser.mean],
        "deviation": [float(value) for value in model.normaliser.deviation],
        "cleaning": {"every": model.normaliser.every, "stepThreshold": model.normaliser.cleaning.step_threshold},
        "pointsPerCharacter": model.points_per_character,
        "finishStroke": round(STROKE_SECONDS * model.points_per_second),
        "nextWord": next_word
        and {
            "symbols": next_word.symbols,
            "points": next_word.points,
            "gap": next_word.gap,
            "meanDx": next_word.mean_dx,
        },
        "tries": TRIES,
        "retry": RETRY,
        "alignment": {"clear": CLEAR, "missing": MISSING, "long": LONG},
    }


def prime_json(prime: Prime) -> dict[str, Any]:
    """A style: its text, its name in the corpus or its number among the hands, its offsets in the network's units."""
    hand = {} if prime.hand is None else {"hand": prime.hand}
    return {"text": prime.text, "name": prime.name, "offsets": _exact(prime.offsets_t3)} | hand


def _exact(offsets_t3: np.ndarray) -> list[list[float]]:
    """Single-precision numbers with the digits that give them back."""
    return [[float(f"{value:.9g}") for value in row] for row in offsets_t3.astype(np.float32).tolist()]

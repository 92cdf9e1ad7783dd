"""Evaluations as pipeline.evaluate writes them, read and checked."""

from pathlib import Path
from typing import Any

import jsonschema

from rnngen.artifacts import read_json_object, run_file
from rnngen.errors import InputError

_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
EVALUATION: dict[str, Any] = {
    "required": ["evaluation", "rule", "measures", "model"],
    "properties": {
        "evaluation": {"enum": ["static", "dynamic"]},
        "split": _TEXT,
        "rule": _TEXT,
        "measures": {"type": "object", "additionalProperties": _NUMBER},
        "model": {
            "type": "object",
            "required": ["experiment", "regularisation"],
            "properties": {
                "experiment": _TEXT,
                "regularisation": _TEXT,
                "kind": _TEXT,
                "weights": {"type": "integer"},
                "complete": {"type": "boolean"},
                "epochs": _NUMBER,
                "best_epoch": _NUMBER,
                "seed": {"type": "integer"},
                "train_nats_per_prediction": _NUMBER,
            },
        },
        "provenance": {"type": "object"},
    },
}


def read_evaluation(path: Path, *needed: str) -> dict[str, Any]:
    """An evaluation, with the times and the machine beside it in its `provenance`.

    InputError names what is wrong, or what of `needed` its model does not say.
    """
    found = read_json_object(path, "an evaluation")
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(EVALUATION).iter_errors(found))
    if error is not None:
        key = ".".join(map(str, error.absolute_path)) or "top level"
        raise InputError(f"{path}: not an evaluation, key {key}: {error.message[:150]}; evaluate the model again")
    missing = [key for key in needed if key not in found["model"]]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)} of the model in it; evaluate the model again")
    if run_file(path).is_file():
        found["provenance"] = found.get("provenance", {}) | read_json_object(run_file(path), "times of an evaluation")
    return found

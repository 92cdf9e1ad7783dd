"""A model directory: weights, the optimiser's memory, log.parquet, and config.json (network, alphabet, settings).

config.json has the checksums of the other three. run.json, beside it, holds all that differs between two equal
trainings: times, machine, versions, command. A model of an earlier version has everything in config.json and no
checksums.
"""

from pathlib import Path
from typing import Any

import jsonschema

from rnngen.artifacts import read_json_object, run_file, sha256
from rnngen.errors import InputError

WEIGHTS, OPTIMISER, LOG = "weights.safetensors", "optimiser.safetensors", "log.parquet"
CONFIG = "config.json"

_NUMBER, _TEXT, _COUNT = {"type": "number"}, {"type": "string"}, {"type": "integer", "minimum": 1}
_PAIR = {"type": "array", "minItems": 2, "maxItems": 2, "items": _NUMBER}
_ABOVE_0 = {"type": ["number", "null"], "exclusiveMinimum": 0}
CONFIG_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "experiment": _TEXT,
        "regularisation": _TEXT,
        "kind": {"enum": ["text", "prediction", "synthesis"]},
        "network": _TEXT,
        "arguments": {"type": "object"},
        "weights": _COUNT,
        "complete": {"type": "boolean"},
        "epochs": _NUMBER,
        "best_epoch": _NUMBER,
        "updates": {"type": "integer"},
        "best": {"type": "object", "additionalProperties": _NUMBER},
        "initial": {"type": ["string", "object", "null"]},
        "rule": _TEXT,
        "alphabet": {
            "type": "object",
            "required": ["symbols", "other"],
            "properties": {
                "symbols": {"type": "array", "minItems": 1, "items": _TEXT},
                "other": {"type": ["string", "null"]},
            },
        },
        "normaliser": {
            "type": "object",
            "required": ["mean", "deviation", "every", "step_threshold", "sampling_interval"],
            "properties": {
                "mean": _PAIR,
                "deviation": _PAIR | {"items": {"type": "number", "exclusiveMinimum": 0}},
                "every": _COUNT,
                "step_threshold": _ABOVE_0,
                "sampling_interval": _ABOVE_0,
            },
        },
        "sha256": {"type": "object", "additionalProperties": _TEXT},
        "provenance": {"type": "object", "properties": {"settings": {"type": ["object", "null"]}}},
    },
}
"""What a reader may rely on if a key is present."""


def read_config(folder: str | Path, *needed: str) -> dict[str, Any]:
    """config.json of a model directory, checked, with run.json in its `provenance`.

    InputError names what is wrong, or which of the keys that are `needed` is not there.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        what = "no config.json in it" if folder.is_dir() else "no such folder"
        raise InputError(f"{folder}: {what}; give the directory of a trained model")
    about = read_json_object(path, "the description of a model")
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(CONFIG_SCHEMA).iter_errors(about))
    if error is not None:
        key = ".".join(map(str, error.absolute_path)) or "top level"
        raise InputError(
            f"{path}: key {key}: {error.message[:150]}; restore the file from a copy, or train the model again"
        )
    missing = [key for key in needed if key not in about]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)} in it; train the model again")
    if run_file(path).is_file():
        about["provenance"] = about.get("provenance", {}) | read_json_object(run_file(path), "the times of a model")
    return about


def check_file(folder: str | Path, about: dict[str, Any], name: str = WEIGHTS) -> Path:
    """A file of a model directory; InputError unless it has the checksum that `about`, its config, gives."""
    path = Path(folder) / name
    if not path.is_file():
        raise InputError(f"{path}: no such file; train the model again")
    expected = about.get("sha256", {}).get(name)
    if expected is not None and sha256(path) != expected:
        raise InputError(
            f"{path}: not what config.json was written for: damaged, or of another model; "
            "restore both from a copy, or train the model again"
        )
    return path

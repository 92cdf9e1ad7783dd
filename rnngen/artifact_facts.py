"""What an artifact is, in a few facts: models, corpora, evaluations, logs, samples.

Facts are nested mappings of plain values: sections, in them names and numbers, texts or lists. They can be printed as
they are, or written as JSON.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnngen.artifacts import run_file
from rnngen.checked_parquet import open_parquet, reading
from rnngen.errors import InputError
from rnngen.model_folder import checked_file, read_config

Facts = dict[str, Any]


def facts(path: str | Path) -> Facts:
    """The facts of an artifact; InputError for a path that is none."""
    path = Path(path)
    if path.is_dir():
        if (path / "config.json").exists():
            return model_facts(path)
        if any(path.rglob("*.static.json")):
            return {"artifact": {"kind": "results", "path": str(path)}, "measures": dict(results_measures(path))}
        raise InputError(f"{path}: neither a model (no config.json) nor a folder of results (no evaluations)")
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.suffix == ".parquet":
        return parquet_facts(path)
    if path.suffix == ".safetensors":
        return {"artifact": {"kind": "weights", "path": str(path), **size_of(path)}, "tensors": tensors_of(path)}
    if path.suffix == ".json":
        return json_facts(path)
    raise InputError(f"{path}: expected a model directory, or a .parquet, .json or .safetensors file of this program")


def model_facts(folder: Path) -> Facts:
    """Sizes, training, headline numbers and provenance of a model directory."""
    about = read_config(folder)
    weights = folder / "weights.safetensors"
    provenance = about.get("provenance", {})
    settings = provenance.get("settings") or {}
    tensors = tensors_of(checked_file(folder, about)) if weights.exists() else {}
    result: Facts = {
        "artifact": {"kind": f"model of {about.get('kind')}", "path": str(folder), **size_of(weights)},
        "network": {"class": about.get("network"), **about.get("arguments", {})},
        "parameters": {"total": sum(math.prod(shape) for shape in tensors.values()), "tensors": tensors},
        "training": {
            key: about[key]
            for key in ("experiment", "regularisation", "complete", "epochs", "best_epoch", "updates", "initial")
            if key in about
        },
        "best validation": about.get("best", {}),
        "corpus": settings.get("corpus", {}),
    }
    if "alphabet" in about:
        symbols = about["alphabet"]["symbols"]
        result["alphabet"] = {"symbols": len(symbols), "first": " ".join(map(_visible, symbols[:60]))}
    if "normaliser" in about:
        result["normaliser"] = about["normaliser"]
    return result | {"provenance": _provenance(provenance)}


def tensors_of(path: Path) -> dict[str, list[int]]:
    """Name → shape of the tensors of a safetensors file; reads its head only."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file, or cut short: {error}") from error


def parquet_facts(path: Path) -> Facts:
    """Rows, columns and counts of a Parquet file, by what its columns say it is."""
    file = open_parquet(path, {}, "Parquet file of this program")
    with reading(path):
        return _parquet_facts(path, file)


def _parquet_facts(path: Path, file: pq.ParquetFile) -> Facts:
    names = set(file.schema_arrow.names)
    metadata = (file.schema_arrow.metadata or {}).get(b"rnngen")
    kind, counts = "table", {}
    if {"writer", "stroke_len", "split"} <= names:
        kind = "corpus of handwriting"
        counts = _handwriting_counts(file)
    elif {"kind", "stroke_len", "bias"} <= names:
        kind = "written lines"
        table = file.read(["kind", "stopped", "steps"])
        counts = {
            "lines": Counter(table["kind"].to_pylist()),
            "ended by": Counter(filter(None, table["stopped"].to_pylist())),
            "points": pc.sum(table["steps"]).as_py(),
        }
    elif {"split", "sentence"} <= names:
        kind = "corpus of sentences"
        table = file.read(["split", "sentence"])
        words = Counter()
        for split, sentence in zip(*(table[name].to_pylist() for name in ("split", "sentence")), strict=True):
            words[split] += len(sentence.split())
        counts = {"sentences": Counter(table["split"].to_pylist()), "words": words}
    elif {"epoch", "validation_loss"} <= names:
        kind = "log of a training"
        last = file.read().to_pylist()[-1:]
        counts = last[0] if last else {}
    elif {"symbol", "bits"} <= names:
        kind = "surprisal of a text"
        counts = {"mean bits": pc.mean(file.read(["bits"])["bits"]).as_py()}
    elif "text" in names:
        kind = "corpus of pages"
    result: Facts = {
        "artifact": {"kind": kind, "path": str(path), **size_of(path)},
        "table": {"rows": file.metadata.num_rows, "columns": ", ".join(file.schema_arrow.names)},
        "counts": {key: dict(value) if isinstance(value, Counter) else value for key, value in counts.items()},
    }
    return result | ({"provenance": json.loads(metadata)} if metadata else {})


def _handwriting_counts(file: pq.ParquetFile) -> dict[str, Any]:
    table = file.read(["split", "writer", "text", "stroke_len"])
    points = pc.sum(pc.list_flatten(table["stroke_len"])).as_py() or 0
    texts = [text for text in table["text"].to_pylist() if text]
    characters = sum(map(len, texts))
    return {
        "lines": Counter(split or "in no split" for split in table["split"].to_pylist()),
        "writers": len(set(filter(None, table["writer"].to_pylist()))),
        "points": points,
        "points per character": round(points / characters, 2) if characters else None,
        "characters": "".join(sorted(set("".join(texts)))),
    }


def json_facts(path: Path) -> Facts:
    """An evaluation, or a quality report."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: not an artifact of this program")
    if "measures" in value:
        model = value.get("model", {})
        about = value.get("provenance", {})
        if run_file(path).is_file():
            about = about | json.loads(run_file(path).read_bytes())
        kind = f"{value['evaluation']} evaluation" if "evaluation" in value else "baselines"
        return {
            "artifact": {"kind": kind, "path": str(path)},
            "measures": value["measures"],
            "of": {"split": value.get("split"), "rule": value.get("rule"), **model},
            "provenance": _provenance(about),
        }
    return {"artifact": {"kind": "report", "path": str(path)}, "values": value}


def measures(path: str | Path) -> dict[str, float]:
    """The numbers of a run: of every evaluation in a results folder, of one, or of a model's best validation."""
    path = Path(path)
    found = facts(path)
    numbers = found.get("measures") or found.get("best validation") or {}
    plain = {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
    if not plain:
        raise InputError(f"{path}: a {found['artifact']['kind']} has no measures to compare")
    return plain


def settings(path: str | Path) -> dict[str, Any]:
    """The settings of a run with dotted names; none for a results folder, which has as many as it has models."""
    path = Path(path)
    if path.is_dir() and (path / "config.json").exists():
        return dict(_flat(read_config(path).get("provenance", {}).get("settings") or {}))
    if path.suffix == ".json":
        return dict(_flat(json.loads(path.read_text(encoding="utf-8")).get("provenance", {}).get("settings") or {}))
    return {}


def results_measures(folder: Path) -> Iterator[tuple[str, float]]:
    """experiment/row.kind measure → number, for every evaluation below `folder`."""
    base = folder / "evaluations" if (folder / "evaluations").is_dir() else folder
    for path in sorted(base.rglob("*.json")):
        value = json.loads(path.read_text(encoding="utf-8"))
        if "evaluation" in value:
            name = path.relative_to(base).with_suffix("")
            yield from ((f"{name} {measure}", number) for measure, number in value["measures"].items())


def size_of(path: Path) -> dict[str, int]:
    """The bytes of a file that exists."""
    return {"bytes": path.stat().st_size} if path.exists() else {}


def _provenance(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != "settings"}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _visible(symbol: str) -> str:
    return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(symbol, symbol)

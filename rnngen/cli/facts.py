"""What an artifact is, in a few facts: models, corpora, evaluations, logs, samples.

Facts are nested mappings of plain values: sections, in them names and numbers, texts or lists. They can be printed as
they are, or written as JSON.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnngen.artifacts import parse_json, run_file
from rnngen.checked_parquet import open_parquet, refuse_damage
from rnngen.errors import InputError
from rnngen.models.model_directory import CONFIG, check_file, read_config

Facts = dict[str, Any]


def facts(path: str | Path) -> Facts:
    """The facts of an artifact; InputError if the path is not an artifact."""
    path = Path(path)
    if path.is_dir():
        if (path / CONFIG).exists():
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
    tensors = tensors_of(check_file(folder, about)) if weights.exists() else {}
    result: Facts = {
        "artifact": {"kind": f"model of {about.get('kind')}", "path": str(folder), **size_of(weights)},
        "best validation": about.get("best", {}),
        "training": {
            key: about[key]
            for key in ("experiment", "regularisation", "complete", "epochs", "best_epoch", "updates", "initial")
            if key in about
        },
        "network": {"class": about.get("network"), **about.get("arguments", {})},
        "parameters": {"total": sum(math.prod(shape) for shape in tensors.values()), "tensors": tensors},
        "corpus": corpus if isinstance(corpus := settings.get("corpus"), dict) else {},
    }
    if "alphabet" in about:
        symbols = about["alphabet"]["symbols"]
        result["alphabet"] = {"symbols": len(symbols), "first": " ".join(map(_visible, symbols[:60]))}
    if "normaliser" in about:
        result["normaliser"] = about["normaliser"]
    return result | {"provenance": _provenance(provenance)}


def tensors_of(path: Path) -> dict[str, list[int]]:
    """Name → shape of the tensors of a safetensors file; reads only its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file, or cut short: {error}") from error


def parquet_facts(path: Path) -> Facts:
    """Rows, columns and counts of a Parquet file, by what its columns say it is; any other is a table."""
    file = open_parquet(path, {}, "Parquet file of this program")
    about = (file.schema_arrow.metadata or {}).get(b"rnngen")
    try:
        with refuse_damage(path):
            kind, counts = _counts(file)
        provenance = {} if about is None else parse_json(about)
    except (ValueError, RecursionError) as error:  # text that is not UTF-8, a description that is not JSON
        raise InputError(f"{path}: damaged: {error}; restore it from a copy, or make it again") from error
    result: Facts = {
        "artifact": {"kind": kind, "path": str(path), **size_of(path)},
        "counts": {key: dict(value) if isinstance(value, Counter) else value for key, value in counts.items()},
        "table": {"rows": file.metadata.num_rows, "columns": ", ".join(file.schema_arrow.names)},
    }
    return result | ({"provenance": provenance} if isinstance(provenance, dict) and provenance else {})


def _counts(file: pq.ParquetFile) -> tuple[str, dict[str, Any]]:
    """What the columns, by name and type, say that the file is, and what there is to count in it."""

    def has(**columns: Callable[[pa.DataType], bool]) -> bool:
        schema = file.schema_arrow
        return all(
            len(at := schema.get_all_field_indices(name)) == 1 and fits(schema.types[at[0]])
            for name, fits in columns.items()
        )

    if has(writer=_text, split=_text, text=_text, stroke_len=_whole_numbers):
        return "corpus of handwriting", _count_handwriting(file)
    if has(kind=_text, stopped=_text, steps=pa.types.is_integer, stroke_len=_whole_numbers, bias=_number):
        table = file.read(["kind", "stopped", "steps"])
        return "written lines", {
            "lines": Counter(kind or "of no kind" for kind in table["kind"].to_pylist()),
            "ended by": Counter(filter(None, table["stopped"].to_pylist())),
            "points": pc.sum(table["steps"]).as_py(),
        }
    if has(split=_text, sentence=_text):
        table = file.read(["split", "sentence"])
        splits = [split or "in no split" for split in table["split"].to_pylist()]
        words: Counter[str] = Counter()
        for split, sentence in zip(splits, table["sentence"].to_pylist(), strict=True):
            words[split] += len((sentence or "").split())
        return "corpus of sentences", {"sentences": Counter(splits), "words": words}
    if has(epoch=_number, validation_loss=_number):
        return "log of a training", next(iter(file.read().to_pylist()[-1:]), {})
    if has(symbol=_text, bits=_number):
        return "surprisal of a text", {"mean bits": pc.mean(file.read(["bits"])["bits"]).as_py()}
    return ("corpus of pages" if has(text=lambda kind: _text(kind) or _bytes(kind)) else "table"), {}


def _number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _whole_numbers(kind: pa.DataType) -> bool:
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_integer(kind.value_type)


def _count_handwriting(file: pq.ParquetFile) -> dict[str, Any]:
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
    value = read_object(path)
    if "measures" in value:
        about = value.get("provenance", {})
        if run_file(path).is_file():
            about = about | read_object(run_file(path))
        kind = f"{value['evaluation']} evaluation" if "evaluation" in value else "baselines"
        return {
            "artifact": {"kind": kind, "path": str(path)},
            "measures": value["measures"],
            "of": {"split": value.get("split"), "rule": value.get("rule"), **value.get("model", {})},
            "provenance": _provenance(about),
        }
    return {"artifact": {"kind": "report", "path": str(path)}, "values": value}


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object of this program; InputError for any other, or a part of an evaluation that is malformed."""
    try:
        value = parse_json(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}; restore it from a copy, or make it again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: not an artifact of this program")
    parts = {"model": value.get("model", {}), "provenance": value.get("provenance", {})}
    parts |= {"measures": value["measures"]} if "measures" in value else {}
    parts |= (
        {"provenance.settings": (parts["provenance"] or {}).get("settings")}
        if isinstance(parts["provenance"], dict)
        else {}
    )
    for name, part in parts.items():
        if not isinstance(part, dict) and not (part is None and name == "provenance.settings"):
            raise InputError(f"{path}: key {name}: not an object; restore the file from a copy, or make it again")
    return value


def measures(path: str | Path) -> dict[str, float]:
    """The numbers of a run: of every evaluation in a results folder, of one, or of a model's best validation."""
    path = Path(path)
    found = facts(path)
    numbers = found.get("measures") or found.get("best validation") or {}
    plain = {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
    if not plain:
        raise InputError(f"{path}: a {found['artifact']['kind']} has no measures to compare")
    return plain


def nature(path: str | Path) -> str:
    """What two runs must have in common for their numbers to be comparable: what they are and what they predict."""
    path = Path(path)
    if path.is_dir() and not (path / CONFIG).exists():
        return "a folder of results"
    if path.is_dir():
        about = read_config(path)
        kind = about.get("kind")
        symbols = len(about.get("alphabet", {}).get("symbols", [])) if kind == "text" else 0
        return f"a model of {kind}" + (f" of {symbols} symbols" if symbols else "")
    if path.suffix == ".json":
        value = read_object(path)
        kind = value.get("model", {}).get("kind")
        read, _, _ = str(value.get("rule", "")).partition(";") if kind == "text" else ("", "", "")
        return "an evaluation" + (f" of {kind}" if kind else "") + (f", {read}" if read else "")
    return f"a {facts(path)['artifact']['kind']}"


def settings(path: str | Path) -> dict[str, Any]:
    """The settings of a run with dotted names; none for a results folder, where every model has its own."""
    path = Path(path)
    if path.is_dir() and (path / CONFIG).exists():
        return dict(_flat(read_config(path).get("provenance", {}).get("settings") or {}))
    if path.suffix == ".json":
        return dict(_flat(read_object(path).get("provenance", {}).get("settings") or {}))
    return {}


def results_measures(folder: Path) -> Iterator[tuple[str, float]]:
    """experiment/row.kind measure → number, for every evaluation below `folder`."""
    base = folder / "evaluations" if (folder / "evaluations").is_dir() else folder
    for path in sorted(base.rglob("*.json")):
        if path.name.endswith((".static.json", ".dynamic.json")):
            name = path.relative_to(base).with_suffix("")
            numbers = read_object(path).get("measures", {})
            yield from ((f"{name} {measure}", number) for measure, number in numbers.items())


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

"""Lines of handwriting as a Parquet file: sampled by a network, or real ones with what a network made of them.

One row per line. Points are in the units of the corpus, y downwards, and do not include those of a prime; window
weights and outputs are those of every step of the network, the steps of a prime included, and of the one further step
in which the stop rule ended the line.

Shapes: s steps of the network, u characters, o outputs of the mixture.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rnngen.artifacts import parse_json
from rnngen.checked_parquet import parquet_writer, read_parquet
from rnngen.errors import InputError
from rnngen.ink.strokes import Stroke, strokes_from_columns


@dataclass(frozen=True)
class WrittenLine:
    """One line. `kind` is "sample", or "real" for a line of the corpus."""

    line: str  # its name; for a real line, that of the corpus
    kind: str
    strokes: list[Stroke]
    block: int = 0  # lines of one block stand together in a figure
    text: str | None = None
    bias: float | None = None
    seed: int | None = None
    prime: str | None = None  # name of the line that primed it
    prime_text: str | None = None
    prime_steps: int = 0
    stopped: str | None = None  # "rule" | "cap"; None for a real line
    steps: int = 0  # offsets drawn by the network (sample) or read (real)
    window_text: str | None = None  # what the window moves along: the text, after a prime's text if there is one
    phi_su: np.ndarray | None = None  # window weights φ(s, 1 … U + 1)
    outputs_so: np.ndarray | None = None  # ŷ


_MATRIX = pa.list_(pa.float32())
WRITTEN_LINES = pa.schema(
    [
        ("line", pa.string()),
        ("kind", pa.string()),
        ("block", pa.int32()),
        ("text", pa.string()),
        ("bias", pa.float64()),
        ("seed", pa.uint64()),
        ("prime", pa.string()),
        ("prime_text", pa.string()),
        ("prime_steps", pa.int32()),
        ("stopped", pa.string()),
        ("steps", pa.int32()),
        ("x", pa.list_(pa.float32())),
        ("y", pa.list_(pa.float32())),
        ("stroke_len", pa.list_(pa.int32())),
        ("window_text", pa.string()),
        ("phi", _MATRIX),
        ("phi_shape", pa.list_(pa.int32())),
        ("outputs", _MATRIX),
        ("outputs_shape", pa.list_(pa.int32())),
    ]
)


def write_sampled_lines(path: str | Path, lines: Iterable[WrittenLine], about: dict[str, Any]) -> None:
    """Write lines to a Parquet file, `about` into its schema metadata under b"rnngen". Equal input, equal bytes."""
    columns: dict[str, list[Any]] = {name: [] for name in WRITTEN_LINES.names}
    for line in lines:
        p_tc = np.concatenate(line.strokes) if line.strokes else np.zeros((0, 2))
        row = {name: getattr(line, name) for name in WRITTEN_LINES.names if hasattr(line, name)}
        row |= {"x": p_tc[:, 0].astype(np.float32), "y": p_tc[:, 1].astype(np.float32)}
        row["stroke_len"] = [len(stroke) for stroke in line.strokes]
        for name, matrix in (("phi", line.phi_su), ("outputs", line.outputs_so)):
            row[name] = None if matrix is None else np.asarray(matrix, np.float32).ravel()
            row[f"{name}_shape"] = None if matrix is None else list(matrix.shape)
        for name, column in columns.items():
            column.append(row[name])
    schema = WRITTEN_LINES.with_metadata({b"rnngen": json.dumps(about, ensure_ascii=False, sort_keys=True).encode()})
    with parquet_writer(path, schema, compression="zstd") as writer:
        writer.write_table(pa.table(columns, schema=schema))


def read_sampled_lines(path: str | Path) -> tuple[list[WrittenLine], dict[str, Any]]:
    """The lines of a file of `write_sampled_lines`, and what it says about them. Raises InputError."""
    columns = dict(zip(WRITTEN_LINES.names, WRITTEN_LINES.types, strict=True))
    table = read_parquet(path, columns, "Parquet file of handwriting samples")
    if b"rnngen" not in (table.schema.metadata or {}):
        raise InputError(f"{path}: a Parquet file, but not of handwriting samples")
    try:
        return [_line(row) for row in table.to_pylist()], parse_json(table.schema.metadata[b"rnngen"])
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: points, strokes or weights of a line do not fit together ({error})") from error


def _line(row: dict[str, Any]) -> WrittenLine:
    matrices = {
        name: None if row[name] is None else np.array(row[name], np.float32).reshape(row[f"{name}_shape"])
        for name in ("phi", "outputs")
    }
    strokes = strokes_from_columns(row["x"], row["y"], row["stroke_len"]) if row["stroke_len"] else []
    plain = {name: row[name] for name in WRITTEN_LINES.names if name in WrittenLine.__dataclass_fields__}
    return WrittenLine(strokes=strokes, phi_su=matrices["phi"], outputs_so=matrices["outputs"], **plain)

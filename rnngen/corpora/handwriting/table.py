"""Lines of handwriting in Parquet, one row a line: how they are written."""

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rnngen.checked_parquet import parquet_writer

POINTS = pa.list_(pa.int32())
SCHEMA = pa.schema(
    [
        pa.field("line", pa.string(), nullable=False),
        pa.field("form", pa.string(), nullable=False),
        pa.field("writer", pa.string()),
        pa.field("split", pa.string()),
        pa.field("text", pa.string()),
        pa.field("t0", pa.float64(), nullable=False),
        pa.field("x", POINTS, nullable=False),
        pa.field("y", POINTS, nullable=False),
        pa.field("t", POINTS, nullable=False),
        pa.field("stroke_len", POINTS, nullable=False),
    ]
)
"""x to the right, y downwards, in units of the device; t in hundredths of a second since t0 seconds (float64: the clock
of a whiteboard runs for months); stroke_len points a stroke."""

COLUMNS = dict(zip(SCHEMA.names, SCHEMA.types, strict=True))
WHAT = "corpus of handwriting (python -m pipeline.parse_iamondb makes one)"
ROWS_PER_GROUP = 2_048
PAGE_BYTES = 1 << 16
"""A smaller page than the default saves 30 MB while writing."""
DELTA = {f"{name}.list.element": "DELTA_BINARY_PACKED" for name in ("x", "y", "t", "stroke_len")}


def write_lines(path: str | Path, lines: Iterable[Any], provenance: dict[str, Any]) -> None:
    """Write lines (`iam_ondb.Line`) as Parquet, whole or not at all; equal lines give equal bytes."""
    schema = SCHEMA.with_metadata({b"rnngen": json.dumps(provenance, sort_keys=True).encode()})
    rows = iter(lines)
    with parquet_writer(
        path,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=["form", "writer", "split"],
        column_encoding=DELTA,
        data_page_size=PAGE_BYTES,
    ) as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(_table(group, schema))


def _table(lines: list[Any], schema: pa.Schema) -> pa.Table:
    recordings = [line.recording for line in lines]
    columns = {
        name: _strings([getattr(line, name) for line in lines]) for name in ("line", "form", "writer", "split", "text")
    }
    columns["t0"] = _numbers(np.array([r.t0 / 100 for r in recordings], dtype=np.float64), pa.float64())
    for name in ("x", "y", "t", "stroke_len"):
        columns[name] = _lists([getattr(r, name) for r in recordings])
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


# Arrow arrays are put together from buffers: `pa.array` would import pandas, 50 MB that nothing here needs.


def _numbers(values: np.ndarray, type_: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(values)])


def _lists(arrays: list[np.ndarray]) -> pa.Array:
    values = _numbers(np.concatenate(arrays, dtype=np.int32), pa.int32())
    return pa.Array.from_buffers(
        POINTS, len(arrays), [None, _offsets(map(len, arrays), len(arrays))], children=[values]
    )


def _strings(values: list[str | None]) -> pa.Array:
    data = [(value or "").encode() for value in values]
    valid = np.packbits([value is not None for value in values], bitorder="little")
    buffers = [pa.py_buffer(valid), _offsets(map(len, data), len(data)), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _offsets(lengths: Iterable[int], count: int) -> pa.Buffer:
    offsets = np.zeros(count + 1, dtype=np.int32)
    np.cumsum(np.fromiter(lengths, dtype=np.int32, count=count), out=offsets[1:])
    return pa.py_buffer(offsets)

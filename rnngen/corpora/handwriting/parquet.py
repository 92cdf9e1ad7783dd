"""Lines of handwriting in Parquet, one row per line of writing: the only writer and the only reader of such a file."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rnngen.checked_parquet import open_parquet, parquet_writer, read_parquet, refuse_damage
from rnngen.errors import InputError
from rnngen.ink.strokes import Ink, Stroke, strokes_from_columns

POINTS = pa.list_(pa.int32())
CORPUS_LINES = pa.schema(
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
of a whiteboard runs for months); stroke_len the number of points in each stroke."""

COLUMNS = dict(zip(CORPUS_LINES.names, CORPUS_LINES.types, strict=True))
WHAT = "corpus of handwriting (parse_iamondb makes one)"
ROWS_PER_GROUP = 2_048
PAGE_BYTES = 1 << 16
"""A smaller page than the default saves 30 MB while writing."""
DELTA = {f"{name}.list.element": "DELTA_BINARY_PACKED" for name in ("x", "y", "t", "stroke_len")}


def write_corpus_lines(path: str | Path, lines: Iterable[Any], provenance: dict[str, Any]) -> None:
    """Write lines (`iam_ondb.Line`) as Parquet, whole or not at all; equal lines give equal bytes."""
    schema = CORPUS_LINES.with_metadata({b"rnngen": json.dumps(provenance, sort_keys=True).encode()})
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


def read_columns(path: str | Path, names: Sequence[str]) -> pa.Table:
    """These columns of all lines. InputError for a file that is missing, damaged or not a corpus of handwriting."""
    return read_parquet(path, {name: COLUMNS[name] for name in names}, WHAT)


@dataclass(frozen=True)
class CorpusLine:
    """One line; strokes in the units of the corpus, y downwards."""

    line: str
    writer: str | None
    split: str | None
    text: str | None
    ink: Ink

    @property
    def strokes(self) -> list[Stroke]:
        """The strokes without their times."""
        return self.ink.strokes


class CorpusLines:
    """The lines of a corpus file; names and texts are read at once, the points of a line when it is asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.file = open_parquet(self.path, COLUMNS, WHAT)
        with refuse_damage(self.path):
            self.names = self.file.read(["line", "writer", "split", "text"])

    def line_named(self, name: str) -> CorpusLine:
        """The line of that name."""
        found = self._rows(pc.equal(self.names["line"], name))
        if not found:
            some = ", ".join(self.names["line"].slice(0, 3).to_pylist())
            raise InputError(f"{self.path}: no line {name!r}; lines are named like {some}")
        return self._line(found[0])

    def with_text(self, text: str, splits: Sequence[str]) -> CorpusLine | None:
        """The first line of `splits` that reads `text`, if there is one."""
        found = self._rows(pc.and_(pc.equal(self.names["text"], text), self._in(splits)))
        return self._line(found[0]) if found else None

    def texts(self, splits: Sequence[str]) -> list[str]:
        """The texts of all lines of `splits` that have one, in the order of the file."""
        return [text for text in self.names.filter(self._in(splits))["text"].to_pylist() if text]

    def spread(self, count: int, splits: Sequence[str], shortest: int = 0, longest: int = 10**9) -> list[CorpusLine]:
        """Up to `count` lines of `splits`, of `shortest` to `longest` characters, evenly spread over the file.

        Two lines of one writer are taken only where there are not enough writers.
        """
        characters = pc.utf8_length(self.names["text"])
        fit = pc.and_(pc.greater_equal(characters, shortest), pc.less_equal(characters, longest))
        rows = self._rows(pc.and_(fit, self._in(splits)))
        writers = self.names["writer"].to_pylist()
        seen: set[str | None] = set()
        first: list[int] = []
        more: list[int] = []
        for row in rows:
            (more if writers[row] in seen and writers[row] is not None else first).append(row)
            seen.add(writers[row])
        chosen = _evenly(first, count)
        return [self._line(row) for row in sorted(chosen + _evenly(more, count - len(chosen)))]

    def _in(self, splits: Sequence[str]) -> pa.ChunkedArray:
        return pc.is_in(self.names["split"], pa.array(splits, pa.string()))

    def _rows(self, wanted: pa.ChunkedArray) -> list[int]:
        return pc.indices_nonzero(pc.fill_null(wanted, False)).to_pylist()

    def _line(self, row: int) -> CorpusLine:
        group, start = 0, 0
        while row >= start + self.file.metadata.row_group(group).num_rows:
            start += self.file.metadata.row_group(group).num_rows
            group += 1
        with refuse_damage(self.path):
            table = self.file.read_row_group(group, ["line", "writer", "split", "text", "x", "y", "t", "stroke_len"])
        (value,) = table.slice(row - start, 1).to_pylist()
        x, y, t, lengths = (value.pop(name) for name in ("x", "y", "t", "stroke_len"))
        if None in (x, y, t, lengths) or not len(x) == len(y) == len(t) == sum(n or 0 for n in lengths):
            raise InputError(f"{self.path}: x, y, t and stroke_len of line {value['line']} do not fit together")
        strokes = strokes_from_columns(x, y, lengths)
        times = np.split(np.array(t) / 100, np.cumsum(lengths)[:-1])
        kept = [k for k, stroke in enumerate(strokes) if len(stroke)]
        return CorpusLine(ink=Ink([strokes[k] for k in kept], [times[k] for k in kept]), **value)


def _evenly(rows: list[int], count: int) -> list[int]:
    """`count` of `rows`, evenly spread; all where there are no more."""
    if count >= len(rows):
        return rows
    return [rows[k * len(rows) // count] for k in range(count)]


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

"""Single lines out of a handwriting corpus in Parquet: by name, by text, or a few of a split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rnngen.checked_parquet import open_parquet, reading
from rnngen.corpora.handwriting.table import COLUMNS, WHAT
from rnngen.errors import InputError
from rnngen.ink.strokes import Ink, Stroke, strokes_from_columns


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
        with reading(self.path):
            self.names = self.file.read(["line", "writer", "split", "text"])

    def named(self, name: str) -> CorpusLine:
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
        with reading(self.path):
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

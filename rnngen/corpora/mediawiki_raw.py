"""The bytes of the rows of a dump, stored without saying twice what the text says already.

MediaWiki writes the text of a page with `&`, `<`, `>` and `"` as entities. Where a row does so, its bytes are
`raw_before`, the text written that way, and `raw_after`; where it does not, or has no text, they stand in `raw`.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RAW_COLUMNS = ("raw_before", "raw_after", "raw")
ENTITIES = {'"': "&quot;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_TABLE = np.frombuffer("".join(ENTITIES.values()).encode(), np.uint8)
_WHICH = np.zeros(256, np.int32)
_WHICH[[ord(character) for character in ENTITIES]] = range(len(ENTITIES))


def values_of(column: pa.Array) -> memoryview:
    """The bytes of a binary or string column, all values one after the other, without a copy."""
    if len(column) == 0:
        return memoryview(b"")
    offsets = offsets_of(column)
    data = column.buffers()[2]
    return memoryview(data)[offsets[0] : offsets[-1]] if data is not None else memoryview(b"")


def offsets_of(column: pa.Array) -> np.ndarray:
    """Where the values of a binary or string column begin in its memory, and where the last one ends (int32)."""
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]


def spans(data: np.ndarray, begin: np.ndarray, end: np.ndarray) -> pa.BinaryArray:
    """data[begin:end] for every pair, which follow one another without overlap, as one array with its own memory."""
    offsets = np.empty(2 * len(begin), np.int32)
    offsets[::2], offsets[1::2] = begin, end
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    # the values are the spans and, between each two of them, what is left out
    values = pa.BinaryArray.from_buffers(pa.binary(), max(len(offsets) - 1, 0), buffers)
    return values.take(pa.array(np.arange(0, len(offsets), 2, dtype=np.int32)))


def around_text(row: bytes, text: str | None) -> dict[str, bytes | None]:
    """The three columns of a row."""
    if text:
        for character in ("&", *ENTITIES.keys() - "&"):
            text = text.replace(character, ENTITIES[character])
        escaped = text.encode()
        at = row.find(b">" + escaped + b"</text>") + 1
        if at > 0:
            return {"raw_before": row[:at], "raw_after": row[at + len(escaped) :], "raw": None}
    return {"raw_before": None, "raw_after": None, "raw": row}


def raw_rows(rows: pa.RecordBatch | pa.Table) -> pa.BinaryArray | pa.ChunkedArray:
    """The bytes of each row, put together from the columns `text`, `raw_before`, `raw_after` and `raw`."""
    text, before, after, raw = (rows.column(name) for name in ("text", *RAW_COLUMNS))
    if isinstance(rows, pa.Table):
        batches = rows.select(["text", *RAW_COLUMNS]).to_batches()
        return pa.chunked_array([raw_rows(batch) for batch in batches], pa.binary())
    if before.null_count == len(before):
        return raw
    if raw.null_count < len(raw):
        text = pc.if_else(raw.is_null(), text, "")
    join = pc.binary_join_element_wise
    empty = pa.scalar(b"", pa.binary())
    return join(raw, before, escaped(text), after, empty, null_handling="replace", null_replacement="")


def escaped(text: pa.StringArray) -> pa.BinaryArray:
    """Texts as MediaWiki writes them, as binary; null becomes empty."""
    offsets = offsets_of(text)
    data = np.frombuffer(values_of(text), np.uint8)
    size = len(data)
    values = np.empty(size + len(_TABLE), np.uint8)
    values[:size], values[size:] = data, _TABLE
    # `"` and `&` differ in one bit, `<` and `>` too
    at = np.flatnonzero((data & 0xFB == ord('"')) | (data & 0xFD == ord("<"))).astype(np.int32)
    which = _WHICH[data[at]]
    # the values are what stands before, between and after the characters, each of them, and the entities
    pieces = 2 * len(at) + 1
    borders = np.empty(pieces + 1 + len(ENTITIES), np.int32)
    borders[0], borders[1:pieces:2], borders[2:pieces:2], borders[pieces] = 0, at, at + 1, size
    lengths = np.array([len(entity) for entity in ENTITIES.values()], np.int32)
    borders[pieces + 1 :] = size + np.cumsum(lengths)
    order = np.arange(pieces, dtype=np.int32)
    order[1::2] = pieces + which
    parts = pa.BinaryArray.from_buffers(
        pa.binary(), len(borders) - 1, [None, pa.py_buffer(borders), pa.py_buffer(values)]
    )
    joined = parts.take(pa.array(order)).buffers()[2]
    longer = np.concatenate(([0], np.cumsum(lengths[which] - 1, dtype=np.int32)))
    new = (offsets - offsets[0]) + longer[np.searchsorted(at, offsets - offsets[0])]
    return pa.BinaryArray.from_buffers(pa.binary(), len(text), [None, pa.py_buffer(new.astype(np.int32)), joined])

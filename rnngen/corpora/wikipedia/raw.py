"""The bytes of the rows of a dump, stored without repeating what the text already says.

MediaWiki writes the text of a page with `&`, `<`, `>` and `"` as entities. Where a row does so, its bytes are
`raw_before`, the text written that way, and `raw_after`; where it does not, or has no text, they are in `raw`.
"""

from typing import TypedDict

import pyarrow as pa

from rnngen.corpora.wikipedia.scan import ENTITIES, rows

RAW_COLUMNS = ("raw_before", "raw_after", "raw")


class RawBytes(TypedDict):
    """The three columns of a row."""

    raw_before: bytes | None
    raw_after: bytes | None
    raw: bytes | None


def around_text(row: bytes, text: str | None) -> RawBytes:
    """The three columns of a row."""
    if text:
        for character, entity in ENTITIES.items():
            text = text.replace(character, entity)
        written = text.encode()
        at = row.find(b">" + written + b"</text>") + 1
        if at > 0:
            return {"raw_before": row[:at], "raw_after": row[at + len(written) :], "raw": None}
    return {"raw_before": None, "raw_after": None, "raw": row}


def raw_rows(table: pa.RecordBatch | pa.Table) -> pa.ChunkedArray:
    """The bytes of each row, put together from the columns `text`, `raw_before`, `raw_after` and `raw`."""
    columns = ("text", *RAW_COLUMNS)
    batches = [table] if isinstance(table, pa.RecordBatch) else table.select(columns).to_batches()
    return pa.chunked_array([rows(*map(batch.column, columns)) for batch in batches], pa.binary())

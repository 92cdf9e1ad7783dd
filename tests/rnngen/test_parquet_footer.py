"""The footer of a Parquet file, against what pyarrow reads in it."""

import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.parquet_footer import join_footers, read_number, read_struct, signed, unsigned, write_number, write_struct

TABLE = pa.table(
    {
        "number": [1, None, 3],
        "word": ["x", "yy", None],
        "truth": [True, False, None],
        "list": [[1.5], [], [2.5, None]],
        **{f"column{n}": [n, n, n] for n in range(20)},  # a list of more than 14
    }
)


def written(**options) -> bytes:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, TABLE.schema, **options) as writer:
        writer.write_table(TABLE)
        writer.write_table(TABLE)
    return sink.getvalue()


def footer_of(file: bytes) -> bytes:
    (length,) = struct.unpack("<I", file[-8:-4])
    return file[-8 - length : -8]


@pytest.mark.parametrize("options", [{}, {"compression": "zstd", "write_page_checksum": True}, {"version": "1.0"}])
def test_a_footer_is_written_as_it_was_read(options):
    footer, again = footer_of(written(**options)), bytearray()
    write_struct(again, read_struct(io.BytesIO(footer)))
    assert bytes(again) == footer


def test_joined_files_are_read_by_pyarrow_as_their_rows_in_order():
    file = written(compression="zstd")
    body = file[4 : -8 - len(footer_of(file))]
    footer = join_footers([(footer_of(file), 0), (footer_of(file), len(body))], {"made": "here"})
    whole = b"PAR1" + body + body + footer + struct.pack("<I", len(footer)) + b"PAR1"
    found = pq.ParquetFile(io.BytesIO(whole), page_checksum_verification=True)
    assert found.num_row_groups == 4 and found.schema_arrow.metadata == {b"made": b"here"}
    assert found.read().replace_schema_metadata(None) == pa.concat_tables([TABLE] * 4)


def test_what_stands_behind_the_row_groups_is_refused():
    with pytest.raises(InputError, match="page indexes"):
        join_footers([(footer_of(written(write_page_index=True)), 0)], {})


def test_no_files_are_refused():
    with pytest.raises(InputError, match="no Parquet files"):
        join_footers([], {})


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers(value):
    out = bytearray()
    write_number(out, unsigned(value))
    assert signed(read_number(io.BytesIO(bytes(out)))) == value and len(out) <= 10

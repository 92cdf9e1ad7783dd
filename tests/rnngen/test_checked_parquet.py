"""Damage to a Parquet file is noticed, wherever it is, by every reader."""

import re
import struct
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnngen import parquet_footer
from rnngen.checked_parquet import MARK, footer_start, is_whole, open_parquet, parquet_writer, read_parquet
from rnngen.corpora.handwriting.iam_ondb import Line
from rnngen.corpora.handwriting.lines import load_handwriting
from rnngen.corpora.handwriting.parquet import CorpusLines, write_corpus_lines
from rnngen.corpora.handwriting.stroke_xml import Recording
from rnngen.corpora.prose import read_paragraphs
from rnngen.corpora.treebank import load_treebank, write_treebank
from rnngen.corpora.wikipedia.byte_stream import load_wikipedia
from rnngen.corpora.wikipedia.dump import Options
from rnngen.corpora.wikipedia.parquet import write_wikipedia
from rnngen.errors import InputError
from rnngen.ink.sampled_lines import WrittenLine, read_sampled_lines, write_sampled_lines
from tests.rnngen.corpora.wikipedia.mediawiki_dumps import dump, page

TABLE = pa.table({"a": pa.array(range(1000), pa.int32()), "b": [str(i % 7) for i in range(1000)]})
COLUMNS = {"a": pa.int32(), "b": pa.string()}


@pytest.fixture
def table(tmp_path):
    with parquet_writer(tmp_path / "t.parquet", TABLE.schema, compression="zstd") as writer:
        writer.write_table(TABLE)
    return tmp_path / "t.parquet"


def test_it_is_parquet_for_every_reader(table):
    assert pq.read_table(table, page_checksum_verification=True).equals(TABLE)
    assert read_parquet(table, COLUMNS, "table").equals(TABLE)
    assert table.read_bytes().count(MARK) == 1


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("columns", [["a"], ["a", "b"]])
def test_a_file_hardly_longer_than_its_footer_is_whole(rows, columns, tmp_path):
    small = TABLE.slice(0, rows).select(columns)
    with parquet_writer(tmp_path / "s.parquet", small.schema) as writer:
        writer.write_table(small)
    assert read_parquet(tmp_path / "s.parquet", {}, "table").num_rows == rows
    whole = (tmp_path / "s.parquet").read_bytes()
    for at in range(len(whole)):
        (tmp_path / "s.parquet").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(InputError):
            read_parquet(tmp_path / "s.parquet", {}, "table")


def test_equal_tables_give_equal_bytes(table, tmp_path):
    with parquet_writer(tmp_path / "again.parquet", TABLE.schema, compression="zstd") as writer:
        writer.write_table(TABLE)
    assert table.read_bytes() == (tmp_path / "again.parquet").read_bytes()


def test_every_altered_byte_is_noticed(table):
    whole = table.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        table.write_bytes(damaged)
        with pytest.raises(InputError, match=r"t\.parquet: .*damaged"):
            read_parquet(table, COLUMNS, "table")


def test_a_byte_too_many_or_too_few_is_noticed(table):
    whole = table.read_bytes()
    for at in range(whole.index(MARK) - 40, len(whole)):
        for damaged in (whole[:at] + whole[at + 1 :], whole[:at] + b"x" + whole[at:]):
            table.write_bytes(damaged)
            with pytest.raises(InputError, match=r"t\.parquet: .*damaged"):
                read_parquet(table, COLUMNS, "table")


@pytest.mark.parametrize("size", [47, 100, 400])
def test_a_checksum_moved_from_its_place_is_noticed(table, size):
    whole = table.read_bytes()
    seal = whole.index(MARK)
    for at in range(seal - size, len(whole) - size):
        table.write_bytes(whole[: at + size] + whole[at:])
        with pytest.raises(InputError, match=r"t\.parquet: .*damaged"):
            read_parquet(table, COLUMNS, "table")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"write_page_index": True},
        pytest.param(
            {"bloom_filter_options": {"b": True}},
            marks=pytest.mark.skipif(int(pa.__version__.split(".")[0]) < 26, reason="this Arrow writes no filters"),
        ),
        {"compression": "none", "use_dictionary": False, "data_page_version": "2.0"},
        {"row_group_size": 7},
    ],
)
def test_files_of_other_programs_need_no_checksum(table, tmp_path, options):
    path = tmp_path / "other.parquet"
    for copied in (TABLE, pq.read_table(table), TABLE.slice(0, 0), TABLE.select([])):
        pq.write_table(copied, path, **options)
        assert read_parquet(path, {}, "table").num_rows == (copied.num_rows if copied.num_columns else 0)


@pytest.mark.parametrize("place", [0, 4])
def test_arrow_before_18_leaves_a_gap_before_the_footer(tmp_path, place):
    """It wrote what it says of a column behind the column too, and where that is; nobody reads it."""
    path = tmp_path / "older.parquet"
    pq.write_table(TABLE, path)
    with path.open("rb") as file:
        start = footer_start(file)
    whole = path.read_bytes()
    footer = parquet_footer.read_struct(BytesIO(whole[start:]))
    for column in footer[parquet_footer.ROW_GROUPS][1][1][0][parquet_footer.COLUMNS][1][1]:
        column[parquet_footer.CHUNK_PLACE] = (parquet_footer.I64, place)
    out = bytearray()
    parquet_footer.write_struct(out, footer)
    path.write_bytes(whole[:start] + b"of the last column" + out + struct.pack("<I", len(out)) + b"PAR1")
    if place:
        assert read_parquet(path, COLUMNS, "table").equals(TABLE)
    else:
        with pytest.raises(InputError, match="damaged"):
            read_parquet(path, COLUMNS, "table")


def test_a_footer_alone_is_no_damaged_file(tmp_path):
    metadata: list[pq.FileMetaData] = []
    pq.write_table(TABLE, tmp_path / "t.parquet", metadata_collector=metadata)
    metadata[0].set_file_path("t.parquet")
    metadata[0].write_metadata_file(tmp_path / "_metadata")
    assert is_whole(tmp_path / "_metadata")


def test_a_page_is_checked_in_files_of_other_programs(table, tmp_path):
    """They have no SHA-256, but may have checksums of pages."""
    path = tmp_path / "other.parquet"
    pq.write_table(TABLE, path, write_page_checksum=True, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    at = whole.index(np.arange(400, 404, dtype="<i4").tobytes())
    path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
    with pytest.raises(InputError, match=r"other\.parquet: damaged \(.*make it again"):
        read_parquet(path, COLUMNS, "table")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"c": pa.int32()}, "no column c; expected: table"),
        ({"a": pa.int64()}, "column a is int32, not int64; expected: table"),
    ],
)
def test_columns_must_be_there_and_of_their_type(table, columns, message):
    with pytest.raises(InputError, match=message):
        open_parquet(table, columns, "table")
    with pytest.raises(InputError, match="no such file; expected: table"):
        open_parquet(table.with_name("none.parquet"), {}, "table")


# ------------------------------------------------------------------------------------------------------ every reader


def pages(path):
    content = dump(*(page(i) for i in range(1, 20)))
    (path.parent / "dump.xml").write_bytes(content)
    write_wikipedia([path.parent / "dump.xml"], path, Options())


def treebank(path):
    rows = {"split": ["train", "validation", "test"] * 9, "sentence": [f"a cat {'abc'[i // 9]}" for i in range(27)]}
    write_treebank(path, pa.table(rows), {"corpus": "x"})


def handwriting(path):
    def recorded(i):
        x_n = np.cumsum(np.arange(9) % (i + 2)).astype(np.int32)
        return Recording(x_n, x_n[::-1].copy(), np.arange(9, dtype=np.int32), 7, np.array([4, 5], np.int32), "")

    splits = ("trainset", "testset_v")
    made = [Line(f"a00-00{i}-01", f"a00-00{i}", recorded(i), "7", splits[i % 2], "a cat") for i in range(8)]
    write_corpus_lines(path, made, {"corpus": "x"})


def lines(path):
    write_sampled_lines(
        path, [WrittenLine(f"l{i}", "sample", [np.ones((5, 2))], phi_su=np.ones((3, 4))) for i in range(9)], {}
    )


DAMAGE = st.tuples(st.integers(0, 10**6), st.booleans(), st.binary(max_size=6), st.integers(0, 6))


def shown(value):
    """What a reader gave, to be compared."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {name: shown(item) for name, item in value.items()}
    return shown(vars(value)) if hasattr(value, "__dict__") else value


READERS = {
    "dump": (pages, lambda path: load_wikipedia(path, 3000, 500)),
    "texts": (pages, lambda path: load_wikipedia(path, 100, 50, view="text")),
    "paragraphs": (pages, lambda path: list(read_paragraphs(path))),
    "treebank": (treebank, load_treebank),
    "handwriting": (handwriting, lambda path: load_handwriting(path, training=["trainset"], alphabet="all")),
    "corpus lines": (handwriting, lambda path: CorpusLines(path).spread(9, ["trainset"])),
    "written lines": (lines, read_sampled_lines),
}


@pytest.fixture(scope="module", params=READERS)
def reader(request, tmp_path_factory):
    write, read = READERS[request.param]
    path = tmp_path_factory.mktemp("readers") / "made.parquet"
    write(path)
    return path, path.read_bytes(), read, shown(read(path))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DAMAGE, min_size=1, max_size=3))
def test_no_damage_passes_a_reader(reader, damages):
    """Bytes written over, put in or left out, half of them near the end, where the footer is."""
    path, whole, read, expected = reader
    content = bytearray(whole)
    for at, near_the_end, piece, deleted in damages:
        at = len(content) - 1 - at % min(2000, len(content)) if near_the_end else at % len(content)
        content[at : at + deleted] = piece
    path.write_bytes(content)
    try:
        assert shown(read(path)) == expected
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        assert content != whole


@pytest.mark.parametrize("name", READERS)
def test_other_types_and_missing_rows_are_refused(name, tmp_path):
    """Written anew by another program, with columns as pandas or polars would have them, without rows, with nulls."""
    write, read = READERS[name]
    path = tmp_path / "made.parquet"
    write(path)
    made = pq.read_table(path)
    made = made.replace_schema_metadata({k: v for k, v in made.schema.metadata.items() if k == b"rnngen"})
    for column in made.column_names:
        was = made[column]
        at = made.column_names.index(column)
        others = [pa.nulls(len(was), pa.int8())]
        if pa.types.is_string(was.type):
            others += [was.cast(pa.large_string()), was.dictionary_encode(), pa.nulls(len(was), pa.string())]
        elif pa.types.is_list(was.type):
            others += [was.cast(pa.list_(pa.float64())), pa.nulls(len(was), was.type), was.take([0] * len(was))]
            others += [pa.array([[None, 1]] * len(was), was.type)]
        for other in others:
            pq.write_table(made.set_column(at, pa.field(column, other.type), other), path)
            try:
                read(path)
            except InputError as error:
                assert re.match(re.escape(str(path)), str(error))
    if name in ("dump", "texts"):
        pq.write_table(made.slice(0, 5), path)
        with pytest.raises(InputError, match="5 rows instead of 21"):
            read(path)
        text = made.column_names.index("text")
        pq.write_table(made.set_column(text, "text", made["text"].cast(pa.large_string())), path)
        with pytest.raises(InputError, match="column text is large_string, not string"):
            read(path)


def test_rows_that_do_not_fill_the_stream_are_refused(tmp_path):
    """Their number is right, but some are empty: what nothing was read into would be any memory."""
    path = tmp_path / "made.parquet"
    pages(path)
    made = pq.read_table(path)
    for column in ("text", "raw_before", "raw_after", "raw"):
        empty = pa.nulls(len(made), made.schema.field(column).type)
        made = made.set_column(made.column_names.index(column), column, empty)
    pq.write_table(made, path)
    with pytest.raises(InputError, match="only 0 of 3,500 bytes are in its rows"):
        load_wikipedia(path, 3000, 500)

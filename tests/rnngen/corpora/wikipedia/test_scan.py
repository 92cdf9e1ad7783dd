"""The passes over bytes, in C and in numpy, against plain Python."""

from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnngen.corpora.wikipedia import scan
from rnngen.corpora.wikipedia.raw import around_text, raw_rows
from rnngen.corpora.wikipedia.scan import Holes, Scanner, binary, cut, rows

BYTES = st.binary(max_size=200) | st.text("<>&\"'\n\t a", max_size=200).map(str.encode)
FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(params=["C", "numpy"])
def kernels(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(scan, "_kernels", lambda: None)
    elif scan._kernels() is None:
        pytest.skip("no C compiler")


@FIXTURE
@given(BYTES, st.sampled_from('<>&"\n\xef'))
def test_positions(kernels, data, character):
    found = Scanner().positions(np.frombuffer(data, np.uint8), character)
    assert found.tolist() == [at for at, byte in enumerate(data) if byte == ord(character)] and found.dtype == np.int64


@FIXTURE
@given(BYTES)
def test_controls(kernels, data):
    assert Scanner().has_controls(np.frombuffer(data, np.uint8)) == any(
        byte < 32 and byte not in b"\n\t" for byte in data
    )


@FIXTURE
@given(st.binary(min_size=1, max_size=300), st.data())
def test_cut(kernels, data, draw):
    """Spans, each with holes in it, some holes between them, and some of no length."""
    places = st.lists(st.integers(0, len(data)), max_size=24).map(sorted)
    borders = draw.draw(places)
    pairs = [(begin, end) for begin, end in zip(borders[::2], borders[1::2], strict=False)]
    holes, expected = [], []
    for begin, end in pairs:
        inside = (
            draw.draw(st.lists(st.integers(begin, end - 1), max_size=6, unique=True).map(sorted)) if end > begin else []
        )
        inside = list(zip(inside[::2], inside[1::2], strict=False))
        holes += inside
        expected.append(bytes(data[at] for at in range(begin, end) if not any(a <= at < b for a, b in inside)))
    begin, end = (np.array(part, np.int64) for part in (zip(*pairs, strict=True) if pairs else ((), ())))
    hole = Holes(*(np.array(part, np.int64) for part in (zip(*holes, strict=True) if holes else ((), ()))))
    assert cut(np.frombuffer(data, np.uint8), begin, end, holes=hole).to_pylist() == expected
    present = np.arange(len(pairs)) % 3 != 1
    found = cut(np.frombuffer(data, np.uint8), begin, end, present)
    found.validate(full=True)
    plain = [data[begin:end] for begin, end in pairs]
    assert found.to_pylist() == [value if there else None for value, there in zip(plain, present, strict=True)]


@pytest.mark.parametrize("pairs", [[(0, 9)], [(-1, 2)], [(2, 1)], [(0, 3), (2, 4)]])
def test_spans_out_of_order_are_refused(kernels, pairs):
    begin, end = (np.array(part) for part in zip(*pairs, strict=True))
    with pytest.raises(ValueError, match="out of order"):
        cut(np.zeros(8, np.uint8), begin, end)


TEXTS = st.none() | st.text(st.sampled_from("<>&\"'é😀 \n") | st.characters(codec="utf-8"), max_size=80)


@FIXTURE
@given(
    st.lists(st.tuples(TEXTS, st.none() | BYTES, st.none() | BYTES, st.none() | BYTES), max_size=8), st.integers(0, 3)
)
def test_rows(kernels, given_rows, start):
    expected = [
        raw or (before or b"") + escape(text or "", {'"': "&quot;"}).encode() + (after or b"")
        for text, before, after, raw in given_rows
    ]
    types = {"text": pa.string(), "raw_before": pa.binary(), "raw_after": pa.binary(), "raw": pa.binary()}
    table = pa.table({name: pa.array([row[at] for row in given_rows], types[name]) for at, name in enumerate(types)})
    assert raw_rows(table).to_pylist() == expected
    assert raw_rows(table.slice(start)).to_pylist() == expected[start:]


@given(
    TEXTS,
    st.sampled_from(["<text>", '<text bytes="3" />', "<text>x</text>", "<comment>&quot;</comment>"]),
    st.booleans(),
)
def test_a_row_is_given_back_whatever_its_text(text, before, usual):
    written = escape(text or "", {'"': "&quot;"} if usual else {"'": "&apos;"})
    row = f"<revision>{before}<text>{written}</text></revision>".encode()
    columns = around_text(row, text)
    assert (columns["raw"] is None) == (columns["raw_before"] is not None) == (columns["raw_after"] is not None)
    table = pa.table(
        {"text": pa.array([text]).cast(pa.string())} | {k: pa.array([v], pa.binary()) for k, v in columns.items()}
    )
    assert raw_rows(table).to_pylist() == [row]
    if usual and text:
        assert columns["raw"] is None


def test_a_column_without_values_has_no_bytes():
    assert binary(np.zeros(1, np.int32), None).to_pylist() == []
    assert (
        rows(*[pa.array([], type_) for type_ in (pa.string(), pa.binary(), pa.binary(), pa.binary())]).to_pylist() == []
    )

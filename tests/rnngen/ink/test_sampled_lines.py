"""The Parquet file of written lines."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnngen.errors import InputError
from rnngen.ink.sampled_lines import WrittenLine, read_sampled_lines, write_sampled_lines

LINES = [
    WrittenLine("a01-000u-01", "real", [np.array([[1.0, 2], [3, 4]]), np.array([[5.0, 6]])], 0, "By", steps=3),
    WrittenLine(
        "sample-1",
        "sample",
        [np.array([[0.5, 0.25]])],
        4,
        "yé",
        0.5,
        2**64 - 1,
        "a01-000u-01",
        "By",
        3,
        "rule",
        1,
        "By yé",
        np.arange(12, dtype=np.float32).reshape(2, 6),
        np.arange(14, dtype=np.float32).reshape(2, 7),
    ),
    WrittenLine("sample-2", "sample", [], text="x", stopped="cap"),
]


def test_round_trip(tmp_path):
    path = tmp_path / "lines.parquet"
    write_sampled_lines(path, LINES, {"model": "é"})
    back, about = read_sampled_lines(path)
    assert about == {"model": "é"}
    for one, two in zip(back, LINES, strict=True):
        for name in WrittenLine.__dataclass_fields__:
            a, b = getattr(one, name), getattr(two, name)
            if name == "strokes":
                assert [s.tolist() for s in a] == [s.tolist() for s in b]
            elif isinstance(b, np.ndarray):
                assert np.array_equal(a, b) and a.shape == b.shape
            else:
                assert a == b, name


def test_equal_lines_give_equal_bytes(tmp_path):
    for name in "ab":
        write_sampled_lines(tmp_path / name, LINES, {"k": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file; expected: Parquet file of handwriting samples"):
        read_sampled_lines(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(InputError, match="expected: Parquet file of handwriting samples"):
        read_sampled_lines(tmp_path / "text.parquet")
    pq.write_table(pa.table({"line": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="no column kind, block"):
        read_sampled_lines(tmp_path / "other.parquet")

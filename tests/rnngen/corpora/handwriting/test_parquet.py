"""Lines of a corpus by name, by text, or a choice."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.errors import InputError
from tests.tiny_handwriting import TEXTS, write_corpus

TRAINING = ["trainset", "testset_t", "testset_f"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "hw.parquet")


def test_a_line_by_its_name_from_any_row_group(path):
    rows = pq.read_table(path).to_pylist()
    lines = CorpusLines(path)
    for k in (0, 9, 10, 23):
        found = lines.line_named(rows[k]["line"])
        assert (found.text, found.split, found.writer) == (rows[k]["text"], rows[k]["split"], rows[k]["writer"])
        assert np.concatenate(found.strokes)[:, 0].tolist() == rows[k]["x"]
        assert [len(stroke) for stroke in found.strokes] == rows[k]["stroke_len"]
        assert np.concatenate(found.ink.times).tolist() == [t / 100 for t in rows[k]["t"]]


def test_a_line_by_its_text(path):
    lines = CorpusLines(path)
    found = lines.with_text("not so slow", ["testset_v"])
    assert found.text == "not so slow" and found.split == "testset_v"
    assert lines.with_text("not so slow", ["nowhere"]) is None
    assert lines.with_text("never written", TRAINING) is None


def test_texts_of_a_split(path):
    lines = CorpusLines(path)
    assert len(lines.texts(["trainset", "testset_v", "testset_t", "testset_f"])) == 24
    assert set(lines.texts(["testset_v"])) <= set(TEXTS)


def test_a_choice_is_of_different_hands_as_far_as_there_are_some(path):
    lines = CorpusLines(path)
    six = lines.spread(6, TRAINING)
    assert len({line.line for line in six}) == 6
    writers = [line.writer for line in six if line.writer is not None]
    assert len(set(writers)) == len(writers)
    assert len(lines.spread(100, TRAINING)) == 18
    assert {line.split for line in lines.spread(100, TRAINING)} == set(TRAINING)
    assert {line.text for line in lines.spread(100, TRAINING, 11, 11)} == {"not so slow", "an old road"}
    assert lines.spread(3, ["nowhere"]) == []


def test_unknown_line_and_other_files(path, tmp_path):
    with pytest.raises(InputError, match=r"no line 'b'; lines are named like a00-000z-01, a00-001z-01"):
        CorpusLines(path).line_named("b")
    with pytest.raises(InputError, match="corpus of handwriting"):
        CorpusLines(tmp_path / "none.parquet")
    pq.write_table(pa.table({"line": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="corpus of handwriting"):
        CorpusLines(tmp_path / "other.parquet")

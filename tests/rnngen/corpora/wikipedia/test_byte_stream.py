"""The Wikipedia corpus as a stream of bytes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnngen.corpora.sequences import ChunkBatches
from rnngen.corpora.wikipedia.byte_stream import load_wikipedia
from rnngen.corpora.wikipedia.dump import Options
from rnngen.corpora.wikipedia.parquet import write_wikipedia
from rnngen.errors import InputError
from tests.rnngen.corpora.wikipedia.mediawiki_dumps import dump, page, revision


@pytest.fixture
def content():
    deleted = revision(9, "", sha1=False, text_tag='<text deleted="deleted">')
    return dump(*(page(i, f"Ä {i}", revision(i, f"text {i} é\n")) for i in range(1, 40)), page(90, None, deleted))


@pytest.fixture
def corpus(tmp_path, content, monkeypatch):
    monkeypatch.setattr("rnngen.corpora.wikipedia.parquet.ROW_GROUP_BYTES", 5000)
    (tmp_path / "dump.xml").write_bytes(content)
    write_wikipedia([tmp_path / "dump.xml"], tmp_path / "pages.parquet", Options())
    assert pq.ParquetFile(tmp_path / "pages.parquet").num_row_groups > 2
    return tmp_path / "pages.parquet"


@pytest.mark.parametrize("cached", [False, True])
def test_splits_follow_one_another_in_the_order_of_the_dump(corpus, content, tmp_path, cached):
    for _ in range(2):
        loaded = load_wikipedia(corpus, 7000, 1234, cache=tmp_path / "cache" if cached else None)
        assert loaded.split("train").tobytes() == content[:7000]
        assert loaded.split("validation").tobytes() == content[7000:8234]
        assert isinstance(loaded.stream, np.memmap) == cached
    assert loaded.split("train").base is not None  # a view


def test_fractions_are_of_the_whole(corpus, content):
    loaded = load_wikipedia(corpus, 0.9, 0.1)
    assert len(loaded.split("train")) == int(0.9 * len(content))
    assert loaded.stream.tobytes() == content[: len(loaded.stream)]


def test_the_alphabet_is_the_distinct_bytes_in_order(corpus, content):
    loaded = load_wikipedia(corpus, len(content) - 100, 100)
    assert list(loaded.bytes) == sorted(set(content)) and len(loaded.alphabet) == len(set(content))
    codes = loaded.encode("text é\n")
    assert codes.dtype == np.int64 and loaded.decode(codes) == "text é\n".encode()
    assert loaded.alphabet.decode(codes) == ["t", "e", "x", "t", " ", "\\xc3", "\\xa9", "\n"]
    assert (loaded.table[loaded.stream] >= 0).all() and (loaded.table == -1).sum() == 256 - len(loaded.bytes)
    with pytest.raises(InputError, match=r"bytes that the corpus lacks \(\\x80, \\x98, \\x9f, \\xf0\)"):
        loaded.encode("😀")


def test_batches_of_it_are_codes(corpus, content):
    loaded = load_wikipedia(corpus, 1000, 100)
    batch = ChunkBatches(loaded.split("train"), 1, chunk=10, reset_every=10, table=loaded.table).batch(1)
    assert loaded.decode(batch.targets_tb[:, 0].numpy()) == content[10:20]


def test_texts_only(corpus):
    texts = "".join(f"text {i} é\n\n" for i in range(1, 40)).encode()
    loaded = load_wikipedia(corpus, len(texts) - 10, 10, view="text")
    assert loaded.stream.tobytes() == texts


def test_what_cannot_be_loaded(corpus, content, tmp_path):
    with pytest.raises(InputError, match=f"{len(content):,} bytes, {len(content):,} for training and 1 for validation"):
        load_wikipedia(corpus, len(content), 1)
    with pytest.raises(InputError, match="both must be > 0"):
        load_wikipedia(corpus, 0, 1)
    with pytest.raises(InputError, match="there are dump and text"):
        load_wikipedia(corpus, 1, 1, view="words")
    with pytest.raises(InputError, match="no split 'test'"):
        load_wikipedia(corpus, 1, 1).split("test")
    with pytest.raises(InputError, match="no such file"):
        load_wikipedia(tmp_path / "nowhere.parquet", 1, 1)
    (tmp_path / "other.parquet").write_bytes(b"something")
    with pytest.raises(InputError, match="not a Parquet file"):
        load_wikipedia(tmp_path / "other.parquet", 1, 1)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="expected: corpus of pages"):
        load_wikipedia(tmp_path / "other.parquet", 1, 1)


@pytest.mark.real_data
def test_the_first_bytes_of_enwik8(real_data, tmp_path):
    file = real_data / "enwik8" / "enwik8.first4154399"
    write_wikipedia([file], tmp_path / "enwik8.parquet", Options(allow_truncated=True))
    loaded = load_wikipedia(tmp_path / "enwik8.parquet", 4_000_000, 154_399)
    assert loaded.stream.tobytes() == file.read_bytes()

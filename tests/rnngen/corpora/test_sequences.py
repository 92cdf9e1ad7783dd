from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnngen.corpora.sequences import NULL, ChunkBatches, SentenceBatches, Sequences
from rnngen.errors import InputError

sentences = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=40)


def rows_of(batch):
    """The sequences of a batch, each checked against the rule inputs = null, then targets shifted by one."""
    t, b = batch.targets_tb.shape
    lengths = batch.lengths_b.tolist() if batch.lengths_b is not None else [t] * b
    assert batch.predictions == sum(lengths) and batch.sequences == b
    assert batch.inputs_tb.dtype == batch.targets_tb.dtype == torch.int64
    rows = []
    for column, length in enumerate(lengths):
        inputs, targets = batch.inputs_tb[:, column].tolist(), batch.targets_tb[:, column].tolist()
        assert inputs[:length] == [NULL, *targets[: length - 1]]
        assert inputs[length:] == [NULL] * (t - length) and targets[length:] == [0] * (t - length)
        rows.append(tuple(targets[:length]))
    return rows


@given(sentences, st.integers(1, 7), st.integers(0, 3), st.integers(0, 2), st.booleans())
def test_every_sentence_is_predicted_once_an_epoch(lines, batch_size, seed, epoch, shuffle):
    data = Sequences.of(np.array(line) for line in lines)
    batches = SentenceBatches(data, batch_size, seed=seed, shuffle=shuffle)
    seen = [row for batch in batches.epoch(epoch) for row in rows_of(batch)]
    assert Counter(seen) == Counter(map(tuple, lines))
    assert len(list(batches.epoch(epoch))) == batches.batches_per_epoch
    assert all(batch.reset for batch in batches.epoch(epoch))


@given(sentences, st.integers(1, 7), st.integers(0, 3))
def test_an_epoch_can_be_entered_anywhere(lines, batch_size, epoch):
    batches = SentenceBatches(Sequences.of(np.array(line) for line in lines), batch_size, seed=5)
    whole = [rows_of(batch) for batch in batches.epoch(epoch)]
    for start in range(batches.batches_per_epoch + 1):
        assert [rows_of(batch) for batch in batches.epoch(epoch, start)] == whole[start:]


def test_order_depends_on_seed_and_epoch_only():
    data = Sequences.of(np.array([i % 5] * (1 + i % 7)) for i in range(300))
    order = [rows_of(b) for b in SentenceBatches(data, 4, seed=1).epoch(2)]
    assert order == [rows_of(b) for b in SentenceBatches(data, 4, seed=1).epoch(2)]
    assert order != [rows_of(b) for b in SentenceBatches(data, 4, seed=1).epoch(3)]
    assert order != [rows_of(b) for b in SentenceBatches(data, 4, seed=2).epoch(2)]


def test_buckets_leave_little_padding():
    random = np.random.default_rng(0)
    data = Sequences.of(np.zeros(n, int) for n in random.integers(1, 200, 4000))
    batches = SentenceBatches(data, 16, seed=0)
    cells = sum(batch.targets_tb.numel() for batch in batches.epoch(0))
    assert cells < 1.03 * len(data.symbols)


def test_unshuffled_single_sentences_come_in_document_order():
    lines = [[3, 1], [4], [1, 5, 9]]
    batches = SentenceBatches(Sequences.of(map(np.array, lines)), 1, shuffle=False)
    assert [rows_of(b)[0] for b in batches.epoch(0)] == [tuple(line) for line in lines]


def test_empty_corpora_and_empty_sequences_are_errors():
    with pytest.raises(InputError, match="no sequences"):
        SentenceBatches(Sequences.of([]), 2)
    with pytest.raises(InputError, match="sequence 1 of the corpus is empty"):
        SentenceBatches(Sequences.of([np.array([1]), np.array([], int)]), 2)
    with pytest.raises(InputError, match="no symbols"):
        ChunkBatches(np.zeros(0, np.uint8))


def oracle(symbols, batch_size, chunk, reset_every):
    """What the streams read, from the definition: blocks dealt to streams, the rest last."""
    block = chunk * reset_every
    whole = [symbols[i : i + block] for i in range(0, len(symbols) - len(symbols) % block, block)]
    rest = symbols[len(whole) * block :]
    each, longer = divmod(len(whole), batch_size)
    streams, at = [], 0
    for i in range(batch_size):
        n = each + (i < longer)
        streams.append(whole[at : at + n])
        at += n
    return streams, rest


@given(
    st.lists(st.integers(0, 250), min_size=1, max_size=300),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_chunks_are_the_text_in_parallel_streams(values, batch_size, chunk, reset_every):
    symbols = np.array(values, dtype=np.uint8)
    batches = ChunkBatches(symbols, batch_size, chunk=chunk, reset_every=reset_every)
    streams, rest = oracle(values, batch_size, chunk, reset_every)
    read = [[] for _ in range(batch_size)]
    tail = []
    before = None
    for i, batch in enumerate(batches):
        t, b = batch.targets_tb.shape
        assert batch.lengths_b is None and batch.predictions == t * b and t <= chunk
        assert batch.reset == (i % reset_every == 0)
        for row in range(b):
            first = NULL if batch.reset else int(before.targets_tb[-1, row])
            assert batch.inputs_tb[:, row].tolist() == [first, *batch.targets_tb[:-1, row].tolist()]
            at_end = i >= batches.batches_per_epoch - batches.rest_chunks
            (tail if at_end else read[row]).extend(batch.targets_tb[:, row].tolist())
        before = batch
    assert read == [[v for block in stream for v in block] for stream in streams]
    assert tail == rest
    assert len(list(batches)) == batches.batches_per_epoch


def test_one_stream_is_the_order_of_the_paper():
    symbols = np.arange(96_000) % 205
    batches = ChunkBatches(symbols)
    assert batches.batches_per_epoch == 960
    joined = torch.cat([batch.targets_tb[:, 0] for batch in batches])
    assert joined.tolist() == symbols.tolist()
    assert [i for i, batch in enumerate(batches) if batch.reset] == list(range(0, 960, 100))


def test_resumed_chunks_are_the_same():
    batches = ChunkBatches(np.arange(5_000, dtype=np.int16), 3, chunk=10, reset_every=5)
    whole = list(batches.epoch(0))
    for start in (0, 1, 7, len(whole) - 1, len(whole)):
        for a, b in zip(batches.epoch(4, start), whole[start:], strict=True):
            assert torch.equal(a.inputs_tb, b.inputs_tb) and torch.equal(a.targets_tb, b.targets_tb)
            assert a.reset == b.reset


def test_bytes_are_translated_from_a_memory_map(tmp_path):
    (tmp_path / "text").write_bytes(b"abca" * 30)
    data = np.memmap(tmp_path / "text", dtype=np.uint8, mode="r")
    table = np.full(256, -1)
    table[list(b"abc")] = [0, 1, 2]
    batches = ChunkBatches(data, 2, chunk=7, reset_every=3, table=table)
    assert sum(batch.predictions for batch in batches) == 120
    assert {int(v) for batch in batches for v in batch.targets_tb.unique()} == {0, 1, 2}
    table[ord("c")] = -1
    with pytest.raises(InputError, match="symbol 2 of the text \\(99\\) is outside the alphabet"):
        list(ChunkBatches(data, table=table))


@given(
    st.lists(st.integers(0, 250), min_size=1, max_size=300),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 4),
    st.booleans(),
)
def test_a_text_on_the_device_gives_the_same_chunks(values, batch_size, chunk, reset_every, translated):
    symbols = np.array(values, dtype=np.uint8)
    options = dict(chunk=chunk, reset_every=reset_every, table=np.arange(256)[::-1].astype(np.int16))
    if not translated:
        options["table"] = None
    read, gathered = (ChunkBatches(symbols, batch_size, **options, device=device) for device in (None, "cpu"))
    for a, b in zip(read, gathered, strict=True):
        assert torch.equal(a.inputs_tb, b.inputs_tb) and torch.equal(a.targets_tb, b.targets_tb)
        assert b.inputs_tb.dtype == b.targets_tb.dtype == torch.int64
        assert (a.reset, a.predictions, a.lengths_b) == (b.reset, b.predictions, b.lengths_b)


def test_a_text_on_the_device_must_be_of_the_alphabet():
    table = np.full(256, -1)
    table[[7, 8]] = [0, 1]
    with pytest.raises(InputError, match="symbol 2 of the text \\(99\\) is outside the alphabet"):
        ChunkBatches(np.array([7, 8, 99, 8], np.uint8), table=table, device="cpu")


@pytest.mark.parametrize("highest", [127, 128, 255, 32_767, 32_768])
def test_codes_of_every_size_fit_where_they_lie(highest):
    (batch,) = ChunkBatches(np.array([0, highest, 1]), device="cpu")
    assert batch.targets_tb[:, 0].tolist() == [0, highest, 1]

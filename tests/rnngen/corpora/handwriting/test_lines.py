from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnngen.corpora.handwriting.lines import (
    NON_LETTER,
    Cleaning,
    HandwritingBatches,
    Normaliser,
    load_handwriting,
)
from rnngen.corpora.handwriting.parquet import write_corpus_lines
from rnngen.errors import InputError

ROLES = ("trainset", "testset_v", "testset_t", "testset_f")


def recording(strokes, seconds=None):
    """A recording of strokes (n, 2); one hundredth a point unless `seconds` says otherwise."""
    points = np.concatenate(strokes)
    t = np.arange(len(points)) if seconds is None else np.rint(100 * np.concatenate(seconds))
    return SimpleNamespace(
        x=points[:, 0].astype(np.int32),
        y=points[:, 1].astype(np.int32),
        t=(t - t[0]).astype(np.int32),
        t0=int(t[0]),
        stroke_len=np.array([len(s) for s in strokes], dtype=np.int32),
    )


def drawn_lines(count=60, seed=0):
    """Lines of random strokes; line i belongs to form i // 2 and the sets take turns by form."""
    random = np.random.default_rng(seed)
    lines = []
    for i in range(count):
        sizes = [1, *random.integers(1, 9, random.integers(1, 6))] if i % 4 else random.integers(2, 9, 3)
        strokes = [
            np.cumsum(random.integers(-20, 40, (n, 2)), 0) + np.array([100 * k, 50]) for k, n in enumerate(sizes)
        ]
        text = "".join(random.choice(list("ab c.7"), random.integers(1, 9)))
        form, split = f"a01-{i // 2:03d}", ROLES[i // 2 % 4]
        lines.append(
            SimpleNamespace(
                line=f"{form}-{i % 2 + 1:02d}",
                form=form,
                writer=None,
                split=split,
                text=text,
                recording=recording(strokes),
            )
        )
    return lines


def written(tmp_path, lines):
    path = tmp_path / "handwriting.parquet"
    write_corpus_lines(path, lines, {})
    return path


@pytest.fixture
def path(tmp_path):
    return written(tmp_path, drawn_lines())


def strokes_of(line):
    r = line.recording
    return np.split(np.stack([r.x, r.y], 1).astype(float), np.cumsum(r.stroke_len)[:-1])


def steps_by_hand(strokes, every=1, threshold=None):
    """The rule written out point by point: thin every stroke, take differences, drop long ones."""
    kept = []
    for stroke in strokes:
        rows = [i for i in range(len(stroke)) if i % every == 0 or i == len(stroke) - 1]
        kept += [(*stroke[i], i == len(stroke) - 1) for i in rows]
    steps = []
    for (x0, y0, _), (x1, y1, end) in pairwise(kept):
        if threshold is not None and max(abs(x1 - x0), abs(y1 - y0)) > threshold:
            if end and steps:
                steps[-1][2] = 1.0
            continue
        steps.append([x1 - x0, y1 - y0, float(end)])
    return np.array(steps, dtype=float).reshape(-1, 3)


ink = st.lists(
    st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=1, max_size=7), min_size=1, max_size=6
)


@given(ink, st.integers(1, 4), st.sampled_from([None, 20, 60]))
def test_cleaning_follows_its_rule(strokes, every, threshold):
    normaliser = Normaliser(np.zeros(2), np.ones(2), Cleaning(every, threshold))
    strokes = [np.array(stroke, dtype=float) for stroke in strokes]
    assert normaliser.thin_offsets(strokes).tolist() == steps_by_hand(strokes, every, threshold).tolist()


@given(ink)
def test_steps_lead_back_to_the_points(strokes):
    normaliser = Normaliser(np.array([8.0, -0.5]), np.array([40.0, 30.0]))
    strokes = [np.array(stroke, dtype=float) for stroke in strokes]
    points = np.concatenate(strokes)
    steps = normaliser.to_corpus(normaliser.normalise(normaliser.thin_offsets(strokes)))
    np.testing.assert_allclose(points[0] + np.append([[0, 0]], np.cumsum(steps[:, :2], 0), 0), points, atol=1e-9)
    ends = np.cumsum([len(stroke) for stroke in strokes]) - 1
    assert np.flatnonzero(steps[:, 2]).tolist() == [end - 1 for end in ends if end > 0]


def test_missing_readings_are_interpolated_within_strokes_only():
    strokes = [np.array([[0.0, 0], [10, 20], [16, 20]]), np.array([[50.0, 0], [51, 0]])]
    times = [np.array([0.0, 0.02, 0.05]), np.array([0.50, 5.0])]
    cleaned = Normaliser(np.zeros(2), np.ones(2), Cleaning(sampling_interval=0.01)).thin_offsets(strokes, times)
    expected = [[5, 10, 0], [5, 10, 0], [2, 0, 0], [2, 0, 0], [2, 0, 1], [34, -20, 0], [1, 0, 1]]
    np.testing.assert_allclose(cleaned, expected, atol=1e-9)
    off = Normaliser(np.zeros(2), np.ones(2)).thin_offsets(strokes, times)
    assert len(off) == 4


def test_every_point_of_every_line_reaches_its_set(path):
    corpus = load_handwriting(path)
    by_name = {line.line: line for line in drawn_lines()}
    names = corpus.training.names + corpus.validation.names
    assert sorted(names) == sorted(by_name)
    assert {by_name[name].split for name in corpus.validation.names} == {"testset_v"}
    for lines in (corpus.training, corpus.validation):
        for i, name in enumerate(lines.names):
            expected = corpus.normaliser.to_network(strokes_of(by_name[name]))
            assert lines[i].tolist() == expected.tolist()
            assert len(lines[i]) == len(by_name[name].recording.x) - 1
            assert lines.texts[i] == by_name[name].text
    statistics = corpus.statistics["training"]
    assert statistics["points"] == statistics["steps"] + statistics["lines"]
    assert statistics["lines_beginning_with_a_dot"] > 0


@pytest.mark.parametrize(
    "options", [{}, {"every": 3}, {"step_threshold": 80}, {"every": 2, "sampling_interval": 0.005}]
)
def test_normalised_training_steps_have_mean_0_and_deviation_1(path, options):
    corpus = load_handwriting(path, **options)
    steps = corpus.training.steps_t3[:, :2].astype(np.float64)
    np.testing.assert_allclose(steps.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(steps.std(0), 1, atol=1e-6)
    assert np.abs(corpus.validation.steps_t3[:, :2].mean(0, dtype=np.float64)).max() > 1e-4
    assert set(np.unique(corpus.training.steps_t3[:, 2])) == {0, 1}


def test_the_effect_of_cleaning_is_reported(path):
    plain = load_handwriting(path).statistics
    clean = load_handwriting(path, step_threshold=50).statistics
    assert clean["deviation_without_cleaning"] == plain["deviation"] == plain["deviation_without_cleaning"]
    ratio = np.log(np.array(plain["deviation"]) / clean["deviation"]).sum()
    steps = clean["training"]["steps"] / clean["training"]["lines"]
    assert clean["nats_per_line_from_units"] == pytest.approx(ratio * steps)
    assert plain["nats_per_line_from_units"] == 0


def test_normaliser_survives_json():
    normaliser = Normaliser(np.array([8.1, 0.1]), np.array([41.9, 37.1]), Cleaning(3, 500.0, 0.015))
    again = Normaliser.from_json(normaliser.as_json())
    assert again.as_json() == normaliser.as_json()
    strokes = [np.array([[0.0, 0], [3, 4], [5, 5], [9, 9]])]
    assert again.to_network(strokes).tolist() == normaliser.to_network(strokes).tolist()


def test_alphabets(path):
    paper = load_handwriting(path).alphabet
    assert len(paper) == 57 and paper.other == NON_LETTER
    assert paper.decode(paper.encode("Ab, 7")) == ["A", "b", ",", " ", NON_LETTER]
    everything = load_handwriting(path, alphabet="all").alphabet
    assert everything.symbols == tuple(sorted("ab c.7")) and everything.other is None
    own = load_handwriting(path, alphabet="ab ", non_letter="<rest>")
    assert own.alphabet.symbols == (" ", "a", "b", "<rest>")
    assert sum(map(len, own.training.texts)) == len(own.training.codes.symbols)
    with pytest.raises(InputError, match=r"line a01-\d+-\d+: .*'7'.* outside the alphabet of 5 symbols"):
        load_handwriting(path, alphabet="ab c.", non_letter=None)


def with_lines(tmp_path, change):
    lines = drawn_lines()
    change(lines)
    return written(tmp_path, lines)


def test_roles_must_exist_and_share_nothing(tmp_path, path):
    with pytest.raises(
        InputError, match="no line of the set 'testset_x'; it has testset_f, testset_t, testset_v, trainset"
    ):
        load_handwriting(path, validation=["testset_x"])
    with pytest.raises(InputError, match="testset_v: named for training and for validation"):
        load_handwriting(path, training=["testset_v"])

    def mix(lines):
        lines[0].split = "testset_v"

    with pytest.raises(InputError, match="1 forms, a01-000 first, have lines for training and for validation"):
        load_handwriting(with_lines(tmp_path, mix))


def test_unlisted_lines_are_in_neither_set(tmp_path):
    def unlist(lines):
        lines[0].split = lines[1].split = None
        lines[0].text = None

    corpus = load_handwriting(with_lines(tmp_path, unlist))
    assert "a01-000-01" not in corpus.training.names + corpus.validation.names
    assert len(corpus.training) + len(corpus.validation) == 58


def test_bad_corpora_are_named(tmp_path):
    def no_text(lines):
        lines[0].text = None

    def short(lines):
        lines[0].recording.y = lines[0].recording.y[:-1]

    def still(lines):
        for line in lines:
            line.recording.x[:] = 0

    with pytest.raises(InputError, match="line a01-000-01 has no text"):
        load_handwriting(with_lines(tmp_path, no_text))
    with pytest.raises(InputError, match="x, y, t and stroke_len of a line differ in length"):
        load_handwriting(with_lines(tmp_path, short))
    with pytest.raises(InputError, match="equal along an axis"):
        load_handwriting(with_lines(tmp_path, still))
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    for path in (tmp_path / "other.parquet", tmp_path / "absent.parquet"):
        with pytest.raises(InputError, match="corpus of handwriting") as caught:
            load_handwriting(path)
        assert "\n" not in str(caught.value)
    for options in ({"every": 0}, {"step_threshold": -1.0}, {"sampling_interval": 0.0}):
        with pytest.raises(InputError, match=next(iter(options))):
            Cleaning(**options)


def test_a_line_left_without_steps_is_reported(tmp_path):
    def dot(lines):
        lines[0].recording = recording([np.array([[5, 5]])])

    corpus = load_handwriting(with_lines(tmp_path, dot))
    assert corpus.statistics["training"]["lines_left_without_steps"] == 1
    assert len(corpus.training) == corpus.statistics["training"]["lines"] - 1


def lines_of(batch, corpus_lines):
    """The lines of a batch, each checked against inputs = null, then the targets one step later, and zero padding."""
    t, b = batch.targets_tb3.shape[:2]
    lengths = batch.lengths_b.tolist() if batch.lengths_b is not None else [t] * b
    assert batch.predictions == sum(lengths) and batch.sequences == b and batch.reset
    assert batch.inputs_tb3.dtype == batch.targets_tb3.dtype == torch.float32
    assert batch.inputs_tb3.is_contiguous() and batch.targets_tb3.is_contiguous()
    for column, (row, length) in enumerate(zip(batch.lines, lengths, strict=True)):
        steps = torch.from_numpy(corpus_lines[row])
        assert torch.equal(batch.targets_tb3[:length, column], steps)
        assert torch.equal(batch.inputs_tb3[1:length, column], steps[:-1])
        assert not batch.inputs_tb3[0, column].any()
        assert not batch.inputs_tb3[length:, column].any() and not batch.targets_tb3[length:, column].any()
        characters = int(batch.text_lengths_b[column])
        assert batch.text_bu[column, :characters].tolist() == corpus_lines.codes[row].tolist()
        assert not batch.text_bu[column, characters:].any()
    return batch.lines.tolist()


@given(st.integers(1, 9), st.sampled_from([None, 30, 120]), st.integers(0, 3), st.booleans())
def test_every_line_is_in_one_batch_an_epoch(tmp_path_factory, batch_size, maximum_points, epoch, shuffle):
    folder = tmp_path_factory.getbasetemp() / "batches"
    folder.mkdir(exist_ok=True)
    path = folder / "handwriting.parquet"
    lines = load_handwriting(path if path.exists() else written(folder, drawn_lines())).training
    batches = HandwritingBatches(lines, batch_size, seed=3, shuffle=shuffle, maximum_points=maximum_points)
    whole = [lines_of(batch, lines) for batch in batches.epoch(epoch)]
    assert Counter(row for rows in whole for row in rows) == Counter(range(len(lines)))
    assert len(whole) == batches.batches_per_epoch == len(batches)
    assert batches.sequences_per_epoch == len(lines)
    assert max(map(len, whole)) <= batch_size
    if maximum_points is not None:
        for rows in whole:
            assert len(rows) == 1 or len(rows) * max(lines.lengths[rows]) <= maximum_points
    for start in (0, 1, len(whole) - 1):
        assert [b.lines.tolist() for b in batches.epoch(epoch, start)] == whole[start:]


def test_order_depends_on_seed_and_epoch_only(path):
    lines = load_handwriting(path).training

    def order(seed, epoch):
        return [batch.lines.tolist() for batch in HandwritingBatches(lines, 4, seed=seed).epoch(epoch)]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3) != order(2, 3)


def test_unshuffled_single_lines_come_in_the_order_of_the_set(path):
    lines = load_handwriting(path).validation
    assert [b.lines[0] for b in HandwritingBatches(lines, 1, shuffle=False)] == list(range(len(lines)))

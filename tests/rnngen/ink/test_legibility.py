import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.handwriting_generator.corpus import draw_writers, write_numbered_line
from rnngen.handwriting_generator.glyphs import load_letterforms
from rnngen.ink.legibility import (
    COLUMN,
    FEATURES,
    Reader,
    TranscribedInk,
    character_error_rate,
    columns_of,
    edit_distance,
    thin,
    train_reader,
)

HANDS = draw_writers(load_letterforms(), 4, seed=1, variety=0.3)


def ink(text, number=0):
    line = write_numbered_line(text, HANDS[number % 4], 1, number)
    return TranscribedInk(text, np.stack([line.x, line.y], axis=1).astype(float), line.stroke_len)


def recursive_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return recursive_distance(a[1:], b[1:])
    return 1 + min(recursive_distance(a[1:], b), recursive_distance(a, b[1:]), recursive_distance(a[1:], b[1:]))


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edit_distance(a, b):
    assert edit_distance(a, b) == recursive_distance(a, b)


def test_character_error_rate_counts_over_all_characters():
    assert character_error_rate(["abcd", "xy"], ["abd", "xy"]) == pytest.approx(1 / 6)
    assert character_error_rate(["a"], ["bcd"]) == 3


@given(st.floats(0.01, 100), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_size_and_place_do_not_matter(scale, x, y):
    line = ink("some ink")
    moved = line.points * scale + [x, y]
    np.testing.assert_allclose(columns_of(moved, line.stroke_len), columns_of(line.points, line.stroke_len), atol=2e-3)


def test_order_and_direction_of_strokes_do_not_matter():
    line = ink("it fits")
    strokes = np.split(line.points, np.cumsum(line.stroke_len)[:-1])
    backwards = np.concatenate([stroke[::-1] for stroke in strokes[::-1]])
    np.testing.assert_allclose(
        columns_of(backwards, line.stroke_len[::-1]), columns_of(line.points, line.stroke_len), atol=1e-5
    )


def test_slope_is_taken_out():
    line = ink("a line that climbs")
    climbing = line.points + line.points[:, :1] * [0, -0.05]
    level, tilted = (columns_of(points, line.stroke_len) for points in (line.points, climbing))
    assert np.abs(level[: len(tilted)] - tilted[: len(level)]).mean() < 0.02


def test_columns_follow_the_width_of_the_line():
    short, long = (columns_of(i.points, i.stroke_len) for i in (ink("minimum"), ink("minimum minimum minimum")))
    assert short.shape[1] == FEATURES and 2.5 * len(short) < len(long) < 4 * len(short)


def test_ink_lies_where_it_was_drawn():
    # a flat stroke, then a mast: columns left of the mast hold level ink only
    points = np.array([(0, 0), (50, 0), (50, 0), (50, -40)], float)
    features = columns_of(points, np.array([2, 2])).reshape(-1, 14, 4)
    mast = features[:, :, 2].sum(1).argmax()
    assert mast >= len(features) - 3
    assert features[2 : mast - 3, :, 2].sum() < 0.05 * features[2 : mast - 3, :, 0].sum()


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20),
    st.integers(1, 19),
)
def test_any_points_give_finite_columns(points, cut):
    lengths = [cut, len(points) - cut] if cut < len(points) else [len(points)]
    features = columns_of(np.array(points), np.array(lengths))
    assert np.isfinite(features).all() and len(features) >= 1


def test_ink_without_extent_or_number_is_one_empty_column():
    for points in ([(1, 1)] * 3, [(np.nan, 0), (1, 1), (2, 2)], [(np.inf, 0), (1, 1), (2, 2)]):
        assert columns_of(np.array(points, float), np.array([3])).tolist() == [[0.0] * FEATURES]


def test_thinning_keeps_ends():
    line = TranscribedInk("x", np.arange(22, dtype=float).reshape(11, 2), np.array([7, 1, 3]))
    few = thin(line, 3)
    assert few.stroke_len.tolist() == [3, 1, 2]
    assert (few.points[:, 0] / 2).tolist() == [0, 3, 6, 7, 8, 10]
    assert np.array_equal(thin(line, 1).points, line.points)


def test_the_reader_collapses_repeats_and_blanks():
    reader = Reader("ab", hidden=4)
    path = [0, 1, 1, 0, 1, 2, 2, 0]
    log_p = torch.nn.functional.one_hot(torch.tensor(path), 3).float()[:, None]
    reader.forward = lambda x_fbk: log_p
    line = TranscribedInk("", np.array([(0, 0), (0, 1), (COLUMN * 2, 0)], float), np.array([3]))
    frames = len(columns_of(line.points, line.stroke_len))
    wanted = {1: "", 2: "a", 3: "a", 4: "a", 5: "aa", 6: "aab", 7: "aab", 8: "aab"}[min(frames, 8)]
    assert reader.read([line]) == [wanted]


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    words = ["on", "no", "so", "son", "nos", "sos"]
    return train_reader([ink(words[k % 6], k) for k in range(96)], updates=140, seed=1, batch=16)


def test_a_trained_reader_reads_lines_it_has_not_seen(trained):
    lines = [ink(text, 1000 + k) for k, text in enumerate(["on", "no", "so", "son", "nos", "sos"] * 5)]
    assert character_error_rate([line.text for line in lines], trained.read(lines)) < 0.1


def test_a_line_is_read_alike_whatever_it_is_read_with(trained):
    """Padding of short lines in a batch may change what the last letters look like, but hardly ever the reading."""
    lines = [ink(text, 500 + k) for k, text in enumerate(["on", "sos son no so", "no"])]
    assert trained.read(lines)[1] == trained.read(lines[1:2])[0]


def test_scrambled_ink_is_not_read(trained):
    rng = np.random.default_rng(0)
    lines = [TranscribedInk("son", rng.normal(0, 50, (60, 2)), np.array([60])) for _ in range(20)]
    assert character_error_rate([line.text for line in lines], trained.read(lines)) > 0.5


def test_training_without_lines_is_refused():
    with pytest.raises(InputError, match="no lines to train"):
        train_reader([], 1, 1)

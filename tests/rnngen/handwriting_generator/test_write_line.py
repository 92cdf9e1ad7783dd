from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.handwriting_generator.corpus import draw_writers, write_numbered_line
from rnngen.handwriting_generator.glyphs import load_letterforms
from rnngen.handwriting_generator.hands import draw_writer
from rnngen.handwriting_generator.write_line import _spell, _wander, write_line

ALPHABET = load_letterforms()
HANDS = draw_writers(ALPHABET, 12, seed=3)
TEXTS = ("The quick brown", "fox jumps over", "the lazy dog.", "Anna, 27 (of 64)", "zigzag & quiz?")


def neat(**changes):
    return replace(draw_writer(ALPHABET, np.random.default_rng(0), variety=0.0), **changes)


def test_the_same_numbers_give_the_same_line():
    first, again = (write_numbered_line("some text", HANDS[0], 5, 7) for _ in range(2))
    assert all(np.array_equal(getattr(first, k), getattr(again, k)) for k in ("x", "y", "t", "stroke_len"))
    for other in (write_numbered_line("some text", HANDS[0], 5, 8), write_numbered_line("some text", HANDS[0], 6, 7)):
        assert len(other.x) != len(first.x) or not np.array_equal(other.x, first.x)


def test_a_hand_does_not_depend_on_how_many_there_are():
    few = draw_writers(ALPHABET, 2, seed=3)
    assert few[1].slant == HANDS[1].slant and few[1].joining == HANDS[1].joining


def test_hands_differ_in_form_and_measure():
    assert len({hand.slant for hand in HANDS}) == len(HANDS)
    assert len({id(hand.forms) for hand in HANDS}) == len(HANDS)
    tops = {len(hand.forms["g"][0].strokes[0].points) for hand in draw_writers(ALPHABET, 40, seed=1)}
    assert len(tops) > 1  # both forms of g are in use


def test_no_variety_gives_one_hand():
    one, other = (draw_writer(ALPHABET, np.random.default_rng(k), variety=0.0) for k in (1, 2))
    for character, (glyph,) in one.forms.items():
        for a, b in zip(glyph.strokes, other.forms[character][0].strokes, strict=True):
            np.testing.assert_array_equal(a.points, b.points)
    assert replace(one, forms={}, places={}) == replace(other, forms={}, places={})


@pytest.mark.parametrize("joining", [0.0, 1.0])
def test_joining_can_be_fixed(joining):
    hands = draw_writers(ALPHABET, 5, seed=1, joining=joining)
    assert [hand.joining for hand in hands] == [joining] * 5
    line = write_numbered_line("minimum", hands[0], 1, 0)
    # 7 letters and 2 dots; joined letters share one stroke
    assert len(line.stroke_len) == (9 if joining == 0 else 3)


def test_points_per_character_and_sampling_rate():
    lines = [write_numbered_line(TEXTS[k % 5], HANDS[k % 12], 1, k) for k in range(120)]
    points = sum(len(line.x) for line in lines)
    characters = sum(len(line.text) for line in lines)
    assert 21 < points / characters < 29
    for line in lines:
        steps = np.diff(line.t)
        within = np.ones(len(steps), bool)
        within[np.cumsum(line.stroke_len)[:-1] - 1] = False
        assert (steps[within] == 1).all()  # a hundredth of a second
        assert (steps[~within] >= 8).all()  # a lift takes time


def test_speed_falls_with_curvature_by_the_two_thirds_law():
    """log v = const - b log curvature with b near 1/3, measured on the recorded points as on anyone's handwriting."""
    log_k, log_v = [], []
    for k in range(120):
        line = write_numbered_line(TEXTS[k % 5], HANDS[k % 12], 2, k)
        for n, end in zip(line.stroke_len, np.cumsum(line.stroke_len), strict=True):
            if n < 15:
                continue
            smooth = np.array([1, 2, 3, 2, 1]) / 9
            x, y = (np.convolve(a[end - n : end], smooth, "valid") for a in (line.x, line.y))
            dx, dy = np.gradient(x), np.gradient(y)
            speed = np.hypot(dx, dy)
            curvature = np.abs(dx * np.gradient(dy) - dy * np.gradient(dx)) / (speed**3 + 1e-9)
            kept = (speed > 1) & (curvature > 1e-3)
            kept[:3] = kept[-3:] = False
            log_k += np.log(curvature[kept]).tolist()
            log_v += np.log(speed[kept]).tolist()
    exponent = -np.polyfit(log_k, log_v, 1)[0]
    assert 0.22 < exponent < 0.40
    assert np.corrcoef(log_k, log_v)[0, 1] < -0.6


def test_dots_and_crosses_wait_for_the_end_of_the_word():
    patient = write_line("tin it", neat(joining=0.0, delays=1.0), np.random.default_rng(1))
    assert patient.stroke_char.tolist() == [0, 1, 2, 0, 1, 4, 5, 4, 5]
    hasty = write_line("tin it", neat(joining=0.0, delays=0.0), np.random.default_rng(1))
    assert hasty.stroke_char.tolist() == [0, 0, 1, 1, 2, 4, 4, 5, 5]


def test_a_delayed_dot_goes_back():
    line = write_line("in", neat(joining=0.0, delays=1.0), np.random.default_rng(1))
    ends = np.cumsum(line.stroke_len)
    dot = line.x[ends[1] :]
    assert dot.max() < line.x[ends[0] : ends[1]].min()  # left of all of n, written after it
    assert line.y[ends[1] :].max() < line.y[: ends[1]].min()  # and above


def test_letters_advance_and_words_stand_apart():
    line = write_line("nn nn", neat(joining=0.0, delays=0.0), np.random.default_rng(0))
    strokes = np.split(line.x, np.cumsum(line.stroke_len)[:-1])
    assert len(strokes) == 4
    gaps = [b.min() - a.max() for a, b in pairwise(strokes)]
    assert gaps[0] > 0 and gaps[2] > 0 and gaps[1] > 2 * max(gaps[0], gaps[2])


@pytest.mark.parametrize("character", [c for c in ALPHABET.characters if c != " "])
def test_every_character_is_written_alone(character):
    for hand in HANDS[:4]:
        line = write_line(character, hand, np.random.default_rng(0))
        assert line.stroke_char.tolist() == [0] * len(line.stroke_len)
        height = int(line.y.max() - line.y.min())
        assert height > 0 if character in "-=._" else height > 2 * hand.size


@settings(max_examples=60)
@given(st.text(alphabet=ALPHABET.characters, min_size=1, max_size=30).filter(str.strip), st.integers(0, 11))
def test_any_text_of_the_alphabet_is_written_whole(text, hand):
    line = write_line(text, HANDS[hand], np.random.default_rng(0))
    assert line.text == text
    assert line.stroke_len.sum() == len(line.x) == len(line.y) == len(line.t)
    assert len(line.stroke_char) == len(line.stroke_len) and (line.stroke_len >= 2).all()
    assert line.t[0] == 0 and (np.diff(line.t) >= 1).all()
    assert line.x.min() == 0 and line.y.min() == 0
    assert all(text[owner] != " " for owner in line.stroke_char)


@given(st.text(max_size=10))
def test_any_other_text_is_refused_by_name(text):
    missing = set(text) - set(ALPHABET.characters)
    if not missing and text.strip():
        write_line(text, HANDS[0], np.random.default_rng(0))
        return
    with pytest.raises(InputError) as error:
        write_line(text, HANDS[0], np.random.default_rng(0))
    assert all(repr(character) in str(error.value) for character in missing)


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        ("start", "nana nan", [0, 5]),
        ("end", "nana nan", [7]),
        ("doubled", "nanna nn", [3, 7]),
        ("after high", "onn wn n", [1, 5]),
    ],
)
def test_the_second_form_of_a_letter_stands_in_its_place(place, text, expected):
    usual, second = ALPHABET.glyphs["n"][:2]
    hand = neat()
    hand = replace(hand, forms=hand.forms | {"n": (usual, second)}, places=hand.places | {"n": place})
    luck = np.full((len(text), 2), 0.5)
    assert [at for at, form in filter(None, _spell(text, hand, luck)) if form is second] == expected


def test_a_ligature_takes_the_place_of_its_letters():
    tt = next(form for form in ALPHABET.glyphs["tt"] if form.hand == "print")
    hand = neat(joining=0.0, delays=0.0)
    apart = write_line("atta", hand, np.random.default_rng(0))
    assert apart.stroke_char.tolist() == [0, 1, 1, 2, 2, 3]
    hand = replace(hand, forms=hand.forms | {"tt": (tt,)}, places=hand.places | {"tt": "end"})
    luck = np.full((4, 2), 0.5)
    assert [at for at, _ in _spell("atta", hand, luck)] == [0, 1, 3]
    luck[1, 0] = 0.99  # now and then a hand writes the letters apart
    assert [at for at, _ in _spell("atta", hand, luck)] == [0, 1, 2, 3]


def test_marks_on_the_way_back_come_last_first():
    there = write_line("tin", neat(joining=0.0, delays=1.0, returns=0.0), np.random.default_rng(1))
    back = write_line("tin", neat(joining=0.0, delays=1.0, returns=1.0), np.random.default_rng(1))
    assert there.stroke_char.tolist() == [0, 1, 2, 0, 1]
    assert back.stroke_char.tolist() == [0, 1, 2, 1, 0]


def test_slips_run_on_along_a_word():
    text = "minimum minimum minimum"
    deviations = np.array([_wander(np.random.default_rng(k), text) for k in range(3000)])
    assert abs(deviations.std() - 1) < 0.03 and abs(deviations.mean()) < 0.03
    correlation = np.corrcoef(deviations.T)
    assert correlation[1, 2] > 0.5 and correlation[0, 6] > 0.3  # within a word
    assert abs(correlation[6, 8]) < 0.1  # between words


def test_lines_climb_and_fall_by_hand_and_by_line():
    rises = []
    for hand in HANDS:
        for k in range(4):
            line = write_numbered_line("minimum minimum minimum", hand, 1, k)
            rises.append(-np.polyfit(line.x, line.y, 1)[0])
    assert min(rises) < -0.005 and max(rises) > 0.005 and np.abs(rises).max() < 0.12


def test_an_uneven_clock_misses_ticks_within_strokes_only():
    even = write_line("some text", HANDS[0], np.random.default_rng(1))
    uneven = write_line("some text", HANDS[0], np.random.default_rng(1), uneven_clock=True)
    assert 0.6 < len(uneven.t) / len(even.t) < 0.8
    assert len(uneven.stroke_len) == len(even.stroke_len) and uneven.stroke_len.sum() == len(uneven.t)
    assert set(uneven.t) < set(even.t)
    ends, all_ends = np.cumsum(uneven.stroke_len), np.cumsum(even.stroke_len)
    np.testing.assert_array_equal(uneven.t[ends - 1], even.t[all_ends - 1])
    np.testing.assert_array_equal(uneven.t[ends - uneven.stroke_len], even.t[all_ends - even.stroke_len])

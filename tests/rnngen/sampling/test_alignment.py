"""Lines that skip, repeat or never end, told by windows made for it."""

import numpy as np
import pytest

from rnngen.sampling.alignment import check_alignment
from rnngen.sampling.lines import SampledLine


def line_of(stays, before=0, stopped="rule", seen=None):
    """A line whose window stays on each character for so many steps; the first `before` of them are a prime's.

    `seen` is the greatest share of each character; what it lacks its neighbour has.
    """
    characters = len(stays)
    rows = []
    for u, stay in enumerate(stays):
        row = np.full(characters + 1, 1e-6)
        share = 1.0 if seen is None else seen[u]
        row[u], row[u + 1] = share, row[u + 1] + 1 - share
        rows += [0.4 * row] * stay
    past = np.full(characters + 1, 1e-6)
    past[-1] = 1
    prime_steps = sum(stays[:before])
    offsets = np.zeros((len(rows), 3), np.float32)
    phi = np.array([*rows, past], np.float32)
    return SampledLine(offsets, prime_steps, stopped, len(rows), phi, np.zeros((len(phi), 1)), None)


@pytest.mark.parametrize("before", [0, 3])
def test_a_whole_line(before):
    line = line_of([4] * before + [9, 8, 3, 10, 12, 7], before)
    assert check_alignment(line, "an old").fault is None


@pytest.mark.parametrize(
    ("stays", "seen", "fault"),
    [
        ([9, 9, 9, 0, 9, 9], None, "'o', character 4, seems to be missing"),
        ([9, 9, 9, 9, 9, 9], [1, 0.7, 1, 1, 1, 1], "'n', character 2, seems to be missing"),
        ([9, 9, 9, 9, 9, 9], [1, 0.9, 1, 0.95, 1, 1], "some letters may be malformed, above all 'n', character 2"),
        ([9, 9, 9, 9, 9, 9], [1, 0.95, 1, 1, 1, 1], None),  # a single letter that is a little unclear
        ([9, 9, 9, 9, 9, 9], [1, 0.8, 1, 1, 1, 1], None),  # or more than a little
        ([9, 60, 3, 9, 9, 9], None, "'n', character 2, seems to be repeated"),
        ([9, 9, 9, 9, 9, 60], None, None),  # the pen may rest at the end
        ([9, 9, 60, 9, 9, 9], None, None),  # and between words
        ([9, 9, 0, 9, 9, 9], [1, 1, 0.1, 1, 1, 1], None),  # a blank need not be seen
        ([9, 9, 9, 9, 9, 9], [0.8] * 6, None),  # a window that is wide everywhere
    ],
)
def test_what_the_window_tells(stays, seen, fault):
    assert check_alignment(line_of(stays, seen=seen), "an old").fault == fault
    primed = line_of([0, 1, 30, *stays], 3, seen=seen and [1, 1, 1, *seen])
    assert check_alignment(primed, "an old").fault == fault


def test_a_line_that_has_no_end_is_the_worst_but_for_an_empty_one():
    cut = check_alignment(line_of([9, 9, 9], stopped="cap"), "abc")
    assert cut.fault == "it did not end within 27 points"
    empty = check_alignment(line_of([5, 0, 0], before=1), "bc")
    assert empty.fault == "nothing was written"
    skipped = check_alignment(line_of([9, 0, 9]), "abc")
    whole = check_alignment(line_of([9, 9, 9]), "abc")
    assert whole.rank > skipped.rank > cut.rank > empty.rank


def test_a_single_letter():
    assert check_alignment(line_of([40]), "a").fault is None


def test_signs_are_not_judged_beside_letters():
    seen = [1, 1, 1, 0.3, 0.4, 0.3]
    assert check_alignment(line_of([9, 9, 9, 1, 1, 1], seen=seen), "abc...").fault is None
    assert "seems to be missing" in check_alignment(line_of([9, 9, 9, 1, 1, 1], seen=seen), "abcdef").fault
    assert check_alignment(line_of([9, 9], seen=[1, 1]), "?!").fault is None

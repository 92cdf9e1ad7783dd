import numpy as np
import pytest

from rnngen.errors import InputError
from rnngen.handwriting_generator.corpus import draw_writers, write_numbered_line
from rnngen.handwriting_generator.glyphs import load_letterforms
from rnngen.ink.discriminator import PIECE, accuracy, pieces_of, train_discriminator
from rnngen.ink.legibility import TranscribedInk

TEXTS = ("the quick brown fox jumps", "over the lazy dog today", "pack my box with jugs")


def lines(seed, shaky=0.0, count=24):
    hands = draw_writers(load_letterforms(), 8, seed)
    rng = np.random.default_rng(seed)
    written = [write_numbered_line(TEXTS[k % 3], hands[k % 8], seed, k) for k in range(count)]
    return [
        TranscribedInk(
            line.text, np.stack([line.x, line.y], 1) + rng.normal(0, shaky, (len(line.x), 2)), line.stroke_len
        )
        for line in written
    ]


def test_two_kinds_are_told_apart_and_one_kind_is_not():
    steady, others, shaky, more = (
        pieces_of(lines(seed, amount)) for seed, amount in ((1, 0), (2, 0), (3, 12.0), (4, 12.0))
    )
    network = train_discriminator(steady, shaky, updates=40, seed=1)
    assert accuracy(network, others, more, seed=1, pieces=200) > 0.9
    assert 0.4 < accuracy(network, others, steady, seed=1, pieces=400) < 0.6


def test_the_seed_decides():
    steady, shaky = pieces_of(lines(1)), pieces_of(lines(3, 12.0))
    once, again = (train_discriminator(steady, shaky, updates=3, seed=5, batch=8) for _ in range(2))
    assert all(
        np.array_equal(a.detach(), b.detach()) for a, b in zip(once.parameters(), again.parameters(), strict=True)
    )


def test_short_lines_have_no_piece():
    word = write_numbered_line("in", draw_writers(load_letterforms(), 1, 1)[0], 1, 1)
    assert pieces_of([TranscribedInk("in", np.stack([word.x, word.y], 1).astype(float), word.stroke_len)]) == []
    assert all(len(columns) >= PIECE for columns in pieces_of(lines(1)))
    with pytest.raises(InputError, match="0 and 24 lines are long enough"):
        train_discriminator([], pieces_of(lines(1)), updates=1, seed=1)

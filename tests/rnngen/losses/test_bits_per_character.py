import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngen.losses.bits_per_character import (
    bits,
    bits_per_character_from_words,
    perplexity_from_characters,
    perplexity_of_words,
)


def test_a_nat_is_the_reciprocal_of_ln_2_bits():
    assert bits(math.log(8)) == pytest.approx(3, abs=1e-15)


@pytest.mark.parametrize(
    ("bpc", "perplexity"),
    [(1.32, 167), (1.29, 148), (1.27, 140), (1.24, 124), (1.26, 133), (1.25, 126), (1.23, 117)],
)
def test_the_papers_rows_agree_with_its_own_conversion_to_their_rounding(bpc, perplexity):
    """Table 1: each printed pair lies within what rounding BPC to two digits allows."""
    low, high = (perplexity_from_characters(bpc + d) for d in (-0.005, 0.005))
    assert low - 0.5 <= perplexity <= high + 0.5


@given(st.floats(0.1, 12), st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_exact_conversion_keeps_the_total_number_of_bits(bits_per_word, words, characters):
    ratio = characters / words
    bpc = bits_per_character_from_words(bits_per_word, ratio)
    assert bpc * characters == pytest.approx(bits_per_word * words, rel=1e-12)
    if ratio * bpc < 1000:
        assert perplexity_from_characters(bpc, ratio) == pytest.approx(perplexity_of_words(bits_per_word), rel=1e-9)

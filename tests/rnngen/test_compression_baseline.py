import numpy as np
import pytest

from rnngen.compression_baseline import bits_per_character, compressed_sizes


def test_test_data_that_repeats_the_training_data_costs_next_to_nothing():
    text = bytes(np.random.default_rng(0).integers(97, 123, 20_000, dtype=np.uint8))
    again = bits_per_character(text, text, len(text))
    fresh = bits_per_character(b"", text, len(text))
    assert again["xz"] < 0.1
    for name, bits in fresh.items():
        assert np.log2(26) < bits < 5.5, name


def test_the_sizes_are_what_the_formats_unpack():
    import bz2
    import lzma

    data = b"the cat sat on the mat " * 50
    sizes = compressed_sizes(data)
    assert sizes["bzip2"] == len(bz2.compress(data, 9))
    assert sizes["xz"] == len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    assert 0 < sizes["ppmd"] < len(data)


def test_characters_are_what_the_bits_are_shared_out_over():
    one = bits_per_character(b"abc" * 100, b"abcab" * 40, 200)
    two = bits_per_character(b"abc" * 100, b"abcab" * 40, 400)
    for name in one:
        assert one[name] == pytest.approx(2 * two[name])

import numpy as np
import pyppmd
import pytest

from rnngen.losses.compressors import bits_per_character, bytes_added


def random_letters(seed: int, size: int) -> bytes:
    return bytes(np.random.default_rng(seed).integers(97, 123, size, dtype=np.uint8))


def test_test_data_that_repeats_the_training_data_costs_next_to_nothing():
    text = random_letters(0, 20_000)
    again = bits_per_character(text, text, len(text))
    fresh = bits_per_character(b"", text, len(text))
    assert again["zstd"] < 0.1
    for name, bits in fresh.items():
        assert np.log2(26) < bits < 5.5, name
        assert again[name] < bits, name


def test_the_beginning_of_long_training_data_is_remembered():
    """What bzip2 forgets after its block of 900 kB, and zstd -19 without a window of that size after 8 MiB."""
    text = random_letters(1, 20_000)
    long = text + bytes(10_000_000)
    assert bits_per_character(long, text, len(text))["zstd"] < 0.2


def test_ppmd_reads_both_in_one_stream():
    training, test = b"the cat sat on the mat " * 300, b"the dog sat on the log " * 20
    options = {"max_order": 6, "mem_size": 1 << 30, "variant": "I"}
    longer = len(pyppmd.compress(training + test, **options)) - len(pyppmd.compress(training, **options))
    assert bytes_added(training, test)["ppmd"] == pytest.approx(longer, abs=8)


def test_characters_are_what_the_bits_are_shared_out_over():
    one = bits_per_character(b"abc" * 100, b"abcab" * 40, 200)
    two = bits_per_character(b"abc" * 100, b"abcab" * 40, 400)
    for name in one:
        assert one[name] == pytest.approx(2 * two[name])

"""Philox4x32-10 against the known answers published with it (Random123), and as a stream."""

import numpy as np
import pytest

from rnngen.sampling.philox import philox4x32, uniforms

KNOWN = [
    ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter, key, answer):
    assert philox4x32(np.array([counter]), key).tolist() == [answer]


def test_a_longer_stream_begins_with_the_shorter_one():
    assert (uniforms(7, 50)[:20] == uniforms(7, 20)).all()


def test_seeds_differ_also_in_their_upper_word():
    draws = [uniforms(seed, 4).tobytes() for seed in (0, 1, 2**32, 2**63)]
    assert len(set(draws)) == 4


def test_uniform_moments():
    u = uniforms(3, 50_000)
    assert u.dtype == np.float32 and u.min() >= 0 and u.max() < 1
    u = u.astype(float)
    assert np.abs(u.mean(0) - 0.5).max() < 5 * np.sqrt(1 / 12 / 50_000)
    assert np.abs(np.corrcoef(u.T) - np.eye(4)).max() < 0.02


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range(seed):
    with pytest.raises(ValueError, match="seed must be between"):
        uniforms(seed, 1)

"""Philox4x32-10: random numbers that are a function of (seed, step) and of nothing else.

J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011). A counter-based generator
gives every line of handwriting its own stream: step t of seed s draws the same four numbers whatever else is in the
batch, whichever back end runs it, and in a browser too.
"""

import numpy as np

_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(counters: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Ten rounds over counters (n, 4) of 32-bit words with the key's two 32-bit words; returns (n, 4) uint32."""
    c0, c1, c2, c3 = counters.astype(np.uint64).T
    k0, k1 = (np.uint64(word) for word in key)
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> _HALF) ^ c1 ^ k0,
            product1 & _LOW,
            (product0 >> _HALF) ^ c3 ^ k1,
            product0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def uniforms(seed: int, steps: int) -> np.ndarray:
    """(steps, 4) float32 uniform on [0, 1): the four words of counter t = 0 … steps − 1 under the key `seed`.

    Multiples of 2⁻²⁴, which every floating-point type holds exactly, so none rounds up to 1.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be between 0 and 2^64 − 1, not {seed}")
    counters = np.zeros((steps, 4), np.uint64)
    counters[:, 0] = np.arange(steps)
    words = philox4x32(counters, (seed & 0xFFFFFFFF, seed >> 32))
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)

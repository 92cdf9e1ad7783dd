"""What general compressors need for the same test data: a yardstick for bits per character (§3 quotes PAQ-8, zip).

A compressor reads the training data, then the test data, in one stream; its figure is what the test data add. That is
the cost of the test data to a model that has read the training data once, which is what is asked of a network trained
on it. Both compressors remember all they have read: bzip2 forgets at the end of every block of 900 kB, and is not among
them for that reason.
"""

import sys

import pyppmd

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_LEVEL = 19
ZSTD_WINDOW_LOGS = 10, 31  # what the format allows; 2 GiB is more than any corpus of the paper
PPM_ORDER = 6
PPM_MEMORY = 1 << 30  # bytes; 4 MB of text take less than 64 MB
PPM_CUTS_OFF = 1  # when the memory is full, the model drops its rarest contexts; the other rule is to start afresh


def bytes_added(training: bytes, test: bytes) -> dict[str, int]:
    """Bytes that `test` adds to the compressed `training`: zstd -19 whose window holds both, PPMd (I) of order 6."""
    smallest, largest = ZSTD_WINDOW_LOGS
    window_log = min(max((len(training) + len(test)).bit_length(), smallest), largest)
    parameter = zstd.CompressionParameter
    lz = zstd.ZstdCompressor(
        options={
            parameter.compression_level: ZSTD_LEVEL,
            parameter.window_log: window_log,
            parameter.enable_long_distance_matching: 1,
        }
    )
    lz.compress(training, lz.FLUSH_BLOCK)
    ppm = pyppmd.Ppmd8Encoder(PPM_ORDER, PPM_MEMORY, PPM_CUTS_OFF)
    ppm.encode(training)
    return {
        "zstd": len(lz.compress(test, lz.FLUSH_FRAME)),
        "ppmd": len(ppm.encode(test)) + len(ppm.flush()),  # its arithmetic coder is at most a few bytes late
    }


def bits_per_character(training: bytes, test: bytes, characters: int) -> dict[str, float]:
    """Bits per character of `test` after `training`; `characters` is the number of predicted symbols in `test`."""
    return {name: 8 * size / characters for name, size in bytes_added(training, test).items()}

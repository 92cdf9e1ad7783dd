"""What general compressors need for the same test data: a yardstick for bits per character (§3 quotes PAQ-8, zip).

A compressor is given the training data first: its figure is size(training + test) − size(training), the cost of the
test data to a model that has read the training data once, which is what a network trained on it is asked for.
"""

import bz2
import lzma

import pyppmd

PPM_ORDER = 6
PPM_MEMORY = 256 << 20


def compressed_sizes(data: bytes) -> dict[str, int]:
    """Bytes that `data` takes: bzip2 -9, xz -9e (dictionary larger than the data), PPMd of order 6."""
    return {
        "bzip2": len(bz2.compress(data, 9)),
        "xz": len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)),
        "ppmd": len(pyppmd.compress(data, max_order=PPM_ORDER, mem_size=PPM_MEMORY, variant="I")),
    }


def bits_per_character(training: bytes, test: bytes, characters: int) -> dict[str, float]:
    """Bits per character of `test` after `training`; `characters` is the number of predicted symbols in `test`."""
    before = compressed_sizes(training)
    after = compressed_sizes(training + test)
    return {name: 8 * (after[name] - before[name]) / characters for name in before}

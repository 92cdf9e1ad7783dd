"""What was freed goes back to the system."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rnngen.freed_memory import give_back_freed_memory


def resident() -> int:
    """Pages of this process in memory, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_is_no_longer_resident():
    pieces = [np.ones(4_000) for _ in range(3_000)]  # too small to be mapped one by one: 96 MB of the heap
    last = np.ones(4_000)  # keeps the heap from shrinking by itself
    del pieces
    before = resident()
    give_back_freed_memory()
    assert before - resident() > 60e6
    assert last.sum() == 4_000


def test_what_is_in_use_stays():
    array = pa.array(range(100_000))
    give_back_freed_memory()
    assert array[99_999].as_py() == 99_999

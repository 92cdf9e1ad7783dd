"""What was freed goes back to the system."""

import platform
import subprocess
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the thresholds are glibc's")
def test_large_buffers_go_back_when_they_are_freed():
    # in a process of its own, for the thresholds cannot be set back
    program = (
        "import numpy as np; from pathlib import Path; from rnngen.freed_memory import keep_large_buffers_apart\n"
        "resident = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "keep_large_buffers_apart()\n"
        "larger = np.ones(3_000_000)\n"
        "del larger  # after which glibc by itself would take less than 24 MB from the heap\n"
        "large, above = np.ones(2_000_000), np.ones(4_000)\n"
        "before = resident()\n"
        "del large\n"
        "print(before - resident())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(run.stdout) > 15e6

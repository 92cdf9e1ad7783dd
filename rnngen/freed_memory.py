"""Memory that was freed, but that allocators keep."""

import ctypes
import sys

import pyarrow as pa


def give_back_freed_memory() -> None:
    """Return to the system what Arrow's pool and the C library keep after corpora, minibatches and so on were freed.

    What is needed again costs page faults, so once in a hundred updates is often enough.
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
        if trim is not None:
            trim(0)

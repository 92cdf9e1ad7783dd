"""Memory that was freed, but that allocators keep."""

import ctypes
import sys
from typing import Any

import pyarrow as pa

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""


def keep_large_buffers_apart() -> None:
    """Have the C library return every large buffer to the system when it is freed.

    By itself it comes to take buffers of up to 32 MB from its heap, where sizes that never come back leave gaps. What
    is as small as a layer's weights stays in the heap, and so does free memory at its end: fresh memory costs page
    faults, a tenth of the time of an update.
    """
    mallopt = _find_in_libc("mallopt")
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**22)
        mallopt(M_TRIM_THRESHOLD, 2**24)


def give_back_freed_memory() -> None:
    """Return to the system what Arrow's pool and the C library keep after corpora, minibatches and so on were freed.

    What is needed again costs page faults, so once in a hundred updates is often enough.
    """
    pa.default_memory_pool().release_unused()
    trim = _find_in_libc("malloc_trim")
    if trim is not None:
        trim(0)


def _find_in_libc(name: str) -> Any:
    """A function of glibc's; None elsewhere."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None

"""C files of this library, compiled on first use by the machine's own compiler and kept in the user's cache folder."""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from rnngen.artifacts import write_whole

log = logging.getLogger(__name__)

# No -ffast-math: linked in, it makes the whole process flush denormals, and it lets a clamp swallow a NaN. Nor its part
# -fassociative-math, which undoes an expm1 written out; sums that may be reordered say so (omp simd reduction).
FLAGS = (
    *("-O3", "-march=native", "-std=gnu11", "-shared", "-fPIC"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fopenmp-simd"),
)
WIDE = "-mprefer-vector-width=512"


@functools.cache
def library(source: Path) -> ctypes.CDLL | None:
    """The C file `source` as a loaded library, or None, with one line in the log, where it cannot be compiled.

    The result is kept under $XDG_CACHE_HOME/rnngen (~/.cache/rnngen), named by source, compiler, flags and processor,
    and moved into place whole, so two processes may compile at once. $CC names another compiler. It runs in a session
    of its own: Ctrl-C, which a terminal sends to a whole group, must not stop the compiler and so lead to a slower path
    that rounds differently.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        log.warning("%s: no C compiler found; the slower path is used (CC names one)", source.name)
        return None
    flags = (*FLAGS, *([WIDE] if platform.machine() in ("x86_64", "AMD64") else []))
    try:
        version = subprocess.run(
            [compiler, "--version"], capture_output=True, check=True, start_new_session=True
        ).stdout
        key = hashlib.sha256(b"\0".join([source.read_bytes(), version, *map(str.encode, flags), _processor()]))
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnngen"
        shared = folder / f"{source.stem}-{key.hexdigest()[:20]}.so"
        if not shared.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory() as unfinished, write_whole(shared) as partial:
                built = Path(unfinished) / shared.name
                command = [compiler, *flags, str(source), "-o", str(built), "-lm"]
                subprocess.run(command, capture_output=True, check=True, start_new_session=True)
                shutil.copyfile(built, partial)
        return ctypes.CDLL(str(shared))
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").splitlines()
        reason = next((line for line in said if "error" in line), str(error))
    except OSError as error:
        reason = str(error)
    log.warning("%s could not be compiled; the slower path is used: %s", source.name, reason)
    return None


def _processor() -> bytes:
    """What -march=native depends on."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_bytes().splitlines()
        return b"\n".join(sorted({line for line in lines if line.startswith((b"model name", b"flags", b"Features"))}))
    return f"{platform.machine()} {platform.processor()}".encode()

"""Files that appear whole or not at all, that one process writes at a time, and that say where they came from."""

import fcntl
import functools
import hashlib
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from rnngen.errors import InputError

RECORDED_PACKAGES = ("torch", "numpy", "pandas", "pyarrow", "lxml", "snakemake", "safetensors")


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and move it into place, on any failure remove it.

    Readers never see a half-written artifact, and a full disk or Ctrl-C leaves the previous one untouched. What a
    killed process left in the folder is removed first. A link stays a link: the file it names is written. Raises
    InputError where a file cannot take the place of what is there: a folder, a device such as /dev/stdout, a pipe.
    """
    named, path = Path(path), Path(os.path.realpath(path))
    if named.exists() and not path.is_file():
        kind = "a folder" if named.is_dir() else "a device or a pipe, not a file"
        raise InputError(f"{named} is {kind}; give the name of a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    lock = None
    try:
        lock = take_lock(partial)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno is not None and str(error.filename) in ("None", str(partial)):
            error.filename = str(named)  # the caller's name, not the temporary file's; a full disk gives no name
        raise
    finally:
        if lock is not None:
            partial.unlink(missing_ok=True)
            os.close(lock)


def take_lock(path: Path) -> int | None:
    """Create `path` if need be and lock it. Returns the open file, to be closed by the caller; None if locked.

    The system releases the lock when its process dies, however it dies.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = path.stat()
        except (BlockingIOError, FileNotFoundError) as error:
            os.close(file)
            if isinstance(error, BlockingIOError):
                return None
            continue  # removed by the process that had it until now
        except OSError:
            os.close(file)
            raise
        if os.path.samestat(there, os.fstat(file)):
            return file
        os.close(file)


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove the partial files of dead processes from a folder: those that nobody has locked. Once per process."""
    for partial in folder.glob(".*.partial"):
        # those of other users are left alone
        if os.access(partial, os.R_OK | os.W_OK) and (lock := take_lock(partial)) is not None:
            partial.unlink(missing_ok=True)
            os.close(lock)


def _sync_folder(folder: Path) -> None:
    """Make the renaming of a file survive a power cut."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sha256(path: str | Path) -> str:
    """Checksum of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN and infinities are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with write_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_result(path: str | Path, value: dict[str, Any], about: dict[str, Any]) -> None:
    """Write a result as JSON, and `about`, its `provenance`, in two parts.

    Settings and seed go into the result. What differs between two equal runs, such as times and machine, goes into
    `run_file(path)`, which is written first. So equal runs give equal results, as sha256sum shows.
    """
    decisive = {key: about[key] for key in ("settings", "seed")}
    write_json(run_file(path), {key: item for key, item in about.items() if key not in decisive})
    write_json(path, value | {"provenance": decisive})


def read_json_object(path: str | Path, what: str) -> dict[str, Any]:
    """The JSON object in a file, as by `parse_json`; InputError for anything else, which says `what` it should be."""
    try:
        found = parse_json(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}; make it again") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: not {what}; make it again")
    return found


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. ValueError for what is none, and for numbers that no float holds."""
    return json.loads(text, parse_constant=_refuse, parse_int=_read_integer, parse_float=_read_float)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _read_integer(digits: str) -> int:
    _read_float(digits)
    return int(digits)


def _read_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]}… is too large for a float")
    return value


def run_file(path: str | Path) -> Path:
    """Where the times and the machine of a result are: run.json of a model, NAME.run.json of NAME.json."""
    path = Path(path)
    return path.with_name("run.json") if path.name == "config.json" else path.with_suffix(".run.json")


def commit() -> str | None:
    """The commit the code runs from, with `+changes` when the tree differs from it; None outside a checkout."""
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here)]
    try:
        # in a session of its own: Ctrl-C must not make it fail and the commit unknown
        options: dict[str, Any] = {"capture_output": True, "text": True, "check": True, "start_new_session": True}
        revision = subprocess.run([*git, "rev-parse", "HEAD"], **options)
        changes = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], **options)
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision.stdout.strip() + ("+changes" if changes.stdout.strip() else "")


def provenance(settings: Any, seed: int | None = None, device: str = "cpu", wall_seconds: float | None = None) -> dict:
    """What is needed to obtain an artifact again: settings, seed, commit, versions, device, time."""
    return {
        "settings": settings,
        "seed": seed,
        "command": " ".join(sys.orig_argv[1:]),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: installed_version(name) for name in RECORDED_PACKAGES},
        "device": device,
        "machine": machine(),
        "wall_seconds": wall_seconds,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def installed_version(package: str) -> str | None:
    """The version of a package; None where it is not installed (a training alone needs no workflow engine)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def machine() -> str:
    """Processor name and number of usable cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"

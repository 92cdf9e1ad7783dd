"""The one file inside a 7z archive, block by block, through py7zr (the optional dependency `rnngen[sevenzip]`)."""

import lzma
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from rnngen.errors import InputError

BLOCK = 1 << 20


def member_blocks(path: Path, choose: Callable[[list[str]], str]) -> Iterator[bytes]:
    """Blocks of the member that `choose` picks among the names of the archive. Nothing is written to disk.

    Raises InputError where py7zr is missing or the archive is damaged, encrypted, or followed by something else.
    """
    try:
        import py7zr
        from py7zr.exceptions import ArchiveError
        from py7zr.io import Py7zIO, WriterFactory
    except ImportError as error:
        raise InputError(
            f"{path}: a 7z archive needs py7zr: pip install 'rnngen[sevenzip]', or unpack it first"
        ) from error
    require_nothing_after(path)

    class Sink(Py7zIO, WriterFactory):
        """py7zr pushes what it decodes: into a pipe, which waits for the reader and fails where there is none."""

        def __init__(self, pipe: BinaryIO):
            self.pipe = pipe
            self.written = 0

        def create(self, filename: str) -> Py7zIO:
            return self

        def write(self, data: bytes | bytearray) -> int:
            self.written += len(data)
            return self.pipe.write(data)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return self.written

        def flush(self) -> None: ...

        def size(self) -> int:
            return self.written

    failures: list[BaseException] = []
    read_end, write_end = os.pipe()

    def decode() -> None:
        try:
            with os.fdopen(write_end, "wb") as pipe, py7zr.SevenZipFile(path) as archive:
                if archive.needs_password():
                    raise InputError(f"{path}: the archive is encrypted; unpack it first")
                member = choose([info.filename for info in archive.list() if not info.is_directory])
                archive.extract(targets=[member], factory=Sink(pipe))
        except BaseException as error:  # noqa: BLE001 - handed over to the reading thread, which raises it
            failures.append(error)

    thread = threading.Thread(target=decode, name="7z", daemon=True)
    thread.start()
    try:
        with os.fdopen(read_end, "rb") as blocks:
            while block := blocks.read(BLOCK):
                yield block
    finally:
        thread.join()
    for failure in failures:
        damage = (ArchiveError, OSError, EOFError, ValueError, lzma.LZMAError, zlib.error)
        if isinstance(failure, damage) or type(failure).__module__.startswith("py7zr"):
            raise InputError(
                f"{path}: damaged 7z archive ({failure or type(failure).__name__}); download it again"
            ) from failure
        raise failure


def require_nothing_after(path: Path) -> None:
    """Raise InputError where an archive is not all of its file: py7zr reads the first of several that were joined."""
    with path.open("rb") as file:
        start = file.read(32)
        if len(start) < 32:
            raise InputError(f"{path}: damaged 7z archive (cut off in its header); download it again")
        offset, size = struct.unpack("<QQ", start[12:28])
        end = 32 + offset + size
        if end < path.stat().st_size:
            file.seek(end)
            if file.read().strip(b"\0"):
                raise InputError(
                    f"{path}: something follows the 7z archive at byte {end:,}: was another joined to it? Unpack them"
                )

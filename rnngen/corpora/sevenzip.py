"""The one file inside a 7z archive, block by block, through py7zr (the optional dependency `rnngen[sevenzip]`)."""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rnngen.errors import InputError

QUEUED_BLOCKS = 16  # py7zr pushes blocks of about 32 kB to 1 MB; the queue keeps memory constant


def member_blocks(path: Path, choose: Callable[[list[str]], str]) -> Iterator[bytes]:
    """Blocks of the member that `choose` picks among the names of the archive. Nothing is written to disk.

    Raises InputError where py7zr is missing or the archive is damaged or encrypted.
    """
    try:
        import py7zr
        from py7zr.exceptions import ArchiveError
        from py7zr.io import Py7zIO, WriterFactory
    except ImportError as error:
        raise InputError(
            f"{path}: a 7z archive needs py7zr: pip install 'rnngen[sevenzip]', or unpack it first"
        ) from error

    blocks: queue.Queue[bytes | BaseException | None] = queue.Queue(QUEUED_BLOCKS)
    abandoned = threading.Event()

    class Sink(Py7zIO):
        """Takes what py7zr decodes and puts it into the queue."""

        written = 0

        def write(self, data: bytes | bytearray) -> int:
            while not abandoned.is_set():
                try:
                    blocks.put(bytes(data), timeout=0.1)
                except queue.Full:
                    continue
                self.written += len(data)
                return len(data)
            raise BrokenPipeError("the reader has stopped")

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return self.written

        def flush(self) -> None: ...

        def size(self) -> int:
            return self.written

    class Sinks(WriterFactory):
        def create(self, filename: str) -> Py7zIO:
            return Sink()

    def decode() -> None:
        result: BaseException | None = None
        try:
            with py7zr.SevenZipFile(path) as archive:
                if archive.needs_password():
                    raise InputError(f"{path}: the archive is encrypted; unpack it first")
                member = choose([info.filename for info in archive.list() if not info.is_directory])
                archive.extract(targets=[member], factory=Sinks())
        except BaseException as error:  # noqa: BLE001 - handed over to the reading thread, which raises it
            result = error
        while not abandoned.is_set():
            try:
                blocks.put(result, timeout=0.1)
                return
            except queue.Full:
                continue

    thread = threading.Thread(target=decode, name="7z", daemon=True)
    thread.start()
    try:
        while isinstance(block := blocks.get(), bytes):
            yield block
    finally:
        abandoned.set()
        thread.join()
    if isinstance(block, InputError):
        raise block
    if block is not None:
        damage = (ArchiveError, OSError, EOFError, ValueError)
        if isinstance(block, damage) or type(block).__module__.startswith(("_lzma", "lzma", "py7zr", "zlib")):
            raise InputError(
                f"{path}: damaged 7z archive ({block or type(block).__name__}); download it again"
            ) from block
        raise block

"""Compressed files as a sequence of blocks, with nothing lost silently.

The usual readers (`bz2.open`, `bzip2 -d`, parallel ones too) take a damaged or missing header of a later stream for the
end of the data: half the file, no error. Here every stream must reach its end, and what follows it must be another
stream, zero padding, or the end of the file.
"""

import bz2
import lzma
import mmap
import re
import sys
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

from rnngen.errors import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 1 << 20  # bytes that a decoder hands out at a time
ZSTD_WINDOW_LOG = 31  # `zstd --long=31` writes the longest window there is


class Decoder(Protocol):
    """Decodes one stream: the interface of `bz2.BZ2Decompressor`."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class GzipDecoder:
    """One member of a gzip file, with the interface of `bz2.BZ2Decompressor`; zlib checks its CRC and length."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max(max_length, 0))

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data


# name: beginning of a stream, decoder of one stream, what the decoder raises on damage
CODECS: dict[str, tuple[re.Pattern[bytes], Callable[[], Decoder], type[Exception]]] = {
    "bz2": (re.compile(rb"BZh[1-9]"), bz2.BZ2Decompressor, OSError),
    "gzip": (re.compile(rb"\x1f\x8b\x08"), GzipDecoder, zlib.error),
    "xz": (re.compile(rb"\xfd7zXZ\x00"), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), lzma.LZMAError),
    "zstd": (
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}),
        zstd.ZstdError,
    ),
}
SEVENZIP = b"7z\xbc\xaf\x27\x1c"
ZIP = b"PK\x03\x04"
LONGEST_MAGIC = 8
BZ2_STREAM = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")  # with its first block, or empty
GROUP_BYTES = 1 << 19  # compressed bytes that a thread decodes at a time
GROUP_LIMIT = 256 << 20  # decoded bytes of a group; a bomb is decoded piece by piece instead


def format_of(beginning: bytes) -> str:
    """How a file that begins with these bytes is compressed: by its magic number, never by its name."""
    for name, (magic, _, _) in CODECS.items():
        if magic.match(beginning):
            return name
    if beginning.startswith(SEVENZIP):
        return "7z"
    if beginning.startswith(ZIP):
        return "zip"
    return "plain"


class CompressedFile:
    """The decompressed content of a file, block by block.

    path              the file; a pipe will do, except for zip and 7z
    allow_truncated   where the file is cut off in the middle of a stream: hand out what there is and say so in
                      `truncated` instead of raising

    After the blocks are consumed, `streams` is the number of compressed streams, `warnings` what was odd yet harmless,
    `truncated` why the data ends early (None where it does not), `position` how many bytes of the file were read.
    Raises InputError with the byte offset for whatever is damaged.
    """

    def __init__(self, path: str | Path, *, allow_truncated: bool = False, workers: int = 1):
        self.path = Path(path)
        self.allow_truncated = allow_truncated
        self.workers = workers
        self.format = "plain"
        self.streams = 0
        self.position = 0
        self.truncated: str | None = None
        self.warnings: list[str] = []

    def blocks(self) -> Iterator[bytes]:
        """Blocks of at most a few MB, in order. Empty files are refused."""
        with self.path.open("rb", buffering=0) as file:
            beginning = self._read(file, LONGEST_MAGIC, whole=True)
            if not beginning:
                raise InputError(f"{self.path}: the file is empty; download it again")
            self.format = format_of(beginning)
            if self.format == "bz2" and self.workers > 1 and self.path.is_file():
                yield from self._parallel_streams(file, beginning)
            elif self.format in CODECS:
                yield from self._streams(file, beginning)
            elif self.format == "7z":
                yield from self._sevenzip()
            elif self.format == "zip":
                yield from self._zip()
            else:
                while beginning:
                    yield beginning
                    beginning = self._read(file)

    def _read(self, file: BinaryIO, size: int = BLOCK, whole: bool = False) -> bytes:
        data = file.read(size)
        while whole and 0 < len(data) < size:  # a pipe may give less than was asked for
            more = file.read(size - len(data))
            if not more:
                break
            data += more
        self.position += len(data)
        return data

    def _streams(self, file: BinaryIO, data: bytes) -> Iterator[bytes]:
        magic, new_decoder, damage = CODECS[self.format]
        while True:
            if len(data) < LONGEST_MAGIC:
                data += self._read(file, LONGEST_MAGIC - len(data), whole=True)
            start = self.position - len(data)
            if not data:
                return
            if not magic.match(data):
                self._end_of_streams(file, data, start)
                return
            decoder = new_decoder()
            self.streams += 1
            while not decoder.eof:
                if decoder.needs_input and not data:
                    data = self._read(file)
                    if not data:
                        self._cut_off(
                            f"{self.format} stream that begins at byte {start:,} is cut off at byte "
                            f"{self.position:,}, the end of the file"
                        )
                        return
                try:
                    block = decoder.decompress(data, BLOCK)
                except damage as error:
                    raise InputError(
                        f"{self.path}: damaged {self.format} stream that begins at byte {start:,}, before byte "
                        f"{self.position:,} ({error}); download the file again and compare its checksum"
                    ) from error
                data = b""
                if block:
                    yield block
            data = decoder.unused_data

    def _parallel_streams(self, file: BinaryIO, beginning: bytes) -> Iterator[bytes]:
        """Streams of a multistream bzip2 file, decoded by several threads (the decoder holds no lock).

        Where streams begin is known from their magic number only, which could also stand inside a stream, and a damaged
        stream may not show at all. So a group counts only if its streams end exactly where the next group begins; from
        the first one that does not, the rest of the file is read one stream after the other, which finds the reason.
        """
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ThreadPoolExecutor(self.workers, "bzip2") as threads,
        ):
            groups = bz2_groups(content)
            waiting: deque[tuple[int, Future]] = deque()
            start = 0
            try:
                while True:
                    while len(waiting) < 2 * self.workers and (group := next(groups, None)) is not None:
                        waiting.append((group[0], threads.submit(decode_bz2_streams, content, *group)))
                    if not waiting:
                        return
                    start, future = waiting.popleft()
                    decoded = future.result()
                    if decoded is None:
                        break
                    self.streams += len(decoded)
                    self.position = waiting[0][0] if waiting else len(content)
                    yield from decoded
            finally:
                for _, future in waiting:
                    future.cancel()
        file.seek(start)
        self.position = start
        yield from self._streams(file, b"")

    def _end_of_streams(self, file: BinaryIO, data: bytes, start: int) -> None:
        """What follows the last stream: zero padding is harmless, a header that is none may hide half the file."""
        while data:
            if junk := data.lstrip(b"\0"):
                at = start + len(data) - len(junk)
                if magic_cut_off(self.format, junk) and not self._read(file, 1):
                    self._cut_off(f"{self.format} stream that begins at byte {at:,} is cut off in its first bytes")
                    return
                raise InputError(
                    f"{self.path}: {junk[:8]!r} at byte {at:,}, after {self.streams} whole {self.format} streams, is "
                    f"no {self.format} stream: a damaged stream header or something appended; what follows cannot be "
                    f"read, download the file again"
                )
            start += len(data)
            data = self._read(file)
        self.warnings.append("zero padding after the last compressed stream")

    def _cut_off(self, what: str) -> None:
        if not self.allow_truncated:
            raise InputError(
                f"{self.path}: {what}; the download is incomplete, resume it (or --allow-truncated keeps what there is)"
            )
        self.truncated = what

    def _zip(self) -> Iterator[bytes]:
        """The one file inside a zip archive; its CRC is checked."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                member = self._only([info.filename for info in archive.infolist() if not info.is_dir()])
                with archive.open(member) as content:
                    self.streams = 1
                    while block := content.read(BLOCK):
                        yield block
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"{self.path}: damaged or unreadable zip archive ({error}); download it again") from error
        self.position = self.path.stat().st_size

    def _sevenzip(self) -> Iterator[bytes]:
        from rnngen.corpora.sevenzip import member_blocks  # py7zr is an optional dependency

        self.streams = 1
        yield from member_blocks(self.path, self._only)
        self.position = self.path.stat().st_size

    def _only(self, members: list[str]) -> str:
        if len(members) != 1:
            raise InputError(
                f"{self.path}: the archive holds {len(members)} files ({', '.join(members[:5])}); unpack it and "
                f"name the dumps among them"
            )
        return members[0]


def bz2_groups(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Beginnings and ends of groups of whole bzip2 streams, a little longer than GROUP_BYTES, by their magic number."""
    start = 0
    while start < len(content):
        following = BZ2_STREAM.search(content, start + GROUP_BYTES)
        end = following.start() if following else len(content)
        yield start, end
        start = end


def decode_bz2_streams(content: mmap.mmap, start: int, end: int) -> list[bytes] | None:
    """The decoded streams that make up [start, end) exactly; None where they do not, or give far too much."""
    blocks = []
    data = content[start:end]
    size = 0
    while data:
        decoder = bz2.BZ2Decompressor()
        try:
            block = decoder.decompress(data, GROUP_LIMIT - size)
        except OSError:
            return None
        size += len(block)
        if not decoder.eof or size >= GROUP_LIMIT:
            return None
        blocks.append(block)
        data = decoder.unused_data
    return blocks


def magic_cut_off(name: str, data: bytes) -> bool:
    """Whether `data` could be the first bytes of a stream whose magic number is cut off by the end of the file."""
    magics = {"bz2": b"BZh9", "gzip": b"\x1f\x8b\x08", "xz": b"\xfd7zXZ\0", "zstd": b"\x28\xb5\x2f\xfd"}
    return len(data) < len(magics[name]) and magics[name].startswith(data)

"""Compressed files as a sequence of blocks, with nothing lost silently.

The usual readers (`bz2.open`, `bzip2 -d`, parallel ones too) take a damaged or missing header of a later stream for the
end of the data: half the file, no error. Here every stream must reach its end, and what follows it must be another
stream, zero padding, or the end of the file. Of an archive (tar under any compression, zip, 7z) the one file is read,
or the one XML among others; two archives joined, of which the usual readers read one, are refused.
"""

import bz2
import io
import lzma
import mmap
import re
import struct
import sys
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, Self

from rnngen.errors import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 1 << 20  # bytes that a decoder hands out at a time
ZSTD_WINDOW_LOG = 31  # `zstd --long=31` writes the longest window there is


class DamagedFile(InputError):
    """A file that cannot be read to its end: `reason` without the file's name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


class Decoder(Protocol):
    """Decodes one stream: the interface of `bz2.BZ2Decompressor`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

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
    stream            what to read in its place, from its beginning; not for zip and 7z
    allow_truncated   where the file is cut off in the middle of a stream: hand out what there is and say so in
                      `truncated` instead of raising

    After the blocks are consumed, `streams` is the number of compressed streams, `warnings` what was odd yet harmless,
    `truncated` why the data ends early (None where it does not), `position` how many bytes of the file were read.
    Raises InputError with the byte offset for whatever is damaged.
    """

    def __init__(
        self,
        path: str | Path,
        stream: BinaryIO | None = None,
        *,
        allow_truncated: bool = False,
        workers: int = 1,
    ):
        self.path = Path(path)
        self.stream = stream
        self.allow_truncated = allow_truncated
        self.workers = workers
        self.format = "plain"
        self.streams = 0
        self.position = 0
        self.truncated: str | None = None
        self.warnings: list[str] = []

    def blocks(self) -> Iterator[bytes]:
        """Blocks of at most a few MB, in order; of an archive, those of the one file in it. Empty files are refused."""
        blocks, beginning = self.decode(), b""
        for block in blocks:
            beginning += block
            if len(beginning) >= tarfile.BLOCKSIZE:
                break
        blocks = chain([beginning], blocks)
        if begins_tar(beginning):
            yield from self._tar(blocks)
            self.format = f"tar.{self.format}".removesuffix(".plain")
        else:
            yield from blocks

    def decode(self) -> Iterator[bytes]:
        """Blocks of the file, decompressed, in order; a tar archive as it is."""
        with self.stream or self.path.open("rb", buffering=0) as file:
            beginning = self._read(file, LONGEST_MAGIC, whole=True)
            if not beginning:
                raise DamagedFile(self.path, "the file is empty; download it again")
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
                        self._report_cut_off(
                            f"{self.format} stream that begins at byte {start:,} is cut off at byte "
                            f"{self.position:,}, the end of the file"
                        )
                        return
                try:
                    block = decoder.decompress(data, BLOCK)
                except damage as error:
                    raise DamagedFile(
                        self.path,
                        f"damaged {self.format} stream that begins at byte {start:,}, before byte "
                        f"{self.position:,} ({error}); download the file again and compare its checksum",
                    ) from error
                data = b""
                if block:
                    yield block
            data = decoder.unused_data

    def _parallel_streams(self, file: BinaryIO, beginning: bytes) -> Iterator[bytes]:
        """Streams of a multistream bzip2 file, decoded by several threads (the decoder releases Python's lock).

        Where streams begin is known from their magic number only, which could also occur inside a stream, and a damaged
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
        """What follows the last stream: zero padding is harmless, a damaged header may hide half the file."""
        while data:
            if junk := data.lstrip(b"\0"):
                at = start + len(data) - len(junk)
                if magic_cut_off(self.format, junk) and not self._read(file, 1):
                    self._report_cut_off(
                        f"{self.format} stream that begins at byte {at:,} is cut off in its first bytes"
                    )
                    return
                raise DamagedFile(
                    self.path,
                    f"{junk[:8]!r} at byte {at:,}, after {self.streams} whole {self.format} streams, is "
                    f"not a {self.format} stream: a damaged stream header or something appended; what follows cannot "
                    f"be read, download the file again",
                )
            start += len(data)
            data = self._read(file)
        self.warnings.append("zero padding after the last compressed stream")

    def _report_cut_off(self, what: str) -> None:
        if not self.allow_truncated:
            raise DamagedFile(
                self.path, f"{what}; the download is incomplete, resume it (or `allow_truncated` keeps what there is)"
            )
        self.truncated = what

    def _zip(self) -> Iterator[bytes]:
        """The one file inside a zip archive; its CRC is checked."""
        try:
            with self.path.open("rb") as file, open_zip(file) as archive:
                member = self._only([info.filename for info in archive.infolist() if not info.is_dir()])
                with archive.open(member) as content:
                    self.streams = 1
                    while block := content.read(BLOCK):
                        yield block
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
            raise DamagedFile(self.path, f"damaged or unreadable zip archive ({error}); download it again") from error
        self.position = self.path.stat().st_size

    def _sevenzip(self) -> Iterator[bytes]:
        from rnngen.corpora.sevenzip import member_blocks  # py7zr is an optional dependency

        self.streams = 1
        yield from member_blocks(self.path, self._only)
        self.position = self.path.stat().st_size

    def _tar(self, blocks: Iterator[bytes], name: str | None = None) -> Iterator[bytes]:
        """The member `name` of a tar archive, or its one XML; only the archive's end shows that there is no other."""
        names, read = [], None
        try:
            for info, file in tar_members(blocks):
                if file is None or is_hidden(info.name):
                    continue
                names.append(info.name)
                if read is None and (info.name == name if name else is_xml(info.name)):
                    read, left = info.name, info.size
                    while block := file.read(min(BLOCK, left)):
                        left -= len(block)
                        yield block
                    if left:
                        raise tarfile.ReadError(f"{info.name} is cut off")
        except tarfile.TarError as error:
            raise DamagedFile(self.path, f"damaged tar archive ({error}); download it again") from error
        only = self._only(names)
        if read is None:
            yield from self._tar(self.decode(), only)

    def _only(self, members: list[str]) -> str:
        """The one file among the members of an archive, or the one XML."""
        visible = [member for member in members if not is_hidden(member)]
        chosen = visible if len(visible) == 1 else list(filter(is_xml, visible))
        if len(chosen) != 1:
            raise InputError(
                f"{self.path}: the archive holds {len(visible)} files ({', '.join(visible[:5])}) and no single XML; "
                f"unpack it and name the dumps among them"
            )
        if others := [member for member in visible if member != chosen[0]]:
            self.warnings.append(f"only {chosen[0]} was read of the archive; beside it are {', '.join(others[:5])}")
        return chosen[0]


def is_hidden(name: str) -> bool:
    """Whether a file in an archive was added by its makers' system, not by them: `__MACOSX/`, `.DS_Store`, `._x`."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)


def is_xml(name: str) -> bool:
    return name.lower().endswith(".xml")


class ForwardFile:
    """Blocks as a file that is read forwards only, as tarfile does."""

    def __init__(self, blocks: Iterator[bytes]):
        self.blocks = blocks
        self.block, self.start = memoryview(b""), 0
        self.position = 0

    def read(self, size: int) -> bytes:
        parts = []
        while size > 0:
            if self.start == len(self.block):
                self.block, self.start = memoryview(next(self.blocks, b"")), 0
                if not self.block:
                    break
            parts.append(bytes(self.block[self.start : self.start + size]))
            size -= len(parts[-1])
            self.start += len(parts[-1])
            self.position += len(parts[-1])
        return b"".join(parts)

    def seek(self, position: int) -> None:
        if position < self.position:
            raise tarfile.ReadError("its members are out of order")
        while self.position < position and self.read(min(BLOCK, position - self.position)):
            pass

    def tell(self) -> int:
        return self.position


class TarHeader(tarfile.TarInfo):
    """Notes on its archive whether the end-of-archive mark was seen: tarfile itself ends silently on garbage."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # typeshed lacks it
            tar.ended = True  # type: ignore[attr-defined]  # our own mark
            raise


def begins_tar(beginning: bytes) -> bool:
    """Whether the first 512 bytes are the header of a tar archive's member, which has a checksum."""
    try:
        tarfile.TarInfo.frombuf(beginning[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def tar_members(blocks: Iterator[bytes]) -> Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]:
    """The members of an uncompressed tar archive, folders left out, in one forward pass: a file that is read before the
    next one is asked for, None for a link or a device.

    Raises tarfile.TarError for damage, also for an archive without its end, or with anything but zeros after it.
    """
    file = ForwardFile(blocks)
    with tarfile.open(fileobj=file, mode="r:", tarinfo=TarHeader) as tar:  # type: ignore[call-overload]  # read, seek, tell do
        for info in tar:
            tar.members.clear()
            if not info.isdir():
                yield info, tar.extractfile(info) if info.isreg() else None
        if not getattr(tar, "ended", False):
            raise tarfile.ReadError("it ends without an end-of-archive mark")
        at = file.position
        while block := file.read(BLOCK):
            if rest := block.lstrip(b"\0"):
                at = file.position - len(rest)
                raise tarfile.ReadError(f"something follows its end at byte {at:,}: another archive was joined to it")


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """A zip archive that is all of the file: zipfile reads the last of several that were joined.

    Raises zipfile.BadZipFile.
    """
    archive = zipfile.ZipFile(file)
    first = min((info.header_offset for info in archive.infolist()), default=archive.start_dir)
    file.seek(0, io.SEEK_END)
    end = file.seek(max(0, file.tell() - (1 << 16) - 22))
    tail = file.read()
    mark = tail.rfind(b"PK\x05\x06")
    number, comment = struct.unpack("<H8xH", tail[mark + 10 : mark + 22])
    if first != 0 or mark + 22 + comment != len(tail):
        at = 0 if first else end + mark + 22 + comment
        raise zipfile.BadZipFile(
            f"something else at byte {at:,}, before or after it: was another archive joined to it?"
        )
    if number not in (len(archive.infolist()), 0xFFFF):
        raise zipfile.BadZipFile(f"its directory has {len(archive.infolist())} files instead of {number}")
    return archive


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

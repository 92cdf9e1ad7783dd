"""Files wherever people keep them: unpacked, in a tar or zip archive, in an archive within an archive.

Archives are read as streams, one forward pass; nothing is ever written to disk, so a hostile member cannot reach it.
"""

import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from rnngen.corpora.decompression import SEVENZIP, CompressedFile, DamagedFile, is_hidden, open_zip, tar_members
from rnngen.errors import InputError

MEMBER_LIMIT = 32 << 20
"""Bytes of the largest wanted member; the largest real one has 1.5 MB."""
MEMBERS_LIMIT = 200_000
"""Members of the largest archive; the largest real one has under 20,000."""
ARCHIVE_LIMIT = 1 << 30
"""Bytes of the largest archive within an archive."""

ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
PICTURES = ("lineImages", "original-tif", "formImages")
"""Beginnings of names of IAM-OnDB's archives of rendered lines, which take minutes to read and hold no data."""


@dataclass
class Refusals:
    """What was refused and why: the first one stops the run, or each is recorded."""

    keep_going: bool = False
    remedy: str = "; `keep_going` skips and records it"
    """What ends the message; empty where a command has no such option."""
    items: list[dict[str, str]] = field(default_factory=list)
    other_files: int = 0
    """Files that are neither wanted nor archives."""
    other_examples: list[str] = field(default_factory=list)

    def note_other(self, where: str) -> None:
        """Count a file nobody asked for; the first few are named."""
        self.other_files += 1
        if len(self.other_examples) < 10:
            self.other_examples.append(where)

    def refuse(self, where: str, why: str) -> None:
        """Record `where` and `why`, or raise InputError with both."""
        if not self.keep_going:
            raise InputError(f"{where}: {why}{self.remedy}")
        self.items.append({"where": where, "why": why})


@dataclass(frozen=True)
class Member:
    """A file found."""

    name: str
    """Its name without folders."""
    where: str
    """Its path, and within an archive `archive: member`; for messages."""
    path: PurePosixPath
    """Its path within its archive, or its whole path."""
    source: str
    """The archive on disk that holds it, or the folder that was searched."""
    data: bytes


def members(path: Path, wanted: Callable[[str], bool], refusals: Refusals) -> Iterator[Member]:
    """Every file below `path` whose name `wanted` accepts, in a fixed order; `path` is a folder, a file or an archive.

    Folders are walked in sorted order, links to folders followed once. An archive is opened if `wanted` does not take
    it itself. Hidden files (`._x`, `.DS_Store`, `__MACOSX/`) are skipped. A member that is a link or a device, leads
    out of its archive by its name or is over MEMBER_LIMIT is refused; a damaged archive is refused at that point.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    for file in _files(path):
        if wanted(file.name):
            if file.stat().st_size > MEMBER_LIMIT:
                refusals.refuse(str(file), f"{file.stat().st_size} bytes, more than any such file has")
                continue
            yield Member(file.name, str(file), PurePosixPath(file.as_posix()), str(path), file.read_bytes())
        elif is_archive(file.name):
            with file.open("rb") as stream:
                yield from _archive(stream, str(file), str(file), wanted, refusals, depth=0)
        else:
            refusals.note_other(str(file))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    seen = set()
    for root, folders, names in os.walk(path, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = sorted(f for f in folders if not is_hidden(f)) if real not in seen else []
        if real not in seen:
            yield from (
                Path(root, name) for name in sorted(names) if not is_hidden(name) and Path(root, name).is_file()
            )
        seen.add(real)


def is_archive(name: str) -> bool:
    """Whether a file is opened as an archive: by its suffix, unless it is known to hold nothing but pictures."""
    return name.lower().endswith(ARCHIVE_SUFFIXES) and not name.startswith(PICTURES)


def _archive(
    stream: BinaryIO, where: str, source: str, wanted: Callable[[str], bool], refusals: Refusals, depth: int
) -> Iterator[Member]:
    """The wanted members of an archive, and of the archives in it (twice at most)."""
    head = stream.read(512)
    stream.seek(0)
    walk = _zip if head.startswith(b"PK") else _tar
    if head.lstrip()[:1] == b"<":
        refusals.refuse(where, "a web page, not an archive; the download failed, fetch it again")
        return
    if head.startswith(SEVENZIP):
        refusals.refuse(where, "a 7z archive; unpack it yourself")
        return
    count = 0
    try:
        for name, size, problem, read in walk(stream):
            count += 1
            path = PurePosixPath(name.replace("\\", "/"))
            if is_hidden(name):
                continue
            member = f"{where}: {name}"
            nested = depth < 2 and is_archive(path.name)
            if count > MEMBERS_LIMIT:
                refusals.refuse(where, f"more than {MEMBERS_LIMIT} members")
                return
            if problem is None and (path.is_absolute() or ".." in path.parts):
                problem = "its name leads out of the archive"
            if problem is None and (wanted(path.name) or nested):
                limit = MEMBER_LIMIT if wanted(path.name) else ARCHIVE_LIMIT
                problem = f"{size} bytes, more than any such file has" if size > limit else None
            if problem is not None:
                refusals.refuse(member, problem)
            elif wanted(path.name):
                yield Member(path.name, member, path, source, read())
            elif nested:
                yield from _archive(io.BytesIO(read()), member, source, wanted, refusals, depth + 1)
            else:
                refusals.note_other(member)
    except (DamagedFile, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        reason = " ".join(getattr(error, "reason", str(error)).split())[:160]
        refusals.refuse(where, f"incomplete or damaged archive, after {count} members ({reason}); download it again")


Entry = tuple[str, int, str | None, Callable[[], bytes]]
"""Name, size, what is wrong with it, and how to read it."""


def _tar(stream: BinaryIO) -> Iterator[Entry]:
    """The files of a tar archive under any compression, in one forward pass."""
    for info, file in tar_members(CompressedFile("", stream).decode()):
        if file is None:
            yield info.name, info.size, "a link or a device, not a file", lambda: b""
        else:
            yield info.name, info.size, None, partial(_tar_bytes, info, file)


def _tar_bytes(info: tarfile.TarInfo, file: BinaryIO) -> bytes:
    data = file.read()
    if len(data) != info.size:
        raise tarfile.ReadError(f"{info.name} is cut off")
    return data


def _zip(stream: BinaryIO) -> Iterator[Entry]:
    """The files of a zip archive in the order of its directory."""
    with open_zip(stream) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            problem = None
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                problem = "a link or a device, not a file"
            elif info.flag_bits & 1:
                problem = "encrypted; unpack it yourself"
            elif info.compress_type not in ZIP_METHODS:
                problem = f"compressed by method {info.compress_type}; unpack it yourself"
            yield info.filename, info.file_size, problem, partial(archive.read, info)

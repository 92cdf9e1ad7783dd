"""Parquet files that notice damage: every page has its checksum, and the whole file has one too.

Parquet's own checksums leave out the page headers and the footer, which holds types, sizes and places of all columns.
So the SHA-256 of the file (of all bytes but the checksum itself) is kept in a gap before the footer, which readers
skip. A file like ours that has something else there has been damaged.
"""

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from rnngen.artifacts import write_whole
from rnngen.errors import InputError
from rnngen.parquet_footer import end_of_pages, join_footers

MAGIC = b"PAR1"
MARK = b"rnngen sha256 "
SEAL = len(MARK) + 32


@contextmanager
def parquet_writer(path: str | Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Yield a writer of a file that appears whole or not at all; `options` of `pyarrow.parquet.ParquetWriter`."""
    with write_whole(path) as partial:
        with pq.ParquetWriter(partial, schema, write_page_checksum=True, **options) as writer:
            yield writer
        seal(partial)


def seal(path: Path) -> None:
    """Write the SHA-256 of a Parquet file into it."""
    with path.open("r+b") as file:
        start = footer_start(file)
        digest = hashlib.sha256()
        file.seek(0)
        add_bytes(digest, file, os.fstat(file.fileno()).st_size)
        file.seek(start)
        footer = file.read()
        file.seek(start)
        file.write(MARK + digest.digest() + footer)


def join_files(paths: Sequence[Path], output: Path, about: dict[str, str]) -> None:
    """A file whose row groups are those of several files, one after the other, copied as they are.

    The bytes are those that one `parquet_writer` would write, in row groups that end where the files do. `about` is the
    key-value metadata. Raises InputError for files that cannot be joined.
    """
    footers = []
    with output.open("wb") as whole:
        whole.write(MAGIC)
        for path in paths:
            with path.open("rb") as file:
                start = footer_start(file)
                file.seek(start)
                footers.append((file.read()[: -len(MAGIC) - 4], whole.tell() - len(MAGIC)))
                file.seek(max(0, start - SEAL))
                end = start - SEAL if file.read(len(MARK)) == MARK else start
                file.seek(len(MAGIC))
                while file.tell() < end:
                    whole.write(file.read(min(1 << 20, end - file.tell())))
        footer = join_footers(footers, about)
        whole.write(footer + struct.pack("<I", len(footer)) + MAGIC)
    seal(output)


def open_parquet(path: str | Path, columns: Mapping[str, pa.DataType | None], what: str) -> pq.ParquetFile:
    """The file at `path`, if it is undamaged and has these columns; its pages are checked when they are read.

    columns   type by name; None for any type
    what      what the file should be and how it is made, for messages

    A file written by another program needs no checksum. Raises InputError.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected: {what}")
    try:
        whole = is_whole(path)
        file = pq.ParquetFile(path, page_checksum_verification=True)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = first_line(error)
        raise InputError(f"{path}: not a Parquet file, or damaged ({reason}); expected: {what}") from error
    if not whole:
        raise InputError(f"{path}: damaged, its SHA-256 differs from the one in it; make it again: {what}")
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; expected: {what}")
    for name, type_ in columns.items():
        found = schema.field(name).type
        if type_ is not None and not is_like(found, type_):
            raise InputError(f"{path}: column {name} is {found}, not {type_}; expected: {what}")
    return file


def is_like(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two types have the same layout in memory; the names of list elements do not matter."""
    if pa.types.is_list(one) and pa.types.is_list(other):
        return one.value_type == other.value_type
    return one == other


@contextmanager
def refuse_damage(path: str | Path) -> Iterator[None]:
    """Around reads from an open file: a damaged page becomes an InputError that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged ({first_line(error)}); make it again") from error


def read_parquet(path: str | Path, columns: Mapping[str, pa.DataType | None], what: str) -> pa.Table:
    """These columns of the file at `path` as a table; checks and errors of `open_parquet`."""
    with open_parquet(path, columns, what) as file, refuse_damage(path):
        return file.read(list(columns))


def is_whole(path: Path) -> bool:
    """Whether the file matches the SHA-256 kept in it, if there is one. Raises ValueError if it is not Parquet."""
    with path.open("rb") as file:
        start = footer_start(file)
        file.seek(max(0, start - SEAL))
        seal, footer = file.read(min(start, SEAL)), file.read()
        if not seal.startswith(MARK):
            end = end_of_pages(footer)
            return end is None or end >= start  # beyond it: a footer alone, of pages in other files
        digest = hashlib.sha256()
        file.seek(0)
        add_bytes(digest, file, start - SEAL)
        digest.update(footer)
        return digest.digest() == seal[len(MARK) :]


def footer_start(file: BinaryIO) -> int:
    """Where the footer begins: its length and Parquet's magic number are the last eight bytes of a file."""
    size = file.seek(0, os.SEEK_END)
    if size < 12:
        raise ValueError(f"{size} bytes")
    file.seek(size - 8)
    length, magic = struct.unpack("<I4s", file.read(8))
    if magic != MAGIC or length > size - 12:
        raise ValueError("it does not end like one")
    return size - 8 - length


def add_bytes(digest: Any, file: BinaryIO, size: int) -> None:
    """Update `digest` with the next `size` bytes of `file`."""
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)

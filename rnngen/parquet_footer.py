"""The footer of a Parquet file, rewritten so that row groups can move to another file without being read.

The footer is a `FileMetaData` of parquet.thrift in Thrift's compact protocol. Only fields that hold places in the file
are known here; everything else is copied as it is, whatever it means.
"""

from io import BytesIO
from typing import Any

from rnngen.errors import InputError

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, _, _, STRUCT = range(1, 13)
WIDTHS = {BYTE: 1, DOUBLE: 8}
Struct = dict[int, tuple[int, Any]]
"""Number of a field → (its type, its value), in the order of the file."""

# fields of FileMetaData
ROWS, ROW_GROUPS, KEY_VALUES = 3, 4, 5
# of RowGroup
COLUMNS, GROUP_PLACE, ORDINAL = 1, 5, 7
# of ColumnChunk: its own place, then those of indexes behind all row groups, which are not moved
CHUNK_PLACE, CHUNK = 2, 3
CHUNK_INDEXES = (4, 6)
# of ColumnMetaData: its pages, and a filter that stands elsewhere
SIZE, PAGES = 7, (9, 10, 11)
FILTER = 14
FIRST = 4
"""Where the first page of a file begins: behind Parquet's magic number."""


def join_footers(footers: list[tuple[bytes, int]], about: dict[str, str]) -> bytes:
    """The footer of a file in which the row groups of several files follow one another.

    footers   each file's footer, and by how many bytes its row groups move
    about     the key-value metadata of the whole

    Raises InputError where the files differ in anything but their row groups and metadata.
    """
    groups: list[Struct] = []
    rows = 0
    first: Struct | None = None
    for footer, shift in footers:
        found = read_struct(BytesIO(footer))
        rows += found[ROWS][1]
        for group in found[ROW_GROUPS][1][1]:
            groups.append(move(group, shift, len(groups)))
        rest = {key: value for key, value in found.items() if key not in (ROWS, ROW_GROUPS, KEY_VALUES)}
        if first is None:
            first, of_all = found, rest
        elif rest != of_all:
            raise InputError("Parquet files with different columns, or of different programs; make all of them again")
    if first is None:
        raise InputError("no Parquet files to join")
    pairs = [{1: (BINARY, key.encode()), 2: (BINARY, value.encode())} for key, value in about.items()]
    first |= {ROWS: (I64, rows), ROW_GROUPS: (LIST, (STRUCT, groups)), KEY_VALUES: (LIST, (STRUCT, pairs))}
    out = bytearray()
    write_struct(out, dict(sorted(first.items())))
    return bytes(out)


def end_of_pages(footer: bytes) -> int | None:
    """Where the last page of a file ends, if the footer follows it: in files of Arrow 18 and later without indexes.

    Other programs, and Arrow before 18, keep something between the two; None for them and for what cannot be read.
    """
    try:
        found = read_struct(BytesIO(footer))
        columns = [column for group in found[ROW_GROUPS][1][1] for column in group[COLUMNS][1][1]]
        if any(_has_index(column) or column[CHUNK_PLACE][1] != 0 for column in columns):
            return None
        chunks = [column[CHUNK][1] for column in columns]
        begins = [
            min((chunk[page][1] for page in PAGES if page in chunk and chunk[page][1]), default=0) for chunk in chunks
        ]
        return max([FIRST, *(begin + chunk[SIZE][1] for begin, chunk in zip(begins, chunks, strict=True))])
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, InputError):
        return None


def _has_index(column: Struct) -> bool:
    """Whether a column has page indexes or a Bloom filter, which stand behind the pages."""
    return FILTER in column[CHUNK][1] or any(field in column for field in CHUNK_INDEXES)


def move(group: Struct, shift: int, number: int) -> Struct:
    """A row group `shift` bytes further on, as the one with this number."""

    def further(struct: Struct, *fields: int) -> None:
        for field in fields:
            if field in struct and struct[field][1] > 0:  # 0 means none
                struct[field] = (I64, struct[field][1] + shift)

    further(group, GROUP_PLACE)
    if ORDINAL in group:
        group[ORDINAL] = (I16, number)
    for column in group[COLUMNS][1][1]:
        chunk = column[CHUNK][1]
        if _has_index(column):
            raise InputError("a Parquet file with page indexes or Bloom filters; write it without")
        further(column, CHUNK_PLACE)
        further(chunk, *PAGES)
    return group


def read_struct(data: BytesIO) -> Struct:
    """The fields of a struct, up to the byte that ends it."""
    found: Struct = {}
    number = 0
    while (head := data.read(1)[0]) != 0:
        number = number + (head >> 4) if head >> 4 else signed(read_number(data))
        found[number] = (head & 15, read_value(data, head & 15))
    return found


def read_value(data: BytesIO, kind: int) -> Any:
    """A value of a type; of a list (type of its values, values); of a double its bytes. InputError for a map."""
    if kind in (TRUE, FALSE):  # the type says which
        return None
    if kind in (I16, I32, I64):
        return signed(read_number(data))
    if kind in WIDTHS:
        return data.read(WIDTHS[kind])
    if kind == BINARY:
        return data.read(read_number(data))
    if kind == STRUCT:
        return read_struct(data)
    if kind == LIST:
        head = data.read(1)[0]
        size = head >> 4 if head >> 4 < 15 else read_number(data)
        of = head & 15
        return of, [data.read(1) if of in (TRUE, FALSE) else read_value(data, of) for _ in range(size)]
    raise InputError(f"a Parquet footer with a value of type {kind}, which Parquet does not use")


def write_struct(out: bytearray, struct: Struct) -> None:
    """The inverse of `read_struct`."""
    last = 0
    for number, (kind, value) in struct.items():
        if 0 < number - last < 16:
            out.append((number - last) << 4 | kind)
        else:
            out.append(kind)
            write_number(out, unsigned(number))
        write_value(out, kind, value)
        last = number
    out.append(0)


def write_value(out: bytearray, kind: int, value: Any) -> None:
    """The inverse of `read_value`."""
    if kind in (I16, I32, I64):
        write_number(out, unsigned(value))
    elif kind in WIDTHS:
        out += value
    elif kind == BINARY:
        write_number(out, len(value))
        out += value
    elif kind == STRUCT:
        write_struct(out, value)
    elif kind == LIST:
        of, values = value
        out.append(min(len(values), 15) << 4 | of)
        if len(values) >= 15:
            write_number(out, len(values))
        for item in values:
            if of in (TRUE, FALSE):
                out += item
            else:
                write_value(out, of, item)


def read_number(data: BytesIO) -> int:
    """Seven bits per byte, the least significant first."""
    value = shift = 0
    while True:
        byte = data.read(1)[0]
        value |= (byte & 127) << shift
        if byte < 128:
            return value
        shift += 7


def write_number(out: bytearray, value: int) -> None:
    """The inverse of `read_number`."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def signed(value: int) -> int:
    """Zigzag: 0, −1, 1, −2, …"""
    return value >> 1 ^ -(value & 1)


def unsigned(value: int) -> int:
    """The inverse of `signed`."""
    return value << 1 if value >= 0 else (-value << 1) - 1

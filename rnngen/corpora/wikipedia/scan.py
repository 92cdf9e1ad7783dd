"""Passes over the bytes of a dump: in C where there is a compiler, in numpy where there is none, with equal results."""

import ctypes
import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rnngen.compiled import library

ENTITIES = {"&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;"}  # `&` first, to be replaced before the others
_ENTITY_BYTES = np.frombuffer("".join(ENTITIES.values()).encode(), np.uint8)
_ENTITY_LENGTHS = np.array([len(entity) for entity in ENTITIES.values()], np.int32)
_WHICH = np.zeros(256, np.int32)
_WHICH[[ord(character) for character in ENTITIES]] = range(len(ENTITIES))


@functools.cache
def _kernels() -> ctypes.CDLL | None:
    kernels = library(Path(__file__).with_name("scan.c"))
    if kernels is not None:
        pointer, size = ctypes.c_void_p, ctypes.c_int64
        kernels.positions.argtypes, kernels.positions.restype = [pointer, size, ctypes.c_int, pointer], size
        kernels.has_controls.argtypes = [pointer, size]
        kernels.cut.argtypes = [pointer, size, *[pointer] * 7]
        kernels.escaped_size.argtypes, kernels.escaped_size.restype = [pointer, size], size
        kernels.rows.argtypes = [size, *[pointer] * 10]
    return kernels


def values_of(column: pa.Array) -> memoryview:
    """The bytes of a binary or string column, all values one after the other, without a copy."""
    if len(column) == 0:
        return memoryview(b"")
    offsets = offsets_of(column)
    data = column.buffers()[2]
    return memoryview(data)[offsets[0] : offsets[-1]] if data is not None else memoryview(b"")


def offsets_of(column: pa.Array) -> np.ndarray:
    """Where the values of a binary or string column begin in its memory, and where the last one ends (int32)."""
    if len(column) == 0:
        return np.zeros(1, np.int32)
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]


def binary(
    offsets: np.ndarray, data: np.ndarray | pa.Buffer | None, present: np.ndarray | None = None
) -> pa.BinaryArray:
    """A binary column of these bytes; null where not `present` (bool)."""
    data = data if isinstance(data, pa.Buffer) else pa.py_buffer(b"" if data is None else data)
    bitmap = None
    if present is not None and not present.all():
        bitmap = pa.py_buffer(np.packbits(present, bitorder="little"))
    offsets = pa.py_buffer(offsets.astype(np.int32, copy=False))
    return pa.BinaryArray.from_buffers(pa.binary(), offsets.size // 4 - 1, [bitmap, offsets, data])


class Scanner:
    """Finds bytes in stretches of a dump; keeps its work arrays, as fresh ones cost a page fault for every 4 kB."""

    def __init__(self) -> None:
        self.found = np.empty(0, np.int64)
        self.mask = np.empty(0, bool)

    def positions(self, data: np.ndarray, character: str) -> np.ndarray:
        """Where `character` stands in `data` (uint8), as int64."""
        if (kernels := _kernels()) is None:
            return np.flatnonzero(np.equal(data, ord(character), out=self._mask(len(data))))
        if len(self.found) < len(data):
            self.found = np.empty(len(data) + len(data) // 4, np.int64)
        number = kernels.positions(data.ctypes.data, len(data), ord(character), self.found.ctypes.data)
        return self.found[:number].copy()

    def has_controls(self, data: np.ndarray) -> bool:
        """Whether there is a byte below 32 other than line feed and tab."""
        if (kernels := _kernels()) is not None:
            return bool(kernels.has_controls(data.ctypes.data, len(data)))
        spaces = sum(np.count_nonzero(np.equal(data, byte, out=self._mask(len(data)))) for byte in b"\n\t")
        return np.count_nonzero(np.less(data, 32, out=self._mask(len(data)))) != spaces

    def _mask(self, size: int) -> np.ndarray:
        if len(self.mask) < size:
            self.mask = np.empty(size + size // 4, bool)
        return self.mask[:size]


class Holes:
    """What to leave out of a stretch: pairs of positions in ascending order, without overlap."""

    def __init__(self, begin: np.ndarray, end: np.ndarray):
        self.begin, self.end = begin, end
        self.bytes_before = np.concatenate(([0], np.cumsum(end - begin)))


NO_HOLES = Holes(np.empty(0, np.int64), np.empty(0, np.int64))


def cut(
    data: np.ndarray, begin: np.ndarray, end: np.ndarray, present: np.ndarray | None = None, holes: Holes = NO_HOLES
) -> pa.BinaryArray:
    """data[begin:end] without the holes for every pair, which follow one another without overlap, as a binary column.

    Null where not `present` (bool). No hole may cross the border of a pair.
    """
    if len(begin) == 0:
        return pa.array([], pa.binary())
    begin, end = np.ascontiguousarray(begin, np.int64), np.ascontiguousarray(end, np.int64)
    if begin[0] < 0 or end[-1] > len(data) or (begin > end).any() or (end[:-1] > begin[1:]).any():
        raise ValueError("spans that are out of order")
    first, after = np.searchsorted(holes.begin, begin), np.searchsorted(holes.begin, end)
    lengths = end - begin - (holes.bytes_before[after] - holes.bytes_before[first])
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    if (kernels := _kernels()) is None:
        return binary(offsets, _cut(data, begin, end, first, after, holes), present)
    out = np.empty(offsets[-1], np.uint8)
    arrays = (begin, end, first, after, holes.begin, holes.end, out)
    kernels.cut(data.ctypes.data, len(begin), *(array.ctypes.data for array in arrays))
    return binary(offsets, out, present)


def _cut(
    data: np.ndarray, begin: np.ndarray, end: np.ndarray, first: np.ndarray, after: np.ndarray, holes: Holes
) -> pa.Buffer:
    number = after - first
    upto = np.cumsum(number)
    inside = np.arange(number.sum()) + np.repeat(first - upto + number, number)
    offsets = np.empty(2 * (len(begin) + len(inside)), np.int32)
    offsets[::2] = np.insert(holes.end[inside], upto - number, begin)
    offsets[1::2] = np.insert(holes.begin[inside], upto, end)
    # the values are what is kept and, between each two of them, what is left out
    return binary(offsets, data).take(pa.array(np.arange(0, len(offsets), 2, dtype=np.int32))).buffers()[2]


def rows(text: pa.Array, before: pa.Array, after: pa.Array, raw: pa.Array) -> pa.BinaryArray:
    """For each row what `raw` has or, where that is nothing, `before`, the text with its entities, and `after`."""
    if (kernels := _kernels()) is None:
        text, before, after = (
            pc.if_else(np.diff(offsets_of(raw)) == 0, column, pa.scalar("", column.type))
            for column in (text, before, after)
        )
        joined = (
            raw,
            before,
            _find_escapes(text),
            after,
            pa.scalar(b"", pa.binary()),
        )  # the last one stands between them
        return pc.binary_join_element_wise(*joined, null_handling="replace", null_replacement="")
    columns = (text, before, after, raw)
    values = [np.frombuffer(values_of(column), np.uint8) for column in columns]
    borders = [offsets_of(column) - offsets_of(column)[0] for column in columns]
    size = kernels.escaped_size(values[0].ctypes.data, len(values[0])) + sum(map(len, values[1:]))
    out, offsets = np.empty(size, np.uint8), np.empty(len(text) + 1, np.int32)
    pairs = zip(values, borders, strict=True)
    pointers = [array.ctypes.data for pair in pairs for array in pair]
    kernels.rows(len(text), *pointers, out.ctypes.data, offsets.ctypes.data)
    return binary(offsets, out)


def _find_escapes(text: pa.StringArray) -> pa.BinaryArray:
    offsets = offsets_of(text)
    offsets = offsets - offsets[0]
    data = np.frombuffer(values_of(text), np.uint8)
    # `"` and `&` differ in one bit, `<` and `>` too
    at = np.flatnonzero((data & 0xFB == ord('"')) | (data & 0xFD == ord("<"))).astype(np.int32)
    which = _WHICH[data[at]]
    # the values are what stands before, between and after the characters, each of these, and the entities
    pieces = 2 * len(at) + 1
    borders = np.empty(pieces + 1 + len(ENTITIES), np.int32)
    borders[0], borders[1:pieces:2], borders[2:pieces:2], borders[pieces] = 0, at, at + 1, len(data)
    borders[pieces + 1 :] = len(data) + np.cumsum(_ENTITY_LENGTHS)
    order = np.arange(pieces, dtype=np.int32)
    order[1::2] = pieces + which
    joined = binary(borders, np.concatenate((data, _ENTITY_BYTES))).take(pa.array(order)).buffers()[2]
    longer = np.concatenate(([0], np.cumsum(_ENTITY_LENGTHS[which] - 1)))
    return binary(offsets + longer[np.searchsorted(at, offsets)], joined)

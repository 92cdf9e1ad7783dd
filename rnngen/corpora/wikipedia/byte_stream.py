"""The Wikipedia corpus as bytes (§3.2): a dump read one byte at a time, markup and all."""

import builtins
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rnngen.artifacts import parse_json, write_whole
from rnngen.checked_parquet import open_parquet, refuse_damage
from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.wikipedia.dump import REVISIONS
from rnngen.corpora.wikipedia.raw import RAW_COLUMNS, raw_rows
from rnngen.corpora.wikipedia.scan import values_of
from rnngen.errors import InputError


@dataclass(frozen=True)
class ByteCorpus:
    """A stream of bytes, its alphabet, and its two splits, which follow one another in the order of the dump."""

    stream: np.ndarray
    """(train + validation,) uint8; may be a memory map."""
    train_bytes: int
    bytes: tuple[int, ...]
    """The distinct bytes of the stream in ascending order: the byte with the code i is bytes[i]."""

    @property
    def alphabet(self) -> Alphabet:
        """The bytes by name: ASCII characters as they are, others as \\xNN."""
        return Alphabet(tuple(chr(byte) if byte < 128 else f"\\x{byte:02x}" for byte in self.bytes))

    @property
    def table(self) -> np.ndarray:
        """(256,) int16: byte to code, −1 for a byte that the stream lacks."""
        table = np.full(256, -1, np.int16)
        table[list(self.bytes)] = np.arange(len(self.bytes))
        return table

    def split(self, name: str) -> np.ndarray:
        """The bytes, uint8, of `train` or `validation`; a view."""
        match name:
            case "train":
                return self.stream[: self.train_bytes]
            case "validation":
                return self.stream[self.train_bytes :]
        raise InputError(f"the Wikipedia corpus has no split {name!r}; there are train and validation")

    def encode(self, text: str) -> np.ndarray:
        """Codes (n,), int64, of a text's bytes in UTF-8."""
        data = np.frombuffer(text.encode(), np.uint8)
        codes = self.table[data].astype(np.int64)
        if (codes < 0).any():
            strange = sorted({f"\\x{byte:02x}" for byte in data[codes < 0].tolist()})
            raise InputError(f"{text!r} has bytes that the corpus lacks ({', '.join(strange)}); leave them out")
        return codes

    def decode(self, codes: np.ndarray) -> builtins.bytes:
        """The bytes of codes; the inverse of `encode`."""
        return np.array(self.bytes, np.uint8)[codes].tobytes()


def load_wikipedia(
    corpus: Path,
    train_bytes: int | float,
    validation_bytes: int | float,
    *,
    view: str = "dump",
    cache: Path | None = None,
) -> ByteCorpus:
    """The first `train_bytes` of a corpus and the `validation_bytes` after them (of enwik8: 96 and 4 million).

    corpus    Parquet file of parse_wikipedia
    train_bytes, validation_bytes    numbers of bytes, or fractions of the whole (floats below 1)
    view      dump: the bytes of the dump (§3.2) | text: the texts of its revisions only, each ended by a line feed
    cache     folder for a plain copy that is memory-mapped, for a corpus larger than memory

    Raises InputError where the corpus is shorter than that, or is not a Wikipedia corpus.
    """
    if view not in ("dump", "text"):
        raise InputError(f"view {view!r} of the Wikipedia corpus: there are dump and text")
    file = open_corpus(corpus, ("text", *RAW_COLUMNS) if view == "dump" else ("text",))
    with refuse_damage(corpus):
        size = total_bytes(file, view)
    train, validation = (part_of(part, size) for part in (train_bytes, validation_bytes))
    if train < 1 or validation < 1:
        raise InputError(
            f"{corpus}: {train:,} training and {validation:,} validation bytes asked for; both must be > 0"
        )
    if train + validation > size:
        raise InputError(
            f"{corpus}: {size:,} bytes, {train:,} for training and {validation:,} for validation asked for; lower "
            f"train_bytes or validation_bytes, or add dumps"
        )
    if cache is None:
        stream = np.empty(train + validation, np.uint8)
        fill(stream, pieces(file, view), corpus)
    else:
        identity = hashlib.sha256(repr((file.schema_arrow.metadata, view)).encode()).hexdigest()
        path = Path(cache) / f"{Path(corpus).stem}.{identity[:16]}.{train + validation}.bytes"
        if not path.exists():
            with write_whole(path) as partial:
                copy = np.memmap(partial, np.uint8, "w+", shape=(train + validation,))
                fill(copy, pieces(file, view), corpus)
                copy.flush()
        if path.stat().st_size != train + validation:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes instead of {train + validation:,}; delete it")
        stream = np.memmap(path, np.uint8, "r")
    return ByteCorpus(stream, train, distinct_bytes(stream))


def open_corpus(corpus: Path, columns: Sequence[str]) -> pq.ParquetFile:
    """The Parquet file, if it is undamaged and has the provenance, the columns and the rows that are needed."""
    what = "corpus of pages (parse_wikipedia makes one, unless `no_raw`)"
    file = open_parquet(corpus, {name: REVISIONS.field(name).type for name in columns}, what)
    try:
        about = parse_json((file.schema_arrow.metadata or {}).get(b"rnngen", b"{}"))
        rows, size = sum(about["rows"].values()), int(about["bytes"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{corpus}: a Parquet file without the provenance of a corpus; make it again") from error
    if rows != file.metadata.num_rows or size < 0:
        raise InputError(f"{corpus}: {file.metadata.num_rows:,} rows instead of {rows:,}; make it again")
    return file


def pieces(file: pq.ParquetFile, view: str) -> Iterator[np.ndarray]:
    """The bytes of the corpus in order, a row group at a time (uint8)."""
    for group in range(file.num_row_groups):
        if view == "dump":
            for chunk in raw_rows(file.read_row_group(group, columns=["text", *RAW_COLUMNS])).chunks:
                yield np.frombuffer(values_of(chunk), np.uint8)
        else:
            texts = file.read_row_group(group, columns=["text"]).column("text").drop_null().to_pylist()
            yield np.frombuffer("".join(text + "\n" for text in texts).encode(), np.uint8)


def total_bytes(file: pq.ParquetFile, view: str) -> int:
    """How many bytes a view of the corpus has."""
    if view == "dump":
        return json.loads(file.schema_arrow.metadata[b"rnngen"])["bytes"]
    return sum(len(piece) for piece in pieces(file, view))


def part_of(part: int | float, size: int) -> int:
    return int(part * size) if isinstance(part, float) and part < 1 else int(part)


def fill(stream: np.ndarray, parts: Iterator[np.ndarray], corpus: Path) -> None:
    """Copy the parts into `stream` until it is full. Raises InputError where they do not fill it, or are damaged."""
    at = 0
    with refuse_damage(corpus):
        for part in parts:
            part = part[: len(stream) - at]
            stream[at : at + len(part)] = part
            at += len(part)
            if at == len(stream):
                return
    raise InputError(f"{corpus}: only {at:,} of {len(stream):,} bytes are in its rows; make it again")


def distinct_bytes(stream: np.ndarray) -> tuple[int, ...]:
    """The bytes that occur in the stream, ascending."""
    seen = np.zeros(256, bool)
    for start in range(0, len(stream), 1 << 20):
        seen |= np.bincount(stream[start : start + (1 << 20)], minlength=256) > 0
    return tuple(np.flatnonzero(seen).tolist())

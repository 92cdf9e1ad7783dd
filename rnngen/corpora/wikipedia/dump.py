"""MediaWiki XML dumps as Arrow record batches: one row per revision, between a header row and a tail row.

The bytes of all rows (raw.py) joined are the decompressed dump, byte for byte. Two parsers fill the other columns:
lxml, the reference (read_with_lxml.py), and a columnar one (read_columns.py) that leaves every page it cannot read
exactly to lxml. Memory does not grow with the size of the dump.
"""

import codecs
import hashlib
import struct
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rnngen.corpora.decompression import CompressedFile
from rnngen.corpora.wikipedia.raw import around_text, raw_rows
from rnngen.corpora.wikipedia.read_columns import ColumnReader, NotCanonical
from rnngen.corpora.wikipedia.read_with_lxml import (
    KNOWN_SCHEMAS,
    PROLOG_LIMIT,
    TAIL_LIMIT,
    Malformed,
    PageReader,
    Piece,
    RevisionRow,
    Root,
    SiteInfo,
    Splitter,
    encoding_of,
    find_root,
    longer_than,
    read_siteinfo,
    rows_of,
    what_follows,
)
from rnngen.corpora.wikipedia.scan import values_of
from rnngen.errors import InputError, one_line

SHA1_MISMATCHES = 0.05
FEW_MISMATCHES = 20  # of a small dump they would be a large share
LISTED = 10_000  # skipped items, and differing texts, in the report; all are counted
TEXT_LIMIT = 16 << 20  # bytes of a revision in the dump; MediaWiki allows 2 MiB of text, 12 with entities for quotes
BATCH_BYTES = 8 << 20
BATCH_ROWS = 8192

# Texts are `string`: XML admits nothing but valid Unicode, so readers need no decoding. The raw columns are `binary`:
# they may be UTF-16, or end in the middle of a character.
REVISIONS = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),  # header | revision | skipped | truncated | tail
        pa.field("part", pa.int32(), nullable=False),  # index of the input file
        ("page_id", pa.int64()),
        ("ns", pa.int32()),
        ("title", pa.string()),
        ("redirect", pa.string()),  # target; empty where the schema names none (0.4, 0.5); null: no redirect
        ("restrictions", pa.string()),
        ("rev_id", pa.int64()),
        ("parent_id", pa.int64()),
        ("timestamp", pa.timestamp("ms", tz="UTC")),  # Parquet has no seconds
        ("contributor", pa.string()),
        ("contributor_id", pa.int64()),
        ("contributor_ip", pa.string()),
        ("contributor_deleted", pa.bool_()),
        ("minor", pa.bool_()),
        ("comment", pa.string()),
        ("comment_deleted", pa.bool_()),
        ("origin", pa.int64()),
        ("model", pa.string()),
        ("format", pa.string()),
        ("text", pa.string()),  # null: deleted, or a stub; empty: the page is empty
        ("text_deleted", pa.bool_()),
        ("other_slots", pa.int32()),  # slots besides the main one (schema 0.11), which are in the row's bytes only
        ("sha1", pa.string()),
        ("sha1_ok", pa.bool_()),  # null: nothing to compare
        ("raw_before", pa.binary()),  # the row's bytes before and after its text, where this is written as usual
        ("raw_after", pa.binary()),
        ("raw", pa.binary()),  # all its bytes, where it is not
    ]
)
_POSITION = [RevisionRow._fields.index(name) for name in REVISIONS.names]


@dataclass
class Options:
    """How strictly dumps are read.

    allow_truncated   a dump may end early: what is left after the last whole revision becomes a row `truncated`
    keep_going        a revision that cannot be read becomes a row `skipped`, recorded with its reason; a file that
                      cannot be read to its end is recorded too, and its rows end there; texts may all differ from their
                      SHA-1
    sha1_mismatches   share of a file's texts that may differ from the SHA-1 beside them (`sha1_ok` is false); above 0
                      the first FEW_MISMATCHES may in any case
    columnar          use the columnar parser where it can read a page exactly
    workers           threads that decompress a multistream bzip2 file
    text_limit        bytes; a longer revision is refused
    """

    allow_truncated: bool = False
    keep_going: bool = False
    sha1_mismatches: float = SHA1_MISMATCHES
    columnar: bool = True
    workers: int = 1
    text_limit: int = TEXT_LIMIT


@dataclass
class PartReport:
    """What was found in one input file."""

    file: str
    format: str = "plain"
    streams: int = 0
    compressed_bytes: int = 0
    bytes: int = 0
    sha256: str | None = None
    encoding: str = "utf-8"
    schema: str | None = None
    language: str | None = None
    site: str | None = None
    database: str | None = None
    wiki: str = ""
    """What tells its ids from those of another wiki."""
    generator: str | None = None
    truncated: str | None = None
    failed: str | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """What was found in all of them, beyond what the columns say."""

    parts: list[PartReport] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    """The first LISTED rows that could not be read, and every file that could not be read to its end."""
    skipped_items: int = 0
    first_reason: str | None = None
    """The first of what was skipped, in the words with which it would stop a run without `keep_going`."""
    mismatches: list[dict[str, Any]] = field(default_factory=list)
    """The first LISTED texts that differ from their SHA-1."""
    sha1_compared: int = 0
    sha1_different: int = 0
    tags_without_column: Counter[str] = field(default_factory=Counter)
    raw_bytes: int = 0
    pages: int = 0
    pages_read_by_lxml: int = 0
    sha1_with_carriage_returns: int = 0


class SeenRevisions:
    """A set of pairs (page id, revision id) in 16 bytes per pair: sorted runs, each longer than the next."""

    MOST_RECENT = 1 << 16

    def __init__(self) -> None:
        self.runs: list[np.ndarray] = []
        self.recent: set[bytes] = set()

    def add(self, pages: np.ndarray, revisions: np.ndarray) -> np.ndarray:
        """Add pairs (int64); return which of them were there before, or earlier among themselves (bool)."""
        keys = np.stack([pages, revisions], axis=1).astype(">i8").view("S16").ravel()
        again = np.ones(len(keys), bool)
        again[np.unique(keys, return_index=True)[1]] = False
        for run in self.runs:
            again |= run[np.minimum(np.searchsorted(run, keys), len(run) - 1)] == keys
        if self.recent:
            again |= [key in self.recent for key in keys.tolist()]
        self._keep(np.unique(keys[~again]))
        return again

    def add_one(self, page: int, revision: int) -> bool:
        """Add a pair; return whether it was there before."""
        key = struct.pack(">qq", page, revision).rstrip(b"\0")  # as numpy gives it back
        if key in self.recent:
            return True
        for run in self.runs:
            at = np.searchsorted(run, key)
            if at < len(run) and run[at] == key:
                return True
        self.recent.add(key)
        if len(self.recent) >= self.MOST_RECENT:
            self._keep(np.sort(np.array(list(self.recent), "S16")))
            self.recent.clear()
        return False

    def _keep(self, keys: np.ndarray) -> None:
        while self.runs and len(self.runs[-1]) < 2 * len(keys):
            keys = np.sort(np.concatenate([self.runs.pop(), keys]), kind="stable")
        if len(keys):
            self.runs.append(keys)


def read_dumps(
    dumps: Sequence[str | Path], options: Options, findings: Findings, part: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of several dump files, one after the other, as one corpus.

    `findings` is filled on the way. With `part`, the dump is that part of a corpus whose other parts are read
    elsewhere, and may have no page. Raises InputError, with file and byte offset, at the first thing that cannot be
    read, unless the options let it pass.
    """
    seen: dict[str, SeenRevisions] = {}
    for number, dump in enumerate(dumps, part or 0):
        reader = DumpReader(Path(dump), number, options, findings, seen)
        yield from reader.batches()
    if part is None and not findings.pages:
        raise InputError(
            findings.first_reason
            or f"{', '.join(map(str, dumps))}: no page with a revision in it; is it a dump of pages?"
        )


class Ahead:
    """What was read of the dump and is not yet in a row: compared with the rows, byte for byte, as they come."""

    def __init__(self) -> None:
        self.blocks: deque[bytes] = deque()
        self.start = 0  # of what is left of the first block
        self.equal = True

    def follow(self, row: memoryview) -> None:
        """Take the bytes of a row, or of several, from the beginning."""
        at = 0
        while self.equal and at < len(row):
            if not self.blocks:
                self.equal = False
                return
            block = self.blocks[0]
            size = min(len(row) - at, len(block) - self.start)
            self.equal = np.array_equal(
                np.frombuffer(row, np.uint8, size, at), np.frombuffer(block, np.uint8, size, self.start)
            )
            at, self.start = at + size, self.start + size
            if self.start == len(block):
                self.blocks.popleft()
                self.start = 0


class DumpReader:
    """Reads one dump file."""

    def __init__(self, path: Path, part: int, options: Options, findings: Findings, seen: dict[str, SeenRevisions]):
        self.path = path
        self.part = part
        self.options = options
        self.findings = findings
        self.seen_by_wiki = seen
        self.file = CompressedFile(path, allow_truncated=options.allow_truncated, workers=options.workers)
        self.report = PartReport(path.name)
        self.rows: list[RevisionRow] = []
        self.rows_bytes = 0
        self.lxml: PageReader | None = None
        self.head = b""  # of the current page: its bytes before the first revision
        self.page_counted = False
        self.failed = False
        self.sha1_before = findings.sha1_compared, findings.sha1_different  # of the files before this one

    # ------------------------------------------------------------------------------------------------ bytes to batches

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Header, revisions and tail of the file. Fills the findings."""
        self.findings.parts.append(self.report)
        read, ahead = hashlib.sha256(), Ahead()
        for batch in self._batches(self._to_the_end(self._utf8_blocks(read, ahead))):
            for raw in map(values_of, raw_rows(batch).chunks):
                ahead.follow(raw)
                self.findings.raw_bytes += len(raw)
            yield batch
        if not self.failed:
            self.report.sha256 = read.hexdigest()
        if not ahead.equal or (any(ahead.blocks) and not self.failed):
            raise InputError(
                f"{self.path}: the rows do not give the file back byte for byte (its encoding {self.report.encoding} "
                f"writes the same text in more than one way); convert it to UTF-8 first"
            )

    def _to_the_end(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The blocks that can be read."""
        try:
            yield from blocks
        except InputError as error:
            self._fail(error)

    def _fail(self, error: InputError) -> None:
        """Record that the file cannot be read any further, or stop."""
        if not self.options.keep_going:
            raise error
        if self.failed:  # a consequence of the first failure is not another one
            return
        self.failed, self.report.failed = True, str(error)
        self.findings.first_reason = self.findings.first_reason or str(error)
        self.findings.skipped_items += 1
        self.findings.skipped.append({"file": self.path.name, "offset": self.report.bytes, "reason": str(error)})

    def _utf8_blocks(self, digest: Any, ahead: Ahead) -> Iterator[bytes]:
        """Blocks of the dump in UTF-8, whatever it is encoded in; `digest` and `ahead` take the bytes as they are."""
        beginning = b""
        blocks = self.file.blocks()
        for block in blocks:
            beginning += block
            if len(beginning) >= 1024:
                break
        digest.update(beginning)
        ahead.blocks.append(beginning)
        self.report.bytes += len(beginning)
        encoding = encoding_of(beginning, str(self.path))
        self.report.encoding = encoding or "utf-8"
        decoder = None if encoding is None else codecs.getincrementaldecoder(encoding)("strict")
        try:
            yield beginning if decoder is None else decoder.decode(beginning).encode()
            for block in blocks:
                digest.update(block)
                ahead.blocks.append(block)
                self.report.bytes += len(block)
                yield block if decoder is None else decoder.decode(block).encode()
            if decoder is not None:
                yield decoder.decode(b"", final=self.file.truncated is None).encode()
        except UnicodeError as error:
            raise InputError(f"{self.path}: not valid {encoding} before byte {self.report.bytes:,}: {error}") from error
        finally:
            self.report.format, self.report.streams = self.file.format, self.file.streams
            self.report.compressed_bytes = self.file.position

    def _batches(self, blocks: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
        try:
            beginning, root = self._root(blocks)
        except InputError as error:
            if not self.failed:  # else nothing could be read, and that reason is recorded
                self._fail(error)
            return
        columnar = self.options.columnar and self.report.encoding == "utf-8" and not root.prefix
        splitter = Splitter(root, whole_pages=columnar, row_limit=self.options.text_limit)
        try:
            for block in chain([beginning], blocks):
                yield from self._read(splitter.feed(block))
                self._check_after(splitter)
            yield from self._read(splitter.pieces(last=True))
            if not self.failed:
                yield from self._end(splitter)
        except Malformed as error:
            self._fail(InputError(f"{self.path}: {error}"))
        if self.failed:
            yield from self._read(splitter.take_cut_off())
        yield from self._flush()

    def _root(self, blocks: Iterator[bytes]) -> tuple[bytes, Root]:
        """What has been read until the root element's start tag was complete, and this tag."""
        beginning = b""
        root = None
        for block in blocks:
            beginning += block
            if (root := find_root(beginning, str(self.path), complete=False)) is not None:
                break
            if len(beginning) > PROLOG_LIMIT:
                break
        root = root or find_root(beginning, str(self.path), complete=True)
        if root is None:
            raise InputError(
                f"{self.path}: no root element within its first {PROLOG_LIMIT:,} bytes; not a MediaWiki dump"
            )
        self.root = root
        self.site = SiteInfo()
        self.report.schema, self.report.language = root.version, root.language
        if root.version not in KNOWN_SCHEMAS:
            self.report.warnings.append(f"export schema {root.version}; those known are 0.3 to 0.11")
        return beginning, root

    def _read(self, pieces: Iterator[Piece]) -> Iterator[pa.RecordBatch]:
        for piece in pieces:
            if piece.kind == "header":
                self._header(piece)
            elif piece.kind == "pages":
                yield from self._pages(piece)
            else:
                self._row(piece)
            if self.rows_bytes >= BATCH_BYTES or len(self.rows) >= BATCH_ROWS:
                yield from self._flush()

    def _flush(self) -> Iterator[pa.RecordBatch]:
        if self.rows:
            columns = list(zip(*self.rows, strict=True))
            arrays = [pa.array(columns[i], field.type) for i, field in zip(_POSITION, REVISIONS, strict=True)]
            self.rows, self.rows_bytes = [], 0
            yield pa.RecordBatch.from_arrays(arrays, schema=REVISIONS)

    def _add(self, kind: str, data: bytes, **values: Any) -> None:
        if self.report.encoding == "utf-8":
            raw = around_text(data, values.get("text"))
        else:
            raw = around_text(data.decode().encode(self.report.encoding), None)
        self.rows.append(RevisionRow(kind, self.part, **raw, **values))
        self.rows_bytes += len(data)

    # ---------------------------------------------------------------------------------------------------------- pieces

    def _header(self, piece: Piece) -> None:
        self.site = read_siteinfo(piece.data, self.root)
        self.report.site, self.report.database = self.site.name, self.site.database
        self.report.generator = self.site.generator
        if self.site.namespaces is None:
            self.report.warnings.append("no list of namespaces: ns is null where <ns> is absent")
        self.report.wiki = self.site.database or self.site.base or self.site.name or ""
        self.seen = self.seen_by_wiki.setdefault(self.report.wiki, SeenRevisions())
        self.columns = ColumnReader(self.site, REVISIONS, self.options.text_limit)
        self._add("header", piece.data)

    def _pages(self, piece: Piece) -> Iterator[pa.RecordBatch]:
        """A stretch of whole pages: runs of them as columns, and by lxml the pages that the columnar parser leaves."""
        try:
            columns, read, ends = self.columns.read(piece.data, piece.tags)
        except NotCanonical:
            for row in rows_of(piece.data, self.root, piece.offset):
                self._row(row)
                if self.rows_bytes >= BATCH_BYTES or len(self.rows) >= BATCH_ROWS:
                    yield from self._flush()
            return
        starts = np.concatenate(([0], ends))
        borders = np.flatnonzero(np.diff(read)) + 1
        at = 0  # the row of `columns`
        for first, last in pairwise([0, *borders.tolist(), len(read)]):
            if not read[first]:
                stretch = piece.data[starts[first] : starts[last]]
                for other in rows_of(stretch, self.root, piece.offset + int(starts[first])):
                    self._row(other)
                continue
            run = {name: column.slice(at, last - first) for name, column in columns.items()}
            at += last - first
            yield from self._parse_run(piece, run, starts[first : last + 1])

    def _parse_run(self, piece: Piece, run: dict[str, pa.Array], borders: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Pages that follow one another and were read as columns; `borders` in the piece."""
        pages = len(borders) - 1
        again = self.seen.add(run["page_id"].to_numpy(), run["rev_id"].to_numpy())
        if again.any():
            at = int(np.flatnonzero(again)[0])
            yield from self._part_of_run(piece, run, borders, 0, at)
            for page in range(at, pages):
                if again[page]:
                    data = piece.data[borders[page] : borders[page + 1]]
                    row = Piece("row", piece.offset + int(borders[page]), data)
                    values = {name: run[name][page].as_py() for name in ("page_id", "rev_id", "title")}
                    self._skip(row, describe_repetition(values))
                else:
                    yield from self._part_of_run(piece, run, borders, page, page + 1)
        else:
            yield from self._part_of_run(piece, run, borders, 0, pages)

    def _part_of_run(
        self, piece: Piece, run: dict[str, pa.Array], borders: np.ndarray, first: int, last: int
    ) -> Iterator[pa.RecordBatch]:
        pages = last - first
        if pages == 0:
            return
        yield from self._flush()
        constants = {
            "kind": pa.repeat("revision", pages),
            "part": pa.repeat(pa.scalar(self.part, pa.int32()), pages),
            "other_slots": pa.repeat(pa.scalar(0, pa.int32()), pages),
        }
        false = pa.repeat(False, pages)
        constants |= dict.fromkeys(("contributor_deleted", "comment_deleted", "text_deleted"), false)
        columns = constants | {name: column.slice(first, pages) for name, column in run.items()}
        self.findings.pages += pages
        self.findings.sha1_compared += pages - columns["sha1_ok"].null_count
        yield pa.RecordBatch.from_arrays([columns[name] for name in REVISIONS.names], schema=REVISIONS)

    def _row(self, piece: Piece) -> None:
        """One row by lxml."""
        if piece.begins_page:
            self.head, self.page_counted = piece.data[: piece.head], False
        problem = piece.problem
        if problem is None and len(piece.data) > self.options.text_limit:
            problem = longer_than(self.options.text_limit)
        values: dict = {}
        if problem is None:
            try:
                values = self._values(piece)
            except Malformed as error:
                problem = str(error)
        if problem is not None:
            self.lxml = None
            self._skip(piece, problem)
            return
        if self._is_repeated(values):
            self._skip(piece, describe_repetition(values))
            return
        self.findings.pages += not self.page_counted
        self.findings.pages_read_by_lxml += not self.page_counted
        self.page_counted = True
        self._add("revision", piece.data, **values)
        self.findings.sha1_compared += values["sha1_ok"] is not None
        if values["sha1_ok"] is False:
            self._note_mismatch(piece, values)

    def _values(self, piece: Piece) -> dict:
        """The values of the row by column. Raises Malformed."""
        if self.lxml is None:
            self.lxml = PageReader(self.root, self.site, self.findings.tags_without_column)
            if not piece.begins_page:
                if not self.head:
                    raise Malformed("the rest of a page that could not be read")
                self.lxml.go_on(self.head)
        values = self.lxml.read(piece.data, piece.ends_page)
        self.findings.sha1_with_carriage_returns += self.lxml.texts_with_carriage_returns
        self.lxml.texts_with_carriage_returns = 0
        return values

    def _is_repeated(self, values: dict) -> bool:
        """Whether this revision was there before. A page may come again: some dumps have one for each revision."""
        page, revision = values["page_id"], values.get("rev_id")
        return page is not None and revision is not None and self.seen.add_one(page, revision)

    def _note_mismatch(self, piece: Piece, values: dict) -> None:
        """Record a text that differs from its SHA-1, or stop where there are too many."""
        found = self.findings
        found.sha1_different += 1
        reason = "the text differs from the SHA-1 beside it"
        if "\ufffd" in (values["text"] or ""):
            reason += "; it has a U+FFFD, which the wiki wrote in place of what it could not read"
        if len(found.mismatches) < LISTED:
            about = {"page_id": values["page_id"], "rev_id": values.get("rev_id"), "title": one_line(values["title"])}
            found.mismatches.append(self._where(piece) | about | {"reason": reason})
        share = self.options.sha1_mismatches
        compared, different = found.sha1_compared - self.sha1_before[0], found.sha1_different - self.sha1_before[1]
        most = max(share * compared, FEW_MISMATCHES if share > 0 else 0)
        if different > most and not self.options.keep_going:
            raise InputError(
                f"{self.path}: {different:,} of {compared:,} texts differ from the SHA-1 beside "
                f"them, more than {share:.0%}, that of page {values['page_id']} ({values['title']!r:.100}) the last: "
                f"get the dump again; `sha1_mismatches` 1 lets them all pass"
            )

    def _where(self, piece: Piece) -> dict[str, Any]:
        return {"file": self.path.name, "offset": piece.offset, "bytes": len(piece.data)}

    def _skip(self, piece: Piece, reason: str) -> None:
        """Record a row that cannot be read, or stop."""
        unit = "byte" if self.report.encoding == "utf-8" else "byte (of its UTF-8 form)"
        error = (
            f"{self.path}: {reason}, in the revision that begins at {unit} {piece.offset:,} of the decompressed dump"
        )
        if not self.options.keep_going:
            raise InputError(f"{error}; `keep_going` skips and records it")
        self.findings.first_reason = self.findings.first_reason or error
        self.findings.skipped_items += 1
        if self.findings.skipped_items <= LISTED:
            self.findings.skipped.append(self._where(piece) | {"reason": one_line(reason)})
        self._add("skipped", piece.data)

    # ------------------------------------------------------------------------------------------------------------- end

    def _check_after(self, splitter: Splitter) -> None:
        if splitter.state != "after":
            return
        at = splitter.offset + splitter.root_end
        if problem := what_follows(bytes(splitter.buffer[splitter.root_end :])):
            raise Malformed(f"{problem} (at byte {at:,} of the decompressed dump)")
        if len(splitter.buffer) - splitter.root_end > TAIL_LIMIT:
            raise Malformed(f"more than {TAIL_LIMIT:,} bytes after </mediawiki> (at byte {at:,}); remove them")

    def _end(self, splitter: Splitter) -> Iterator[pa.RecordBatch]:
        """What is left at the end of the file: the tail, or the beginning of what was cut off."""
        rest = bytes(splitter.buffer)
        self.report.warnings += self.file.warnings
        if splitter.state == "after":
            self._check_after(splitter)
            lxml = self.lxml or PageReader(self.root, self.site, self.findings.tags_without_column)
            if not self.root.closed:
                lxml.close(rest)
            self._add("tail", rest)
            return
        end = splitter.offset + len(rest)
        where = {
            "header": "in its header",
            "between": "between two pages, without </mediawiki>",
            "page": "inside a page",
            "revision": "inside a page",
        }[splitter.state]
        what = f"the dump ends at byte {end:,} {where}"
        if not self.options.allow_truncated:
            raise Malformed(
                f"{what}: it is cut off, download it again; for a deliberate prefix such as enwik8 give "
                f"`allow_truncated`"
            )
        if splitter.state == "header":
            raise Malformed(f"{what}: there is no page in it")
        self.report.truncated = self.file.truncated or what
        yield from self._read(splitter.take_cut_off())
        self._add("truncated", bytes(splitter.buffer))


def describe_repetition(values: dict) -> str:
    return f"revision {values['rev_id']} of page {values['page_id']} ({values['title']!r:.100}) for the second time"

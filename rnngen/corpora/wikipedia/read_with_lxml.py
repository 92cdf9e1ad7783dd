"""The grammar of a MediaWiki XML export: where its rows begin and end, byte for byte, and what lxml reads in them.

A row is one revision. The first row of a page begins where the row before it ended and the last one ends with
`</page>`, so that header + rows + tail are the file, whatever stands between two elements.
Entities are never defined by a dump: a DOCTYPE is refused before any parser sees it.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import NamedTuple

import numpy as np
from lxml import etree

from rnngen.corpora.decompression import format_of
from rnngen.corpora.wikipedia.scan import Scanner
from rnngen.errors import InputError

KNOWN_SCHEMAS = [f"0.{minor}" for minor in range(3, 12)]
PROLOG_LIMIT = 1 << 20  # bytes within which the root element must begin
HEADER_LIMIT = 16 << 20
TAG_LIMIT = 1 << 16  # bytes of a tag of the structure; the longest that MediaWiki writes has 1 kB
TAIL_LIMIT = 1 << 20  # bytes after the end of the root element
AGAIN = "download the file again and compare its checksum"
LONGEST_TOKEN = 256  # a token that the end of the buffer may have cut in two is looked at again


class Malformed(Exception):
    """What is wrong with one row; the reader adds where it is, and stops or skips it."""


# ------------------------------------------------------------------------------------------------- beginning of a file


def encoding_of(beginning: bytes, name: str) -> str | None:
    """The codec of a dump that is not UTF-8, by its byte order mark or XML declaration; None for UTF-8."""
    if beginning.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise InputError(f"{name}: UTF-32 is not supported; convert it to UTF-8 (iconv -f UTF-32 -t UTF-8)")
    if beginning.startswith((codecs.BOM_UTF16_LE, b"<\0")):
        return "utf-16-le"
    if beginning.startswith((codecs.BOM_UTF16_BE, b"\0<")):
        return "utf-16-be"
    declared = re.match(rb"(?:\xef\xbb\xbf)?<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']", beginning)
    if declared is None:
        return None
    try:
        codec = codecs.lookup(declared[1].decode("ascii")).name
    except LookupError as error:
        raise InputError(
            f"{name}: unknown encoding {declared[1].decode('ascii')} declared; convert it to UTF-8"
        ) from error
    if codec in ("utf-8", "ascii", "utf-8-sig"):
        return None
    if codec.startswith(("utf-16", "utf-32")) or not is_ascii_superset(codec):
        raise InputError(f"{name}: declares the encoding {codec} but is not in it; correct the XML declaration")
    return codec


def is_ascii_superset(codec: str) -> bool:
    """Whether markup reads as in ASCII. That the text's bytes come back is checked by the sha256 of the whole file."""
    text = bytes(range(128)).decode("ascii")
    try:
        return text.encode(codec) == bytes(range(128))
    except (UnicodeError, LookupError):
        return False


_PROLOG = re.compile(rb"\s+|<\?.*?\?>|<!--.*?-->", re.S)
_START_TAG = re.compile(rb"<([^\s/>!?<&]+)((?:[^<>\"']|\"[^<\"]*+\"|'[^<']*+')*+)>", re.S)


@dataclass
class Root:
    """The root element's start tag: bytes [start, end) of the file in UTF-8, namespace and prefix of its element."""

    start: int
    end: int
    tag: bytes
    prefix: bytes
    namespace: str
    version: str | None
    language: str | None
    closed: bool


def find_root(data: bytes, name: str, complete: bool) -> Root | None:
    """The root element of a dump that begins with `data`; None where `data` is too short to tell.

    Raises InputError for everything that is not a MediaWiki export: other XML, HTML error pages, a DOCTYPE, no XML.
    """
    position = 3 if data.startswith(codecs.BOM_UTF8) else 0
    while match := _PROLOG.match(data, position):
        position = match.end()
    rest = data[position : position + LONGEST_TOKEN]
    too_short = not complete and len(data) < PROLOG_LIMIT
    if re.match(rb"<!doctype\s+html|<html|<head|<body", rest, re.I):
        raise InputError(
            f"{name}: an HTML page, not a MediaWiki dump; probably the error page of a failed download, fetch it again"
        )
    if rest[:9].upper() == b"<!DOCTYPE":
        raise InputError(f"{name}: DOCTYPE at byte {position:,}; no MediaWiki dump has one, and entities are refused")
    if rest and not rest.startswith(b"<"):
        packed = format_of(rest)
        if packed != "plain":
            raise InputError(f"{name}: packed twice, the inner time as {packed}; unpack it once")
        raise InputError(f"{name}: neither XML nor compressed by a known program: {rest[:12]!r} at byte {position:,}")
    match = _START_TAG.match(data, position)
    if match is None:
        if too_short:
            return None
        if not rest:
            raise InputError(f"{name}: no XML element in it; download the file again")
        raise InputError(f"{name}: no complete start tag at byte {position:,}, where the root element should begin")
    tag = match.group()
    closed = tag.endswith(b"/>")
    try:
        parser = etree.XMLParser(resolve_entities="internal", no_network=True, load_dtd=False)
        element = etree.fromstring(tag if closed else tag[:-1] + b"/>", parser)
    except etree.XMLSyntaxError as error:
        raise InputError(
            f"{name}: malformed root element at byte {position:,}: {' '.join(error.msg.split())}"
        ) from error
    qualified = etree.QName(element)
    if qualified.localname != "mediawiki":
        raise InputError(
            f"{name}: root element <{qualified.localname}> at byte {position:,}, not <mediawiki>: not a MediaWiki dump"
        )
    prefix, colon, _ = match[1].rpartition(b":")
    return Root(
        start=position,
        end=match.end(),
        tag=tag if not closed else tag[:-2] + b">",
        prefix=prefix + colon,
        namespace=qualified.namespace or "",
        version=element.get("version") or schema_of(qualified.namespace or ""),
        language=element.get("{http://www.w3.org/XML/1998/namespace}lang"),
        closed=closed,
    )


def schema_of(namespace: str) -> str | None:
    match = re.search(r"export-(\d+\.\d+)", namespace)
    return match[1] if match else None


# ------------------------------------------------------------------------------------------------------- rows as bytes


class Piece(NamedTuple):
    """Consecutive bytes of a dump (in UTF-8): `header`, `pages` (whole ones, not yet cut into rows), `row` or `tail`.

    For a row: whether it begins and ends a page, what is wrong with its structure (None: nothing), and, of a row that
    begins a page, the bytes before its first revision (0: there is none, or the page does not begin as it must). For
    pages: where their tags begin (int64).
    """

    kind: str
    offset: int
    data: bytes
    begins_page: bool = True
    ends_page: bool = True
    problem: str | None = None
    tags: np.ndarray = np.empty(0, np.int64)
    head: int = 0


class Splitter:
    """Cuts a dump into pieces while it arrives, by reading its markup exactly as XML does: `<` begins markup and
    nothing else, except inside comments, CDATA sections and processing instructions.

    whole_pages   hand out stretches of whole pages as one piece where no row needs to be known
    row_limit     bytes; a longer row is reported as a problem

    What is out of place within or between pages is a problem of its row, and the next revision or page is read again.
    A row with a problem comes in pieces of `segment` bytes, so that it takes little memory.
    """

    def __init__(self, root: Root, *, whole_pages: bool, row_limit: int, segment: int = 4 << 20):
        self.prefix = root.prefix
        self.whole_pages = whole_pages
        self.row_limit = row_limit
        self.segment = segment
        self.scanner = Scanner()
        self.buffer = bytearray()
        self.offset = 0  # of the buffer in the dump
        self.position = root.end  # everything before it in the buffer has been looked at
        self.state = "header"  # header, between (pages), page, revision, after (the root element)
        self.begins_page = True
        self.revision_end: int | None = None  # in the buffer, while it is not yet known whether the page goes on
        self.head = 0  # of the page that the buffer begins with: bytes before its first revision
        self.problem: str | None = None  # of the row that the buffer begins with
        self.header_end = root.end
        self.root_end = 0  # in the buffer, once the state is `after`
        names = b"page|revision|siteinfo|mediawiki"
        self.token = re.compile(
            rb"<!--|<!\[CDATA\[|<\?|(</?)" + re.escape(root.prefix) + rb"(" + names + rb")(?=[\s/>])"
        )
        self.close_page = b"</" + root.prefix + b"page>"
        self.rest_of_tag = re.compile(rb"(?:[^<>\"']|\"[^<\"]*+\"|'[^<']*+')*+>", re.S)
        if root.closed:
            self.state, self.root_end = "after", root.end

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Add bytes; yield the pieces that are complete."""
        self.buffer += data
        if len(self.buffer) >= self.segment:
            yield from self.pieces()

    def pieces(self, last: bool = False) -> Iterator[Piece]:
        """The complete pieces at the beginning of the buffer; `last`: nothing comes after it."""
        if self.state == "header":
            yield from self._header()
            if self.state == "header":
                return
        if self.whole_pages and self.state == "between" and self.position == 0:
            piece = self._whole_pages()
            if piece is not None:
                yield piece
                if not last:
                    return
        start = 0
        try:
            for end, piece in self._lex():
                head = max(piece.head - start, 0)
                yield piece._replace(offset=self.offset + start, data=self._copy(start, end), head=head)
                start = end
        finally:
            self._drop(start)
        if self.state == "after":
            return
        if len(self.buffer) > (self.segment if self.problem else self.row_limit):
            problem = self.problem = self.problem or longer_than(self.row_limit)
            cut = len(self.buffer) - LONGEST_TOKEN
            self.position = max(self.position, cut)
            piece = self._row(ends_page=False)._replace(offset=self.offset)
            self.problem = problem
            yield piece._replace(data=self._take(cut))
        elif not last and self.whole_pages and self.begins_page and len(self.buffer) < self.segment:
            # the buffer begins with a page: look at it again when there is more, as part of a stretch of whole pages
            self.state, self.position, self.revision_end, self.problem, self.head = "between", 0, None, None, 0

    def _header(self) -> Iterator[Piece]:
        """The header: up to `</siteinfo>`, or to the end of the root's start tag where there is no siteinfo."""
        for end, piece in self._lex():
            self.state = "between"
            yield piece._replace(data=self._take(end))
            self.position = 0
            return
        if len(self.buffer) > HEADER_LIMIT:
            raise Malformed(f"no page and no end of the header within its first {HEADER_LIMIT:,} bytes; {AGAIN}")

    def _whole_pages(self) -> Piece | None:
        """The pages up to the last `</page>`, provided that no comment or CDATA section can hide in them."""
        end = self.buffer.rfind(self.close_page) + len(self.close_page)
        if end < len(self.close_page):
            return None
        data = self._copy(0, end)
        tags = self.scanner.positions(np.frombuffer(data, np.uint8), "<")
        second = np.frombuffer(data, np.uint8)[tags + 1]
        if ((second == ord("!")) | (second == ord("?"))).any():
            return None
        piece = Piece("pages", self.offset, data, tags=tags)
        self._drop(end)
        return piece

    def _copy(self, start: int, end: int) -> bytes:
        with memoryview(self.buffer) as view:
            return bytes(view[start:end])

    def _take(self, end: int) -> bytes:
        data = self._copy(0, end)
        self._drop(end)
        return data

    def _drop(self, end: int) -> None:
        del self.buffer[:end]
        self.offset += end
        self.position = max(self.position - end, 0)
        self.root_end -= end
        self.head = max(self.head - end, 0)
        if self.revision_end is not None:
            self.revision_end -= end

    def _lex(self) -> Iterator[tuple[int, Piece]]:
        """Ends of rows in the buffer, each with what is known of the row."""
        buffer = self.buffer
        while match := self.token.search(buffer, self.position):
            start = match.start()
            if self.state == "after":
                break
            slash, name = match.groups()
            if name is None:
                closing = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}[match.group()]
                end = buffer.find(closing, match.end())
                if end < 0:
                    self.position = start
                    return
                self.position = end + len(closing)
                continue
            limit = match.end() + TAG_LIMIT
            rest = self.rest_of_tag.match(buffer, match.end(), limit)
            if rest is None:
                if buffer.find(b"<", match.end(), limit) >= 0:
                    yield from self._refuse_out_of_place("a tag without its end", start)
                elif len(buffer) > limit:
                    yield from self._refuse_out_of_place(f"a tag longer than {TAG_LIMIT:,} bytes", start)
                else:
                    self.position = start
                    return
                self.position = match.end()
                continue
            end = self.position = rest.end()
            yield from self._tag(name.decode(), slash == b"</", buffer[end - 2] == ord("/"), start, end)
        else:
            # a token that is cut in two by the end of the buffer is found next time
            self.position = max(self.position, len(buffer) - LONGEST_TOKEN)

    def _tag(self, name: str, closes: bool, empty: bool, start: int, end: int) -> Iterator[tuple[int, Piece]]:
        """One tag of the structure; `start`, `end` in the buffer."""
        match (self.state, name, "close" if closes else "open"):
            case ("header", "siteinfo", "open"):
                if empty:
                    yield end, Piece("header", 0, b"")
            case ("header", "siteinfo", "close"):
                yield end, Piece("header", 0, b"")
            case ("header", "page" | "revision" | "mediawiki", _):
                # there is no siteinfo
                yield self.header_end, Piece("header", 0, b"")
            case ("between", "page", "open"):
                if empty:
                    yield end, self._row(ends_page=True)
                else:
                    self.state = "page"
            case ("page", "revision", "open"):
                if self.revision_end is not None or self.problem:
                    yield start if self.revision_end is None else self.revision_end, self._row(ends_page=False)
                elif self.begins_page:
                    self.head = start
                self.revision_end = end if empty else None
                self.state = "page" if empty else "revision"
            case ("revision", "revision", "close"):
                self.revision_end, self.state = end, "page"
            case ("revision", "revision", "open"):
                self.problem = self.problem or "a revision begins before the one before it has ended"
                yield start, self._row(ends_page=False)
            case ("page", "page", "close"):
                yield end, self._row(ends_page=True)
                self.state = "between"
            case ("between", "mediawiki", "close"):
                self.state, self.root_end = "after", end
            case ("page" | "revision", "page", "open"):
                yield from self._last_revision()
                self.problem = self.problem or "a page begins before the one before it has ended"
                yield start, self._row(ends_page=True)
                self.state = "page"
            case ("page" | "revision", "mediawiki", "close"):
                yield from self._last_revision()
                self.problem = self.problem or "</mediawiki> inside a page"
                yield start, self._row(ends_page=True)
                self.state, self.root_end = "after", end
            case ("revision", "page", "close"):
                self.problem = self.problem or "</page> inside a revision"
                yield end, self._row(ends_page=True)
                self.state = "between"
            case _:
                yield from self._refuse_out_of_place(f"unexpected <{'/' * closes}{name}>", start)
                if (name, closes) == ("page", True):  # it ends what it does not belong to
                    yield end, self._row(ends_page=True)
                    self.state = "between"

    def _refuse_out_of_place(self, what: str, start: int) -> Iterator[tuple[int, Piece]]:
        """Something at `start` that makes the row unreadable, but not the revision before it."""
        where = {"header": "in the header", "between": "between pages"}.get(self.state, f"inside a {self.state}")
        reason = f"{what} {where}, at byte {self.offset + start:,}"
        yield from self._last_revision()
        if self.state == "header" or what == "unexpected <mediawiki>":
            raise Malformed(f"{reason}; {AGAIN}")
        self.problem = self.problem or reason
        if self.state == "between":
            self.state = "page"

    def _last_revision(self) -> Iterator[tuple[int, Piece]]:
        """The row of a revision that has ended, in a page that does not go on as it must."""
        if self.revision_end is not None:
            yield self.revision_end, self._row(ends_page=False)

    def _row(self, ends_page: bool) -> Piece:
        """What is known of the row that ends here; the next one begins."""
        piece = Piece("row", 0, b"", self.begins_page, ends_page, self.problem, head=self.head)
        self.begins_page, self.revision_end, self.problem, self.head = ends_page, None, None, 0
        return piece

    def take_cut_off(self) -> Iterator[Piece]:
        """The last whole revision of a dump that ends inside a page; the rest stays in the buffer."""
        for end, piece in self._last_revision():
            yield piece._replace(offset=self.offset, data=self._take(end))


def longer_than(limit: int) -> str:
    return f"a revision longer than {limit:,} bytes (`text_limit`)"


def what_follows(tail: bytes) -> str | None:
    """What is wrong with the bytes after `</mediawiki>`: only space, comments and instructions may stand there."""
    position = 0
    while match := _PROLOG.match(tail, position):
        if match.group().startswith(b"<?xml") and match.group()[5:6].isspace():
            break
        position = match.end()
    rest = tail[position:]
    if not rest:
        return None
    if re.match(rb"(\xef\xbb\xbf)?<(\?xml|\w*:?mediawiki)\b", rest):
        return "a second dump begins after </mediawiki>: several dumps were joined, pass them as separate files"
    return f"{rest[:12]!r} after </mediawiki>, the end of the dump"


def rows_of(data: bytes, root: Root, offset: int) -> Iterator[Piece]:
    """The rows of a stretch of whole pages. Raises Malformed where the dump ends within it and another begins."""
    splitter = Splitter(root, whole_pages=False, row_limit=len(data) + LONGEST_TOKEN)
    splitter.state, splitter.position, splitter.offset = "between", 0, offset
    splitter.buffer += data
    yield from splitter.pieces()
    if splitter.buffer:
        problem = what_follows(bytes(splitter.buffer[max(splitter.root_end, 0) :]))
        at = splitter.offset + splitter.root_end
        raise Malformed(f"{problem or 'no page'} (at byte {at:,} of the decompressed dump)")


# ------------------------------------------------------------------------------------------------------------ siteinfo


@dataclass
class SiteInfo:
    """What a dump says of its wiki. `namespaces`: lower-case name with spaces → key; None where it has no siteinfo."""

    name: str | None = None
    database: str | None = None
    base: str | None = None
    generator: str | None = None
    namespaces: dict[str, int] | None = None

    def namespace_of(self, title: str) -> int | None:
        """The namespace by the title's prefix, for schemas without `<ns>` (0.3 to 0.5); None without siteinfo."""
        if self.namespaces is None:
            return None
        prefix, colon, _ = title.partition(":")
        return self.namespaces.get(namespace_key(prefix), 0) if colon else 0


def namespace_key(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).lower()


def read_siteinfo(header: bytes, root: Root) -> SiteInfo:
    """The siteinfo of a header (UTF-8). Raises Malformed."""
    start = header.index(root.tag[:-1])
    closing = b"</" + root.prefix + b"mediawiki>"
    parser = etree.XMLParser(resolve_entities="internal", no_network=True, load_dtd=False, remove_comments=True)
    try:
        element = etree.fromstring(header[start:] + closing, parser)
    except etree.XMLSyntaxError as error:
        raise Malformed(f"malformed header: {error.msg}") from error
    tag = f"{{{root.namespace}}}" if root.namespace else ""
    site = element.find(f"{tag}siteinfo")
    if site is None:
        return SiteInfo()
    info = SiteInfo(
        name=site.findtext(f"{tag}sitename"),
        database=site.findtext(f"{tag}dbname"),
        base=site.findtext(f"{tag}base"),
        generator=site.findtext(f"{tag}generator"),
    )
    namespaces = site.find(f"{tag}namespaces")
    if namespaces is not None:
        info.namespaces = {}
        for namespace in namespaces.iterchildren(f"{tag}namespace"):
            key = namespace.get("key", "")
            if not re.fullmatch(r"-?\d{1,9}", key):
                raise Malformed(f"namespace with the key {key!r} in siteinfo; {AGAIN}")
            if namespace.text:
                info.namespaces[namespace_key(namespace.text)] = int(key)
    return info


# ------------------------------------------------------------------------------------------------------- rows as values


class RevisionRow(NamedTuple):
    """One row of the Parquet file; None is null."""

    kind: str
    part: int
    raw_before: bytes | None
    raw_after: bytes | None
    raw: bytes | None
    page_id: int | None = None
    ns: int | None = None
    title: str | None = None
    redirect: str | None = None
    restrictions: str | None = None
    rev_id: int | None = None
    parent_id: int | None = None
    timestamp: int | None = None
    contributor: str | None = None
    contributor_id: int | None = None
    contributor_ip: str | None = None
    contributor_deleted: bool | None = None
    minor: bool | None = None
    comment: str | None = None
    comment_deleted: bool | None = None
    origin: int | None = None
    model: str | None = None
    format: str | None = None
    text: str | None = None
    text_deleted: bool | None = None
    other_slots: int | None = None
    sha1: str | None = None
    sha1_ok: bool | None = None


PAGE_TAGS = ("title", "ns", "id", "redirect", "restrictions", "revision")
REVISION_TAGS = (
    *("id", "parentid", "timestamp", "contributor", "minor", "comment", "origin", "model", "format", "text", "content"),
    "sha1",
)
_INTEGER = re.compile(r"\s*-?[0-9]+\s*")


@dataclass
class PageReader:
    """Reads rows with lxml, one after the other, in constant memory. Raises Malformed.

    A reader that has raised cannot go on; the caller makes a new one for the next page.
    """

    root: Root
    site: SiteInfo
    unknown_tags: Counter[str] = field(default_factory=Counter)
    texts_with_carriage_returns: int = 0

    def __post_init__(self) -> None:
        self.tag = f"{{{self.root.namespace}}}" if self.root.namespace else ""
        self.page_tag, self.revision_tag = f"{self.tag}page", f"{self.tag}revision"
        self.page_names = {self.tag + name: name for name in PAGE_TAGS}
        self.revision_names = {self.tag + name: name for name in REVISION_TAGS}
        self.parser = etree.XMLPullParser(
            events=("end",),
            tag=(self.page_tag, self.revision_tag),
            resolve_entities="internal",
            no_network=True,
            load_dtd=False,
            huge_tree=True,
            recover=False,
            remove_comments=True,
            remove_pis=True,
        )
        self.parser.feed(self.root.tag)
        self.lines = 1 + self.root.tag.count(b"\n")  # that the parser has seen the beginning of
        self.page_fields: dict | None = None

    def go_on(self, head: bytes) -> None:
        """Read the beginning of a page, before its first revision; an earlier revision of it could not be read."""
        try:
            self.parser.feed(head)
        except etree.XMLSyntaxError as error:
            raise Malformed("the rest of a page that could not be read") from error
        self.lines += head.count(b"\n")

    def read(self, data: bytes, ends_page: bool) -> dict:
        """The values of the row with these bytes, by column, without kind, part and raw."""
        try:
            self.parser.feed(data)
        except etree.XMLSyntaxError as error:
            raise self._describe_malformed(error, data) from error
        self.lines += data.count(b"\n")
        events = [element for _, element in self.parser.read_events()]
        expected = [self.revision_tag] * (len(events) > 1 or not ends_page) + [self.page_tag] * ends_page
        if [element.tag for element in events] != expected:
            raise Malformed("page and revision elements do not nest as in a MediaWiki dump")
        if events[0].tag == self.page_tag:
            raise Malformed(f"page without a revision ({self._name(events[0])})")
        revision = events[0]
        page = revision.getparent()
        if page.tag != self.page_tag or page.getparent() is None or page.getparent().getparent() is not None:
            raise Malformed("page and revision elements do not nest as in a MediaWiki dump")
        if self.page_fields is None:
            self.page_fields = self._page(page)
        elif ends_page and self._page(page) != self.page_fields:
            raise Malformed("a page with a title, id or the like after its first revision")
        values = self.page_fields | self._revision(revision, data)
        self._forget(revision, page, ends_page)
        return values

    def close(self, tail: bytes) -> None:
        """Read the end of the dump, from the end of the last row."""
        try:
            self.parser.feed(tail)
            root = self.parser.close()
        except etree.XMLSyntaxError as error:
            raise self._describe_malformed(error, tail) from error
        self._count_unknown(root)

    def _describe_malformed(self, error: etree.XMLSyntaxError, data: bytes) -> Malformed:
        """What lxml says, with the place of the error in the row that was being read."""
        line, column = error.position
        start = 0
        for _ in range(line - self.lines):
            start = data.find(b"\n", start) + 1
        what = re.sub(r",? line \d+(, column \d+.*)?", "", " ".join(error.msg.split()))
        return Malformed(f"malformed XML ({what}, {start + column - 1:,} bytes further on)")

    def _count_unknown(self, root: etree._Element) -> None:
        for child in root.iterchildren():
            if child.tag not in (self.page_tag, f"{self.tag}siteinfo"):
                self.unknown_tags[f"mediawiki/{etree.QName(child).localname}"] += 1

    def _forget(self, revision: etree._Element, page: etree._Element, ends_page: bool) -> None:
        """Free what has been read; elements that lxml may still write to (the last ones) are only emptied."""
        revision.clear()
        if not ends_page:
            while (earlier := revision.getprevious()) is not None and earlier.tag == self.revision_tag:
                page.remove(earlier)
            return
        for child in page.iterchildren():
            if child.tag not in self.page_names:
                self.unknown_tags[f"page/{etree.QName(child).localname}"] += 1
        root = page.getparent()
        page.clear()
        while (earlier := page.getprevious()) is not None:
            if earlier.tag != self.page_tag:
                self.unknown_tags[f"mediawiki/{etree.QName(earlier).localname}"] += 1
            root.remove(earlier)
        self.page_fields = None

    def _name(self, page: etree._Element) -> str:
        title, identity = page.findtext(f"{self.tag}title"), page.findtext(f"{self.tag}id")
        return f"title {title!r}, id {identity}"

    def _page(self, page: etree._Element) -> dict:
        values: dict = {"redirect": None, "restrictions": None, "ns": None, "page_id": None}
        seen: set[str] = set()
        for child in page.iterchildren():
            name = self.page_names.get(child.tag)
            if name not in (None, "revision"):
                note_once(name, seen, "page")
            match name:
                case "title":
                    values["title"] = content(child)
                case "ns":
                    values["ns"] = integer(child, bits=32)
                case "id":
                    values["page_id"] = integer(child)
                case "redirect":
                    values["redirect"] = child.get("title", "")
                case "restrictions":
                    values["restrictions"] = content(child)
        if "title" not in values:
            raise Malformed("page without a title")
        if values["ns"] is None:
            values["ns"] = self.site.namespace_of(values["title"])
        return values

    def _revision(self, revision: etree._Element, row: bytes) -> dict:
        values: dict = {"minor": False, "other_slots": 0, "contributor_deleted": False, "comment_deleted": False}
        text = main_text = claimed = None
        seen: set[str] = set()
        for child in revision.iterchildren():
            name = self.revision_names.get(child.tag)
            if name not in (None, "content"):
                note_once(name, seen, "revision")
            match name:
                case "id":
                    values["rev_id"] = integer(child)
                case "parentid":
                    values["parent_id"] = integer(child)
                case "timestamp":
                    values["timestamp"] = milliseconds(content(child))
                case "contributor":
                    values |= self._contributor(child)
                case "minor":
                    values["minor"] = True
                case "comment":
                    values["comment_deleted"] = child.get("deleted") is not None
                    values["comment"] = None if values["comment_deleted"] else content(child)
                case "origin":
                    values["origin"] = integer(child)
                case "model" | "format" as name:
                    values[name] = content(child)
                case "text":
                    text = child
                case "content":
                    # 0.11: a revision may have more slots than the main one, which stands in the revision itself
                    if child.findtext(f"{self.tag}role") == "main":
                        texts = [*([] if main_text is None else [main_text]), *child.iterchildren(f"{self.tag}text")]
                        if len(texts) > 1:
                            raise Malformed("two <text> of the main slot in a revision")
                        main_text = texts[0] if texts else None
                    else:
                        values["other_slots"] += 1
                case "sha1":
                    claimed = content(child) or None
                case _:
                    self.unknown_tags[f"revision/{etree.QName(child).localname}"] += 1
        if text is not None and main_text is not None:
            raise Malformed("two <text> of the main slot in a revision")
        text = main_text if text is None else text
        if text is None:
            raise Malformed("revision without <text>")
        return values | self._text(text, claimed, values["other_slots"], row)

    def _text(self, text: etree._Element, claimed: str | None, other_slots: int, row: bytes) -> dict:
        """Text, its deletion, and whether it has the checksum that the dump claims.

        The text is null where the dump does not hold it: deleted, or a stub that only refers to the storage of the
        wiki. With more than one slot `<sha1>` is of all of them together; then only the text's own attribute counts.
        """
        deleted = text.get("deleted") is not None
        value = content(text)
        referred = text.get("id") is not None or text.get("location") is not None
        absent = deleted or (not value and (referred or text.get("bytes", "0").strip() not in ("0", "")))
        claims = [claim for claim in (text.get("sha1"), claimed if other_slots == 0 else None) if claim]
        equal = None
        if claims and not absent:
            equal = has_sha1(value.encode(), claims)
            if not equal and any(has_sha1(other, claims) for other in with_carriage_returns(value, row)):
                equal = True
                self.texts_with_carriage_returns += 1
        return {"text": None if absent else value, "text_deleted": deleted, "sha1": claimed, "sha1_ok": equal}

    def _contributor(self, element: etree._Element) -> dict:
        values: dict = {"contributor_deleted": element.get("deleted") is not None}
        seen: set[str] = set()
        for child in element.iterchildren():
            name = child.tag.removeprefix(self.tag)
            if name in ("username", "id", "ip"):
                note_once(name, seen, "contributor")
            match name:
                case "username":
                    values["contributor"] = content(child)
                case "id":
                    values["contributor_id"] = integer(child)
                case "ip":
                    values["contributor_ip"] = content(child)
                case name:
                    self.unknown_tags[f"contributor/{name}"] += 1
        return values


def note_once(name: str, seen: set[str], where: str) -> None:
    """Add the name of an element to those seen; Malformed if it was among them: the second would hide the first."""
    if name in seen:
        raise Malformed(f"two <{name}> in a {where}")
    seen.add(name)


def with_carriage_returns(text: str, row: bytes) -> Iterator[bytes]:
    """What the wiki may have hashed instead of `text`, which has the line ends of XML: old pages keep those of Windows.

    Dumps have lost them (then all line ends were CR LF, or nothing can be said) or have them still in the row's bytes.
    """
    yield text.replace("\n", "\r\n").encode()
    if b"\r" in row:
        start, end = row.find(b"<text"), row.rfind(b"</text>")
        if 0 <= start < end:
            parser = etree.XMLParser(resolve_entities="internal", no_network=True, load_dtd=False, huge_tree=True)
            try:
                element = etree.fromstring(row[start:end].replace(b"\r", b"&#13;") + b"</text>", parser)
            except etree.XMLSyntaxError:  # more than one <text>, or a carriage return inside a tag: nothing to compare
                return
            yield content(element).encode()


def content(element: etree._Element) -> str:
    """The text of an element that may hold nothing but text."""
    if len(element):
        inner = etree.QName(element[0]).localname
        raise Malformed(f"<{inner}> inside <{etree.QName(element).localname}>, where only text may stand")
    return element.text or ""


def integer(element: etree._Element, bits: int = 64) -> int | None:
    """An id or number that its column can hold; None for an empty element."""
    text = content(element)
    if not text.strip():
        return None
    if not _INTEGER.fullmatch(text):
        raise Malformed(f"<{etree.QName(element).localname}> is not a number: {text[:40]!r}")
    if len(text.strip()) > 40 or not -(1 << bits - 1) <= int(text) < 1 << bits - 1:
        raise Malformed(f"<{etree.QName(element).localname}> is a number beyond {bits} bits: {text.strip()[:40]}")
    return int(text)


def milliseconds(timestamp: str) -> int | None:
    """Milliseconds since 1970, UTC, of a time in ISO 8601; None for an empty element."""
    if not timestamp.strip():
        return None
    try:
        time = datetime.fromisoformat(timestamp.strip())
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"<timestamp> is not a time: {timestamp[:40]!r}") from error
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def has_sha1(text: bytes, claims: list[str]) -> bool:
    """Whether the SHA-1 of `text` is what all claim, in base 36 as MediaWiki writes it or in 40 hexadecimal digits."""
    digest = int.from_bytes(sha1(text, usedforsecurity=False).digest(), "big")
    return all(sha1_number(claim) == digest for claim in claims)


def sha1_number(claim: str | bytes) -> int | None:
    """The number that a SHA-1 in a dump stands for; None if it is not a SHA-1."""
    if len(claim) == 31 and claim.isascii() and claim.isalnum():  # as MediaWiki writes it
        return int(claim, 36)
    claim = claim.strip()
    if not (claim.isascii() and claim.isalnum() and len(claim) <= 40):
        return None
    try:
        return int(claim, 16 if len(claim) == 40 else 36)
    except ValueError:
        return None

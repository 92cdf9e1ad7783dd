"""Whole pages of a MediaWiki dump as Arrow columns, by numpy: no Python object for a text, one pass a kind of byte.

The reader is exact or silent. A page counts as read only if its tags spell one known sequence, name by name; if every
`<`, `>` and `&` in it belongs to such a tag or to one of XML's five entities; and if its text has its SHA-1. Any other
page (several revisions, character references, carriage returns, deleted parts, tags it does not know, errors) is left
to lxml, which says what is wrong with it, if anything is.
"""

import re
from hashlib import sha1

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rnngen.corpora.mediawiki_xml import SiteInfo, sha1_number

# One letter a name: small where an element begins, capital where it ends, with the highest bit where it is empty.
NAMES = {
    "page": "p",
    "title": "t",
    "ns": "n",
    "id": "i",
    "redirect": "r",
    "restrictions": "e",
    "revision": "v",
    "parentid": "a",
    "timestamp": "s",
    "contributor": "c",
    "username": "u",
    "ip": "q",
    "minor": "m",
    "comment": "k",
    "origin": "o",
    "model": "d",
    "format": "f",
    "text": "x",
    "sha1": "h",
}
_LETTER = np.array([ord(letter) for letter in NAMES.values()], np.uint8)
EMPTY = 128  # added to the letter of an element that is empty: <minor />
CAN_BE_EMPTY = ("redirect", "username", "minor", "comment", "text")
_WITH_ATTRIBUTES = [list(NAMES).index("text"), list(NAMES).index("redirect")]
MOST_OTHERS = 0.25  # of the pages; beyond it, lxml reads the whole stretch
# A page whose elements follow one another as MediaWiki has written them since 2005, with one revision; or any other.
_SHA1, _MODEL, _TEXT = rb"(?:hH|\xe8)", rb"(?:dD)?(?:fF)?", rb"(?:xX|\xf8)"
_GRAMMAR = re.compile(
    rb"ptT(?:nN)?iI\xf2?(?:eE)?viI(?:aA)?sSc(?:(?:uU|\xf5)iI|qQ)C\xed?(?:kK|\xeb)?(?:oO)?"
    rb"(?:%s%s%s|%s%s%s?|%s%s?dD(?:fF)?)VP|p([^P]*)P" % (_SHA1, _MODEL, _TEXT, _MODEL, _TEXT, _SHA1, _TEXT, _SHA1)
)
_TEXT_TAG = re.compile(rb'<text(?: bytes="(\d{1,18})")?(?: sha1="([0-9a-z]{1,31})")?(?: xml:space="preserve")?( ?/)?>')
_REDIRECT_TAG = re.compile(rb'<redirect(?: title="([^"<>\n\r\t]*)")? ?/>')
_ENTITY = re.compile(rb"&(lt|gt|amp|quot|apos);")
_CHARACTER = {b"lt": b"<", b"gt": b">", b"amp": b"&", b"quot": b'"', b"apos": b"'"}


def _word(text: bytes, size: int) -> int:
    return int.from_bytes(text[:size].ljust(size, b"\0"), "little")


# A name is recognised by its first four bytes and then compared whole: its first eight bytes and its last eight.
_LENGTH = np.array([len(name) for name in NAMES])
_SHORT = [_word(name.encode() + b">", 4) for name in NAMES]
_BY_SHORT = np.argsort(np.array(_SHORT, np.uint32))
_SORTED_SHORT = np.array(_SHORT, np.uint32)[_BY_SHORT]
_TWO_LETTERS = {code: _word(name.encode(), 2) for code, name in enumerate(NAMES) if len(name) == 2}
_FIRST_MASK = np.array([(1 << 8 * min(len(name), 8)) - 1 for name in NAMES], np.uint64)
_FIRST = np.array([_word(name.encode(), 8) for name in NAMES], np.uint64)
_LAST_SHIFT = np.maximum(_LENGTH - 8, 0)
_LAST = np.array([_word(name.encode()[max(len(name) - 8, 0) :], 8) for name in NAMES], np.uint64)
_ENTITIES = [(_word(b"lt;", 3), 0xFFFFFF, 4, "<"), (_word(b"gt;", 3), 0xFFFFFF, 4, ">")]
_ENTITIES += [(_word(b"amp;", 4), 0xFFFFFFFF, 5, "&"), (_word(b"quot", 4), 0xFFFFFFFF, 6, '"')]
_ENTITIES += [(_word(b"apos", 4), 0xFFFFFFFF, 6, "'")]


class NotCanonical(ValueError):
    """No page of the stretch can be told apart from the others here; lxml has to read them all."""


def spans(data: np.ndarray, begin: np.ndarray, end: np.ndarray) -> pa.BinaryArray:
    """data[begin:end] for every pair, which follow one another without overlap, as one array with its own memory."""
    offsets = np.empty(2 * len(begin), np.int32)
    offsets[::2], offsets[1::2] = begin, end
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    # the values are the spans and, between each two of them, what is left out
    values = pa.BinaryArray.from_buffers(pa.binary(), max(len(offsets) - 1, 0), buffers)
    return values.take(pa.array(np.arange(0, len(offsets), 2, dtype=np.int32)))


def values_of(column: pa.Array) -> memoryview:
    """The bytes of a binary or string column, all values one after the other, without a copy."""
    if len(column) == 0:
        return memoryview(b"")
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    data = column.buffers()[2]
    return memoryview(data)[offsets[0] : offsets[-1]] if data is not None else memoryview(b"")


class ColumnReader:
    """Reads stretches of whole pages; keeps its work arrays, because fresh ones cost a page fault every 4 kB."""

    def __init__(self, site: SiteInfo, schema: pa.Schema, page_limit: int):
        self.site = site
        self.schema = schema
        self.page_limit = page_limit
        self.decoded = np.empty(0, np.uint8)

    def read(self, data: bytes, lt: np.ndarray) -> tuple[dict[str, pa.Array], np.ndarray, np.ndarray]:
        """Columns of the pages that were read, which pages these are (bool), and where each page ends in `data`.

        `data` is UTF-8, ends with `</page>` and contains no `<!` and no `<?`; its `<` are at `lt`. Raises NotCanonical.
        """
        size = len(data)
        buffer = data + bytes(8)  # words of eight bytes are read at every position
        every = np.frombuffer(buffer, np.uint8)
        byte = every[:size]
        self._check_characters(data, every, byte)
        gt, amp = (np.flatnonzero(byte == ord(character)) for character in ">&")
        letters, tag_end = self._tags(buffer, every, lt, gt)
        first, last, bad = self._pages(letters)
        pages = len(first)
        ends = tag_end[last] + 1
        if ends[-1] != size:
            raise NotCanonical("something after the last page")
        starts = np.concatenate(([0], ends[:-1]))
        bad |= ends - starts > self.page_limit
        # every `>` ends a tag, every `&` begins an entity, and there is no control character
        bad |= np.searchsorted(gt, ends) - np.searchsorted(gt, starts) != last - first + 1
        low = byte < 32
        if np.count_nonzero(low) != np.count_nonzero(byte == 10) + data.count(b"\t"):
            controls = np.flatnonzero(low & (byte != 10) & (byte != 9))
            bad[np.searchsorted(ends, controls, "right")] = True
        decoded, removed, strange = self._decode(buffer, byte, amp)
        # where the contents before and after each tag end and begin in `decoded`; no tag that counts here has entities
        before = removed[np.searchsorted(amp, lt)]
        content_end = lt - before
        content = tag_end + 1 - before
        bad[np.searchsorted(ends, strange, "right")] = True
        if bad.sum() > MOST_OTHERS * pages:
            raise NotCanonical("most pages are not canonical")

        page_of_tag = np.repeat(np.arange(pages), last - first + 1)
        good = np.flatnonzero(~bad)

        def first_tags(letter: int) -> np.ndarray:
            """The first tag with this letter in each good page; -1 where there is none."""
            result = np.full(pages, -1)
            tags = np.flatnonzero(letters == letter)[::-1]
            result[page_of_tag[tags]] = tags
            return result[good]

        opens = {name: first_tags(ord(letter)) for name, letter in NAMES.items()}
        empties = {name: first_tags(ord(NAMES[name]) + EMPTY) for name in CAN_BE_EMPTY}
        opens["rev_id"] = opens["revision"] + 1
        contributor = np.maximum(opens["username"], np.where(empties["username"] >= 0, empties["username"] - 1, -1))
        opens["contributor_id"] = np.where(contributor >= 0, contributor + 2, -1)

        wrong = np.zeros(len(good), bool)

        def strings(name: str) -> pa.BinaryArray:
            """The contents of the element of this name in the good pages; null where a page has none."""
            tags = opens[name]
            present = np.flatnonzero(tags >= 0)
            values = spans(decoded, content[tags[present]], content_end[tags[present] + 1])
            if len(present) == len(tags):
                return values
            # null where there is no tag; the first value past the others is empty, for an element that is empty
            where = np.full(len(tags), -1, np.int32)
            where[present] = np.arange(len(present), dtype=np.int32)
            if name in empties:
                where[empties[name] >= 0] = len(present)
                values = pa.concat_arrays([values, pa.array([b""], pa.binary())])
            return values.take(pa.array(where, mask=where < 0))

        def integers(name: str) -> pa.Int64Array:
            values = strings(name)
            digits = np.frombuffer(values_of(values), np.uint8) - ord("0")
            lengths = pc.min_max(pc.binary_length(values))
            least, most = lengths["min"].as_py(), lengths["max"].as_py()
            if least is None or ((digits <= 9).all() and least > 0 and most <= 18):
                return values.view(pa.string()).cast(pa.int64())
            numbers = values.to_pylist()
            for at, value in enumerate(numbers):
                if value is not None and not (value.removeprefix(b"-").isdigit() and len(value) <= 18):
                    wrong[at], numbers[at] = True, None
            return pa.array([None if value is None else int(value) for value in numbers], pa.int64())

        titles, ns, sha1s = strings("title"), integers("ns"), strings("sha1").to_pylist()
        if ns.null_count:
            names = zip(ns.to_pylist(), titles.to_pylist(), strict=True)
            ns = [self.site.namespace_of(title.decode()) if value is None else value for value, title in names]
        texts, claims = self._texts(
            data, decoded, lt, tag_end, content, content_end, opens["text"], empties["text"], wrong
        )
        columns = {
            "page_id": integers("id"),
            "ns": ns,
            "title": titles,
            "redirect": [
                None if tag < 0 else self._redirect(data, lt[tag], tag_end[tag], wrong, at)
                for at, tag in enumerate(empties["redirect"].tolist())
            ],
            "restrictions": strings("restrictions"),
            "rev_id": integers("rev_id"),
            "parent_id": integers("parentid"),
            "timestamp": self._timestamps(every, tag_end, lt, opens["timestamp"], wrong),
            "contributor": strings("username"),
            "contributor_id": integers("contributor_id"),
            "contributor_ip": strings("ip"),
            "minor": empties["minor"] >= 0,
            "comment": strings("comment"),
            "origin": integers("origin"),
            "model": strings("model"),
            "format": strings("format"),
            "sha1_ok": self._check_sha1(texts, claims, sha1s, wrong),
            "sha1": [value or None for value in sha1s],
        }
        arrays = {name: self._array(name, column) for name, column in columns.items()}
        offsets = np.zeros(len(texts) + 1, np.int32)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        joined = pa.py_buffer(b"".join(texts))
        arrays["text"] = pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), joined)
        read = np.zeros(pages, bool)
        read[good[~wrong]] = True
        if wrong.any():
            arrays = {name: array.filter(pa.array(~wrong)) for name, array in arrays.items()}
        return arrays, read, ends

    def _array(self, name: str, column: pa.Array | np.ndarray | list) -> pa.Array:
        type_ = self.schema.field(name).type
        if isinstance(column, pa.BinaryArray):
            return column.view(type_)  # its bytes are known to be UTF-8
        return column.cast(type_) if isinstance(column, pa.Array) else pa.array(column, type_)

    @staticmethod
    def _check_characters(data: bytes, every: np.ndarray, byte: np.ndarray) -> None:
        """Bytes that XML does not admit anywhere: invalid UTF-8 and U+FFFE, U+FFFF."""
        try:
            offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
            pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
        except pa.ArrowInvalid as error:
            raise NotCanonical("invalid UTF-8") from error
        three = np.flatnonzero(byte == 0xEF)
        if ((every[three + 1] == 0xBF) & (every[three + 2] >= 0xBE)).any():
            raise NotCanonical("a character that XML does not admit")

    @staticmethod
    def _tags(buffer: bytes, every: np.ndarray, lt: np.ndarray, gt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The letter of each tag (0: not one that is known exactly) and the position of its `>`."""
        words4 = np.ndarray((len(buffer) - 3,), "<u4", buffer, strides=(1,))
        words8 = np.ndarray((len(buffer) - 7,), "<u8", buffer, strides=(1,))
        which = np.searchsorted(gt, lt)
        if which[-1] >= len(gt):
            raise NotCanonical("a tag without an end")
        tag_end = gt[which]
        closes = every[lt + 1] == ord("/")
        name = lt + 1 + closes
        word = words4[name]
        code = _BY_SHORT[np.minimum(np.searchsorted(_SORTED_SHORT, word), len(_SORTED_SHORT) - 1)]
        for two, characters in _TWO_LETTERS.items():
            code[word & 0xFFFF == characters] = two
        last8 = np.minimum(name + _LAST_SHIFT[code], len(words8) - 1)
        known = words8[name] & _FIRST_MASK[code] == _FIRST[code]
        known &= words8[last8] & _FIRST_MASK[code] == _LAST[code]
        name_end = name + _LENGTH[code]
        rest = tag_end - name_end  # bytes between the name and `>`; negative where the name is another, shorter one
        after = every[np.minimum(name_end, len(every) - 1)]
        empty = ~closes & (every[tag_end - 1] == ord("/")) & (rest > 0)
        bare = (rest == 0) | (empty & (rest == 1)) | (empty & (rest == 2) & (after == ord(" ")))
        attributes = ~closes & (rest > 0) & (after == ord(" ")) & np.isin(code, _WITH_ATTRIBUTES)
        letters = np.where(closes, _LETTER[code] - 32, np.where(empty, _LETTER[code] + EMPTY, _LETTER[code]))
        return np.where(known & (bare | attributes), letters, 0).astype(np.uint8), tag_end

    @staticmethod
    def _pages(letters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First and last tag of each page, and whether its tags are not the known sequence."""
        spelled = letters.tobytes()
        found = [(*match.span(), match.lastindex is not None) for match in _GRAMMAR.finditer(spelled)]
        if not found:
            raise NotCanonical("no page")
        first, end, other = (np.array(column) for column in zip(*found, strict=True))
        if first[0] != 0 or end[-1] != len(spelled) or (first[1:] != end[:-1]).any():
            raise NotCanonical("tags between pages")
        return first, end - 1, other

    def _decode(self, buffer: bytes, byte: np.ndarray, amp: np.ndarray) -> tuple:
        """`byte` with its entities replaced, the bytes lost before each `&` and in all, the `&` of no known entity."""
        size = len(byte)
        words = np.ndarray((len(buffer) - 3,), "<u4", buffer, strides=(1,))
        word = words[amp + 1]
        length = np.zeros(len(amp), np.int64)
        character = np.full(len(amp), ord("&"), np.uint8)
        for pattern, mask, entity_length, stands_for in _ENTITIES:
            here = word & mask == pattern
            length[here] = entity_length
            character[here] = ord(stands_for)
        six = np.flatnonzero(length == 6)
        length[six[np.frombuffer(buffer, np.uint8)[amp[six] + 5] != ord(";")]] = 0
        strange = amp[length == 0]
        if len(self.decoded) < size:
            self.decoded = np.empty(size + size // 4, np.uint8)
        decoded = self.decoded[:size]
        decoded[:] = byte
        decoded[amp] = character
        # what is kept ends with the character that takes the place of `&`; the rest of the entity is left out
        begin = np.concatenate(([0], amp + np.maximum(length, 1)))
        kept = spans(decoded, begin, np.concatenate((amp + 1, [size]))).buffers()[2]
        removed = np.concatenate(([0], np.cumsum(np.maximum(length - 1, 0))))
        return np.frombuffer(kept, np.uint8), removed, strange

    @staticmethod
    def _redirect(data: bytes, start: int, end: int, wrong: np.ndarray, at: int) -> bytes | None:
        match = _REDIRECT_TAG.fullmatch(data, start, end + 1)
        if match is None:
            wrong[at] = True
            return None
        return _ENTITY.sub(lambda entity: _CHARACTER[entity[1]], match[1] or b"")

    @staticmethod
    def _timestamps(
        every: np.ndarray, tag_end: np.ndarray, lt: np.ndarray, tags: np.ndarray, wrong: np.ndarray
    ) -> np.ndarray:
        """Milliseconds since 1970 of times written 2005-07-09T18:41:10Z."""
        begin, end = tag_end[tags] + 1, lt[np.minimum(tags + 1, len(lt) - 1)]
        characters = every[np.minimum(begin[:, None] + np.arange(20), len(every) - 1)]
        digits = (characters >= ord("0")) & (characters <= ord("9"))
        shape = np.frombuffer(b"0000-00-00T00:00:00Z", np.uint8)
        fits = (np.where(digits, ord("0"), characters) == shape).all(1) & (end - begin == 20)
        fits &= (characters[:, :4] != ord("0")).any(1)  # there is no year 0
        wrong |= ~fits
        characters[~fits] = np.frombuffer(b"1970-01-01T00:00:00Z", np.uint8)
        times = np.ascontiguousarray(characters[:, :19]).view("S19").ravel()
        try:
            return times.astype("datetime64[ms]").astype(np.int64)
        except ValueError as error:
            raise NotCanonical("a time that is none") from error

    @staticmethod
    def _texts(
        data: bytes,
        decoded: np.ndarray,
        lt: np.ndarray,
        tag_end: np.ndarray,
        content: np.ndarray,
        content_end: np.ndarray,
        opens: np.ndarray,
        empties: np.ndarray,
        wrong: np.ndarray,
    ) -> tuple[list[memoryview], list[bytes | None]]:
        """The texts, in `decoded`, and what their own attributes say of their SHA-1."""
        tags = np.where(opens >= 0, opens, empties)
        begin = content[tags]
        end = np.where(opens >= 0, content_end[np.minimum(tags + 1, len(lt) - 1)], begin)
        view = memoryview(decoded)
        texts, claims = [], []
        places = zip(lt[tags].tolist(), (tag_end[tags] + 1).tolist(), begin.tolist(), end.tolist(), strict=True)
        for at, (tag, tag_stop, start, stop) in enumerate(places):
            match = _TEXT_TAG.fullmatch(data, tag, tag_stop)
            if match is None or (start == stop and (match[1] or b"0") != b"0"):
                wrong[at] = True
                texts.append(view[:0])
                claims.append(None)
            else:
                texts.append(view[start:stop])
                claims.append(match[2])
        return texts, claims

    @staticmethod
    def _check_sha1(
        texts: list[memoryview], claims: list[bytes | None], elements: list[bytes | None], wrong: np.ndarray
    ) -> list[bool | None]:
        """True where the text has its SHA-1, None where none is given; what differs is left to lxml."""
        equal: list[bool | None] = []
        for at, (text, claim, element) in enumerate(zip(texts, claims, elements, strict=True)):
            claim = claim or element
            equal.append(True if claim else None)
            if claim:
                digest = int.from_bytes(sha1(text, usedforsecurity=False).digest(), "big")
                if sha1_number(claim) != digest or (element and element != claim):
                    wrong[at] = True
        return equal

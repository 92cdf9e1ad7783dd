"""Whole pages of a MediaWiki dump as Arrow columns, by numpy: no Python object per text, one pass per kind of byte.

The reader is exact or silent. A page counts as read only if its tags spell one known sequence, name by name; if every
`<`, `>` and `&` in it belongs to such a tag or to one of XML's five entities; and if its text has its SHA-1. Any other
page (several revisions, character references, carriage returns, deleted parts, tags it does not know, errors) is left
to lxml, which says what is wrong with it, if anything is.
"""

import re
from functools import lru_cache
from hashlib import sha1
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa

from rnngen.corpora.wikipedia.read_with_lxml import SiteInfo, sha1_number
from rnngen.corpora.wikipedia.scan import Holes, Scanner, binary, cut, offsets_of, values_of

# One letter per name: small where an element begins, capital where it ends, with the highest bit set if it is empty.
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
EMPTY = 128  # added to the letter of an element that is empty: <minor />
INTEGERS = ("page_id", "ns", "rev_id", "parent_id", "contributor_id", "origin")
WITH_ATTRIBUTES = ("text", "redirect")
MOST_OTHERS = 0.25  # of the pages; beyond it, lxml reads the whole stretch
# A page whose elements follow one another as MediaWiki has written them since 2005, with one revision.
_SHA1, _MODEL, _TEXT = rb"(?:hH|\xe8)", rb"(?:dD)?(?:fF)?", rb"(?:xX|\xf8)"
_GRAMMAR = re.compile(
    rb"ptT(?:nN)?iI\xf2?(?:eE)?viI(?:aA)?sSc(?:(?:uU|\xf5)iI|qQ)C\xed?(?:kK|\xeb)?(?:oO)?"
    rb"(?:%s%s%s|%s%s%s?|%s%s?dD(?:fF)?)V" % (_SHA1, _MODEL, _TEXT, _MODEL, _TEXT, _SHA1, _TEXT, _SHA1)
)
_TEXT_TAG = re.compile(
    rb'<text(?: bytes="(\d{1,18})")?(?: sha1="([0-9a-z]{1,31})")?(?: xml:space="preserve")?(?: ?/)?>'
)
_REDIRECT_TAG = re.compile(rb'<redirect(?: title="([^"<>\n\r\t]*)")?( ?/)>')  # findall gives pairs for two groups

Words = TypeVar("Words", int, np.ndarray)


def _word(text: bytes, size: int) -> int:
    return int.from_bytes(text[:size].ljust(size, b"\0"), "little")


def _by_key(keys: list[int], values: list[int], type_: type, size: int) -> np.ndarray:
    table: np.ndarray = np.zeros(size, type_)
    table[keys] = values
    return table


# A name is found by its first three bytes (of <ns>, the `>` is the third), which a shift maps onto 64 numbers without
# collision, and then compared whole: its first eight bytes and, where it is longer, its last eight.
def name_key(words: Words) -> Words:
    return (words >> 6 ^ words >> 16) & 63


_KEYS = [name_key(_word(name.encode() + b">", 3)) for name in NAMES]
_LETTER = _by_key(_KEYS, [ord(letter) for letter in NAMES.values()], np.uint8, 64)
_LENGTH = _by_key(_KEYS, [len(name) for name in NAMES], np.int64, 64)
_FIRST_MASK = _by_key(_KEYS, [(1 << 8 * min(len(name), 8)) - 1 for name in NAMES], np.uint64, 64)
_FIRST = _by_key(_KEYS, [_word(name.encode(), 8) for name in NAMES], np.uint64, 64)
_FIRST[_LENGTH == 0] = 1  # no name has such a key: nothing is equal to this under a mask of 0
_LAST = _by_key(_KEYS, [_word(name.encode()[max(len(name) - 8, 0) :], 8) for name in NAMES], np.uint64, 64)
_HAS_ATTRIBUTES = _by_key(_KEYS, [name in WITH_ATTRIBUTES for name in NAMES], bool, 64)


# An entity is found by its first two bytes and then compared whole; those of six bytes end with a `;` past the word.
def entity_key(words: Words) -> Words:
    return (words ^ words >> 8) & 15


_ENTITIES = {b"lt;": "<", b"gt;": ">", b"amp;": "&", b"quot;": '"', b"apos;": "'"}
_ENTITY_KEYS = [entity_key(_word(name, 4)) for name in _ENTITIES]
_ENTITY_MASK = _by_key(_ENTITY_KEYS, [(1 << 8 * min(len(name), 4)) - 1 for name in _ENTITIES], np.uint32, 16)
_ENTITY = _by_key(_ENTITY_KEYS, [_word(name, 4) for name in _ENTITIES], np.uint32, 16)
_ENTITY[_ENTITY_MASK == 0] = 1
_ENTITY_LENGTH = _by_key(_ENTITY_KEYS, [len(name) + 1 for name in _ENTITIES], np.int64, 16)
_ENTITY_NAME = re.compile(rb"&(\w+;)")
_CHARACTER = _by_key(_ENTITY_KEYS, [ord(character) for character in _ENTITIES.values()], np.uint8, 16)


_NO_TAG = np.array(-1)


def _row(letter: Words) -> Words:
    """The row of a letter (small, with or without EMPTY) in a table of 64."""
    return (letter & 31) + ((letter & EMPTY) >> 2)


def _character(entity: re.Match[bytes]) -> bytes:
    return _ENTITIES[entity[1]].encode()


class NotCanonical(ValueError):
    """No page of the stretch can be told apart from the others here; lxml has to read them all."""


@lru_cache(4096)
def is_canonical(page: bytes) -> bool:
    """Whether the letters of a page, without the last, are a sequence that is known. A dump has few different ones."""
    return _GRAMMAR.fullmatch(page) is not None


def groups(pattern: re.Pattern[bytes], tags: pa.BinaryArray, wrong: np.ndarray) -> list[tuple]:
    """The groups of `pattern` in each tag, all empty where it does not match the whole; there `wrong` becomes true."""
    found = pattern.findall(values_of(tags))
    if len(found) == len(tags):  # every match begins with the only `<` of a tag, and ends with its only `>`
        return found
    matches = [pattern.fullmatch(tag) for tag in tags.to_pylist()]
    wrong |= [match is None for match in matches]
    return [(b"",) * pattern.groups if match is None else match.groups(b"") for match in matches]


def decimal(every: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers written in decimal in every[begin:end], and which of these are of 1 to 18 digits and nothing else."""
    width = end - begin
    good = (width > 0) & (width <= 18)
    numbers = np.zeros(begin.shape, np.int64)
    for place in range(min(width.max(initial=0), 18), 0, -1):
        inside = place <= width
        digit = every[end - place] - np.uint8(ord("0"))
        good &= (digit <= 9) | ~inside
        numbers = np.where(inside, numbers * 10 + digit, numbers)
    return numbers, good


class ColumnReader:
    """Reads stretches of whole pages; keeps its work arrays, because fresh ones cost a page fault for every 4 kB."""

    def __init__(self, site: SiteInfo, schema: pa.Schema, page_limit: int):
        self.site = site
        self.schema = schema
        self.page_limit = page_limit
        self.work = np.empty(0, np.uint8)
        self.scanner = Scanner()

    def read(self, data: bytes, lt: np.ndarray) -> tuple[dict[str, pa.Array], np.ndarray, np.ndarray]:
        """Columns of the pages that were read, which pages these are (bool), and where each page ends in `data`.

        `data` is UTF-8, ends with `</page>` and contains no `<!` and no `<?`; its `<` are at `lt`. Raises NotCanonical.
        """
        source, size = np.frombuffer(data, np.uint8), len(data)
        if len(self.work) < size + 8:
            self.work = np.empty(size + size // 4 + 8, np.uint8)
        every = self.work[: size + 8]  # words of eight bytes are read at every position
        every[:size], every[size:] = source, 0
        byte, positions = every[:size], self.scanner.positions
        self._check_characters(data, every, positions(byte, "\xef"))
        gt, amp, quotes = (positions(byte, character) for character in '>&"')
        letters, tag_end = self._tags(every, lt, gt)
        first, last, bad = self._pages(letters)
        ends = tag_end[last] + 1
        if ends[-1] != size:
            raise NotCanonical("something after the last page")
        starts = np.concatenate(([0], ends[:-1]))
        bad |= ends - starts > self.page_limit
        # every `>` ends a tag, every `&` begins an entity, and there is no control character
        bad |= np.searchsorted(gt, ends) - np.searchsorted(gt, starts) != last - first + 1
        if self.scanner.has_controls(byte):
            controls = np.flatnonzero((byte < 32) & (byte != ord("\n")) & (byte != ord("\t")))
            bad[np.searchsorted(ends, controls, "right")] = True
        entities = Entities(every, amp)
        bad[np.searchsorted(ends, entities.strange, "right")] = True
        if bad.sum() > MOST_OTHERS * len(bad):
            raise NotCanonical("most pages are not canonical")

        good = np.flatnonzero(~bad)
        wrong = np.zeros(len(good), bool)
        elements = Elements(lt, tag_end, letters, first, good, starts[good])
        columns = self._columns(source, every, elements, entities, wrong)
        columns |= raw_columns(source, elements.contents("text"), starts[good], ends[good], entities, quotes)
        arrays = {name: self._array(name, column) for name, column in columns.items()}
        read = np.zeros(len(bad), bool)
        read[good[~wrong]] = True
        if wrong.any():
            arrays = {name: array.filter(pa.array(~wrong)) for name, array in arrays.items()}
        return arrays, read, ends

    def _columns(
        self, source: np.ndarray, every: np.ndarray, elements: "Elements", entities: "Entities", wrong: np.ndarray
    ) -> dict[str, pa.Array | np.ndarray | list]:
        """The columns except for the raw ones; `wrong` becomes true for pages that lxml has to read after all."""

        def strings(name: str) -> pa.Array:
            begin, end, present = elements.contents(name)
            if not present.any():
                return pa.nulls(len(wrong), pa.binary())
            return cut(every, begin, end, present, entities.holes)

        begin, end, present = (np.array(part) for part in zip(*map(elements.contents, INTEGERS), strict=True))
        numbers, are_numbers = decimal(every, begin, end)
        are_numbers[INTEGERS.index("ns")] &= numbers[INTEGERS.index("ns")] < 1 << 31
        wrong |= (present & ~are_numbers).any(0)
        integers = {
            name: pa.array(row, pa.int64(), mask=~there)
            for name, row, there in zip(INTEGERS, np.where(wrong, 0, numbers), present, strict=True)
        }
        titles, ns = strings("title"), integers["ns"]
        if ns.null_count:
            names = zip(ns.to_pylist(), titles.to_pylist(), strict=True)
            ns = [self.site.namespace_of(title.decode()) if value is None else value for value, title in names]

        text, sha1s = strings("text"), strings("sha1")
        attributes = groups(_TEXT_TAG, cut(source, *elements.tags("text")), wrong)
        for at in np.flatnonzero(np.diff(offsets_of(text)) == 0).tolist():
            wrong[at] |= (attributes[at][0] or b"0") != b"0"  # a stub
        return integers | {
            "ns": ns,
            "title": titles,
            "redirect": self._redirects(source, elements, wrong),
            "restrictions": strings("restrictions"),
            "timestamp": self._timestamps(every, *elements.contents("timestamp"), wrong),
            "contributor": strings("username"),
            "contributor_ip": strings("ip"),
            "minor": elements.empty("minor") >= 0,
            "comment": strings("comment"),
            "model": strings("model"),
            "format": strings("format"),
            "text": text,
            "sha1": binary(offsets_of(sha1s), sha1s.buffers()[2], np.diff(offsets_of(sha1s)) > 0),
            "sha1_ok": self._check_sha1(text, [claim for _, claim in attributes], sha1s, wrong),
        }

    def _array(self, name: str, column: pa.Array | np.ndarray | list) -> pa.Array:
        type_ = self.schema.field(name).type
        if isinstance(column, pa.BinaryArray):
            return column.view(type_)  # its bytes are known to be UTF-8
        return column.cast(type_) if isinstance(column, pa.Array) else pa.array(column, type_)

    @staticmethod
    def _check_characters(data: bytes, every: np.ndarray, three: np.ndarray) -> None:
        """Bytes that XML does not admit anywhere: invalid UTF-8, and U+FFFE, U+FFFF among the characters at `three`."""
        try:
            offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
            pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
        except pa.ArrowInvalid as error:
            raise NotCanonical("invalid UTF-8") from error
        if ((every[three + 1] == 0xBF) & (every[three + 2] >= 0xBE)).any():
            raise NotCanonical("a character that XML does not admit")

    @staticmethod
    def _tags(every: np.ndarray, lt: np.ndarray, gt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The letter of each tag (0: not one that is known exactly) and the position of its `>`."""
        if len(gt) == len(lt) and (lt < gt).all() and (gt[:-1] < lt[1:]).all():
            tag_end, overlaps = gt, np.zeros(len(lt), bool)
        else:
            which = np.searchsorted(gt, lt)
            if which[-1] >= len(gt):
                raise NotCanonical("a tag without an end")
            tag_end = gt[which]
            overlaps = np.append(tag_end[:-1] > lt[1:], False)
        words = np.ndarray((len(every) - 7,), "<u8", every, strides=(1,))
        closes = every[lt + 1] == ord("/")
        name = lt + 1 + closes
        word = words[name]
        key = name_key(word)
        known = word & _FIRST_MASK[key] == _FIRST[key]
        length = _LENGTH[key]
        long = np.flatnonzero(length > 8)
        known[long] &= words[np.minimum(name[long] + length[long], len(every)) - 8] == _LAST[key[long]]
        letters = _LETTER[key]
        letters -= closes * np.uint8(32)
        rest = (
            tag_end - name - length
        )  # bytes between the name and `>`; negative where the name is another, shorter one
        more = np.flatnonzero(rest != 0)
        slash = (every[tag_end[more] - 1] == ord("/")) & (rest[more] > 0)
        space = every[np.minimum(name[more] + length[more], tag_end[more])] == ord(" ")
        good = slash & ((rest[more] == 1) | (space & (rest[more] == 2)))
        good |= space & (rest[more] > 0) & _HAS_ATTRIBUTES[key[more]]
        letters[more] = np.where(good & ~closes[more], letters[more] + slash * np.uint8(EMPTY), 0)
        letters[~known | overlaps] = 0
        return letters, tag_end

    @staticmethod
    def _pages(letters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First and last tag of each page, and whether its tags are not the known sequence."""
        *pages, rest = letters.tobytes().split(b"P")
        last = np.flatnonzero(letters == ord("P"))
        first = np.concatenate(([0], last[:-1] + 1))
        if rest or not pages or (letters[first] != ord("p")).any():
            raise NotCanonical("tags between pages")
        return first, last, ~np.array(list(map(is_canonical, pages)))

    @staticmethod
    def _redirects(source: np.ndarray, elements: "Elements", wrong: np.ndarray) -> list[bytes | None]:
        tags = elements.empty("redirect")
        present = np.flatnonzero(tags >= 0)
        tags = tags[present]
        missing = np.zeros(len(present), bool)
        found = groups(_REDIRECT_TAG, cut(source, elements.lt[tags], elements.tag_end[tags] + 1), missing)
        wrong[present[missing]] = True
        targets: list[bytes | None] = [None] * len(wrong)
        for at, (target, _) in zip(present.tolist(), found, strict=True):
            targets[at] = _ENTITY_NAME.sub(_character, target) if b"&" in target else target
        return targets

    @staticmethod
    def _timestamps(
        every: np.ndarray, begin: np.ndarray, end: np.ndarray, present: np.ndarray, wrong: np.ndarray
    ) -> np.ndarray:
        """Milliseconds since 1970 of times written 2005-07-09T18:41:10Z."""
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
            raise NotCanonical("a malformed time") from error

    @staticmethod
    def _check_sha1(
        texts: pa.BinaryArray, claims: list[bytes], sha1s: pa.BinaryArray, wrong: np.ndarray
    ) -> list[bool | None]:
        """True where the text has its SHA-1, None where none is given; what differs is left to lxml."""
        elements = sha1s.to_pylist()
        both = zip(claims, elements, strict=True)
        differ = [bool(claim and element and claim != element) for claim, element in both]
        claims = [claim or element for claim, element in zip(claims, elements, strict=True)]
        values, borders = values_of(texts), offsets_of(texts).tolist()
        for at, (claim, (start, end)) in enumerate(zip(claims, pairwise(borders), strict=True)):
            if claim:
                digest = sha1(values[start:end], usedforsecurity=False).digest()
                differ[at] |= sha1_number(claim) != int.from_bytes(digest, "big")
        wrong |= np.array(differ, bool)
        return [True if claim else None for claim in claims]


class Elements:
    """Where the elements of the good pages of a stretch stand: of each name the first one in each page.

    The tags of the stretch are [lt, tag_end], have these letters, and those of a page begin with the one at `first`.
    """

    def __init__(
        self,
        lt: np.ndarray,
        tag_end: np.ndarray,
        letters: np.ndarray,
        first: np.ndarray,
        good: np.ndarray,
        starts: np.ndarray,
    ):
        self.lt, self.tag_end, self.starts = lt, tag_end, starts
        begins = np.flatnonzero(letters >= ord("a"))[::-1]  # reversed: where two tags have one place, the first wins
        table = np.full((64, len(first)), -1)
        table[_row(letters[begins]), np.searchsorted(first, begins, "right") - 1] = begins
        table = table[:, good]
        self.opens = {name: table[_row(ord(letter))] for name, letter in NAMES.items()}
        self.empties = {name: table[_row(ord(letter) + EMPTY)] for name, letter in NAMES.items()}
        # three elements are called <id>; two of them are found by the tag that stands directly before
        self.opens |= {"page_id": self.opens["id"], "rev_id": self.opens["revision"] + 1}
        names = self.opens["username"], self.empties["username"]
        self.opens["contributor_id"] = np.where(names[0] >= 0, names[0] + 2, np.where(names[1] >= 0, names[1] + 1, -1))
        self.opens["parent_id"] = self.opens["parentid"]

    def empty(self, name: str) -> np.ndarray:
        """The tag of an empty element in each page; -1 where it has none."""
        return self.empties[name]

    def tags(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Where the tag of an element begins and ends, if every page has the element."""
        tag = np.maximum(self.opens[name], self.empties[name])
        return self.lt[tag], self.tag_end[tag] + 1

    def contents(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where the contents of the element begin and end in each page, and whether it has one."""
        tag, empty = self.opens[name], self.empties.get(name, _NO_TAG)
        begin = np.where(tag >= 0, self.tag_end[tag] + 1, np.where(empty >= 0, self.tag_end[empty] + 1, self.starts))
        return begin, np.where(tag >= 0, self.lt[tag + 1], begin), (tag >= 0) | (empty >= 0)


def raw_columns(
    source: np.ndarray, text: tuple[np.ndarray, ...], starts: np.ndarray, ends: np.ndarray, entities: "Entities", quotes
) -> dict[str, pa.Array]:
    """The bytes of each page, [starts, ends): around its text where MediaWiki wrote the text as raw.py does.

    That is: its `"` are entities, and its `'` are not. `quotes`: where `"` stands in the stretch.
    """
    begin, end, _ = text
    usual = begin < end
    for other in (quotes, entities.apostrophe):
        usual &= np.searchsorted(other, begin) == np.searchsorted(other, end)
    return {
        "raw_before": cut(source, starts, np.where(usual, begin, starts), usual),
        "raw_after": cut(source, np.where(usual, end, ends), ends, usual),
        "raw": cut(source, starts, np.where(usual, starts, ends), ~usual),
    }


class Entities:
    """The entities of a stretch, in which each `&` is replaced by the character that its entity stands for.

    `every` has eight bytes more than the stretch; its `&` are at `amp`. `strange`: those of no known entity.
    """

    def __init__(self, every: np.ndarray, amp: np.ndarray):
        words = np.ndarray((len(every) - 3,), "<u4", every, strides=(1,))
        word = words[amp + 1]
        key = entity_key(word)
        length = _ENTITY_LENGTH[key]
        length[word & _ENTITY_MASK[key] != _ENTITY[key]] = 0
        six = np.flatnonzero(length == 6)
        length[six[every[amp[six] + 5] != ord(";")]] = 0
        self.strange = amp[length == 0]
        self.every = every
        # what stays is the character that takes the place of `&`; of an unknown entity, nothing is left out
        self.holes = Holes(amp + 1, amp + np.maximum(length, 1))
        self.apostrophe = amp[six[word[six] == _word(b"apos", 4)]]
        every[amp] = _CHARACTER[key]

"""Letter shapes: a text file of control points becomes an alphabet of allographs. Units: x-height 10."""

import unicodedata
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from rnngen.errors import InputError

LATIN = Path(__file__).with_name("latin.txt")
HANDS = ("print", "cursive", "any")
LONGEST_LIGATURE = 3  # characters
ATTACHED_BELOW, OGONEK = 202, "\u0328"  # a combining class of Unicode; a mark of that class at the right of its letter
MARK_GAP = 2.4  # from the top of a letter to a mark above it
BANDS = np.array([-10.0, -5.0, -1.0, 2.5, 6.0, 9.0, 12.0, 16.0, 21.0])  # heights between which letters must not collide


@dataclass(frozen=True, eq=False)
class Stroke:
    """A row of control points (n, 2) and which of them are corners (n,)."""

    points: np.ndarray
    corners: np.ndarray


@dataclass(frozen=True, eq=False)
class Glyph:
    """One way to write one character, a ligature of a few, or a mark of a letter.

    `strokes` come in writing order; those from index `delayed` on may wait until the word is done. `lead` and `tail`
    are the points (n, 2) passed where the character is entered or left without a lift, None where it never is.
    """

    character: str
    hand: str
    weight: float
    strokes: tuple[Stroke, ...]
    delayed: int
    lead: np.ndarray | None
    tail: np.ndarray | None
    left: np.ndarray  # (bands,) leftmost x in each band of heights, +inf where there is none
    right: np.ndarray  # (bands,) rightmost x, -inf where there is none

    @property
    def ends_high(self) -> bool:
        """Whether a joined writer leaves this letter at x-height rather than on the baseline."""
        if self.tail is None:
            return False
        return (self.tail if len(self.tail) else self.strokes[self.delayed - 1].points)[-1, 1] > 6


@dataclass(frozen=True)
class Letterforms:
    """Allographs by character, or by the characters of a ligature; and the letters that are a base and a mark."""

    glyphs: dict[str, tuple[Glyph, ...]]
    composed: dict[str, tuple[str, str]]  # letter: its base and its mark, both of `glyphs`

    @property
    def characters(self) -> str:
        """Every character that can be written, the space included, in order of code points."""
        single = {c for c in self.glyphs if len(c) == 1 and not unicodedata.combining(c)}
        return "".join(sorted({" ", *single, *self.composed}))

    def require(self, text: str, where: str) -> None:
        """Raise InputError naming every character of `text` that has no glyph."""
        missing = sorted(set(text) - set(self.characters))
        if missing:
            names = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in missing)
            raise InputError(
                f"{where}: no glyph for {names}; the alphabet is {self.characters!r}: change the text or add glyphs"
            )


def _points(words: list[str], where: str) -> Stroke:
    points, corners = [], []
    for word in words:
        x, _, y = word.removesuffix("*").partition(",")
        try:
            points.append((float(x), float(y)))
        except ValueError:
            raise InputError(f"{where}: {word!r} is not a point; write x,y or x,y*") from None
        corners.append(word.endswith("*"))
    values = np.array(points, float).reshape(-1, 2)
    if not np.isfinite(values).all():
        raise InputError(f"{where}: a coordinate is not finite; write plain numbers")
    return Stroke(values, np.array(corners, bool))


def _glyph(row: str, where: str) -> Glyph:
    character, _, rest = row.partition(" ")
    if character.startswith("U+") and len(character) > 2:
        try:
            character = chr(int(character[2:], 16))
        except (ValueError, OverflowError):
            raise InputError(f"{where}: {character!r} is not a code point; write for instance U+0023") from None
    hand, _, rest = rest.strip().partition(" ")
    weight, _, body = rest.strip().partition(" ")
    if not 1 <= len(character) <= LONGEST_LIGATURE or character.isspace():
        raise InputError(
            f"{where}: {character!r} is neither one visible character nor a ligature of at most {LONGEST_LIGATURE};"
            " a row is: character hand weight strokes"
        )
    if hand not in HANDS:
        raise InputError(f"{where}: hand {hand!r}: expected one of {', '.join(HANDS)}")
    if not weight.isdecimal() or int(weight) < 1:
        raise InputError(f"{where}: weight {weight!r} is not a whole number from 1")
    body = body.strip()
    lead = tail = None
    if body.startswith("("):
        inside, closed, body = body[1:].partition(")")
        if not closed:
            raise InputError(f"{where}: the parenthesis at the start is never closed")
        lead = _points(inside.split(), where).points
    main, plus, later = body.partition("+")
    if "(" in main:
        main, _, inside = main.partition("(")
        if not inside.rstrip().endswith(")"):
            raise InputError(f"{where}: points in parentheses may only begin or end the strokes before the first +")
        tail = _points(inside.rstrip()[:-1].split(), where).points
    strokes = [_points(part.split(), where) for part in main.split("/")]
    delayed = len(strokes)
    strokes += [_points(part.split(), where) for part in later.split("+")] if plus else []
    if any(len(stroke.points) < 2 for stroke in strokes):
        raise InputError(f"{where}: a stroke has fewer than two points; a dot is a very short line")
    return Glyph(character, hand, float(weight), tuple(strokes), delayed, lead, tail, *_profile(strokes))


def _profile(strokes: list[Stroke]) -> tuple[np.ndarray, np.ndarray]:
    """Leftmost and rightmost x in each band of heights, along straight lines between the control points."""
    left, right = np.full(len(BANDS) - 1, np.inf), np.full(len(BANDS) - 1, -np.inf)
    for stroke in strokes:
        share = np.linspace(0, 1, 9)[:, None, None]
        dense = (stroke.points[None, :-1] * (1 - share) + stroke.points[None, 1:] * share).reshape(-1, 2)
        band = np.clip(np.searchsorted(BANDS, dense[:, 1]) - 1, 0, len(BANDS) - 2)
        np.minimum.at(left, band, dense[:, 0])
        np.maximum.at(right, band, dense[:, 0])
    return left, right


def compose(base: Glyph, mark: Glyph, character: str) -> Glyph:
    """A letter with its mark: above it, or at its foot for a cedilla or an ogonek. i and j lose their dots.

    A mark is drawn around x = 0 and upwards from y = 0 (downwards where it hangs). It may wait like a dot.
    """
    if base.character in "ij":
        base = replace(base, strokes=base.strokes[: base.delayed])
    points = np.concatenate([stroke.points for stroke in base.strokes])
    if unicodedata.combining(mark.character) == ATTACHED_BELOW:
        low = points[points[:, 1] < 2]
        at = np.array([low[:, 0].max() - 1.5 if mark.character == OGONEK else low[:, 0].mean(), 0.0])
    else:
        top = points[:, 1].max()
        high = points[points[:, 1] > 0.6 * top]
        at = np.array([0.5 * (high[:, 0].min() + high[:, 0].max()), top + MARK_GAP])
    strokes = [*base.strokes, *(Stroke(stroke.points + at, stroke.corners) for stroke in mark.strokes)]
    left, right = _profile(strokes)
    return replace(base, character=character, strokes=tuple(strokes), left=left, right=right)


def _parts(characters: str, glyphs: dict[str, tuple[Glyph, ...]], where: str) -> dict[str, tuple[str, str]]:
    """The base and the mark of each of the characters."""
    parts = {}
    for character in characters:
        base, *marks = list(unicodedata.normalize("NFD", character))
        if len(marks) != 1 or base not in glyphs or marks[0] not in glyphs:
            raise InputError(
                f"{where}: {character!r} is not composed of a base and a mark with rows; draw it in a row of its own"
            )
        parts[character] = (base, marks[0])
    return parts


@cache
def load_letterforms(path: Path = LATIN) -> Letterforms:
    """Read an alphabet from a text file in the format that latin.txt explains.

    Raises InputError naming the file and the line for anything that is not a glyph.
    """
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the alphabet as UTF-8") from None
    glyphs: dict[str, tuple[Glyph, ...]] = {}
    lists: list[tuple[str, str]] = []
    for number, row in enumerate(rows, start=1):
        if not row.strip() or row.startswith("#"):
            continue
        where = f"{path}, line {number}"
        characters, _, rest = row.partition(" ")
        if rest.strip() == "composed":
            lists.append((unicodedata.normalize("NFC", characters), where))
            continue
        glyph = _glyph(row, where)
        glyphs[glyph.character] = (*glyphs.get(glyph.character, ()), glyph)
    if not glyphs:
        raise InputError(f"{path}: holds no glyph; a row is: character hand weight strokes")
    composed: dict[str, tuple[str, str]] = {}
    for characters, where in lists:
        composed |= _parts(characters, glyphs, where)
    return Letterforms(glyphs, composed)

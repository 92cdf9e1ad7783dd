"""Which lines a corpus of handwriting holds: short runs of words from real text, in which rare letters are not rare."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from rnngen.errors import InputError

SHORTFALL = 3  # characters a line may stay below the length drawn for it
ENOUGH = 50  # if fewer words have a letter, it is also put into others
MISS = 0.1  # what a failed attempt counts as, in occurrences, so that no character is tried for ever
MARKS = ".,'\"-?!"  # the commoner signs
IN_PLACE_OF = {"ß": "s", "æ": "a", "œ": "e", "ø": "o", "ł": "l", "ı": "i", "Æ": "A", "Ø": "O", "Ł": "L"}
"""Letters that are not a base with a mark → the letter of an English word whose place each may take."""
WITHIN = "ßı"  # never the first of a word
ALONE = "&+=*#/"  # signs written between blanks
TYPOGRAPHIC = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-", "\u00a0": " "})


def bare(word: str) -> str:
    """A word as it is compared with those held out: lower case, without the signs around it."""
    return re.sub(r"^\W+|\W+$", "", word).lower()


def choose_lines(
    paragraphs: Iterable[str],
    count: int,
    shortest: int,
    longest: int,
    characters: str,
    rng: np.random.Generator,
    held_out: Sequence[str] = (),
) -> list[str]:
    """Choose `count` different lines of `shortest` to `longest` characters from running text.

    Every line is chosen for the character that is rarest in the lines so far, counted against its share: a line for a
    small letter starts at a word that holds it, one for a capital at a word that begins with it, one for a digit or a
    sign at a word that is given it; a letter with a mark that few words hold takes the place of its base. The line goes
    on as the text does and ends with a word. It never crosses a word that is held out or that needs a character outside
    `characters`. Raises InputError where the text is too small.
    """
    avoided = {bare(word) for word in held_out}
    allowed = {*characters, " "}
    words: list[str] = []  # "": a place that no line may cross
    for paragraph in paragraphs:
        for word in paragraph.translate(TYPOGRAPHIC).split():
            parts = {bare(part) for part in (word, *re.split(r"[-/']", word))}
            words.append(word if set(word) <= allowed and not parts & avoided else "")
        words.append("")
    holding, starting = defaultdict(list), defaultdict(list)
    for place, word in enumerate(words):
        if word and len(word) <= longest:
            for letter in sorted({c for c in word.lower() if c.isalpha() and c in allowed}):
                holding[letter].append(place)
            if word[0].isalpha() and word[0].upper() in allowed:
                starting[word[0].upper()].append(place)
    marked = {}
    for character in sorted(allowed):
        kind = starting if character.isupper() else holding
        base = _base(character)
        if base in kind and len(kind.get(character, ())) < ENOUGH:
            marked[character] = base
            kind[character] = kind[base]
    signs = {c for c in allowed if not c.isalpha() and c != " "}
    if not holding:
        raise InputError(f"the text has no word of at most {longest} characters from {characters!r}: give more text")
    anywhere = sorted({place for places in holding.values() for place in places})
    share = {c: _share(c) for c in sorted({*holding, *starting, *signs})}
    seen: defaultdict[str, float] = defaultdict(float)  # occurrences
    chosen: dict[str, None] = {}  # keeps the order
    for _ in range(100 * count + 10_000):
        if len(chosen) == count:
            break
        wanted = min(share, key=lambda c: seen[c] / share[c])
        places = anywhere if wanted in signs else holding.get(wanted) or starting[wanted]
        place = places[rng.integers(len(places))]
        length = int(rng.integers(shortest, longest + 1))
        line = words[place]
        if wanted in signs:
            line = _dress(line, wanted, rng)
        elif wanted in marked:
            line = _mark(line, wanted, marked[wanted], rng)
        elif wanted not in holding:
            line = wanted + line[1:]
        while place + 1 < len(words) and words[place + 1] and len(line) + 1 + len(words[place + 1]) <= length:
            place += 1
            line += " " + words[place]
            if wanted in marked and rng.random() < 0.5:
                line = _mark(line, wanted, marked[wanted], rng)
        fits = max(shortest, length - SHORTFALL) <= len(line) <= length and set(line) <= allowed and line not in chosen
        if fits and (wanted not in marked or wanted in line):
            chosen[line] = None
            for character in line:
                seen[character] += 1
        else:
            seen[wanted] += MISS
    if len(chosen) < count:
        raise InputError(
            f"the text gives only {len(chosen)} of {count} different lines of {shortest} to {longest} characters:"
            " give more text, ask for fewer lines or allow other lengths"
        )
    return list(chosen)


def _base(character: str) -> str:
    """The plain letter in whose place a letter with a mark may stand; empty for any other character."""
    base, *marks = list(unicodedata.normalize("NFD", character))
    return base if marks and base.isascii() else IN_PLACE_OF.get(character, "")


def _mark(line: str, character: str, base: str, rng: np.random.Generator) -> str:
    """The line with the letter in one of the places where its base stands; a capital only begins a word."""
    if character.isupper():
        line = line[:1].upper() + line[1:]
    where = rf"\b{base}" if character.isupper() else rf"\B{base}" if character in WITHIN else base
    places = [found.start() for found in re.finditer(where, line)]
    if not places:
        return line
    at = places[rng.integers(len(places))]
    return line[:at] + character + line[at + 1 :]


def _share(character: str) -> int:
    """How often a character is wanted, compared with others; the commonest occur more often anyway."""
    if not character.isascii():
        return 1 if character.isupper() else 2
    if character.isalpha() and not character.isupper():
        return 6
    return 3 if character.isalnum() or character in MARKS else 1


def _dress(word: str, sign: str, rng: np.random.Generator) -> str:
    """The word with a digit or a sign where people put it."""
    word = bare(word) or word
    if sign.isdigit():
        number = "".join(map(str, rng.integers(0, 10, rng.integers(0, 4))))
        at = int(rng.integers(len(number) + 1))
        number = number[:at] + sign + number[at:]
        return f"{number} {word}" if rng.random() < 0.5 else f"{word} {number}"
    if sign in "()":
        return f"({word})"
    if sign == '"':
        return f'"{word}"'
    if sign == "'":
        return f"{word}'s"
    if sign == "-":
        return f"{word}-{word}" if len(word) < 5 else f"{word[:3]}-{word[3:]}"
    if sign == "$":
        return f"${rng.integers(1, 1000)} {word}"
    if sign in "_@":
        return f"{word}{sign}{word[:4]}"
    if sign == "%":
        return f"{rng.integers(1, 100)}%"
    return f"{word} {sign}" if sign in ALONE else word + sign

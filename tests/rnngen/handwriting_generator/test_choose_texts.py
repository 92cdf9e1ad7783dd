import re
import string
from collections import Counter

import numpy as np
import pytest

from rnngen.errors import InputError
from rnngen.handwriting_generator.choose_texts import choose_lines
from rnngen.handwriting_generator.glyphs import load_letterforms

WORDS = re.findall(
    r"\w+",
    "the of and to in that was with zebra quartz jackal vexing buffoon wizard pyjama hawk gloom kiosk lynx mimic nymph"
    " rhythm unique sphinx oxide yacht",
)
COMMON = 7  # of them, four fifths of the text
SHARES = np.where(np.arange(len(WORDS)) < COMMON, 0.8 / COMMON, 0.2 / (len(WORDS) - COMMON))
PARAGRAPHS = [" ".join(np.random.default_rng(k).choice(WORDS, 100, p=SHARES)) + "." for k in range(60)]
LETTERS = string.ascii_letters + ".,"


def choose(count=300, shortest=5, longest=15, characters=LETTERS, seed=0, paragraphs=PARAGRAPHS, **more):
    return choose_lines(paragraphs, count, shortest, longest, characters, np.random.default_rng(seed), **more)


def test_lines_are_different_of_the_asked_length_and_number():
    lines = choose()
    assert len(lines) == len(set(lines)) == 300
    assert all(5 <= len(line) <= 15 for line in lines)
    assert sum(" " in line for line in lines) > 200


def test_lines_are_runs_of_the_text():
    text = " ".join(PARAGRAPHS).lower()
    assert all(line.lower() in text for line in choose(characters=string.ascii_letters))


def test_rare_letters_and_capitals_come_evenly():
    lines = choose(count=1000, longest=20)
    share = Counter(c for line in lines for c in line.lower())
    natural = Counter("".join(PARAGRAPHS))
    assert share["q"] / share["t"] > 1.5 * natural["q"] / natural["t"]
    capitals = Counter(line[0] for line in lines if line[0].isupper())
    initials = {word[0].upper() for word in WORDS}
    assert set(capitals) == initials
    assert max(capitals.values()) < 3 * min(capitals.values())


def test_digits_and_signs_are_put_in_where_the_text_has_none():
    wanted = set(string.digits + ".,'\"-?!:;()&/+=%*#")
    lines = choose(count=2000, longest=20, characters=LETTERS + "".join(wanted))
    assert wanted <= set("".join(lines))


def test_rare_characters_come_as_often_as_their_shares():
    """Letters before capitals, digits and common signs before rare signs, each kind evenly."""
    everything = "".join(c for c in load_letterforms().characters if c.isascii() and c != " ")
    lines = choose(count=2000, longest=20, characters=everything)
    count = Counter("".join(lines))
    initials = {word[0].upper() for word in WORDS}
    kinds = {
        "letters": string.ascii_lowercase,
        "capitals": "".join(sorted(initials)),
        "digits": string.digits,
        "signs": "".join(c for c in everything if not c.isalnum()),
    }
    fewest = {kind: min(count[c] for c in characters) for kind, characters in kinds.items()}
    assert fewest["letters"] > 1.5 * fewest["capitals"] > 0
    assert fewest["capitals"] > 1.5 * fewest["signs"] > 20
    assert fewest["digits"] > 1.5 * fewest["signs"]
    assert max(count[c] for c in kinds["digits"]) < 2 * fewest["digits"]


def test_a_character_that_fits_no_line_does_not_hold_up_the_others():
    lines = choose(30, shortest=5, longest=5, characters=LETTERS + "%", paragraphs=[*PARAGRAPHS, "X " * 9])
    assert len(lines) == 30 and len({c for line in lines for c in line.lower()}) > 15


def test_no_line_needs_a_character_that_is_not_allowed():
    assert not set("".join(choose(characters=string.ascii_lowercase.replace("z", "") + " "))) & set("z.ABC")


@pytest.mark.parametrize("dressed", ["Sphinx", "sphinx,", "(sphinx)", "half-sphinx", "SPHINX's", "the sphinx"])
def test_held_out_words_never_occur(dressed):
    paragraphs = [paragraph.replace("sphinx", dressed) for paragraph in PARAGRAPHS]
    characters = LETTERS + "()-'\""
    assert any("sphinx" in line.lower() for line in choose(1000, characters=characters, paragraphs=paragraphs))
    lines = choose(1000, characters=characters, paragraphs=paragraphs, held_out=["Sphinx"])
    assert not any("sphinx" in line.lower() for line in lines)


def test_typographic_signs_become_plain():
    assert any("'" in line for line in choose(5, 4, 12, LETTERS + "'", paragraphs=["the dog’s bone’s end"] * 3))


def test_letters_with_marks_take_the_place_of_their_bases():
    marked = "äéñçøłßÄØ"
    lines = choose(count=1000, shortest=2, longest=50, characters=LETTERS + marked)
    count = Counter("".join(lines))
    assert all(count[c] >= 10 for c in marked)
    initials = {word[0] for line in lines for word in line.split()}
    assert not initials & set("ß") and set("ÄØ") <= initials
    assert not any(c in word[1:] for line in lines for word in line.split() for c in "ÄØ")


def test_words_of_the_text_come_before_made_up_ones():
    paragraphs = [*PARAGRAPHS, *["caña señor niño"] * 60]
    lines = choose(count=300, characters=LETTERS + "ñ", paragraphs=paragraphs)
    words = {word.strip(",.").lower() for line in lines for word in line.split() if "ñ" in word}
    assert words == {"caña", "señor", "niño"}


def test_lines_of_all_lengths_come_of_one_range():
    lengths = [len(line) for line in choose(count=1000, shortest=2, longest=50)]
    assert min(lengths) <= 5 and max(lengths) == 50
    assert all(sum(low < n <= low + 12 for n in lengths) > 100 for low in (2, 14, 26, 38))


def test_the_seed_decides():
    assert choose(seed=1) == choose(seed=1) != choose(seed=2)


def test_too_little_text_is_refused():
    with pytest.raises(InputError, match="gives only .* of 300 different lines of 5 to 15 characters"):
        choose(paragraphs=["only a few words here"])
    with pytest.raises(InputError, match="no word of at most 3"):
        choose(shortest=1, longest=3, paragraphs=["antidisestablishmentarianism"])

import string
import unicodedata

import numpy as np
import pytest

from rnngen.errors import InputError
from rnngen.handwriting_generator.glyphs import LATIN, compose, load_letterforms


@pytest.fixture
def alphabet_file(tmp_path):
    def write(*rows):
        path = tmp_path / "alphabet.txt"
        path.write_text("\n".join(rows), encoding="utf-8")
        return path

    return write


def test_latin_holds_letters_digits_and_signs():
    wanted = string.ascii_letters + string.digits + ".,'\"-?!:;()&/+=%*#$@_ "
    characters = load_letterforms(LATIN).characters
    assert sorted(c for c in characters if c.isascii()) == sorted(wanted)
    assert set("áàâãäåæçéèêëíîïñóòôõöøúùûüýßœąćčęěğłńőřśšşůűźżžıÄÅÆÇÉÖØÜŁŠŽ") <= set(characters)


def test_letters_with_marks_are_their_bases_with_something_above_or_below():
    alphabet = load_letterforms(LATIN)
    for character, (base, mark) in alphabet.composed.items():
        for form in alphabet.glyphs[base]:
            letter = compose(form, alphabet.glyphs[mark][0], character)
            body, added = letter.strokes[: form.delayed], letter.strokes[form.delayed :]
            assert all(np.array_equal(a.points, b.points) for a, b in zip(body, form.strokes, strict=False))
            points = np.concatenate([stroke.points for stroke in added])
            whole = np.concatenate([stroke.points for stroke in body])
            assert points[:, 1].min() > whole[:, 1].max() or points[:, 1].max() < 1
            assert whole[:, 0].min() - 2 < points[:, 0].mean() < whole[:, 0].max() + 2
    (dotless,) = {len(compose(i, alphabet.glyphs["\u0301"][0], "í").strokes) for i in alphabet.glyphs["i"]}
    assert dotless == 2  # the body and the acute


@pytest.mark.parametrize(
    ("row", "letter"), [("ą composed", "ą"), ("a composed", "a"), ("ø composed", "ø"), ("ǖ composed", "ǖ")]
)
def test_a_letter_that_cannot_be_composed_is_refused(alphabet_file, row, letter):
    path = alphabet_file("a any 1 0,0 1,1", "o any 1 0,0 1,1", "U+0301 any 1 0,0 1,1", row)
    with pytest.raises(InputError, match=f"line 4: '{letter}' is not composed of a base and a mark"):
        load_letterforms(path)


def test_a_list_of_composed_letters_may_come_before_their_parts(alphabet_file):
    alphabet = load_letterforms(
        alphabet_file("áó composed", "a any 1 0,0 1,1", "o any 1 0,0 1,1", "U+0301 any 1 0,0 1,1")
    )
    assert alphabet.characters == " aoáó"
    assert alphabet.composed == {"á": ("a", "\u0301"), "ó": ("o", "\u0301")}


def test_a_ligature_is_no_character(alphabet_file):
    alphabet = load_letterforms(alphabet_file("a any 1 0,0 1,1", "aaa any 1 0,0 1,1"))
    assert alphabet.characters == " a" and set(alphabet.glyphs) == {"a", "aaa"}


def test_latin_has_forms_to_choose_from():
    glyphs = load_letterforms(LATIN).glyphs
    assert all(len(glyphs[c]) > 1 for c in "abdfghjklmnpqrstvwxyzABDEGIJLMNPRUWYZ1247")


def test_every_form_stays_between_ascender_and_descender():
    for character, glyphs in load_letterforms(LATIN).glyphs.items():
        for glyph in glyphs if not unicodedata.combining(character[0]) else ():
            points = np.concatenate([stroke.points for stroke in glyph.strokes])
            assert points[:, 1].min() >= -9.1 and points[:, 1].max() <= 20.5
            assert points[:, 0].min() >= -2 and points[:, 0].max() <= 19


def test_a_row_is_read_as_it_stands(alphabet_file):
    path = alphabet_file(
        "# a comment", "", "é cursive 3 (1,2) 3,4* 5,6 / 7,8 9,10* (11,12) + 1.5,-.5 2,3", "U+0023 any 1 0,0 1,1"
    )
    alphabet = load_letterforms(path)
    assert alphabet.characters == " #é"
    (glyph,) = alphabet.glyphs["é"]
    assert (glyph.hand, glyph.weight, glyph.delayed) == ("cursive", 3.0, 2)
    assert [stroke.points.tolist() for stroke in glyph.strokes] == [
        [[3, 4], [5, 6]],
        [[7, 8], [9, 10]],
        [[1.5, -0.5], [2, 3]],
    ]
    assert [stroke.corners.tolist() for stroke in glyph.strokes] == [[True, False], [False, True], [False, False]]
    assert glyph.lead.tolist() == [[1, 2]] and glyph.tail.tolist() == [[11, 12]]
    assert glyph.ends_high
    (plain,) = alphabet.glyphs["#"]
    assert plain.lead is None and plain.tail is None and not plain.ends_high


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("abcd any 1 0,0 1,1", "'abcd' is neither one visible character nor a ligature"),
        ("U+XYZ any 1 0,0 1,1", "'U+XYZ' is not a code point"),
        ("U+110000 any 1 0,0 1,1", "is not a code point"),
        ("a bold 1 0,0 1,1", "hand 'bold': expected one of print, cursive, any"),
        ("a any 0 0,0 1,1", "weight '0'"),
        ("a any x 0,0 1,1", "weight 'x'"),
        ("a any 1 0,0 1;1", "'1;1' is not a point"),
        ("a any 1 0,0 nan,1", "not finite"),
        ("a any 1 0,0", "fewer than two points"),
        ("a any 1", "fewer than two points"),
        ("a any 1 0,0 1,1 / 2,2", "fewer than two points"),
        ("a any 1 (0,0 1,1", "never closed"),
        ("a any 1 0,0 (1,1) 2,2", "may only begin or end"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(alphabet_file, row, complaint):
    path = alphabet_file("b any 1 0,0 1,1", row)
    with pytest.raises(InputError) as error:
        load_letterforms(path)
    assert str(error.value).startswith(f"{path}, line 2: ") and complaint in str(error.value)


def test_an_empty_alphabet_is_refused(alphabet_file):
    with pytest.raises(InputError, match="holds no glyph"):
        load_letterforms(alphabet_file("# nothing"))


def test_an_alphabet_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "latin1.txt"
    path.write_bytes("é any 1 0,0 1,1".encode("latin-1"))
    with pytest.raises(InputError, match="byte 0 is not UTF-8"):
        load_letterforms(path)


def test_missing_characters_are_named_with_the_alphabet(alphabet_file):
    alphabet = load_letterforms(alphabet_file("a any 1 0,0 1,1"))
    alphabet.require("a a", "here")
    with pytest.raises(InputError) as error:
        alphabet.require("aßb", "here")
    assert str(error.value).startswith("here: no glyph for 'b' (U+0062), 'ß' (U+00DF); the alphabet is ' a'")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngen.corpora.alphabet import Alphabet
from rnngen.errors import InputError


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.data())
def test_decoding_undoes_encoding(symbols, data):
    alphabet = Alphabet(tuple(symbols))
    text = data.draw(st.lists(st.sampled_from(symbols)))
    assert alphabet.decode(alphabet.encode(text)) == text
    assert Alphabet.from_json(alphabet.as_json()) == alphabet


def test_a_character_outside_is_named_with_its_code_point_and_the_alphabet():
    with pytest.raises(InputError, match=r"line 3: 'é' \(U\+00E9\) outside the alphabet of 3 symbols 'abc'"):
        Alphabet(("a", "b", "c")).encode("aéb", "line 3")


def test_the_class_of_other_characters_takes_what_is_outside():
    alphabet = Alphabet(("a", "b", "<non-letter>"), other="<non-letter>")
    assert alphabet.encode("a7b").tolist() == [0, 2, 1]
    assert alphabet.find_unknown("a7b7") == ["7"]


def test_doubled_symbols_and_a_missing_class_are_errors():
    with pytest.raises(InputError, match="'a' listed twice"):
        Alphabet(("a", "b", "a"))
    with pytest.raises(InputError, match="not among its symbols"):
        Alphabet(("a",), other="?")

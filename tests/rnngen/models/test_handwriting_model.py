"""Models on disk, texts in their alphabets, primes from the corpus and from anybody."""

import json
import math

import numpy as np
import pytest
import torch

from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.errors import InputError
from rnngen.ink.layout import Layout
from rnngen.ink.strokes import Ink, transform
from rnngen.models import handwriting_model
from rnngen.models.checkpoint import save_network
from rnngen.models.handwriting_model import End, HandwritingModel, fit_scale
from rnngen.sampling.alignment import Alignment, check_alignment
from rnngen.sampling.handwriting import sample
from tests.tiny_handwriting import ALPHABET, NORMALISER, POINTS_PER_CHARACTER, write_corpus, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "synthesis")


@pytest.fixture(scope="module")
def model(folder):
    return HandwritingModel.load(folder)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    return CorpusLines(write_corpus(tmp_path_factory.mktemp("corpus") / "hw.parquet")).line_named("a00-001z-01")


def test_what_is_loaded(model):
    assert model.alphabet == ALPHABET
    assert np.array_equal(model.normaliser.mean, NORMALISER.mean) and model.normaliser.every == 2
    assert model.points_per_character == pytest.approx(POINTS_PER_CHARACTER)


def test_folders_that_are_no_models(tmp_path, folder):
    with pytest.raises(InputError, match=r"no config\.json in it"):
        HandwritingModel.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        HandwritingModel.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="not one of handwriting"):
        HandwritingModel.load(tmp_path)
    about = json.loads((folder / "config.json").read_text())
    about["alphabet"] = Alphabet(("a", "b")).as_json()
    (tmp_path / "config.json").write_text(json.dumps(about))
    (tmp_path / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    with pytest.raises(InputError, match="an alphabet of 2 symbols, but the network reads 16"):
        HandwritingModel.load(tmp_path)


@pytest.mark.parametrize(
    "normaliser",
    [
        {"deviation": [math.nan, 1]},
        {"deviation": [math.inf, 1]},
        {"deviation": [0, 1]},
        {"deviation": [-1, 1]},
        {"mean": [math.nan, 1]},
        {"mean": [1, 2, 3]},
        {"mean": [10**400, 1]},
        {"mean": [0, -(10**400)]},
        {"deviation": [10**400, 1]},
    ],
)
def test_units_that_draw_nothing_are_refused(tmp_path, normaliser):
    config = write_model(tmp_path / "model") / "config.json"
    about = json.loads(config.read_text())
    about["normaliser"] |= normaliser
    config.write_text(json.dumps(about))
    with pytest.raises(
        InputError,
        match=r"config\.json: (key normaliser\.(mean|deviation)|not JSON: (NaN is|Infinity is|-?10+… is too large))",
    ):
        HandwritingModel.load(config.parent)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    folder = write_model(tmp_path / "model")
    network = HandwritingModel.load(folder).network
    with torch.no_grad():
        network.bias_output[3] = value
    save_network(network, folder / "weights.safetensors")
    with pytest.raises(InputError, match=r"weights\.safetensors: bias_output has values that are not finite numbers"):
        HandwritingModel.load(folder)


def test_a_character_outside_the_alphabet_is_named(model):
    with pytest.raises(
        InputError, match=r"'é' \(U\+00E9\), '∞' \(U\+221E\) outside the model's alphabet of 16 symbols"
    ):
        model.readable("hé ∞")
    assert model.readable("hello") == "hello"


def test_the_nearest_that_can_be_written_is_named(model):
    with pytest.raises(InputError, match=r"the nearest it can write: 'h' for 'H', 'ss' for 'ß', 'e' for 'é'; change"):
        model.readable("Hé∞ß")
    with pytest.raises(InputError, match="the nearest it can write: a blank; change"):
        model.readable("∞")
    assert model.replacements("ØłÆHX") == {"Ø": "o", "ł": "l", "Æ": "ae", "H": "h", "X": " "}


def test_an_accent_and_its_letter_are_one_character_where_the_alphabet_has_them_so(tmp_path):
    one, two = (
        HandwritingModel.load(write_model(tmp_path / name, alphabet=Alphabet(tuple(symbols))))
        for name, symbols in (("one", "e\u00e9"), ("two", "e\u0301"))
    )
    assert one.readable("e\u0301e") == "\u00e9e"
    assert two.readable("e\u0301e") == "e\u0301e"
    with pytest.raises(InputError, match=r"'\u00e8' \(U\+00E8\) outside"):
        one.readable("e\u0300")
    assert one.readable("e\u0300", replace_unknown=True) == "e"
    assert one.replacements("e\u0300") == {"\u00e8": "e"}


def test_replacing_characters(model, tmp_path):
    assert model.readable("hé ∞!", replace_unknown=True) == "he   "
    assert model.replacements("hé ∞!") == {"é": "e", "∞": " ", "!": " "}
    typed = HandwritingModel.load(write_model(tmp_path / "typed", alphabet=Alphabet(tuple(" -'\".as"))))
    assert typed.readable("a’s “a” – a…", replace_unknown=True) == 'a\'s "a" - a...'
    assert typed.readable("a\u200bs\u00ad \u202ea\ufe0f", replace_unknown=True) == "as a"
    classes = Alphabet(("<other>", *"abc "), "<other>")
    other = HandwritingModel.load(write_model(tmp_path / "other", alphabet=classes))
    with pytest.raises(InputError, match="outside the model's alphabet"):
        other.readable("a7")
    assert other.readable("á7", replace_unknown=True) == "a7"
    assert other.replacements("á7") == {"á": "a", "7": "<other>"}
    assert other.request("a7").symbols_u.tolist() == [1, 0]


def test_a_request_joins_the_texts_and_clamps_the_prime(model, line):
    prime = model.prime(line.ink, line.text, line.line)
    request = model.request("sun", bias=1.5, seed=9, prime=prime)
    assert request.symbols_u.tolist() == ALPHABET.encode("under the sun sun").tolist()
    assert np.array_equal(request.prime_t3, NORMALISER.to_network(line.strokes))
    assert (request.bias, request.seed) == (1.5, 9)
    assert request.maximum_steps == 4 * 3 * POINTS_PER_CHARACTER + 50
    joined = model.request("sun", prime=prime, separator="", maximum_steps=7)
    assert joined.symbols_u.tolist() == ALPHABET.encode("under the sunsun").tolist()
    assert joined.maximum_steps == 7


def test_a_next_word_follows_the_text(model, line, tmp_path):
    prime = model.prime(line.ink, line.text, line.line)
    request = model.request("sun", prime=prime, end=End.WORD)
    assert request.symbols_u.tolist() == ALPHABET.encode("under the sun sun s").tolist() and request.following == 2
    # every second point of 100 a second; half a character's width, in deviations
    assert request.next_word.points == 50
    assert request.next_word.gap == pytest.approx(0.5 * POINTS_PER_CHARACTER * 11 / 60)
    assert request.next_word.mean_dx == pytest.approx(11 / 60)
    assert model.request("sun", end=End.PAPER).next_word is model.request("sun", end=End.STROKE).next_word is None
    joined = HandwritingModel.load(write_model(tmp_path / "joined", alphabet=Alphabet(tuple("abc"))))
    assert joined.request("abc", end=End.WORD).symbols_u.tolist() == [0, 1, 2]


@pytest.mark.parametrize("end", End)
def test_lines_are_written_by_the_rule_asked_for(model, end):
    request = model.request("sun", seed=3, bias=0.5, end=end)
    finish_stroke = 0 if end == End.PAPER else 25
    (one,), (two,) = model.sample([request], end), sample(model.network, [request], finish_stroke=finish_stroke)
    assert np.array_equal(one.offsets_t3, two.offsets_t3) and one.phi_su.shape[1] == 4


def test_strokes_come_back_in_the_units_of_the_corpus(model, line):
    (plain,) = sample(model.network, [model.request("abc", seed=1)])
    strokes = model.strokes(plain)
    assert sum(map(len, strokes)) == len(plain.offsets_t3) + 1 and strokes[0][0].tolist() == [0, 0]
    steps = np.diff(np.concatenate(strokes), axis=0)
    np.testing.assert_allclose(steps, plain.offsets_t3[:, :2] * NORMALISER.deviation + NORMALISER.mean, rtol=1e-6)
    (primed,) = sample(model.network, [model.request("abc", seed=1, prime=model.prime(line.ink, line.text))])
    assert sum(map(len, model.strokes(primed))) == len(primed.new_t3)


def test_anybodys_strokes_become_a_prime_of_the_right_size_and_rate(model, line):
    prime = model.prime_from_any(Ink(transform(line.strokes, 0.013, (400, 3))), "under the sun", "mine")
    expected = len("under the sun") * POINTS_PER_CHARACTER
    assert 0.7 * expected < len(prime.offsets_t3) < 1.7 * expected  # every stroke keeps both its ends
    assert np.square(prime.offsets_t3[:, :2]).mean() == pytest.approx(1, abs=0.01)
    assert prime.text == "under the sun" and prime.name == "mine"
    huge = model.prime_from_any(Ink(transform(line.strokes, 900.0)), "under the sun", "mine")
    np.testing.assert_allclose(huge.offsets_t3, prime.offsets_t3, atol=1e-3)


def test_the_scale_gives_offsets_mean_square_one():
    random = np.random.default_rng(0)
    offsets, mean, deviation = random.normal(1, 3, (50, 2)), np.array([8.0, 0.1]), np.array([42.0, 37.0])
    scale = fit_scale(offsets, mean, deviation)
    assert np.square((scale * offsets - mean) / deviation).mean() == pytest.approx(1, rel=1e-12)


def test_primes_that_cannot_be(model, line):
    with pytest.raises(InputError, match="needs its text"):
        model.prime(line.ink, "  ", "mine")
    with pytest.raises(InputError, match="mine: 'X'"):
        model.prime(line.ink, "X", "mine")
    with pytest.raises(InputError, match="too little to go on from"):
        model.prime(Ink([np.zeros((1, 2))]), "a", "mine")
    with pytest.raises(InputError, match="all one point"):
        model.prime_from_any(Ink([np.zeros((1, 2)), np.zeros((1, 2))]), "a", "mine")


def test_a_prediction_network_needs_a_number_of_steps(tmp_path):
    model = HandwritingModel.load(write_model(tmp_path / "prediction", "prediction"))
    with pytest.raises(InputError, match="say how many steps"):
        model.request(None)
    assert model.request(None, maximum_steps=3).symbols_u is None
    with pytest.raises(InputError, match="no text to write"):
        HandwritingModel.load(write_model(tmp_path / "synthesis")).request("")


def test_writing_is_lines_strokes_and_a_picture(model):
    told = []
    written = model.write(
        "hello\n\nunder the sun", 1.0, 5, width=9, tries=1, progress=lambda done, of: told.append((done, of))
    )
    assert [line.text for line in written.lines] == ["hello", "", "under the", "sun"]
    assert [(line.text, line.seed, line.bias) for line in written.written] == [
        ("hello", 5, 1.0),
        ("under the", 6, 1.0),
        ("sun", 7, 1.0),
    ]
    assert sum(done for done, _ in told) == 3 and {of for _, of in told} == {3}
    again = model.write("hello\n\nunder the sun", 1.0, 5, width=9, tries=1)
    assert all(map(np.array_equal, written.strokes, again.strokes)) and len(written.strokes) == len(again.strokes)
    picture = written._repr_svg_()
    assert picture.startswith("<svg ") and picture.count("<path ") == len(written.strokes)
    large = model.write("hello\n\nunder the sun", 1.0, 5, width=9, tries=1, layout=Layout(size=6.0))
    assert large.pages()[0].width == pytest.approx(2 * written.pages()[0].width)
    (alone,) = model.write("sun", 1.0, 7, tries=1).written
    assert all(map(np.array_equal, alone.strokes, written.lines[3].strokes))


def test_writing_goes_on_from_a_style(model, line):
    style = model.prime(line.ink, line.text, line.line)
    (styled,), (plain,) = model.write("sun", style=style).written, model.write("sun").written
    assert (styled.style, plain.style) == ("a00-001z-01", None) and styled.steps != plain.steps


def test_what_cannot_be_written_is_said(model, tmp_path):
    for nothing in ("", " \n\n\t "):
        with pytest.raises(InputError, match="there is no text to write"):
            model.write(nothing)
    with pytest.raises(InputError, match=r"a line of 5,000 characters, over the limit of 1,000"):
        model.write("hello" * 1000)
    with pytest.raises(InputError, match=r"'é' \(U\+00E9\) outside"):
        model.write("hé")
    replaced = model.write("hé", replace_unknown=True)
    assert replaced.replaced == {"é": "e"} and replaced.lines[0].text == "he"
    prediction = HandwritingModel.load(write_model(tmp_path / "prediction", "prediction"))
    with pytest.raises(InputError, match="a prediction network writes no text"):
        prediction.write("a")


def judge_by_seed(faults):
    """A check that finds the faults of the lines that were asked for in turn."""
    given = iter(faults)
    return lambda line, text: next(given)


WHOLE, FAINT, FAINTER = Alignment(1.0, None), Alignment(0.8, "a"), Alignment(0.7, "b")


def test_a_line_with_a_fault_is_drawn_again_with_another_seed(model, monkeypatch):
    monkeypatch.setattr(handwriting_model, "check_alignment", judge_by_seed([FAINT, WHOLE, FAINTER, WHOLE]))
    told = []
    written = model.write("hello\nsun", seed=5, progress=lambda done, of: told.append((done, of)))
    assert [(line.seed, line.tries, line.fault) for line in written.lines] == [(5 + 2 * 2**32, 3, None), (6, 1, None)]
    assert sum(done for done, _ in told) == 4 and told[-1][1] == 4
    monkeypatch.setattr(handwriting_model, "check_alignment", judge_by_seed([WHOLE]))
    (alone,) = model.write("hello", seed=5 + 2 * 2**32, tries=1).lines
    assert all(map(np.array_equal, alone.strokes, written.lines[0].strokes))


def test_of_lines_that_all_have_faults_the_clearest_is_kept(model, monkeypatch):
    monkeypatch.setattr(handwriting_model, "check_alignment", judge_by_seed([FAINTER, FAINT, FAINTER]))
    (line,) = model.write("hello", seed=2**64 - 1, tries=3).lines
    assert (line.seed, line.tries, line.fault) == (2**32 - 1, 3, "a")
    with pytest.raises(InputError, match="0 tries"):
        model.write("hello", tries=0)


@pytest.mark.parametrize("end", End)
def test_both_back_ends_find_the_same_faults(model, line, end):
    prime = model.prime(line.ink, line.text, line.line)
    texts = ["hello", "under the sun", "a test", "so so"] * 3
    requests = [model.request(text, seed=k, bias=0.5, prime=prime, end=end) for k, text in enumerate(texts)]
    found = [
        [check_alignment(drawn, text) for drawn, text in zip(lines, texts, strict=True)]
        for lines in (model.sample(requests, end), model.sample(requests, end, backend="torch"))
    ]
    assert [one.fault for one in found[0]] == [one.fault for one in found[1]]
    assert [one.clarity for one in found[0]] == pytest.approx([one.clarity for one in found[1]], abs=1e-3)

"""`rnngen write` from the command line, with an untrained model."""

import io
import json
import sys

import numpy as np
import pytest

from rnngen.corpora.alphabet import Alphabet
from rnngen.ink.drawing import write_drawing
from rnngen.ink.page import place
from rnngen.ink.read_strokes import read_ink
from rnngen.ink.strokes import bounds
from tests.tiny_handwriting import write_corpus, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "synthesis")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "hw.parquet")


@pytest.fixture
def rnngen(rnngen, monkeypatch, tmp_path):
    """The same in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return rnngen


def test_every_format_from_one_writing(rnngen, model, tmp_path):
    files = [f"note{suffix}" for suffix in (".svg", ".png", ".pdf", ".gif", ".json")]
    outputs = [argument for file in files for argument in ("-o", file)]
    status, out, err = rnngen(
        "write", "hello\nunder the sun", "--model", model, "--seed", 5, "--tries", 1, "--json", *outputs
    )
    assert status == 0, err
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(files)
    summary = json.loads(out)
    assert summary["files"] == files
    assert [(line["text"], line["seed"], line["bias"]) for line in summary["lines"]] == [
        ("hello", 5, 0.75),
        ("under the sun", 6, 0.75),
    ]
    value = json.loads((tmp_path / "note.json").read_text())
    assert value["lines"] == summary["lines"] and len(value["strokes_per_line"]) == 2
    drawn = read_ink(tmp_path / "note.svg").strokes
    assert len(drawn) == sum(value["strokes_per_line"]) == len(value["strokes"])


def test_the_same_seed_draws_the_same_file_another_seed_another(rnngen, model, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert rnngen("write", "hello", "--model", model, "--seed", seed, "-o", f"{name}.svg")[0] == 0
    a, b, c = ((tmp_path / f"{name}.svg").read_text() for name in "abc")
    assert a == b != c


def test_weights_in_bfloat16_draw_a_little_differently_and_the_same_every_time(rnngen, model, tmp_path):
    for name, options in (("a", []), ("b", ["--precision", "bfloat16"]), ("c", ["--precision", "bfloat16"])):
        assert rnngen("write", "hello", "--model", model, *options, "-o", f"{name}.svg")[0] == 0
    a, b, c = ((tmp_path / f"{name}.svg").read_text() for name in "abc")
    assert a != b == c
    assert rnngen("write", "hello", "--model", model, "--precision", "float16", "-o", "d.svg")[0] == 2


def test_text_is_wrapped_and_may_come_from_standard_input(rnngen, model, monkeypatch):
    typed = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfunder the sun\n\n\nhello\n"), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", typed)
    status, out, _ = rnngen("write", "-", "--model", model, "--width", 9, "--tries", 1, "--json", "-o", "a.svg")
    assert status == 0
    written = json.loads(out)["lines"]
    assert [(line["text"], line["seed"]) for line in written] == [("under the", 1), ("sun", 2), ("hello", 3)]


def test_what_ends_a_line_is_said(rnngen, model, tmp_path):
    files = {}
    for end in ("paper", "stroke", "word"):
        status, out, _ = rnngen("write", "hello", "--model", model, "--end", end, "--json", "-o", f"{end}.svg")
        assert status == 0 and json.loads(out)["end"] == end
        files[end] = (tmp_path / f"{end}.svg").read_text()
    assert json.loads(rnngen("write", "hello", "--model", model, "--json", "-o", "a.svg")[1])["end"] == "word"
    assert (tmp_path / "a.svg").read_text() == files["word"]
    assert rnngen("write", "hello", "--model", model, "--end", "never", "-o", "b.svg")[0] == 2


def test_a_blank_line_is_a_distance_on_the_page(rnngen, model, tmp_path):
    heights = []
    for text in ("hello\nsun", "hello\n\nsun", "\n\nhello\n\n \nsun\n\n"):
        assert rnngen("write", text, "--model", model, "-o", "a.json")[0] == 0
        page = json.loads((tmp_path / "a.json").read_text())
        heights.append(page["height"])
        assert [line["text"] for line in page["lines"]] == ["hello", "sun"] and len(page["strokes_per_line"]) == 2
    assert heights[0] + 2 < heights[1] < heights[2] - 2


def test_pages_of_paper(rnngen, model, tmp_path):
    text = "\n".join(["hello", "", "under the sun"] * 6)
    paper = ("--page", "a5", "--margin", "20,15", "--align", "centre", "--line-height", 12, "--straight")
    outputs = [argument for suffix in ("svg", "json", "pdf", "png") for argument in ("-o", f"a.{suffix}")]
    status, out, err = rnngen("write", text, "--model", model, "--json", *paper, *outputs)
    assert status == 0, err
    files = json.loads(out)["files"]
    assert files == ["a-1.svg", "a-2.svg", "a-1.json", "a-2.json", "a.pdf", "a-1.png", "a-2.png"]
    assert sorted(files) == sorted(p.name for p in tmp_path.iterdir())
    pages = [json.loads((tmp_path / f"a-{k}.json").read_text()) for k in (1, 2)]
    assert [(page["page"], page["pages"], page["width"], page["height"]) for page in pages] == [
        (1, 2, 148, 210),
        (2, 2, 148, 210),
    ]
    assert sum(len(page["strokes_per_line"]) for page in pages) == 12
    assert (tmp_path / "a.pdf").read_bytes().count(b"/MediaBox") == 2
    for page in pages:
        x = [point[0] for stroke in page["strokes"] for point in stroke]
        y = [point[1] for stroke in page["strokes"] for point in stroke]
        assert min(x) >= 15 and max(x) <= 133 and min(y) >= 20 and max(y) <= 190


def test_a_long_text_on_paper(rnngen, model, tmp_path):
    text = " ".join(["under the sun a line so slow"] * 40)
    status, out, err = rnngen("write", text, "--model", model, "--page", "a4", "--json", "-o", "a.pdf")
    assert status == 0, err
    said = json.loads(out)
    assert " ".join(line["text"] for line in said["lines"]) == text and said["files"] == ["a.pdf"]
    assert max(len(line["text"]) for line in said["lines"]) <= 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--page", "a99"), "page 'a99': give a3, a4, a5, letter, or width and height in mm"),
        (
            ("--page", "45x100"),
            "the word 'hello' of 5 characters needs 18 mm, and the page has 5 mm between its margins",
        ),
        (("--page", "100x10", "--margin", "1"), "mm high does not fit between the margins of a page 10 mm high"),
        (("--page", "a4", "--margin", "x"), "margin 'x': give one, two or four numbers"),
        (("--margin", "10"), "--margin 10: margins belong to a sheet of paper; give --page as well"),
    ],
)
def test_paper_that_cannot_be_written_on(rnngen, model, tmp_path, arguments, message):
    status, out, err = rnngen("write", "hello", "--model", model, *arguments, "-o", "a.svg")
    assert (status, out) == (1, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert list(tmp_path.iterdir()) == []


def test_text_that_is_not_utf_8_is_named(rnngen, model, monkeypatch):
    status, out, err = rnngen("write", "caf\udce9", "--model", model, "-o", "a.svg")
    assert (status, out) == (1, "") and "the text to write: byte 4, 0xE9, is not UTF-8" in err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9")))
    status, out, err = rnngen("write", "-", "--model", model, "-o", "a.svg")
    assert (status, out) == (1, "") and "standard input (the text to write): byte 4, 0xE9" in err


def test_a_file_name_that_is_not_utf_8(rnngen, model, tmp_path):
    status, out, err = rnngen("write", "hello", "--model", model, "--json", "-o", "caf\udce9.svg")
    assert status == 0, err
    assert json.loads(out)["files"] == ["caf\udce9.svg"] and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--size", "inf"),
        ("--line-height", "nan"),
        ("--size", "nan"),
        ("--size", "1e9"),
        ("--pen-width", "1e308"),
        ("--pen-width", "nan"),
        ("--smooth", 10**9),
        ("--speed", "inf"),
        ("--speed", "nan"),
        ("--dpi", "nan"),
        ("--bias", "inf"),
        ("--bias", "nan"),
    ],
)
def test_numbers_that_draw_nothing_are_bad_usage(rnngen, model, tmp_path, arguments):
    status, _, err = rnngen("write", "hello", "--model", model, *arguments, "-o", "a.svg")
    assert status == 2 and arguments[0] in err and list(tmp_path.iterdir()) == []


def test_a_line_too_long_is_refused(rnngen, model):
    status, _, err = rnngen("write", "hello" * 1000, "--model", model, "-o", "a.svg")
    assert status == 1 and "a line of 5,000 characters, over the limit of 1,000" in err


def test_the_size_on_the_page(rnngen, model, tmp_path):
    for size in (2, 4):
        rnngen("write", "hello", "--model", model, "--size", size, "--smooth", 1, "-o", f"{size}.svg")
    small, large = (np.array(bounds(read_ink(tmp_path / f"{size}.svg").strokes)) for size in (2, 4))
    np.testing.assert_allclose(large[2:] - large[:2], 2 * (small[2:] - small[:2]), atol=0.01)


def test_smoothing_defaults_to_what_the_model_leaves_out(rnngen, model, tmp_path):
    rnngen("write", "hello", "--model", model, "--smooth", 1, "-o", "plain.svg")
    rnngen("write", "hello", "--model", model, "-o", "smooth.svg")
    plain, smooth = (read_ink(tmp_path / f"{name}.svg").strokes for name in ("plain", "smooth"))
    for one, two in zip(plain, smooth, strict=True):
        assert len(two) == (2 * len(one) - 1 if len(one) > 2 else len(one))


def test_animation(rnngen, model, tmp_path):
    assert rnngen("write", "hello", "--model", model, "--animate", "-o", "a.svg", "-o", "a.png")[0] == 0
    assert "<animate" in (tmp_path / "a.svg").read_text()


def test_a_style_from_the_corpus(rnngen, model, corpus, tmp_path):
    arguments = ("write", "hello", "--model", model, "--seed", 3)
    assert rnngen(*arguments, "-o", "plain.svg")[0] == 0
    styled = (*arguments, "--style", "a00-001z-01", "--corpus", corpus, "--json", "-o", "styled.svg")
    status, out, err = rnngen(*styled)
    assert status == 0, err
    assert json.loads(out)["lines"][0]["style"] == "a00-001z-01"
    assert (tmp_path / "plain.svg").read_text() != (tmp_path / "styled.svg").read_text()


@pytest.mark.parametrize("suffix", [".svg", ".json"])
def test_a_style_from_ones_own_strokes(rnngen, model, tmp_path, suffix):
    random = np.random.default_rng(0)
    mine = tmp_path / f"mine{suffix}"
    write_drawing(mine, place([[np.cumsum(random.normal(size=(15, 2)), axis=0) for _ in range(4)]]))
    style = ("--style-strokes", mine.name, "--style-text", "under")
    for further in ((), ("--style-as-recorded",)):
        status, _, err = rnngen("write", "hello", "--model", model, *style, *further, "-o", "a.svg")
        assert status == 0, err


@pytest.mark.parametrize(("text", "where"), [("under", None), ("under the sun is a line", "before"), ("u", "past")])
def test_a_style_text_that_does_not_fit_is_named(rnngen, model, text, where):
    random = np.random.default_rng(0)
    # the window of the model moves by a character in six points, of which the model reads every second
    write_drawing("mine.json", place([[np.cumsum(random.normal(size=(15, 2)), axis=0) for _ in range(4)]]))
    style = ("--style-strokes", "mine.json", "--style-text", text, "--style-as-recorded")
    err = rnngen("write", "hello hello", "--model", model, *style, "-o", "a.svg")[2]
    assert ("the text does not fit the strokes" in err) == (where is not None) and "seed" not in err
    if where is not None:
        assert f"characters {where} its end: give --style-text word for word" in err


def test_a_style_text_much_too_short_is_no_matter_of_the_seed(rnngen, model, tmp_path):
    random = np.random.default_rng(0)
    write_drawing("mine.json", place([[np.cumsum(random.normal(size=(15, 2)), axis=0) for _ in range(9)]]))
    style = ("--style-strokes", "mine.json", "--style-text", "u", "--style-as-recorded", "--end", "paper")
    status, _, err = rnngen("write", "a", "--model", model, *style, "-o", "a.svg")
    assert (
        status == 1 and err.startswith("error: mine.json: the text does not fit the strokes") and err.count("\n") == 1
    )
    assert not (tmp_path / "a.svg").exists()


def test_a_line_that_is_cut_says_so(rnngen, model):
    status, out, err = rnngen("write", "hello", "--model", model, "--steps", 4, "--json", "-o", "a.svg")
    assert status == 0
    assert "warning: 'hello' did not end within 4 points and was cut" in err
    assert json.loads(out)["lines"][0]["stopped"] == "cap"


def test_lines_that_are_drawn_again_are_told_of(rnngen, model, tmp_path):
    arguments = ("write", "hello\nsun", "--model", model, "--steps", 4, "--seed", 7, "--json", "-o", "a.json")
    status, out, err = rnngen(*arguments)
    assert status == 0 and "note: 2 of 2 lines drawn again, 6 times in all" in err
    lines = json.loads(out)["lines"]
    assert [(line["tries"], line["fault"]) for line in lines] == [(4, "it did not end within 4 points")] * 2
    assert all((line["seed"] - 7 - k) % 2**32 == 0 for k, line in enumerate(lines))
    status, out, err = rnngen(*arguments, "--tries", 1)
    assert "drawn again" not in err and [line["seed"] for line in json.loads(out)["lines"]] == [7, 8]
    assert rnngen(*arguments, "--tries", 0)[0] == 2


def test_ten_thousand_characters_are_pages_of_lines(rnngen, model, tmp_path):
    text = " ".join(["hello", "under", "the", "sun"] * 500)
    (tmp_path / "letter.txt").write_text(text)
    with (tmp_path / "letter.txt").open() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", file)
        status, out, err = rnngen(
            "write", "-", "--model", model, "--page", "a4", "--tries", 1, "--json", "-o", "letter.json"
        )
    assert status == 0, err
    found = json.loads(out)
    assert " ".join(line["text"] for line in found["lines"]) == text
    assert len(text) > 9_500


def test_replacing_unknown_characters(rnngen, model, tmp_path):
    arguments = ("write", "héllo", "--model", model, "--tries", 1, "-o", "a.svg")
    status, _, err = rnngen(*arguments)
    assert (status, list(tmp_path.iterdir())) == (1, [])
    assert err.startswith("error: 'é' (U+00E9) outside the model's alphabet of 16 symbols ' abcdehilnorstuw'")
    status, out, err = rnngen(*arguments, "--replace-unknown", "--json", "-o", "a.json")
    assert status == 0 and err == "warning: replaced 'é' (U+00E9) by 'e'\n"
    assert json.loads(out)["replaced"] == json.loads((tmp_path / "a.json").read_text())["replaced"] == {"é": "e"}
    status, out, err = rnngen(
        "write", "hello", "--model", model, "--replace-unknown", "--tries", 1, "--json", "-o", "a.svg"
    )
    assert err == "" and json.loads(out)["replaced"] == {}
    status, _, err = rnngen("write", "日本", "--model", model, "--replace-unknown", "-o", "a.svg")
    assert status == 1 and err == "error: there is no text to write\n"


def test_the_alphabets_class_is_used_only_when_asked_for(rnngen, tmp_path):
    model = write_model(tmp_path / "model", alphabet=Alphabet(("<non-letter>", *"abc "), "<non-letter>"))
    assert rnngen("write", "a1", "--model", model, "-o", "a.svg")[0] == 1
    options = ("--replace-unknown", "--tries", 1, "--json", "-o", "a.svg")
    status, out, err = rnngen("write", "a1", "--model", model, *options)
    assert status == 0 and err == "warning: replaced '1' (U+0031) by '<non-letter>'\n"
    assert json.loads(out)["lines"][0]["text"] == "a1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nowhere", "-o", "a.svg"), "nowhere: no such folder; give the directory of a trained model"),
        (("-o", "a.bmp"), "a.bmp: unknown picture format '.bmp'"),
        (("--style", "a00-001z-01", "-o", "a.svg"), "--corpus must name the Parquet file"),
        (("--style", "x", "--corpus", "none.parquet", "-o", "a.svg"), "none.parquet: no such file"),
        (("--style-strokes", "me.svg", "-o", "a.svg"), "--style-text must say"),
        (("--style-strokes", "me.svg", "--style-text", "me", "-o", "a.svg"), "me.svg: no such file"),
        (("--style", "x", "--style-strokes", "me.svg", "-o", "a.svg"), "exclude each other"),
        (("--hand", "1", "--style-strokes", "me.svg", "-o", "a.svg"), "exclude each other"),
        (("--hand", "1", "--style-text", "me", "-o", "a.svg"), "need --style-strokes: give the strokes too"),
        (("--hand", "1", "-o", "a.svg"), "hand 1: 'F' (U+0046)"),
        (("--hand", str(2**64), "-o", "a.svg"), "expected an integer between 0 and 2^64"),
        (("--style-text", "me", "-o", "a.svg"), "need --style-strokes: give the strokes too"),
        (("--style-as-recorded", "-o", "a.svg"), "need --style-strokes: give the strokes too"),
        (("--colour", "nocolour", "-o", "a.svg"), "unknown colour 'nocolour'"),
        (("--colour", '"/><script>', "-o", "a.png"), "unknown colour"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(rnngen, model, tmp_path, arguments, message):
    status, out, err = rnngen("write", "hello", "--model", model, *arguments)
    assert status == 1 and out == "" and list(tmp_path.iterdir()) == []
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_no_text(rnngen, model):
    assert rnngen("write", " \n ", "--model", model, "-o", "a.svg")[2] == "error: there is no text to write\n"


def test_a_prediction_network_writes_no_text(rnngen, tmp_path):
    model = write_model(tmp_path / "model", "prediction")
    status, _, err = rnngen("write", "hello", "--model", model, "-o", "a.svg")
    assert status == 1 and "give a synthesis network" in err


@pytest.mark.parametrize(
    "arguments", [("write", "a"), ("write", "a", "--bias", "-1"), ("write", "a", "--steps", 10**12), ("unknown",), ()]
)
def test_bad_usage(rnngen, arguments):
    assert rnngen(*arguments)[0] == 2


def test_help_shows_examples(rnngen):
    status, out, _ = rnngen("write", "--help")
    assert status == 0 and 'rnngen write "watch" --animate -o watch.svg\n' in out


@pytest.mark.parametrize("strokes", ["[[[1, 2]]]", "[[[1, 1], [1, 1], [1, 1]]]"])
@pytest.mark.parametrize("further", [(), ("--style-as-recorded",)])
def test_a_prime_of_a_single_place_is_one_line(rnngen, model, tmp_path, strokes, further):
    (tmp_path / "dot.json").write_text(strokes, encoding="utf-8")
    style = ("--style-strokes", "dot.json", "--style-text", "under", *further)
    status, _, err = rnngen("write", "hello", "--model", model, *style, "-o", "a.svg")
    if strokes == "[[[1, 2]]]" or not further:
        assert status == 1 and err.startswith("error: ") and err.count("\n") == 1
        assert "dot.json: a single point is too little to go on from" in err
    else:
        assert status == 0, err

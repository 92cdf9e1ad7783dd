"""Sampling the paper's figures, tracing lines, and drawing all of it from tiny untrained models, headless."""

import numpy as np
import pytest

from pipeline import (
    draw_densities,
    draw_samples,
    draw_training_lines,
    draw_window,
    sample_handwriting,
    trace_handwriting,
)
from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.errors import InputError
from rnngen.ink.sampled_lines import read_sampled_lines
from rnngen.models.handwriting_model import End, HandwritingModel
from tests.tiny_handwriting import write_corpus, write_model

LETTERS = Alphabet((" ", *"'," + "abcdefghijklmnopqrstuvwxyz"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handwriting")
    write_corpus(folder / "hw.parquet")
    write_model(folder / "synthesis", alphabet=LETTERS)
    write_model(folder / "prediction", "prediction")
    return folder


def sampled(folder, tmp_path, **options):
    """The lines of sample_handwriting.main with `options`."""
    output = options.pop("output", tmp_path / "lines.parquet")
    given = {
        "model": folder / "synthesis",
        "corpus": folder / "hw.parquet",
        "seed": 1,
        "steps": None,
        "end": End.PAPER,
    }
    given |= {
        "figure": None,
        "text": None,
        "bias": None,
        "prime": None,
        "samples": None,
        "separator": " ",
        "threads": 1,
    }
    sample_handwriting.main(**(given | {"output": output} | options))
    return read_sampled_lines(output)


def drawn(module, data, tmp_path, **options):
    """The SVG that a module draws of `data`."""
    svg, png = tmp_path / "figure.svg", tmp_path / "figure.png"
    module.main(data, svg=svg, png=png, **options)
    assert svg.read_bytes().startswith(b"<?xml") and png.read_bytes().startswith(b"\x89PNG")
    return svg.read_text()


def test_figure_11(folder, tmp_path):
    lines, about = sampled(folder, tmp_path, model=folder / "prediction", figure=11, steps=30)
    assert [(line.steps, line.stopped, line.text, line.phi_su) for line in lines] == [(30, "cap", None, None)] * 9
    assert about["network"] == "PredictionNetwork" and about["figure"] == 11
    drawn(draw_samples, tmp_path / "lines.parquet", tmp_path, labels=draw_samples.Labels.NONE, captions=False, width=5)


@pytest.mark.parametrize(("figure", "bias"), [(15, 0), (17, 0.15)])
def test_figures_15_and_17_put_the_real_line_on_top(folder, tmp_path, capsys, figure, bias):
    lines, _ = sampled(folder, tmp_path, figure=figure)
    corpus = CorpusLines(folder / "hw.parquet")
    for block in (0, 1):
        real, *samples = [line for line in lines if line.block == block]
        found = corpus.line_named(real.line)
        assert real.kind == "real" and found.split == "testset_v"
        assert np.array_equal(np.concatenate(real.strokes), np.concatenate(found.strokes))
        assert [(line.kind, line.text, line.bias) for line in samples] == [("sample", found.text, bias)] * 5
        assert len({line.seed for line in samples}) == 5
    assert "no validation line reads 'more of national temperament'" in capsys.readouterr().out
    drawn(draw_samples, tmp_path / "lines.parquet", tmp_path, labels=draw_samples.Labels.NONE, captions=False, width=5)


def test_a_line_the_corpus_has_is_taken(folder, tmp_path):
    lines, _ = sampled(folder, tmp_path, figure=15, text=["not so slow"], samples=1)
    assert [(line.kind, line.text) for line in lines] == [("real", "not so slow"), ("sample", "not so slow")]


def test_figure_16_pairs_texts_and_biases(folder, tmp_path):
    lines, _ = sampled(folder, tmp_path, figure=16)
    assert [line.bias for line in lines] == [0, 0.1, 0.5, 2, 5, 10, 10, 10]
    assert lines[0].text == "when the samples are biased" and lines[7].text == "exactly the same"
    for line in lines:
        assert line.phi_su.shape == (line.steps + (line.stopped == "rule"), len(line.text) + 1)
    svg = drawn(
        draw_samples, tmp_path / "lines.parquet", tmp_path, labels=draw_samples.Labels.BIAS, captions=False, width=5
    )
    assert svg.index(">0.1<") < svg.index(">0.5<") < svg.index(">10<")


@pytest.mark.parametrize(("figure", "bias"), [(18, 0), (19, 0), (20, 1), (21, 1)])
def test_figures_18_to_21_go_on_from_training_lines(folder, tmp_path, figure, bias):
    lines, _ = sampled(folder, tmp_path, figure=figure)
    corpus = CorpusLines(folder / "hw.parquet")
    model = HandwritingModel.load(folder / "synthesis")
    for block in (0, 1):
        real, *samples = [line for line in lines if line.block == block]
        assert corpus.line_named(real.line).split != "testset_v" and len(samples) == 4
        for line in samples:
            assert (line.prime, line.prime_text, line.bias) == (real.line, real.text, bias)
            assert line.window_text == f"{real.text} {line.text}"
            assert line.prime_steps == len(model.normaliser.to_network(corpus.line_named(real.line).strokes))
            assert len(line.phi_su) == line.prime_steps + line.steps + (line.stopped == "rule")
    svg = drawn(
        draw_samples, tmp_path / "lines.parquet", tmp_path, labels=draw_samples.Labels.NONE, captions=True, width=5
    )
    assert "primed with" in svg


def test_the_two_figures_of_primes_show_different_hands(folder, tmp_path):
    names = [
        {line.line for line in sampled(folder, tmp_path, figure=figure)[0] if line.kind == "real"}
        for figure in (18, 19)
    ]
    assert not names[0] & names[1]


def test_free_texts_biases_and_primes(folder, tmp_path):
    lines, _ = sampled(folder, tmp_path, text=["sun", "a road"], bias=[0.5, 2], samples=2, seed=10)
    assert [(line.block, line.text, line.bias, line.seed) for line in lines[:5]] == [
        (0, "sun", 0.5, 10),
        (0, "sun", 0.5, 11),
        (0, "sun", 2, 12),
        (0, "sun", 2, 13),
        (1, "a road", 0.5, 14),
    ]
    lines, _ = sampled(folder, tmp_path, text=["sun"], prime=["a00-003z-01", "a00-004z-01"])
    assert [(line.kind, line.prime) for line in lines] == [
        ("real", None),
        ("sample", "a00-003z-01"),
        ("real", None),
        ("sample", "a00-004z-01"),
    ]


def test_lines_with_a_fault_are_drawn_again_only_when_asked(folder, tmp_path):
    once, _ = sampled(folder, tmp_path, text=["sun"], samples=3, seed=10, steps=4)
    again, _ = sampled(folder, tmp_path, text=["sun"], samples=3, seed=10, steps=4, tries=5)
    assert [line.seed for line in once] == [10, 11, 12]
    assert [line.seed % 2**32 for line in again] == [10, 11, 12] and [line.seed for line in again] != [10, 11, 12]
    with pytest.raises(InputError, match="a network without text"):
        sampled(folder, tmp_path, figure=11, model=folder / "prediction", tries=2)


def test_the_same_call_writes_the_same_bytes(folder, tmp_path):
    for name in "ab":
        sampled(folder, tmp_path, text=["sun"], output=tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_characters_outside_the_alphabet_are_announced(folder, tmp_path, capsys):
    lines, _ = sampled(folder, tmp_path, text=["Sun é!"])
    assert lines[0].text == "sun e "
    assert "outside the alphabet, so written otherwise: 'Sun é!' as 'sun e '" in capsys.readouterr().out


def test_calls_that_do_not_fit(folder, tmp_path):
    with pytest.raises(InputError, match="--figure 12: no lines"):
        sampled(folder, tmp_path, figure=12)
    with pytest.raises(InputError, match="give it with --corpus"):
        sampled(folder, tmp_path, figure=15, corpus=None)
    with pytest.raises(InputError, match="a prediction network writes no text"):
        sampled(folder, tmp_path, figure=16, model=folder / "prediction")
    with pytest.raises(InputError, match="no line 'none'"):
        sampled(folder, tmp_path, text=["sun"], prime=["none"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["synthesis", "prediction"])
def test_traces_and_figures_10_13_14(folder, tmp_path, kind):
    output = tmp_path / "trace.parquet"
    trace_handwriting.main(folder / kind, folder / "hw.parquet", output)
    (line,), about = read_sampled_lines(output)
    assert "under" in line.text and line.kind == "real"
    points = sum(map(len, line.strokes))
    assert line.steps == points - 1 == len(line.outputs_so) and line.outputs_so.shape[1] == 13
    drawn(draw_densities, output, tmp_path, width=4, columns=60)
    if kind == "synthesis":
        assert line.phi_su.shape == (line.steps, len(line.text) + 1)
        drawn(draw_window, output, tmp_path, width=4)
    else:
        with pytest.raises(InputError, match="no line  with window weights"):
            draw_window.main(output)
    assert about["every"] == 2


def test_tracing_a_named_line(folder, tmp_path):
    output = tmp_path / "trace.parquet"
    trace_handwriting.main(folder / "synthesis", folder / "hw.parquet", output, line="a00-005z-01")
    assert [line.line for line in read_sampled_lines(output)[0]] == ["a00-005z-01"]
    trace_handwriting.main(folder / "synthesis", folder / "hw.parquet", output, containing="zebra")
    (line,) = read_sampled_lines(output)[0]
    assert CorpusLines(folder / "hw.parquet").line_named(line.line).split == "testset_v"


def test_figure_13_of_a_sample(folder, tmp_path):
    sampled(folder, tmp_path, text=["under the sun"])
    svg = drawn(draw_window, tmp_path / "lines.parquet", tmp_path, width=4)
    assert svg.count(">␣<") == 2


def test_figure_9(folder, tmp_path):
    drawn(draw_training_lines, folder / "hw.parquet", tmp_path, training=None, lines=6, width=5)
    with pytest.raises(InputError, match="no line in the sets nowhere"):
        draw_training_lines.main(folder / "hw.parquet", training=["nowhere"])


def test_a_file_without_strokes(folder, tmp_path):
    with pytest.raises(InputError, match="no such file; expected: Parquet file"):
        draw_samples.main(tmp_path / "none.parquet")

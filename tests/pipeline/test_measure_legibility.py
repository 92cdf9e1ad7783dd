import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.measure_legibility import main
from rnngen.errors import InputError
from rnngen.handwriting_generator.corpus import draw_writers, write_numbered_line
from rnngen.handwriting_generator.glyphs import load_letterforms
from rnngen.ink.sampled_lines import WrittenLine, write_sampled_lines
from rnngen.ink.strokes import strokes_from_columns

HANDS = draw_writers(load_letterforms(), 3, seed=1, variety=0.3)


def rows(texts, **columns):
    lines = [write_numbered_line(text, HANDS[k % 3], 1, k) for k, text in enumerate(texts)]
    table = {"text": texts, **{name: [getattr(line, name) for line in lines] for name in ("x", "y", "stroke_len")}}
    return pa.table(table | columns)


def sampled(text, bias):
    line = write_numbered_line(text, HANDS[0], 1, 0)
    return WrittenLine("", "sample", strokes_from_columns(line.x, line.y, line.stroke_len), text=text, bias=bias)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.parquet"
    texts = ["on", "no", "so", "son"] * 20
    pq.write_table(rows(texts, split=["trainset"] * 64 + ["testset_v"] * 8 + ["testset_t"] * 6 + [None] * 2), path)
    return path


def test_error_rates_by_bias(tmp_path, corpus):
    samples = tmp_path / "samples.parquet"
    texts, biases = ["son", "no", "so", "on", "no", "on"], [0.0, 0.0, 1.0, 1.0, 1.0, None]
    lines = [
        replace(sampled(text, bias), prime="a01" if k == 4 else None, kind="real" if k == 5 else "sample")
        for k, (text, bias) in enumerate(zip(texts, biases, strict=True))
    ]
    write_sampled_lines(samples, lines, {})
    main(corpus, [samples], tmp_path / "out.json", updates=3, held_out=10)
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["reader"] == {"updates": 3, "seed": 1, "lines": 64, "characters": "nos"}
    assert [(row["what"], row.get("bias"), row.get("primed"), row["lines"]) for row in found["measured"]] == [
        ("corpus", None, None, 10),
        ("generator", None, None, 4),
        ("samples", 0.0, False, 2),
        ("samples", 1.0, False, 2),
        ("samples", 1.0, True, 1),
    ]
    corpus_rate = found["measured"][0]["character_error_rate"]
    for row in found["measured"]:
        assert row["characters"] == sum(len(reading["text"]) for reading in row["readings"])
        assert row["above_corpus"] == pytest.approx(row["character_error_rate"] - corpus_rate)


def test_bad_input_is_refused(tmp_path, corpus):
    none = tmp_path / "none.parquet"
    pq.write_table(pa.table({"text": ["a"]}), none)
    with pytest.raises(InputError, match="no column .*bias.*expected: Parquet file of handwriting samples"):
        main(corpus, [none], tmp_path / "out.json")
    empty = tmp_path / "empty.parquet"
    write_sampled_lines(empty, [], {})
    with pytest.raises(InputError, match="no sampled line with a text"):
        main(corpus, [empty], tmp_path / "out.json")
    only = tmp_path / "only.parquet"
    pq.write_table(rows(["on", "no"], split=["trainset", "trainset"]), only)
    with pytest.raises(InputError, match="2 lines in trainset, 0 in other sets"):
        main(only, [empty], tmp_path / "out.json")
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 and no more")
    for path in (damaged, tmp_path / "absent.parquet", none):
        with pytest.raises(InputError, match=f"{path.name}: .*(not a Parquet file|no such file|no column split)"):
            main(path, [empty], tmp_path / "out.json")
    for path in (damaged, tmp_path / "absent.parquet"):
        with pytest.raises(InputError, match=f"{path.name}: .*Parquet file of handwriting samples"):
            main(corpus, [path], tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_ink_that_is_not_there_is_all_errors(tmp_path, corpus):
    samples = tmp_path / "samples.parquet"
    write_sampled_lines(samples, [replace(sampled("son", 2.0), strokes=[np.zeros((3, 2))])], {})
    main(corpus, [samples], tmp_path / "out.json", updates=3, pen=False)
    found = json.loads((tmp_path / "out.json").read_text())["measured"]
    assert [row["what"] for row in found] == ["corpus", "samples"]
    assert found[1]["character_error_rate"] > 0.5

import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from rnngen.errors import InputError

TEXT = """A wizard's job is to vex chumps quickly in fog. The five boxing wizards jump quickly, said the judge.

Sphinx of black quartz, judge my vow: pack my box with five dozen liquor jugs! How vexingly quick daft zebras jump."""


def run(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{module}", *map(str, arguments)], capture_output=True, text=True
    )


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def generate(text, output, *more):
    return run(
        "generate_handwriting",
        "--text",
        text,
        "--output",
        output,
        "--lines",
        40,
        "--writers",
        10,
        "--per-form",
        4,
        *more,
    )


def test_the_corpus_goes_through_the_parser_into_parquet(tmp_path, text):
    words = tmp_path / "words.txt"
    words.write_text("zebras quartz\n")
    done = generate(text, tmp_path / "raw", "--held-out", words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 lines, ")
    done = run("parse_iamondb", tmp_path / "raw", "--output", tmp_path / "corpus.parquet")
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "corpus.parquet").to_pylist()
    assert len(rows) == 40
    assert {row["split"] for row in rows} == {"trainset", "testset_v", "testset_t", "testset_f"}
    assert all(5 <= len(row["text"]) <= 15 for row in rows)
    assert not any(word in row["text"].lower() for row in rows for word in ("zebras", "quartz"))
    assert all(sum(row["stroke_len"]) == len(row["x"]) for row in rows)


def test_two_runs_give_the_same_bytes_and_another_seed_others(tmp_path, text):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        done = generate(text, tmp_path / name, "--seed", seed)
        assert done.returncode == 0, done.stderr
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "same", "other")
    ]
    assert contents[0] == contents[1]
    assert contents[0]["lineStrokes-all.tar.gz"] != contents[2]["lineStrokes-all.tar.gz"]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--characters", "abþ"), "--characters: no glyph for 'þ' (U+00FE)"),
        (("--shortest", 9, "--longest", 8), "--shortest 9 exceeds --longest 8"),
        (("--lines", 4000, "--characters", "abcdefghijklmnopqrstuvwxyz"), "the text gives only"),
        (("--held-out", "missing.txt"), "missing.txt: No such file"),
        (("--alphabet", "missing.txt"), "missing.txt: No such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, text, more, complaint):
    done = generate(text, tmp_path / "raw", *more)
    assert done.returncode == 1
    assert complaint in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_failure_while_writing_leaves_nothing(tmp_path, text, monkeypatch):
    from pipeline.generate_handwriting import main
    from rnngen.handwriting_generator import iam_ondb_files

    def fail(form):
        raise InputError("no")

    monkeypatch.setattr(iam_ondb_files, "form_xml", fail)
    with pytest.raises(InputError):
        main([text], tmp_path / "raw", lines=40, writers=10)
    assert list((tmp_path / "raw").iterdir()) == []


def test_held_out_words_that_are_not_utf_8_are_named(tmp_path, text):
    from pipeline.generate_handwriting import main

    (tmp_path / "held-out.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"held-out\.txt: byte 3 is not UTF-8"):
        main([text], tmp_path / "raw", held_out=tmp_path / "held-out.txt")

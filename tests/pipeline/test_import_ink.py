"""Strokes and transcripts of one's own become a corpus that the networks' loader reads."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.import_ink import main
from rnngen.corpora.handwriting.lines import load_handwriting
from rnngen.corpora.handwriting.own_files import holds_ink, read_own_handwriting
from rnngen.errors import InputError

INKML = """<ink xmlns="http://www.w3.org/2003/InkML"><traceFormat><channel name="X"/><channel name="Y"/>
<channel name="T"/></traceFormat><trace>0 0 0, 3 4 10, 6 9 20</trace><trace>8 1 60, 9 5 70</trace></ink>"""


def write(folder: Path, name: str, text: str | None, strokes: list | None = None) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
    path.write_text(INKML if strokes is None else json.dumps({"strokes": strokes}), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pages of one or two lines, in two formats."""
    folder = tmp_path / "hand"
    rng = np.random.default_rng(1)
    for page in range(11):
        for line in range(1 + page % 2):
            strokes = [np.cumsum(rng.normal(0, 0.02, (n, 2)), axis=0).round(4).tolist() for n in (9, 1, 5)]
            write(folder, f"page{page}/{line}.json", f"é line {line}\n", strokes)
    write(folder, "alone.inkml", "ink")
    return folder


def test_every_point_arrives(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "handwriting.parquet"
    main(folder, output, 0.1)
    table = pq.read_table(output).to_pylist()
    report = json.loads(output.with_suffix(".quality.json").read_text(encoding="utf-8"))
    assert holds_ink(folder)
    assert [row["line"] for row in table] == sorted(row["line"] for row in table)
    assert len(table) == report["lines"] == 17
    for row in table:
        if row["line"] == "alone":
            assert (row["t"], row["stroke_len"], row["text"]) == ([0, 1, 2, 6, 7], [3, 2], "ink")
            points = np.array([[0, 0], [3, 4], [6, 9], [8, 1], [9, 5]])
        else:
            strokes = json.loads((folder / f"{row['line']}.json").read_text(encoding="utf-8"))["strokes"]
            points = np.concatenate([np.array(stroke) for stroke in strokes])
            assert row["stroke_len"] == [9, 1, 5]
            assert row["text"].startswith("é line")
        stored = np.stack([row["x"], row["y"]], axis=1) / report["scale"]
        assert np.abs(np.diff(stored, axis=0) - np.diff(points, axis=0)).max() <= 1.001 / report["scale"]


def test_the_networks_read_it(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "handwriting.parquet"
    main(folder, output, 0.25)
    corpus = load_handwriting(output, training=["trainset"], alphabet="all")
    assert len(corpus.training) + len(corpus.validation) == 17
    assert not set(corpus.training.forms) & set(corpus.validation.forms)
    assert len(set(corpus.validation.forms)) == 3
    assert {"é", "k"} <= set(corpus.alphabet.symbols)


def test_equal_folders_give_equal_files(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        main(folder, tmp_path / name / "out.parquet", 0.1)
    assert (tmp_path / "one/out.parquet").read_bytes() == (tmp_path / "two/out.parquet").read_bytes()


def test_suffixes_may_be_in_capitals(tmp_path: Path) -> None:
    for name in ("ONE", "TWO"):
        (tmp_path / f"{name}.JSON").write_text("[[[0, 0], [30, 40]]]", encoding="utf-8")
        (tmp_path / f"{name}.TXT").write_text(name, encoding="utf-8")
    assert holds_ink(tmp_path)
    assert [line.text for line in read_own_handwriting(tmp_path)[0]] == ["ONE", "TWO"]


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    def refused(name: str, message: str) -> None:
        with pytest.raises(InputError, match=message) as error:
            read_own_handwriting(folder)
        assert name in str(error.value)
        for path in folder.glob("bad*"):
            path.unlink()

    write(folder, "bad.json", None, [[[0, 0], [1, 1]]])
    refused("bad.json", "no transcript")
    (folder / "bad.txt").write_text("text", encoding="utf-8")
    refused("bad.txt", "without strokes")
    write(folder, "bad.json", "text", [[[0, 0], [1, 1]]])
    (folder / "bad.TXT").write_text("other text", encoding="utf-8")
    refused("bad.txt", "a transcript beside bad.TXT; keep one of the two")
    write(folder, "bad.json", "two\nlines", [[[0, 0], [1, 1]]])
    refused("bad.txt", "2 lines of text")
    write(folder, "bad.json", " \n", [[[0, 0], [1, 1]]])
    refused("bad.txt", "empty")
    (folder / "bad\udcff.json").write_text("[]", encoding="utf-8")
    refused("bad\\udcff.json", "a name that is not UTF-8; rename")
    write(folder, "bad.json", "tiny", [[[k * 1e-300, 0] for k in range(9000)]])
    refused(folder.name, "a median step of 1e-300 units; scale the strokes up")
    write(folder, "bad.json", "dot", [[[0, 0]]])
    refused("bad.json", "a single point")
    write(folder, "bad.json", "twice", [[[0, 0], [1, 1]]])
    write(folder, "bad.inkml", "twice")
    refused("bad.inkml", "another format")
    write(folder, "bad.json", "latin", [[[0, 0], [1, 1]]])
    (folder / "bad.txt").write_bytes(b"caf\xe9")
    refused("bad.txt", "byte 3: not UTF-8")


def test_clocks_that_run_back_and_pages_of_xournal_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.inkml", "forth")
    write(tmp_path, "b.json", "back", [[[0, 0, 0.5], [1, 1, 0.4], [2, 2, 0.6], [3, 3, 0.7]]])
    write(tmp_path, "c.json", "none", [[[0, 0], [1, 1]]])
    (tmp_path / "d.xopp").write_text("<xournal><page><layer><stroke>1 2 3 4</stroke></layer></page></xournal>")
    (tmp_path / "d.txt").write_text("page")
    lines, report = read_own_handwriting(tmp_path)
    assert [line.text for line in lines] == ["forth", "back", "none", "page"]
    assert (report["lines_whose_clock_runs_back"], report["lines_without_times"]) == (1, 2)


def test_one_page_is_not_enough(tmp_path: Path) -> None:
    write(tmp_path, "page/1.inkml", "one")
    write(tmp_path, "page/2.inkml", "two")
    with pytest.raises(InputError, match="one page"):
        read_own_handwriting(tmp_path)
    with pytest.raises(InputError, match="no strokes"):
        (tmp_path / "empty").mkdir()
        read_own_handwriting(tmp_path / "empty")


def test_no_folder_of_iam_ondb_holds_ink(tmp_path: Path) -> None:
    (tmp_path / "lineStrokes").mkdir()
    (tmp_path / "lineStrokes/a01-000u-01.xml").write_text("<x/>", encoding="utf-8")
    (tmp_path / "trainset.txt").write_text("a01-000u", encoding="utf-8")
    assert not holds_ink(tmp_path)

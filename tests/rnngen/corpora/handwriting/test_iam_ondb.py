import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from rnngen.corpora.handwriting import iam_ondb
from rnngen.corpora.handwriting.iam_ondb import parse_iam_ondb
from rnngen.corpora.handwriting.lines import HandwritingBatches, load_handwriting
from rnngen.corpora.handwriting.parquet import CORPUS_LINES, write_corpus_lines
from rnngen.errors import InputError
from tests.rnngen.corpora.handwriting.iam_files import (
    TEXTS,
    as_archives,
    drawn,
    files,
    put,
    stroke_xml,
    tar,
    transcript,
    zipped,
)

SPLITS = {"a01-000u": "trainset", "a01-001": "testset_v", "a02-003z": "testset_t", "b01-004": "testset_f"}


def rows(lines):
    """Lines as plain values."""
    return [
        (
            row.line,
            row.form,
            row.writer,
            row.split,
            row.text,
            r.t0,
            *(a.tolist() for a in (r.x, r.y, r.t, r.stroke_len)),
        )
        for row in lines
        for r in [row.recording]
    ]


def expected(writers=True):
    """What the made-up corpus must become."""
    result, seed = [], 0
    for form, texts in TEXTS.items():
        for k, text in enumerate(texts, 1):
            points = np.array([point for stroke in drawn(seed) for point in stroke])
            x, y, t = points.T
            writer = str(10_000 + int(form[4:7])) if writers else None
            start = int(t[0])
            strokes = [len(stroke) for stroke in drawn(seed)]
            row = (f"{form}-{k:02d}", form, writer, SPLITS.get(form), text, start)
            result.append((*row, x.tolist(), y.tolist(), (t - start).tolist(), strokes))
            seed += 1
    return result


def parse(folder, keep_going=False):
    return parse_iam_ondb(folder, keep_going)


def layouts():
    corpus = files()
    everything = {name: data for members in corpus.values() for name, data in members.items()}
    yield "archives as downloaded", lambda d: as_archives(d, corpus)
    yield "tgz", lambda d: as_archives(d, corpus, suffix=".tgz")
    yield "zip", lambda d: as_archives(d, corpus, zipped, ".zip")
    yield "below data/", lambda d: as_archives(d / "data", corpus)
    yield "unpacked", lambda d: put(d, everything)
    yield "names in capitals", lambda d: put(d, {name.upper(): data for name, data in everything.items()})
    yield (
        "archives in capitals",
        lambda d: as_archives(d, {a: {n.upper(): b for n, b in m.items()} for a, m in corpus.items()}, zipped, ".ZIP"),
    )
    yield (
        "nested twice",
        lambda d: put(d, {f"{n.split('/')[0]}-all/{n}" if "/" in n else n: b for n, b in everything.items()}),
    )
    yield "flat", lambda d: put(d, {n if "original" in n else n.split("/")[-1]: b for n, b in everything.items()})
    yield (
        "lists in a folder",
        lambda d: put(as_archives(d, {**corpus, "": {}}), {f"task1/{n}": b for n, b in corpus[""].items()}),
    )
    yield "one archive of all", lambda d: put(d, {"iam.zip": zipped({f"iam/{n}": b for n, b in everything.items()})})
    yield (
        "an archive of archives",
        lambda d: put(d, {"all.tar": tar({f"{n}.tar.gz": tar(m) for n, m in corpus.items() if n} | corpus[""], "w")}),
    )
    yield (
        "with other files",
        lambda d: put(
            as_archives(d, corpus),
            {"README.txt": b"x", "lineImages-all.tar.gz": b"pictures", ".DS_Store": b"", "a.xml": b"<"},
        ),
    )


@pytest.mark.parametrize(("name", "lay"), list(layouts()), ids=[name for name, _ in layouts()])
def test_every_layout_gives_the_same_lines(tmp_path, name, lay):
    lines, report = parse(lay(tmp_path))
    assert rows(lines) == expected()
    assert report["refused"] == []


def test_nothing_is_written_beside_the_archives(tmp_path):
    as_archives(tmp_path, files())
    before = sorted(tmp_path.rglob("*"))
    parse(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_archive_and_unpacked_tree_together_are_one_corpus(tmp_path):
    corpus = files()
    as_archives(tmp_path, corpus)
    put(tmp_path, corpus["lineStrokes-all"] | corpus["ascii-all"])
    lines, report = parse(tmp_path)
    assert rows(lines) == expected()
    assert report["oddities"]["lines_found_twice"] == len(lines)
    put(tmp_path, {"lineStrokes/a01/a01-000/a01-000u-02.xml": stroke_xml(drawn(77))})
    with pytest.raises(InputError, match=r"a01-000u-02 differs from .*; keep one of the two"):
        parse(tmp_path)


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ("lineStrokes-all", r"lacks strokes \(lineStrokes-all\.tar\.gz\); register"),
        ("ascii-all", r"lacks transcripts \(ascii-all\.tar\.gz\); register"),
        ("", r"lacks lists of forms \(trainset\.txt …\); register .* at https://"),
    ],
)
def test_what_is_missing_is_named_with_where_to_get_it(tmp_path, absent, message):
    as_archives(tmp_path, {name: members for name, members in files().items() if name != absent})
    with pytest.raises(InputError, match=message):
        parse(tmp_path)


def test_an_empty_folder_lacks_everything(tmp_path):
    with pytest.raises(InputError, match="lacks strokes .* and transcripts"):
        parse(tmp_path)


def test_writers_are_null_without_original_xml(tmp_path):
    corpus = files()
    corpus.pop("original-xml-all")
    lines, report = parse(as_archives(tmp_path, corpus))
    assert rows(lines) == expected(writers=False)
    assert report["lines_without_writer"] == len(lines)


def change(corpus, ending, data):
    """The corpus with the one file whose name ends so replaced, or removed for None."""
    changed = {archive: dict(members) for archive, members in corpus.items()}
    names = [(a, n) for a, members in corpus.items() for n in members if n.endswith(ending)]
    assert len(names) == 1, names
    archive, name = names[0]
    if data is None:
        del changed[archive][name]
    else:
        changed[archive][name] = data(corpus[archive][name]) if callable(data) else data
    return changed


BAD = {
    "stroke file of another database": ("a02-003z-01.xml", b"<ink/>", "its root element is ink", {"a02-003z"}),
    "truncated stroke file": ("a02-003z-01.xml", lambda d: d[:-99], "incomplete XML", {"a02-003z"}),
    "missing stroke file": ("a01-001-01.xml", None, "2 lines of text for the stroke files 2 to 2", {"a01-001"}),
    "a text line too many": ("a01-001.txt", transcript(["a", "b", "c"]), "3 lines of text for", {"a01-001"}),
    "no transcript": ("b01-004.txt", None, "1 stroke files, but no transcript b01-004.txt", {"b01-004"}),
    "transcript without CSR": ("b01-004.txt", b"OCR:\nx\n", "no line `CSR:`", {"b01-004"}),
    "a list that is none": ("testset_f.txt", b"<html>\n b01-004\n", "'<html>' is not the id of a form or line", set()),
    "a list of absent forms": ("testset_f.txt", b"b01-004\nz99-999\n", "no stroke file of z99-999 was found", set()),
    "a form in two sets": ("testset_f.txt", b"b01-004\na01-001\n", "a01-001-01 is already in testset_v", set()),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_stops_with_place_reason_and_remedy(tmp_path, name):
    ending, data, reason, _ = BAD[name]
    as_archives(tmp_path, change(files(), ending, data))
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        parse(tmp_path)
    assert "`keep_going` skips and records it" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", list(BAD))
def test_keep_going_skips_only_the_item_and_records_it(tmp_path, name):
    ending, data, reason, forms = BAD[name]
    as_archives(tmp_path, change(files(), ending, data))
    lines, report = parse(tmp_path, keep_going=True)
    assert rows(lines) == [row for row in expected() if row[1] not in forms]
    assert reason in " ".join(item["why"] for item in report["refused"])
    assert report["refused_items"] == len(report["refused"]) >= 1


def test_a_broken_original_is_refused_and_costs_only_the_writer(tmp_path):
    as_archives(tmp_path, change(files(), "strokesz.xml", b"<WhiteboardCaptureSession><General></Form>"))
    with pytest.raises(InputError, match=r"strokesz\.xml: incomplete XML"):
        parse(tmp_path)
    lines, _ = parse(tmp_path, keep_going=True)
    assert [line.line for line in lines if line.writer is None] == ["a02-003z-01"]


def test_a_line_twice_in_one_archive_is_refused(tmp_path):
    corpus = files()
    data = corpus["lineStrokes-all"]["lineStrokes/b01/b01-004/b01-004-01.xml"]
    corpus["lineStrokes-all"]["lineStrokes/copy/b01-004-01.xml"] = data
    as_archives(tmp_path, corpus)
    with pytest.raises(InputError, match=r"a second file of line b01-004-01, the first is .*b01-004-01\.xml; keep one"):
        parse(tmp_path)


def test_a_list_may_name_single_lines(tmp_path):
    corpus = files(lists={"trainset": ["a01-000u-01"], "testset_v": ["a01-001-02"]})
    lines, report = parse(as_archives(tmp_path, corpus))
    assert {row.line: row.split for row in lines if row.split} == {"a01-000u-01": "trainset", "a01-001-02": "testset_v"}
    assert report["lists"] == {
        "found": ["testset_v", "trainset"],
        "missing": ["testset_f", "testset_t"],
        "official": False,
    }
    assert report["oddities"]["unlisted_lines"] == len(lines) - 2


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (transcript(["of the %%%%%% road", "end"]), ["of the", "road", "end"]),
        (transcript(["a &quot;word&quot;", "it&apos;s &amp; so", "1 & 2"]), ['a "word"', "it's & so", "1 & 2"]),
        (b"OCR:\nx\nCSR:\n\n\n caf\xe9 \n\nb\nc", ["café", "b", "c"]),
        ("\ufeffOCR:\nCSR:\ncafé\nb\nc\n".encode(), ["café", "b", "c"]),
        (b"OCR:\rx\rCSR:\ra\rb\rc\r", ["a", "b", "c"]),
    ],
)
def test_transcripts(tmp_path, data, texts):
    corpus = files({"a01-000u": ["1", "2", "3"]}, {"trainset": ["a01-000u"]})
    lines, report = parse(as_archives(tmp_path, change(corpus, "a01-000u.txt", data)))
    assert [line.text for line in lines] == texts
    odd = report["oddities"]
    assert odd["transcripts_in_iso_8859_1"] == (b"\xe9" in data)
    assert odd["line_breaks_by_percent_signs"] == ({"a01-000u": 1} if b"%%" in data else {})


def test_a_placeholder_leaves_the_lines_without_text(tmp_path):
    corpus = change(files(), "a01-001.txt", transcript(["Please Enter Transcription here "]))
    lines, report = parse(as_archives(tmp_path, corpus))
    assert [line.text for line in lines if line.form == "a01-001"] == [None, None]
    assert report["oddities"]["placeholder_transcripts"] == ["a01-001"]
    assert report["oddities"]["lines_without_text"] == 2


def test_oddities_are_counted_not_hidden(tmp_path):
    backwards = [[(1, 1, 500), (2, 2, 400)], [(3, 3, 510)], [(9_000, 3, 520), (9_001, 3, 521)]]
    corpus = change(files(), "b01-004-01.xml", stroke_xml(backwards))
    corpus = change(
        corpus, "strokesz.xml", lambda d: d.replace(b"One line", b"One lime").replace(b"top_left", b"top_right")
    )
    lines, report = parse(as_archives(tmp_path, corpus))
    odd = report["oddities"]
    assert odd["ids_with_time_running_backwards"] == ["b01-004-01"]
    assert odd["single_point_strokes"] == sum((line.recording.stroke_len == 1).sum() for line in lines)
    assert odd["lines_whose_text_differs_in_original_xml"] == ["a02-003z-01"]
    assert odd["sensors_in_original_xml"] == {"top_left": 4, "top_right": 1}
    assert odd["unlisted_forms"] == ["c01-009"]
    assert report["steps"] == {"longer_than_500": 1, "longer_than_1000": 1, "longer_than_2000": 1}


def test_the_published_lists_must_give_the_published_counts(tmp_path, monkeypatch):
    as_archives(tmp_path, files())
    monkeypatch.setattr(iam_ondb, "official", lambda found: True)
    with pytest.raises(InputError, match=r"trainset: 2 lines, the published set has 5364: files are missing"):
        parse(tmp_path)


def test_equal_input_gives_equal_bytes_and_the_row_groups_of_the_schema(tmp_path):
    as_archives(tmp_path / "a", files())
    put(tmp_path / "b", {name: data for members in files().values() for name, data in members.items()})
    for name in ("a", "b"):
        lines, _ = parse(tmp_path / name)
        write_corpus_lines(tmp_path / f"{name}.parquet", lines, {"corpus": "iam-ondb"})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert file.schema_arrow.equals(CORPUS_LINES)
    column = next(c for c in map(file.metadata.row_group(0).column, range(10)) if c.path_in_schema == "x.list.element")
    assert "DELTA_BINARY_PACKED" in column.encodings
    table = file.read()
    table.validate(full=True)
    start = [row[5] / 100 for row in expected()]
    assert table["t0"].to_pylist() == start
    assert table["x"].to_pylist() == [row[6] for row in expected()]
    assert table["text"].to_pylist() == [row[4] for row in expected()]
    assert table["split"].null_count == 1


@pytest.mark.real_data
def test_the_whole_database(real_data, tmp_path):
    lines, report = parse(real_data / "iam-ondb")
    assert (report["lines"], report["strokes"], report["points"]) == (12_195, 303_676, 7_656_867)
    assert report["lists"]["official"]
    assert {split: counts["lines"] for split, counts in report["splits"].items()} == iam_ondb.OFFICIAL_LINES
    odd = report["oddities"]
    assert odd["unlisted_lines"] == 16 and odd["unlisted_forms"] == ["z00-001", "z01-000", "z01-000z"]
    assert odd["lines_with_time_running_backwards"] == 47 and odd["single_point_strokes"] == 3_938
    assert odd["line_breaks_by_percent_signs"] == {"a08-551z": 1}
    assert odd["files_not_in_the_published_layout"] == 2
    assert odd["lines_whose_text_differs_in_original_xml"] == []
    assert [line.line for line in lines] == sorted(line.line for line in lines)

    write_corpus_lines(tmp_path / "iam.parquet", lines, {})
    corpus = load_handwriting(tmp_path / "iam.parquet")
    assert (len(corpus.training), len(corpus.validation), len(corpus.alphabet)) == (10_741, 1_438, 57)
    assert len(corpus.training.steps_t3) == 6_760_769 - 10_741
    np.testing.assert_allclose(corpus.statistics["mean"], [8.18, 0.11], atol=0.01)
    np.testing.assert_allclose(corpus.statistics["deviation"], [41.95, 37.12], atol=0.01)
    steps = corpus.training.steps_t3[:, :2].astype(np.float64)
    np.testing.assert_allclose(steps.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(steps.std(0), 1, atol=1e-6)
    batches = HandwritingBatches(corpus.training, 64, seed=1)
    assert sum(batch.predictions for batch in batches) == len(corpus.training.steps_t3)

import hashlib
import tarfile

import numpy as np
import pytest
from lxml import etree

from rnngen.corpora.handwriting.iam_ondb import parse_iam_ondb
from rnngen.errors import InputError
from rnngen.handwriting_generator.corpus import draw_writers, write_forms
from rnngen.handwriting_generator.glyphs import load_letterforms
from rnngen.handwriting_generator.iam_ondb_files import SPLITS, Form, form_id, transcript, write_archives

ALPHABET = load_letterforms()
TEXTS = [f"line {k} & more" for k in range(47)] + ['"quoted" (100%']
WRITERS = draw_writers(ALPHABET, 12, seed=1)


@pytest.fixture(scope="module")
def forms():
    return list(write_forms(TEXTS, WRITERS, seed=1, per_form=4))


@pytest.fixture(scope="module")
def folder(forms, tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus")
    write_archives(forms, path)
    return path


def test_the_folder_holds_what_iam_ondb_ships(folder, forms):
    assert sorted(path.name for path in folder.iterdir()) == [
        "ascii-all.tar.gz",
        "lineStrokes-all.tar.gz",
        "original-xml.tar.gz",
        *sorted(f"{split}.txt" for split in SPLITS),
    ]
    with tarfile.open(folder / "lineStrokes-all.tar.gz") as archive:
        names = archive.getnames()
    assert names[:2] == [f"lineStrokes/a00/a00-000/a00-000z-0{k}.xml" for k in (1, 2)]
    assert names == sorted(names) and len(names) == 48
    with tarfile.open(folder / "ascii-all.tar.gz") as archive:
        text = archive.extractfile("ascii/a00/a00-001/a00-001z.txt").read().decode()
    assert text.partition("CSR:")[2].split("\n")[2:6] == [line.text for line in forms[1].lines]


def test_strokes_come_back_from_the_xml_as_they_were_written(folder, forms):
    with tarfile.open(folder / "lineStrokes-all.tar.gz") as archive:
        for form in forms:
            for number, line in enumerate(form.lines, start=1):
                name = f"lineStrokes/{form.folder}/{form.id}-{number:02d}.xml"
                root = etree.fromstring(archive.extractfile(name).read())
                strokes = root.findall("StrokeSet/Stroke")
                assert [len(stroke) for stroke in strokes] == line.stroke_len.tolist()
                points = root.findall("StrokeSet/Stroke/Point")
                x, y = (np.array([int(point.get(k)) for point in points]) for k in ("x", "y"))
                t = np.array([round(float(point.get("time")) * 100) for point in points])
                np.testing.assert_array_equal(x - x.min(), line.x)
                np.testing.assert_array_equal(y - y.min(), line.y)
                np.testing.assert_array_equal(t - t[0], line.t)
                assert strokes[0].get("start_time") == points[0].get("time")
                assert strokes[-1].get("end_time") == points[-1].get("time")
                corner = root.find("WhiteboardDescription/DiagonallyOppositeCoords")
                assert (int(corner.get("x")), int(corner.get("y"))) == (x.max(), y.max())


def test_the_parser_of_iam_ondb_reads_everything(folder, forms):
    lines, report = parse_iam_ondb(folder)
    assert report["refused_items"] == 0
    written = {
        f"{form.id}-{number:02d}": (form, line) for form in forms for number, line in enumerate(form.lines, start=1)
    }
    assert [line.line for line in lines] == sorted(written)
    for row in lines:
        form, line = written[row.line]
        assert (row.form, row.split, row.text, row.writer) == (form.id, form.split, line.text, str(form.writer))
        np.testing.assert_array_equal(np.asarray(row.recording.x) - np.min(row.recording.x), line.x)
        np.testing.assert_array_equal(np.asarray(row.recording.y) - np.min(row.recording.y), line.y)
        assert list(row.recording.stroke_len) == line.stroke_len.tolist()


def test_the_clock_runs_on_through_the_corpus(folder):
    with tarfile.open(folder / "lineStrokes-all.tar.gz") as archive:
        times = [
            float(stroke.get(k))
            for member in archive
            for stroke in etree.fromstring(archive.extractfile(member).read()).iter("Stroke")
            for k in ("start_time", "end_time")
        ]
    assert times == sorted(times)


def test_the_same_corpus_gives_the_same_bytes(folder, forms, tmp_path):
    write_archives(write_forms(TEXTS, WRITERS, seed=1, per_form=4), tmp_path)
    for path in sorted(folder.iterdir()):
        assert (
            hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256((tmp_path / path.name).read_bytes()).digest()
        )


def test_members_carry_no_trace_of_the_machine(folder):
    for name in ("lineStrokes-all", "ascii-all", "original-xml"):
        with tarfile.open(folder / f"{name}.tar.gz") as archive:
            for member in archive:
                assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
        assert (folder / f"{name}.tar.gz").read_bytes()[3:8] == bytes(5)  # no name, no time


def test_hands_do_not_cross_sets(forms):
    sets = [{form.writer for form in forms if form.split == split} for split in SPLITS]
    assert all(sets) and sum(map(len, sets)) == len(set.union(*sets)) == 12


def test_few_hands_share_the_sets():
    forms = list(write_forms(TEXTS[:40], WRITERS[:2], seed=1, per_form=4))
    assert [sum(form.split == split for form in forms) for split in SPLITS] == [7, 1, 1, 1]


def test_too_few_lines_for_four_sets_are_refused():
    with pytest.raises(InputError, match="make 3 forms, too few for four sets: ask for at least 16"):
        list(write_forms(TEXTS[:12], WRITERS, seed=1, per_form=4))


def test_form_ids():
    assert [form_id(k) for k in (0, 99, 100, 9_999, 10_000, 259_999)] == [
        "a00-000z",
        "a00-099z",
        "a01-000z",
        "a99-099z",
        "b00-000z",
        "z99-099z",
    ]


@pytest.mark.parametrize("text", ["a  b", " a", "a ", "50%% a"])
def test_a_line_that_a_transcript_would_change_is_refused(text):
    (form,) = [f for f in write_forms([text] * 4, WRITERS[:1], seed=1, per_form=1) if f.id == "a00-000z"]
    assert isinstance(form, Form)
    with pytest.raises(InputError, match="a00-000z-01"):
        transcript(form)

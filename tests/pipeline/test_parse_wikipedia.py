"""The command that turns dumps into a Parquet file, as a user runs it."""

import bz2
import hashlib
import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from rnngen.corpora.wikipedia.raw import raw_rows
from tests.rnngen.corpora.wikipedia.mediawiki_dumps import dump, page, revision


def run(*arguments):
    command = [sys.executable, "-m", "pipeline.parse_wikipedia", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(bz2.compress(dump(*(page(i) for i in range(1, 30)))))
    return path


def test_the_file_its_report_and_its_provenance(file, tmp_path):
    output = tmp_path / "made" / "pages.parquet"
    result = run(file, "--output", output)
    assert result.returncode == 0, result.stderr
    assert "29 pages, 29 revisions" in result.stdout and "SHA-1 of 29 texts equal" in result.stdout
    content = bz2.decompress(file.read_bytes())
    table = pq.read_table(output)
    assert b"".join(raw_rows(table).to_pylist()) == content
    provenance = json.loads(pq.read_schema(output).metadata[b"rnngen"])
    assert provenance["bytes"] == len(content)
    assert provenance["parts"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    report = json.loads(output.with_suffix(".quality.json").read_text())
    assert (report["pages"], report["sha1_equal"], report["namespaces"]) == (29, 29, {"0": 29})
    assert report["parts"][0]["format"] == "bz2" and report["pages_read_by_lxml"] == 0
    markdown = output.with_suffix(".quality.md").read_text()
    assert "| pages | 29 |" in markdown and hashlib.sha256(content).hexdigest() in markdown


def test_two_runs_both_parsers_and_all_compressions_give_equal_bytes(file, tmp_path):
    plain = tmp_path / "plain.xml"
    plain.write_bytes(bz2.decompress(file.read_bytes()))
    outputs = [tmp_path / f"{i}.parquet" for i in range(3)]
    assert run(file, "--output", outputs[0]).returncode == 0
    assert run(file, "--output", outputs[1], "--parser", "lxml", "--workers", 2).returncode == 0
    assert run(plain, "--output", outputs[2]).returncode == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes() == outputs[2].read_bytes()


def test_bad_input_is_one_line_and_leaves_nothing(file, tmp_path):
    file.write_bytes(file.read_bytes()[:-10])
    output = tmp_path / "made" / "pages.parquet"
    result = run(file, "--output", output)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and result.stderr.startswith(f"error: {file}: bz2 stream")
    assert list(output.parent.iterdir()) == []


def test_what_was_there_stays_where_a_run_fails(file, tmp_path):
    output = tmp_path / "pages.parquet"
    assert run(file, "--output", output).returncode == 0
    before = output.read_bytes()
    file.write_bytes(b"damaged")
    assert run(file, "--output", output).returncode == 1
    assert output.read_bytes() == before


@pytest.mark.parametrize("name", ["nowhere.xml", "."])
def test_no_file_at_the_path(name, tmp_path):
    result = run(tmp_path / name, "--output", tmp_path / "x.parquet")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "no such file" in result.stderr or "a folder" in result.stderr


def test_keep_going_says_how_many_it_skipped(tmp_path):
    file = tmp_path / "dump.xml"
    file.write_bytes(dump(page(1), page(2, None, " "), page(3, None, revision(5).replace("some text", "&nbsp;"))))
    output = tmp_path / "pages.parquet"
    assert "page without a revision" in run(file, "--output", output).stderr
    result = run(file, "--output", output, "--keep-going")
    assert result.returncode == 0 and "skipped 2 items" in result.stderr
    report = json.loads(output.with_suffix(".quality.json").read_text())
    assert [item["offset"] for item in report["skipped"]] == sorted(item["offset"] for item in report["skipped"])
    assert "nbsp" in output.with_suffix(".quality.md").read_text()


def test_keep_going_claims_nothing_of_what_was_not_read(tmp_path):
    """Two dumps joined: the rows of the first, and its bytes, are all that there is."""
    file, output = tmp_path / "glued.xml", tmp_path / "pages.parquet"
    file.write_bytes(dump(page(1)) + dump(page(2)))
    result = run(file, "--output", output, "--keep-going")
    assert result.returncode == 0 and "1 of 1 files not read to their end" in result.stdout
    assert "all accounted for" not in result.stdout and "a second dump begins" in result.stderr
    rows = b"".join(raw_rows(pq.read_table(output)).to_pylist())
    assert json.loads(pq.read_schema(output).metadata[b"rnngen"])["bytes"] == len(rows) > 0
    assert dump(page(1)).startswith(rows)
    assert "except glued.xml" in output.with_suffix(".quality.md").read_text()


def test_texts_that_differ_from_their_checksum_are_said(tmp_path):
    file, output = tmp_path / "dump.xml", tmp_path / "pages.parquet"
    file.write_bytes(dump(page(1), page(2, None, revision(5, "bell \ufffd", sha1="<sha1>x</sha1>"))))
    result = run(file, "--output", output)
    assert result.returncode == 0 and "1 texts differ from their SHA-1 and are kept" in result.stderr
    assert "Page 2: the text differs from the SHA-1 beside it; it has a U+FFFD" in (
        output.with_suffix(".quality.md").read_text()
    )
    assert run(file, "--output", output, "--sha1-mismatches", 0).returncode == 1


def test_an_unknown_parser_is_bad_usage(file, tmp_path):
    assert run(file, "--output", tmp_path / "x.parquet", "--parser", "regex").returncode == 2


def test_a_dump_without_texts_is_said_to_be_one(tmp_path):
    file = tmp_path / "stub.xml"
    stub = revision(5, "", sha1=False, text_tag='<text id="3" bytes="9">')
    file.write_bytes(dump(page(1, None, stub), page(2)))
    result = run(file, "--output", tmp_path / "pages.parquet")
    assert result.returncode == 0 and "1 texts are not in the dump; one without any is a stub" in result.stderr

"""Dumps parsed one by one and joined are the corpus of all of them in one process, byte for byte."""

import bz2
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline import gather_wikipedia as command
from rnngen.corpora.wikipedia import parquet
from rnngen.corpora.wikipedia.byte_stream import load_wikipedia
from rnngen.corpora.wikipedia.dump import Options
from rnngen.corpora.wikipedia.parquet import gather_wikipedia, write_wikipedia
from rnngen.errors import InputError
from tests.rnngen.corpora.wikipedia.mediawiki_dumps import dump, page, revision

ENDINGS = (".parquet", ".quality.json", ".quality.md")


def write_dumps(folder: Path, *contents: bytes) -> list[Path]:
    """Dump files, every other one compressed."""
    paths = []
    for number, content in enumerate(contents):
        paths.append(folder / f"dump{number}.xml{'.bz2' * (number % 2)}")
        paths[-1].write_bytes(bz2.compress(content) if number % 2 else content)
    return paths


def parse_each(dumps: list[Path], folder: Path, options: Options | None = None, **others) -> list[Path]:
    parts = [folder / f"{number}.parquet" for number in range(len(dumps))]
    for number, (path, part) in enumerate(zip(dumps, parts, strict=True)):
        write_wikipedia([path], part, options or Options(), part=number, **others)
    return parts


def three_dumps(folder: Path) -> list[Path]:
    """Of many row groups, of pages with oddities that reports count, and without pages."""
    long = (page(n, f"Long {n}", revision(n, "some words " * 300)) for n in range(1, 60))
    redirect = page(101, "Redirect", revision(1, "#REDIRECT [[A]]"), extra='    <redirect title="A" />\n')
    false = page(100, "False", revision(5, "text", sha1=f"      <sha1>{'0' * 31}</sha1>\n"))
    odd = (redirect, false, page(102, "Talk", revision(2, "x"), ns=1))
    empty = dump().partition(b"  <page>")[0] + b"</mediawiki>\n"
    return write_dumps(folder, dump(*long), dump(*odd), empty)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("size", [20_000, 8 << 20])
def test_joined_and_at_once_are_the_same_bytes(tmp_path, monkeypatch, raw, size):
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", size)
    dumps = three_dumps(tmp_path)
    report = write_wikipedia(dumps, tmp_path / "once.parquet", Options(), raw=raw)
    joined = gather_wikipedia(parse_each(dumps, tmp_path, raw=raw), tmp_path / "joined.parquet")
    assert joined == report and report["sha1_different"] == 1 and report["pages"] == 62
    assert (pq.ParquetFile(tmp_path / "once.parquet").num_row_groups > 3) == (size == 20_000)
    for ending in ENDINGS:
        assert (tmp_path / f"joined{ending}").read_bytes() == (tmp_path / f"once{ending}").read_bytes(), ending


def test_the_bytes_of_the_corpus_are_those_of_the_dumps(tmp_path):
    contents = dump(page(1), page(2)), dump(page(3))
    command.main(parse_each(write_dumps(tmp_path, *contents), tmp_path), tmp_path / "joined.parquet")
    size = sum(map(len, contents))
    assert load_wikipedia(tmp_path / "joined.parquet", size - 9, 9).stream.tobytes() == b"".join(contents)


def test_a_revision_in_two_dumps_is_refused(tmp_path):
    dumps = write_dumps(tmp_path, dump(page(1), page(2)), dump(page(3), page(2)))
    parts = parse_each(dumps, tmp_path)
    with pytest.raises(InputError, match=r"1\.parquet: revision 102 of page 2 is in the corpus twice"):
        gather_wikipedia(parts, tmp_path / "joined.parquet")
    assert not (tmp_path / "joined.parquet").exists()


def test_another_wiki_may_have_the_same_ids(tmp_path):
    dumps = write_dumps(tmp_path, dump(page(1)), dump(page(1)).replace(b"testwiki", b"otherwiki"))
    assert gather_wikipedia(parse_each(dumps, tmp_path), tmp_path / "joined.parquet")["pages"] == 2


def test_what_was_skipped_is_reported_as_by_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "LISTED", 3)
    monkeypatch.setattr("rnngen.corpora.wikipedia.dump.LISTED", 3)
    bad = [page(n, f"P{n}", revision(n, "x").replace("<id>7</id>", "<id>seven</id>")) for n in range(1, 10)]
    dumps = write_dumps(tmp_path, dump(page(90), *bad[:2]), dump(page(91), *bad[2:6])[:-20], dump(page(92), *bad[6:]))
    options = Options(keep_going=True)
    report = write_wikipedia(dumps, tmp_path / "once.parquet", options)
    joined = gather_wikipedia(parse_each(dumps, tmp_path, options), tmp_path / "joined.parquet")
    assert joined == report and report["skipped_items"] == 10 and len(report["skipped"]) == 4
    for ending in ENDINGS:
        assert (tmp_path / f"joined{ending}").read_bytes() == (tmp_path / f"once{ending}").read_bytes(), ending


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda parts: parts.reverse(), "written as part 1, not 0; give the parts in order"),
        (lambda parts: parts[1].write_bytes(parts[1].read_bytes()[:-9]), "1.parquet: not a Parquet file, or damaged"),
        (lambda parts: parts.append(parts[0].with_name("2.parquet")), "2.parquet: no such file"),
        (
            lambda parts: write_wikipedia([parts[0].with_name("dump0.xml")], parts[0], Options()),
            "not written with `part`",
        ),
    ],
)
def test_parts_that_do_not_make_a_corpus_are_named(tmp_path, spoil, message):
    parts = parse_each(write_dumps(tmp_path, dump(page(1)), dump(page(2))), tmp_path)
    spoil(parts)
    with pytest.raises(InputError, match=message):
        gather_wikipedia(parts, tmp_path / "joined.parquet")
    assert not (tmp_path / "joined.parquet").exists()


def test_parts_with_and_without_raw_bytes_do_not_go_together(tmp_path):
    first, second = write_dumps(tmp_path, dump(page(1)), dump(page(2)))
    parts = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    write_wikipedia([first], parts[0], Options(), part=0)
    write_wikipedia([second], parts[1], Options(), part=1, raw=False)
    with pytest.raises(InputError, match="different columns"):
        gather_wikipedia(parts, tmp_path / "joined.parquet")


def test_dumps_without_any_page_are_no_corpus(tmp_path):
    parts = parse_each(three_dumps(tmp_path)[2:], tmp_path)
    with pytest.raises(InputError, match="no page with a revision"):
        gather_wikipedia(parts, tmp_path / "joined.parquet")
    assert json.loads(parts[0].with_suffix(".quality.json").read_text())["pages"] == 0

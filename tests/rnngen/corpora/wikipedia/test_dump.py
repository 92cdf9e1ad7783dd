"""Dumps to rows: what the rows say, that they give the dump back, and what is refused."""

import bz2
import codecs
import gzip
import hashlib
import io
import lzma
import re
import sys
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnngen.corpora.wikipedia import read_columns
from rnngen.corpora.wikipedia.dump import REVISIONS, Ahead, Findings, Options, SeenRevisions, read_dumps
from rnngen.corpora.wikipedia.raw import raw_rows
from rnngen.errors import InputError
from tests.rnngen.corpora.wikipedia.mediawiki_dumps import TAIL, dump, dumps, header, page, revision, sha1_base36

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BOTH = pytest.mark.parametrize("columnar", [False, True], ids=["lxml", "columnar"])


@pytest.fixture
def parse(tmp_path):
    """Parses bytes, or several lists of bytes as parts; returns the rows as a table, and the findings."""

    def parse(*contents, **options):
        files = []
        for number, content in enumerate(contents):
            files.append(tmp_path / f"part{number}.xml")
            files[-1].write_bytes(content)
        findings = Findings()
        return pa.Table.from_batches(list(read_dumps(files, Options(**options), findings)), REVISIONS), findings

    return parse


def revisions(table):
    return [row for row in table.to_pylist() if row["kind"] == "revision"]


def joined(table):
    return b"".join(raw_rows(table).to_pylist())


# ------------------------------------------------------------------------------------------------------------- reading


@BOTH
def test_every_column_of_a_page(parse, columnar):
    text = "a <b> & \"c\" 'd' é\n"
    extra = '    <redirect title="Other &amp; more" />\n    <restrictions>edit=sysop</restrictions>\n'
    made = revision(70, text, extra="      <origin>69</origin>\n").replace(
        "      <comment>", "      <minor />\n      <comment>"
    )
    content = dump(page(7, "Talk:Ä & B", made, ns=1, extra=extra))
    table, findings = parse(content, columnar=columnar)
    assert findings.pages_read_by_lxml == (0 if columnar else 1)
    row = revisions(table)[0]
    assert row["raw_before"].strip().startswith(b"<page>") and row.pop("raw_before").endswith(b'"preserve">')
    assert row.pop("raw_after").startswith(b"</text>") and row.pop("raw") is None
    assert row.pop("timestamp").isoformat() == "2005-07-09T18:41:10+00:00"
    assert row == {
        "kind": "revision",
        "part": 0,
        "page_id": 7,
        "ns": 1,
        "title": "Talk:Ä & B",
        "redirect": "Other & more",
        "restrictions": "edit=sysop",
        "rev_id": 70,
        "parent_id": 69,
        "contributor": "A & B",
        "contributor_id": 7,
        "contributor_ip": None,
        "contributor_deleted": False,
        "minor": True,
        "comment": "why <not>",
        "comment_deleted": False,
        "origin": 69,
        "model": "wikitext",
        "format": "text/x-wiki",
        "text": text,
        "text_deleted": False,
        "other_slots": 0,
        "sha1": sha1_base36(text),
        "sha1_ok": True,
    }


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(dumps())
def test_both_parsers_agree_on_every_dump_and_give_it_back(parse, case):
    content, expected = case
    reference, _ = parse(content, columnar=False)
    read_columns.MOST_OTHERS, usual = 1.0, read_columns.MOST_OTHERS
    try:
        fast, _ = parse(content, columnar=True)
    finally:
        read_columns.MOST_OTHERS = usual
    assert fast.equals(reference)
    assert joined(fast) == content
    found = [(row["page_id"], row["title"], row["text"]) for row in revisions(reference)]
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert all(mine[2] in (theirs[2], None) for mine, theirs in zip(found, expected, strict=True))


PIECES = [
    b"<",
    b">",
    b"&",
    b"&#10;",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"</page>",
    b"<page>",
    b"</revision>",
    b"\r",
]
PIECES += [
    b"<revision>",
    b"</mediawiki>",
    b"<?a",
    b"\0",
    b"\xff",
    b"\xef\xbf\xbf",
    b'"',
    b"<text>",
    b"</text>",
    b"<id>",
]
PIECES += [b"<commxyz>", b"<x/>", b"&apos;", b"&quot", b" ", b"/", b"1", b"-", b"\xc3", b"</ns>", b"<minor/>"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(PIECES), st.integers(0, 3)), min_size=1, max_size=3))
def test_both_parsers_agree_on_damage_and_no_byte_is_lost(parse, damages):
    content = bytearray(dump(page(1), page(2, "Talk:x", ns=1), page(3, None, revision(4, "x & <y>\n", sha1=False))))
    for at, piece, deleted in damages:
        at %= len(content)
        content[at : at + deleted] = piece
    content = bytes(content)
    for keep_going in (False, True):
        outcomes = []
        for columnar in (False, True):
            read_columns.MOST_OTHERS, usual = 1.0, read_columns.MOST_OTHERS
            try:
                table, findings = parse(content, columnar=columnar, keep_going=keep_going, allow_truncated=keep_going)
                outcomes.append(table.to_pylist())
                whole = findings.parts[0].failed is None
                assert joined(table) == content if whole else content.startswith(joined(table))
            except InputError as error:
                outcomes.append(str(error))
            finally:
                read_columns.MOST_OTHERS = usual
        assert outcomes[0] == outcomes[1]


# What real dumps have, or what may stand in one: an example of `page(1)`, what is replaced in it, by what.
TEXT_TAG = '<text xml:space="preserve">'
ODD = [
    *(("<ns>0</ns>", f"<ns>{ns}</ns>") for ns in ("2147483647", "2147483648", "-1", " 4 ", "007", "", "1.5", "٣")),
    *(
        (f"<{name}>{old}</", f"<{name}>{new}</")
        for name, old in (("id", 1), ("id", 101), ("parentid", 100), ("id", 7))
        for new in (2**63 - 1, 2**63, 10**18 - 1, -5, "", "9" * 5000, "1_0", "&#49;")
    ),
    *(
        ("2005-07-09T18:41:10Z", time)
        for time in (
            *("", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z"),
            *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2005-07-09T18:41:10+02:00", "2005-02-30"),
            *("2005-07-09T18:41:10", "2005-07-09T24:00:00Z", "2005-07-09T18:41:60Z", "2005-07-09T18:41:10.5Z", "once"),
        )
    ),
    *(
        ("<ns>0</ns>", f"<ns>0</ns>{redirect}")
        for redirect in (
            *('<redirect title="&quot;B&quot; &amp; C" />', '<redirect title="a>b" />', '<redirect title="&#34;B" />'),
            *("<redirect title='it' />", '<redirect title="B"></redirect>', '<redirect title="a\nb" />', "<redirect/>"),
            "<redirect />",
        )
    ),
    *(
        ("  </page>", f"{element}</page>")
        for element in (
            "<DiscussionThreading><ThreadSubject>a</ThreadSubject></DiscussionThreading>",
            "<upload><timestamp>2005-07-09T18:41:10Z</timestamp><comment>x</comment><filename>f</filename></upload>",
            *("<discussionthreadinginfo/>", "<title>B</title>", "<id>77</id>", "<restrictions />", " &gt; words "),
        )
    ),
    *(("      <comment>", f"{minor}<comment>") for minor in ("<minor />", "<minor></minor>", "<minor>1</minor>")),
    *(
        ("<comment>why &lt;not&gt;</comment>", comment)
        for comment in ('<comment deleted="deleted" />', "<comment/>", "", "<comment>\"a\" 'b' &quot;</comment>")
    ),
    *(
        ("<username>A &amp; B</username>\n        <id>7</id>", contributor)
        for contributor in ("<username></username><id>0</id>", "<username>x</username><id />", "<ip>::1</ip>", "")
    ),
    ("wikitext</model>\n      <format>text/x-wiki", "flow-board</model>\n      <format>application/json"),
    *((TEXT_TAG, tag) for tag in ("<text>", "<text >", '<text bytes="777" xml:space="preserve">', '<text sha1="">')),
    *((TEXT_TAG, tag) for tag in ('<text bytes="2" bytes="2">', '<text a=">">', '<text a="<">', "<text </text>")),
    *(
        (">text of Page 1<", f">{text}<")
        for text in (
            *(
                'a "b" c',
                "it&apos;s",
                "it&#039;s",
                "a > b",
                "a ]]> b",
                "&gt;x&lt;/text&gt;",
                "a&#13;\nb",
                "\x7f",
                "\x85",
            ),
            *("\ufffd", "\ufffe", "\x01", "&#xD800;", "😀&#128512;", "&amp;amp;", " ", "\n", "&lt;" * 5000 + '"'),
        )
    ),
    ("</title>", "</title>junk &amp; words"),
    ("<page>", '<page id="1">'),
    ("</ns>", "</ns >"),
    ("<siteinfo>", "<siteinfo><!-- <page> -->"),
    ("\n", "\r\n"),
]


@pytest.mark.parametrize(("old", "new"), ODD)
def test_both_parsers_agree_on_oddities(parse, monkeypatch, old, new):
    monkeypatch.setattr(read_columns, "MOST_OTHERS", 1.0)
    made = revision(101, "text of Page 1", sha1=False)
    example = dump(page(90), page(1, None, made), page(91)).decode()
    start, end = example.index("  <page>", example.index("</page>")), example.index("<title>Page 91")
    assert old in example[start:end] or old == "<siteinfo>"
    content = (example[:start] + example[start:end].replace(old, new) + example[end:]).encode()
    if old in ("\n", "<siteinfo>"):
        content = example.replace(old, new).encode()
    outcomes = []
    for columnar in (False, True):
        try:
            table, findings = parse(content, columnar=columnar)
            assert joined(table) == content
            outcomes.append((table.to_pylist(), findings.tags_without_column))
        except InputError as error:
            assert re.search(r"in the revision that begins at byte [\d,]+", str(error)) and "\n" not in str(error)
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@BOTH
@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<ns>0</ns>", f"<ns>{2**31}</ns>", "<ns> is a number beyond 32 bits: 2147483648"),
        ("<id>1</id>", f"<id>{2**63}</id>", "<id> is a number beyond 64 bits: 9223372036854775808"),
        ("2005-07-09T18:41:10Z", "0001-01-01T00:00:00+14:00", "<timestamp> is not a time"),
    ],
)
def test_what_no_column_can_hold_is_refused(parse, columnar, old, new, reason):
    content = dump().replace(old.encode(), new.encode(), 1)
    with pytest.raises(InputError, match=re.escape(reason)):
        parse(content, columnar=columnar)


@BOTH
def test_the_bytes_of_a_text_are_stored_once_where_it_is_written_as_usual(parse, columnar):
    """For the others the row's bytes are kept whole."""
    usual, odd = "a <b> & \"c\" 'd'", "a 'd'"
    pages = [page(i, None, revision(i, text, sha1=False)) for i, text in enumerate((usual, odd, "", usual), 1)]
    pages[1] = pages[1].replace(">a 'd'<", ">a &apos;d'<")
    pages[3] = pages[3].replace("&quot;c&quot;", '"c"')
    table, findings = parse(dump(*pages), columnar=columnar)
    assert [row["raw"] is None for row in revisions(table)] == [True, False, False, False]
    assert [row["raw_before"] is None for row in revisions(table)] == [False, True, True, True]
    assert revisions(table)[0]["raw_after"].startswith(b"</text>") and findings.pages_read_by_lxml == 4 * (not columnar)


def test_columns_read_what_mediawiki_writes(parse):
    for version, text_tag, meta in [
        ("0.3", '<text xml:space="preserve">', False),
        ("0.8", '<text xml:space="preserve">', False),
        ("0.10", '<text bytes="4" xml:space="preserve">', True),
        ("0.11", f'<text bytes="4" sha1="{sha1_base36("text")}" xml:space="preserve">', True),
    ]:
        body = revision(9, "text", text_tag=text_tag, meta=meta, sha1=version != "0.3")
        table, findings = parse(dump(page(1, None, body, ns=None if version == "0.3" else 0), version=version))
        assert (findings.pages, findings.pages_read_by_lxml) == (1, 0), version
        assert revisions(table)[0]["text"] == "text"


@BOTH
def test_namespace_by_siteinfo_where_the_schema_has_none(parse, columnar):
    titles = ["Main", "Talk:Main", "user_talk:A", "User talk:A", "Nowhere:B", "Special: C", "A:Talk:B"]
    pages = [page(i, title, ns=None) for i, title in enumerate(titles, 1)]
    table, _ = parse(dump(*pages, version="0.3"), columnar=columnar)
    assert [row["ns"] for row in revisions(table)] == [0, 1, 3, 3, 0, -1, 0]


@BOTH
def test_without_siteinfo_the_namespace_is_null_and_the_report_says_so(parse, columnar):
    content = f"<mediawiki>{page(1, ns=None)}</mediawiki>".encode()
    table, findings = parse(content, columnar=columnar)
    assert revisions(table)[0]["ns"] is None and "no list of namespaces" in " ".join(findings.parts[0].warnings)
    assert joined(table) == content


@BOTH
def test_full_history_has_a_row_a_revision(parse, columnar):
    history = [revision(number, f"text {number}") for number in (5, 6, 7)]
    content = dump(page(1, "A", *history), page(2, "B"))
    table, findings = parse(content, columnar=columnar)
    assert [(row["title"], row["rev_id"]) for row in revisions(table)] == [("A", 5), ("A", 6), ("A", 7), ("B", 102)]
    assert joined(table) == content and findings.pages == 2
    raws = raw_rows(table).to_pylist()[1:-1]
    assert raws[0].endswith(b"</revision>") and raws[2].endswith(b"</page>") and b"text 6" in raws[1]


@BOTH
def test_deleted_empty_and_absent_texts_are_told_apart(parse, columnar):
    tags = {
        '<text deleted="deleted" />': (None, True),
        '<text bytes="0" />': ("", False),
        '<text xml:space="preserve"></text>': ("", False),
        '<text id="38847" bytes="90" />': (None, False),
        '<text bytes="8171" location="tt:1" id="1" />': (None, False),
    }
    body = revision(1, "", sha1=False)
    old = '      <text xml:space="preserve"></text>\n'
    pages = [page(i, None, body.replace(old, tag + "\n")) for i, tag in enumerate(tags, 1)]
    gone = body.replace(old, '<text deleted="deleted" />')
    start, end = gone.index("<contributor>"), gone.index("</contributor>") + len("</contributor>")
    gone = gone[:start] + '<contributor deleted="deleted" />' + gone[end:]
    gone = gone.replace("<comment>why &lt;not&gt;</comment>", '<comment deleted="deleted" />')
    table, _ = parse(dump(*pages, page(9, None, gone)), columnar=columnar)
    rows = revisions(table)
    assert [(row["text"], row["text_deleted"]) for row in rows[:-1]] == list(tags.values())
    assert (rows[-1]["contributor"], rows[-1]["contributor_deleted"]) == (None, True)
    assert (rows[-1]["comment"], rows[-1]["comment_deleted"]) == (None, True)


@BOTH
def test_slots_and_unknown_tags_are_counted(parse, columnar):
    slot = (
        "<content><role>mediainfo</role><origin>1</origin><model>wikibase-mediainfo</model><format>application/json"
        '</format><text bytes="2" xml:space="preserve">{}</text></content>'
    )
    text = f'<text bytes="4" sha1="{sha1_base36("text")}" xml:space="preserve">'
    body = revision(5, "text", text_tag=text, sha1=f"{slot}<sha1>{sha1_base36('all slots')}</sha1><new><a/></new>")
    content = dump(
        page(1, None, body), page(2, extra="<DiscussionThreading><ThreadPage>x</ThreadPage></DiscussionThreading>")
    )
    table, findings = parse(content, columnar=columnar)
    rows = revisions(table)
    assert (rows[0]["text"], rows[0]["other_slots"], rows[0]["sha1_ok"]) == ("text", 1, True)
    assert findings.tags_without_column == {"revision/new": 1, "page/DiscussionThreading": 1}


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        '<text xml:space="preserve"><![CDATA[a < b & c</text> <page>]]></text>',
        "<text>a &#60; b &#x26; c&lt;/text> &#60;page&gt;</text>",
        "<text>a &lt; b &amp; c<!-- </page><page> -->&lt;/text&gt; &lt;page&gt;</text>",
        "<text>a &lt; b &amp; c<?php </page> ?>&lt;/text&gt; &lt;page&gt;</text>",
    ],
    ids=["cdata", "references", "comment", "instruction"],
)
def test_markup_that_is_text_is_text(parse, columnar, body):
    text = "a < b & c</text> <page>"
    checksum = f"<sha1>{sha1_base36(text)}</sha1>"
    made = revision(5, "XX", sha1=checksum).replace('<text xml:space="preserve">XX</text>', body)
    content = dump(page(1), page(2, None, made), page(3))
    table, _ = parse(content, columnar=columnar)
    assert revisions(table)[1]["text"] == text and len(revisions(table)) == 3
    assert joined(table) == content


@BOTH
def test_line_ends_of_windows(parse, columnar):
    """XML reads CR LF as LF; the wiki's SHA-1 may be of either, and a dump may have lost the CR."""
    text = "one\ntwo\n"
    windows, both = "one\r\ntwo\r\n", "one\r\ntwo\n"
    lost = revision(5, text, sha1=f"<sha1>{sha1_base36(windows)}</sha1>")
    mixed = revision(6, both, sha1=f"<sha1>{sha1_base36(both)}</sha1>")
    content = dump(page(1, None, lost), page(2, None, mixed), page(3))
    table, findings = parse(content, columnar=columnar)
    assert [row["sha1_ok"] for row in revisions(table)] == [True, True, True]
    assert [row["text"] for row in revisions(table)[:2]] == [text, text]
    assert findings.sha1_with_carriage_returns == 2
    everywhere = dump(page(1, None, revision(5, text))).replace(b"\n", b"\r\n")
    table, _ = parse(everywhere, columnar=columnar)
    assert revisions(table)[0]["text"] == text and joined(table) == everywhere


@BOTH
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "iso-8859-1", "windows-1251"])
def test_other_encodings_give_their_own_bytes_back(parse, columnar, encoding):
    title = {"windows-1251": "Страница", "utf-16": "Страница 😀"}.get(encoding, "Ä")
    declaration = "" if encoding.startswith("utf") else f'<?xml version="1.0" encoding="{encoding}"?>\n'
    content = (declaration + dump(page(1, title, revision(2, title))).decode()).encode(encoding)
    if encoding == "utf-16-be":
        content = codecs.BOM_UTF16_BE + content
    table, _ = parse(content, columnar=columnar)
    assert revisions(table)[0]["title"] == title and revisions(table)[0]["sha1_ok"] is True
    assert joined(table) == content


@BOTH
def test_a_prefix_for_the_namespace(parse, columnar):
    content = dump().decode().replace("</", "</mw:").replace("xmlns=", "xmlns:mw=")
    content = re.sub(r"<(?=[a-z])", "<mw:", content).encode()
    table, _ = parse(content, columnar=columnar)
    assert [row["title"] for row in revisions(table)] == ["Page 1", "Page 2"] and joined(table) == content


@BOTH
def test_hexadecimal_and_empty_checksums(parse, columnar):
    hexadecimal = f"<sha1>{hashlib.sha1(b'a').hexdigest()}</sha1>"
    content = dump(page(1, None, revision(5, "a", sha1=hexadecimal)), page(2, None, revision(6, "a", sha1="<sha1 />")))
    rows = revisions(parse(content, columnar=columnar)[0])
    assert [(row["sha1_ok"], row["sha1"]) for row in rows] == [(True, hexadecimal[6:-7]), (None, None)]


@BOTH
def test_a_long_text_is_read_whole(parse, columnar):
    """Beyond libxml2's own limit of 10 MB, at which a recovering parser would cut it silently."""
    text = "0123456789" * 1_200_000
    content = dump(page(1, None, revision(5, text)), page(2))
    table, _ = parse(content, columnar=columnar)
    assert revisions(table)[0]["text"] == text and joined(table) == content


def test_several_parts_are_one_corpus(parse):
    table, findings = parse(dump(page(1)), bz2.compress(dump(page(2))), dump(page(3)))
    assert [(row["part"], row["page_id"]) for row in revisions(table)] == [(0, 1), (1, 2), (2, 3)]
    assert table["kind"].to_pylist() == ["header", "revision", "tail"] * 3
    assert [part.format for part in findings.parts] == ["plain", "bz2", "plain"]


def test_batches_are_the_same_however_the_file_arrives(tmp_path):
    content = dump(*(page(i, None, revision(i, "x" * (i * 7919 % 90_000))) for i in range(1, 120)))
    tables = []
    for name, packed in {"a": content, "b": bz2.compress(content), "c": gzip.compress(content)}.items():
        (tmp_path / name).write_bytes(packed)
        tables.append(pa.Table.from_batches(read_dumps([tmp_path / name], Options(), Findings())))
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])
    assert joined(tables[0]) == content


# --------------------------------------------------------------------------------------------------------- compression


def seven_zip(content):
    py7zr = pytest.importorskip("py7zr")
    file = io.BytesIO()
    with py7zr.SevenZipFile(file, "w") as archive:
        archive.writestr(content, "dump.xml")
    return file.getvalue()


def zip_file(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump.xml", content)
    return file.getvalue()


COMPRESSORS = {"bz2": bz2.compress, "gzip": gzip.compress, "xz": lzma.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("name", [*COMPRESSORS, "7z", "zip"])
def test_compression_is_recognised_by_its_magic_number(parse, name):
    content = dump(*(page(i) for i in range(1, 50)))
    packed = (COMPRESSORS | {"7z": seven_zip, "zip": zip_file})[name](content)
    table, findings = parse(packed)
    assert joined(table) == content and findings.parts[0].format == name


@pytest.mark.parametrize("name", COMPRESSORS)
class TestStreams:
    """A file of several compressed streams, one after the other."""

    @pytest.fixture
    def streams(self, name):
        content = [header().encode(), *(page(i).encode() for i in range(1, 9)), TAIL.encode()]
        return [COMPRESSORS[name](part) for part in content]

    def test_all_of_them_are_read(self, parse, streams, name):
        table, findings = parse(b"".join(streams))
        assert len(revisions(table)) == 8 and findings.parts[0].streams == 10

    def test_a_damaged_header_is_an_error_with_its_offset(self, parse, streams, name):
        at = len(b"".join(streams[:4]))
        content = bytearray(b"".join(streams))
        content[at] ^= 0xFF
        with pytest.raises(InputError, match=f"at byte {at:,}, after 4 whole {name} streams"):
            parse(bytes(content))

    def test_a_missing_end_of_the_file_is_an_error(self, parse, streams, name):
        with pytest.raises(InputError, match="without </mediawiki>: it is cut off"):
            parse(b"".join(streams[:-1]))

    def test_a_stream_cut_off_is_an_error_that_may_be_allowed(self, parse, streams, name):
        content = b"".join(streams[:5]) + streams[5][:-3]
        with pytest.raises(InputError, match=f"cut off at byte {len(content):,}.*`allow_truncated`"):
            parse(content)
        table, findings = parse(content, allow_truncated=True)
        assert [row["page_id"] for row in revisions(table)][:4] == [1, 2, 3, 4]
        assert findings.parts[0].truncated and dump(*(page(i) for i in range(1, 9))).startswith(joined(table))

    def test_a_header_cut_off_is_an_error(self, parse, streams, name):
        with pytest.raises(InputError, match="cut off in its first bytes"):
            parse(b"".join(streams[:5]) + streams[5][:2])

    def test_appended_junk_is_an_error_and_zero_padding_is_not(self, parse, streams, name):
        whole = b"".join(streams)
        with pytest.raises(InputError, match=f"b'junk' at byte {len(whole):,}"):
            parse(whole + b"junk")
        table, findings = parse(whole + bytes(1000))
        assert len(revisions(table)) == 8 and "zero padding" in findings.parts[0].warnings[0]
        with pytest.raises(InputError, match=f"at byte {len(whole) + 100:,}"):
            parse(whole + bytes(100) + streams[1])


@pytest.mark.parametrize("workers", [1, 2])
class TestMultistream:
    """Wikimedia's multistream files, whose streams several threads decode."""

    @pytest.fixture
    def streams(self, monkeypatch):
        monkeypatch.setattr("rnngen.corpora.decompression.GROUP_BYTES", 1000)
        random = np.random.default_rng(0)
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz <>&"))
        texts = ["".join(random.choice(letters, 3000)) for _ in range(12)]
        content = [header(), *(page(i, None, revision(i, text)) for i, text in enumerate(texts, 1)), TAIL]
        return [bz2.compress(part.encode()) for part in content]

    def test_all_of_them_are_read_in_order(self, parse, streams, workers):
        table, findings = parse(b"".join(streams), workers=workers)
        assert [row["page_id"] for row in revisions(table)] == list(range(1, 13))
        assert joined(table) == b"".join(map(bz2.decompress, streams)) and findings.parts[0].streams == 14

    def test_a_damaged_header_in_the_middle(self, parse, streams, workers):
        at = len(b"".join(streams[:7]))
        content = bytearray(b"".join(streams))
        content[at : at + 2] = b"XX"
        with pytest.raises(InputError, match=f"b'XXh91AY&' at byte {at:,}"):
            parse(bytes(content), workers=workers)

    def test_a_flipped_bit(self, parse, streams, workers):
        content = bytearray(b"".join(streams))
        content[len(b"".join(streams[:7])) + 500] ^= 1
        with pytest.raises(InputError, match="damaged bz2 stream that begins at byte"):
            parse(bytes(content), workers=workers)

    def test_a_magic_number_by_chance_inside_a_stream(self, parse, streams, workers, monkeypatch):
        """Taken for the beginning of a stream; the streams then do not end where groups begin."""
        whole = b"".join(streams)
        inside = whole[len(streams[0]) + 600 : len(streams[0]) + 604]
        monkeypatch.setattr("rnngen.corpora.decompression.BZ2_STREAM", re.compile(rb"BZh91AY&SY|" + re.escape(inside)))
        monkeypatch.setattr("rnngen.corpora.decompression.GROUP_BYTES", 1)
        assert joined(parse(whole, workers=workers)[0]) == b"".join(map(bz2.decompress, streams))

    def test_cut_at_the_end_of_a_stream(self, parse, streams, workers):
        with pytest.raises(InputError, match="without </mediawiki>"):
            parse(b"".join(streams[:9]), workers=workers)


@pytest.mark.parametrize("make", [seven_zip, zip_file])
def test_damaged_archives(parse, make):
    packed = make(dump(*(page(i) for i in range(1, 200))))
    with pytest.raises(InputError, match="damaged"):
        parse(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="damaged"):
        parse(packed[:200] + b"XXXX" + packed[204:])


def packed(kind, files):
    """An archive of (name, content) pairs."""
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                archive.writestr(name, content)
    elif kind == "7z":
        with pytest.importorskip("py7zr").SevenZipFile(file, "w") as archive:
            for name, content in files:
                archive.writestr(content, name)
    else:
        with tarfile.open(fileobj=file, mode=f"w:{kind.removeprefix('tar').removeprefix('.')}") as archive:
            for name, content in files:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


ARCHIVES = pytest.mark.parametrize("kind", ["zip", "7z", "tar", "tar.gz", "tar.bz2", "tar.xz"])


@ARCHIVES
def test_the_one_xml_of_an_archive_is_read(parse, kind):
    """Files that Finder adds count for nothing."""
    content = dump(*(page(i) for i in range(1, 50)))
    finder = [("__MACOSX/._dump.xml", b"\0\5\x16\7"), (".DS_Store", b"Bud1"), ("wiki/._dump.xml", b"\0\5\x16\7")]
    others = [("wiki/titles.txt", b"A\nB\n"), ("wiki/siteinfo.json", b"{}")]
    for files in (
        [("dump", content)],
        [*finder, ("dump", content)],
        [*finder, *others, ("wiki/dump.xml", content)],
        [("wiki/dump.XML", content), *others],
    ):
        table, findings = parse(packed(kind, files))
        assert joined(table) == content
        assert ("wiki/titles.txt" in " ".join(findings.parts[0].warnings)) == (others[0] in files)
    for files in ([("a.xml", content), *others, ("b.xml", content)], others, finder):
        messages = []
        for keep_going in (False, True):
            with pytest.raises(InputError, match=r"the archive holds \d files .*unpack it") as caught:
                table, findings = parse(packed(kind, files), keep_going=keep_going)
                raise InputError(findings.parts[0].failed)  # of a tar archive, the first file is read by then
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


@ARCHIVES
def test_archives_that_were_joined_are_refused(parse, kind):
    """The usual readers read one of them."""
    one, two = (packed(kind, [("dump.xml", dump(page(i)))]) for i in (1, 2))
    with pytest.raises(InputError, match="joined"):
        parse(one + two)
    with pytest.raises(InputError):
        parse(one + two[:-30])
    with pytest.raises(InputError):
        parse(one + b"junk")
    with pytest.raises(InputError):
        parse(one[: 600 if kind == "tar" else len(one) // 2])
    if kind != "zip":
        assert joined(parse(one + bytes(1000))[0]) == dump(page(1))


def test_an_archive_of_two_files_names_them(parse):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.xml", dump())
        archive.writestr("b.xml", dump())
    with pytest.raises(InputError, match=r"holds 2 files \(a.xml, b.xml\)"):
        parse(file.getvalue())


# ----------------------------------------------------------------------------------------------------------- bad input


def with_text(raw):
    return dump(page(1), page(2, None, revision(5, "XX", sha1=False))).replace(b">XX<", b">" + raw + b"<")


BAD = {
    "empty": (b"", "the file is empty"),
    "only white space": (b"  \n", "no XML element"),
    "not XML": (b"hello world\n" * 100, "neither XML nor compressed by a known program: b'hello world"),
    "packed twice": (gzip.compress(bz2.compress(dump())), "packed twice, the inner time as bz2; unpack it once"),
    "HTML": (b"<!DOCTYPE html><html><body>404 Not Found<br></body></html>", "an HTML page.*failed download"),
    "HTML without a doctype": (b"\n<html><body>Error</body></html>", "an HTML page"),
    "another root": (b'<?xml version="1.0"?>\n<feed><entry/></feed>', "root element <feed> at byte 22"),
    "no pages": (dump().split(b"  <page>")[0] + TAIL.encode(), "no page with a revision"),
    "an empty root": (b"<mediawiki/>", "no page with a revision"),
    "doctype": (b'<!DOCTYPE m [<!ENTITY a "x">]>\n' + dump(), "DOCTYPE at byte 0"),
    "doctype after a declaration": (
        b'<?xml version="1.0"?><!DOCTYPE mediawiki SYSTEM "x.dtd">' + dump(),
        "DOCTYPE at byte",
    ),
    "undefined entity": (with_text(b"&nbsp;"), "Entity 'nbsp' not defined.*begins at byte"),
    "markup in the text": (with_text(b"a<br/>b"), "<br> inside <text>"),
    "unclosed markup": (with_text(b"a<br>b"), "malformed XML"),
    "control character": (with_text(b"\x0b"), "malformed XML"),
    "zero byte": (with_text(b"\0"), "malformed XML"),
    "invalid UTF-8": (with_text(b"\xff\xfe"), "malformed XML"),
    "surrogate": (with_text(b"\xed\xa0\x80"), "malformed XML"),
    "noncharacter": (with_text(b"\xef\xbf\xbf"), "malformed XML"),
    "end of CDATA in text": (with_text(b"]]>"), "malformed XML"),
    "text cut off": (dump()[:-200], "inside a page: it is cut off.*`allow_truncated`"),
    "cut off in a character": (
        with_text("é".encode())[: with_text("é".encode()).index("é".encode()) + 1],
        "inside a page",
    ),
    "cut off between pages": (dump()[: -len(TAIL)], "without </mediawiki>"),
    "cut off in the header": (header().encode()[:300], "in its header"),
    "two dumps": (dump(page(1)) + dump(page(2)), "a second dump begins after </mediawiki>.*separate files"),
    "two dumps with declarations": ((b'<?xml version="1.0"?>' + dump(page(1))) * 2, "a second dump begins"),
    "junk at the end": (dump() + b"junk", "b'junk' after </mediawiki>"),
    "page not closed": (dump(page(1).replace("</page>", ""), page(2)), "a page begins before the one before it"),
    "page left open at the end": (dump(page(1), page(2).replace("</page>", "")), "</mediawiki> inside a page"),
    "no revision": (dump(page(1), page(2, None, " ")), "page without a revision .title 'Page 2', id 2"),
    "no text": (dump(page(1, None, revision(5, "XX").replace("text", "tixt"))), "revision without <text>"),
    "no title": (dump(page(1).replace("title", "titel")), "page without a title"),
    "bad id": (dump(page(1).replace("<id>1<", "<id>1_0<")), "<id> is not a number: '1_0'"),
    "bad timestamp": (dump(page(1).replace("2005-07", "2005-13")), "<timestamp> is not a time: '2005-13-09"),
    "year 0": (dump(page(1).replace("2005-07", "0000-07")), "<timestamp> is not a time"),
    "too many wrong checksums": (
        dump(*(page(i, None, revision(i, "a", sha1="<sha1>??</sha1>")) for i in range(1, 30))),
        "21 of 21 texts differ from the SHA-1 beside them, more than 5%, that of page 21",
    ),
    "a revision twice": (dump(page(1), page(2), page(1, "again")), "revision 101 of page 1 .'again'. for the second"),
    "two texts": (dump(page(1, None, revision(5, "a", extra="<text>b</text>"))), "two <text> in a revision"),
    "two titles": (dump(page(1).replace("<id>1<", "<title>B</title><id>1<")), "two <title> in a page"),
    "a title after the revisions": (
        dump(page(1, None, revision(5), revision(6)).replace("  </page>", "<title>B</title></page>")),
        "two <title> in a page",
    ),
    "blanks without end": (dump() + b" " * 3_000_000, "more than 1,048,576 bytes after </mediawiki>"),
    "a tag without end": (
        dump(page(1).replace("<page>", "<page a='" + "x" * 70_000 + "'>")),
        "a tag longer than 65,536",
    ),
    "unknown encoding": (b'<?xml version="1.0" encoding="klingon"?>' + dump(), "unknown encoding klingon"),
    "wrong encoding": (
        b'<?xml version="1.0" encoding="utf-16"?>' + dump(),
        "declares the encoding utf-16 but is not in it",
    ),
    "UTF-32": (codecs.BOM_UTF32_LE + dump().decode().encode("utf-32-le"), "UTF-32 is not supported"),
    "invalid UTF-16": (codecs.BOM_UTF16_LE + dump().decode().encode("utf-16-le") + b"\0\xd8<\0", "not valid utf-16-le"),
    "namespace without a number": (dump().replace(b'key="1"', b'key="x"'), "namespace with the key 'x'"),
    "malformed header": (dump().replace(b"</sitename>", b"</sitename"), "malformed header"),
    "unfinished root": (b"<mediawiki <page>", "no complete start tag at byte 0"),
    "tag without an end": (dump(page(2).replace("<revision>", "<revision a='")), "tag without its end"),
    "bz2 that is XML": (dump()[5:], "neither XML nor compressed"),
}


@BOTH
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_on_one_line(parse, columnar, name):
    content, message = BAD[name]
    with pytest.raises(InputError, match=message) as caught:
        parse(content, columnar=columnar)
    assert "\n" not in str(caught.value) and "part0.xml" in str(caught.value)


@BOTH
def test_entities_never_reach_a_file(parse, columnar, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("TOPSECRET")
    content = f'<!DOCTYPE m [<!ENTITY a SYSTEM "{secret.as_uri()}">]>'.encode() + with_text(b"&a;")
    with pytest.raises(InputError, match="DOCTYPE"):
        parse(content, columnar=columnar)
    inside = with_text(b"x").replace(b"  <page>", f'<!DOCTYPE m SYSTEM "{secret.as_uri()}"><page>'.encode(), 1)
    with pytest.raises(InputError, match="malformed XML"):
        parse(inside, columnar=columnar)


@BOTH
def test_too_long_a_text_is_refused_or_skipped(parse, columnar):
    content = dump(page(1), page(2, None, revision(5, "x" * 50_000)), page(3))
    with pytest.raises(InputError, match="a revision longer than 20,000 bytes"):
        parse(content, columnar=columnar, text_limit=20_000)
    table, findings = parse(content, columnar=columnar, text_limit=20_000, keep_going=True)
    assert [row["page_id"] for row in revisions(table)] == [1, 3] and joined(table) == content
    assert "longer than 20,000" in findings.skipped[0]["reason"]


def test_too_long_a_text_is_skipped_in_constant_memory(parse):
    """Longer than what the reader holds at a time, in several rows; the revision after it is read."""
    content = dump(page(1), page(2, None, revision(5, "x" * 20_000_000), revision(6)), page(3))
    table, findings = parse(content, text_limit=1_000_000, keep_going=True)
    assert [row["rev_id"] for row in revisions(table)] == [101, 6, 103] and joined(table) == content
    assert max(map(len, raw_rows(table).to_pylist())) < 6_000_000 and len(findings.skipped) > 2


@BOTH
def test_keep_going_skips_and_records(parse, columnar):
    pages = [page(i) for i in range(1, 8)]
    pages[1] = pages[1].replace("text of", "text &nbsp; of")
    pages[3] = page(4, None, " ")
    content = dump(*pages, page(7, "again"))
    table, findings = parse(content, columnar=columnar, keep_going=True)
    assert [row["page_id"] for row in revisions(table)] == [1, 3, 5, 6, 7] and joined(table) == content
    reasons = [item["reason"] for item in findings.skipped]
    for reason, part in zip(reasons, ["nbsp", "without a revision", "second time"], strict=True):
        assert part in reason
    for item in findings.skipped:
        assert content[item["offset"] :].lstrip().startswith(b"<page>")


@BOTH
@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("text 6", "a &nbsp;", [4, 5, 7, 9]),
        ("text 5", "a &nbsp;", [4, 6, 7, 9]),
        ("text 7", "a &nbsp;", [4, 5, 6, 9]),
        ("<id>6</id>", "<id>6</id><id>6</id>", [4, 5, 7, 9]),
        ("</revision>\n    <revision>\n      <id>6<", "<revision><id>6<", [4, 6, 7, 9]),
        ("</revision>\n    <revision>\n      <id>6<", "</revision></revision><revision><id>6<", [4, 5, 6, 7, 9]),
        ("</revision>\n    <revision>\n      <id>6<", "</revision></siteinfo><revision><id>6<", [4, 5, 6, 7, 9]),
        ("<revision>\n      <id>6<", "<revision <id>6<", [4, 5, 7, 9]),
        ("</revision>\n    <revision>\n      <id>6<", "</revision>\n    <page><revision><id>6<", [4, 5, 9]),
        ("<title>Page 2</title>", "<titel>Page 2</title>", [4, 9]),
        ("<page>\n    <title>Page 2", "<title>Page 2", [4, 9]),
        ("<page>\n    <title>Page 2", "</page><page>\n    <title>Page 2", [4, 5, 6, 7, 9]),
        ("<page>\n    <title>Page 2", "</revision><page>\n    <title>Page 2", [4, 5, 6, 7, 9]),
        ("</page>\n  <page>\n    <title>Page 3", "<page>\n    <title>Page 3", [4, 5, 6, 7, 9]),
        ("</revision>\n  </page>\n  <page>\n    <title>Page 3", "</page>\n  <page>\n    <title>Page 3", [4, 5, 6, 9]),
        ("</page>\n</mediawiki>", "</mediawiki>", [4, 5, 6, 7, 9]),
        ("</revision>\n  </page>\n</mediawiki>", "</mediawiki>", [4, 5, 6, 7]),
    ],
)
def test_keep_going_loses_no_revision_that_can_be_read(parse, columnar, old, new, kept):
    """The damage takes the revision it is in, and the page only where it is in the beginning of the page."""
    pages = [
        page(1, None, revision(4, "text 4")),
        page(2, None, *(revision(i, f"text {i}") for i in (5, 6, 7))),
        page(3, None, revision(9, "text 9")),
    ]
    whole = dump(*pages).decode()
    assert whole.count(old) == 1
    content = whole.replace(old, new).encode()
    with pytest.raises(InputError):
        parse(content, columnar=columnar)
    table, findings = parse(content, columnar=columnar, keep_going=True)
    assert [row["rev_id"] for row in revisions(table)] == kept
    assert [row["text"] for row in revisions(table)] == [f"text {i}" for i in kept]
    assert joined(table) == content and findings.skipped and findings.parts[0].failed is None


@BOTH
def test_a_whole_revision_before_a_dump_inside_a_page_is_read(parse, columnar):
    content = dump(page(1), page(2, None, revision(5)).replace("  </page>", "<mediawiki>"), page(3))
    table, findings = parse(content, columnar=columnar, keep_going=True)
    assert [row["rev_id"] for row in revisions(table)] == [101, 5]
    assert "unexpected <mediawiki> inside a page" in findings.parts[0].failed


@BOTH
def test_a_whole_revision_before_the_end_of_a_cut_off_dump_is_read(parse, columnar):
    whole = dump(page(1), page(2, None, revision(5), revision(6)))
    content = whole[: whole.rindex(b"</revision>") + len(b"</revision>")]
    table, _ = parse(content, columnar=columnar, allow_truncated=True)
    assert [row["rev_id"] for row in revisions(table)] == [101, 5, 6] and joined(table) == content
    table, findings = parse(content, columnar=columnar, keep_going=True)
    assert [row["rev_id"] for row in revisions(table)] == [101, 5, 6] and joined(table) == content
    assert "cut off" in findings.parts[0].failed


@BOTH
@pytest.mark.parametrize("name", ["bz2", "gzip", "xz", "zstd"])
def test_what_comes_before_damage_in_a_compressed_dump_is_read(parse, columnar, name):
    """Though it is less than what the reader looks at in one piece."""
    packed = COMPRESSORS[name](dump(*(page(i) for i in range(1, 9)))[:-400])
    table, findings = parse(packed + b"junk that follows", columnar=columnar, keep_going=True)
    assert [row["page_id"] for row in revisions(table)] == [1, 2, 3, 4, 5, 6, 7]
    assert "b'junk tha'" in findings.parts[0].failed and findings.raw_bytes == len(joined(table))


def test_keep_going_goes_on_with_the_next_part(parse):
    table, findings = parse(dump(page(1)), bz2.compress(dump(page(2)))[:-20], dump(page(3)), keep_going=True)
    assert [row["page_id"] for row in revisions(table)] == [1, 3]
    assert findings.parts[1].failed and findings.parts[1].sha256 is None and len(findings.skipped) == 1


@BOTH
def test_a_prefix_of_a_dump(parse, columnar):
    whole = dump(*(page(i) for i in range(1, 6)))
    for cut in (len(whole) - 30, len(whole) - 200, len(whole) - len(TAIL)):
        table, findings = parse(whole[:cut], columnar=columnar, allow_truncated=True)
        assert joined(table) == whole[:cut] and table["kind"].to_pylist()[-1] == "truncated"
        assert f"ends at byte {cut:,}" in findings.parts[0].truncated
    table, findings = parse(whole, columnar=columnar, allow_truncated=True)
    assert findings.parts[0].truncated is None and table["kind"].to_pylist()[-1] == "tail"


NO_SHA1 = f"<sha1>{'0' * 31}</sha1>"


@BOTH
def test_texts_that_differ_from_their_checksum_are_kept_and_counted(parse, columnar):
    content = dump(
        page(1), page(2, None, revision(5, "a", sha1=NO_SHA1)), page(3, None, revision(6, "b \ufffd", sha1=NO_SHA1))
    )
    table, findings = parse(content, columnar=columnar)
    assert [row["sha1_ok"] for row in revisions(table)] == [True, False, False] and joined(table) == content
    assert (findings.sha1_compared, findings.sha1_different, findings.skipped) == (3, 2, [])
    assert [item["rev_id"] for item in findings.mismatches] == [5, 6]
    assert ["U+FFFD" in item["reason"] for item in findings.mismatches] == [False, True]


@BOTH
def test_a_share_of_differing_texts_stops_the_run(parse, columnar):
    pages = [page(i, None, revision(i, "a", sha1=NO_SHA1 if i % 4 == 0 else True)) for i in range(1, 101)]
    with pytest.raises(
        InputError, match=r"21 of 84 texts differ .* more than 5%, that of page 84 .*`sha1_mismatches` 1"
    ):
        parse(dump(*pages), columnar=columnar)
    for options in ({"sha1_mismatches": 0.25}, {"keep_going": True}):
        table, findings = parse(dump(*pages), columnar=columnar, **options)
        assert len(revisions(table)) == 100 and findings.sha1_different == 25 and not findings.skipped
    with pytest.raises(InputError, match="1 of 4 texts differ"):
        parse(dump(*pages), columnar=columnar, sha1_mismatches=0)


@BOTH
def test_a_page_may_come_again_with_another_revision(parse, columnar):
    """Dumps of some wikis have a page for each revision; only the same revision is a repetition."""
    first = dump(page(5, "A", revision(101)), page(6, "B", revision(102)), page(5, "A", revision(103)))
    second = dump(page(5, "A", revision(104), revision(105)), page(7, "C", revision(101)))
    table, _ = parse(first, second, columnar=columnar)
    found = [(row["page_id"], row["rev_id"]) for row in revisions(table)]
    assert found == [(5, 101), (6, 102), (5, 103), (5, 104), (5, 105), (7, 101)]
    again = dump(page(8), page(5, "A", revision(106), revision(104), revision(107)))
    with pytest.raises(InputError, match="part2.xml: revision 104 of page 5 .'A'. for the second time"):
        parse(first, second, again, columnar=columnar)
    table, findings = parse(first, second, again, columnar=columnar, keep_going=True)
    assert [row["rev_id"] for row in revisions(table)][-3:] == [108, 106, 107] and len(findings.skipped) == 1


def test_ids_of_different_wikis_may_be_the_same(parse):
    other = dump(page(1)).replace(b"testwiki", b"otherwiki")
    assert len(revisions(parse(dump(page(1)), other)[0])) == 2
    with pytest.raises(InputError, match="second time"):
        parse(dump(page(1)), dump(page(1)))


@pytest.mark.parametrize("name", [name for name, (content, _) in BAD.items() if content])
def test_keep_going_gives_the_same_reason_where_nothing_can_be_read(parse, name):
    content, _ = BAD[name]
    reasons = []
    for keep_going in (False, True):
        try:
            parse(content, keep_going=keep_going)
        except InputError as error:
            reasons.append(str(error).removesuffix("; `keep_going` skips and records it"))
    assert len(set(reasons)) == 1


@given(st.lists(st.lists(st.tuples(st.integers(1, 2**40), st.integers(-4, 4)), max_size=20), max_size=8))
def test_seen_revisions_is_a_set(groups):
    seen, model = SeenRevisions(), set()
    seen.MOST_RECENT = 3
    for pairs in groups:
        expected = [pair in model or pair in pairs[:at] for at, pair in enumerate(pairs)]
        model.update(pairs)
        if len(pairs) % 2:
            assert [seen.add_one(*pair) for pair in pairs] == expected
        elif pairs:
            assert seen.add(*np.array(pairs, np.int64).T).tolist() == expected


# ----------------------------------------------------------------------------------------------------------- real dumps


@pytest.mark.real_data
def test_real_dumps(real_data, parse):
    """Pages and checksums as counted with other tools; both parsers give the same rows."""
    expected = {"aawiki": (507, 507), "enwiki": (206, 206), "itwiki": (747, 747), "simple": (5, 0), "sweble": (1, 0)}
    for file in sorted((real_data / "wikipedia-dumps").iterdir()):
        tables = []
        for columnar in (False, True):
            findings = Findings()
            tables.append(pa.Table.from_batches(read_dumps([file], Options(columnar=columnar), findings)))
        pages, checked = expected[file.name[:6]]
        assert tables[0].equals(tables[1]) and findings.pages == pages
        assert tables[0]["sha1_ok"].to_pylist().count(True) == checked
        assert hashlib.sha256(joined(tables[0])).hexdigest() == findings.parts[0].sha256


@pytest.mark.real_data
def test_real_prefix_of_enwik8(real_data, parse):
    file = real_data / "enwik8" / "enwik8.first4154399"
    table = pa.Table.from_batches(read_dumps([file], Options(allow_truncated=True), Findings()))
    assert joined(table) == file.read_bytes() and len(revisions(table)) == file.read_bytes().count(b"</page>")


@pytest.mark.parametrize(
    ("rows", "equal"),
    [
        ([b"abcdef"], True),
        ([b"a", b"", b"bcd", b"ef"], True),
        ([b"abc", b"dEf"], False),
        ([b"abc", b"de"], False),
        ([b"abcdef", b"g"], False),
    ],
)
def test_rows_are_compared_with_what_was_read(rows: list[bytes], equal: bool) -> None:
    ahead = Ahead()
    ahead.blocks += [b"ab", b"cde", b"f"]
    for row in rows:
        ahead.follow(memoryview(row))
    assert (ahead.equal and not any(ahead.blocks)) == equal

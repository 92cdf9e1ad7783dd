"""Dumps for tests: written by hand, and drawn by hypothesis, near enough to real ones to reach every branch."""

import hashlib
from xml.sax.saxutils import escape

from hypothesis import strategies as st

HEADER = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" version="{version}" xml:lang="en">
  <siteinfo>
    <sitename>Testwiki</sitename>
    <dbname>testwiki</dbname>
    <namespaces>
      <namespace key="-1" case="first-letter">Special</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Talk</namespace>
      <namespace key="3" case="first-letter">User talk</namespace>
    </namespaces>
  </siteinfo>
"""
TAIL = "</mediawiki>\n"


def header(version="0.10"):
    return HEADER.format(version=version)


def base36(number, width=31):
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text.rjust(width, "0")


def sha1_base36(text):
    return base36(int(hashlib.sha1(text.encode()).hexdigest(), 16))


def quoted(text):
    return escape(text, {'"': "&quot;"})


def revision(rev_id=100, text="some text", *, sha1=True, extra="", text_tag='<text xml:space="preserve">', meta=True):
    checksum = f"      <sha1>{sha1_base36(text)}</sha1>\n" if sha1 is True else (sha1 or "")
    model = "      <model>wikitext</model>\n      <format>text/x-wiki</format>\n" if meta else ""
    return (
        f"    <revision>\n      <id>{rev_id}</id>\n      <parentid>{rev_id - 1}</parentid>\n"
        f"      <timestamp>2005-07-09T18:41:10Z</timestamp>\n      <contributor>\n"
        f"        <username>A &amp; B</username>\n        <id>7</id>\n      </contributor>\n"
        f"      <comment>why &lt;not&gt;</comment>\n{extra}{model}"
        f"      {text_tag}{quoted(text)}</text>\n{checksum}    </revision>\n"
    )


def page(page_id=1, title=None, *revisions, ns=0, extra=""):
    title = f"Page {page_id}" if title is None else title
    ns_line = f"    <ns>{ns}</ns>\n" if ns is not None else ""
    body = "".join(revisions or (revision(100 + page_id, f"text of {title}"),))
    return f"  <page>\n    <title>{quoted(title)}</title>\n{ns_line}    <id>{page_id}</id>\n{extra}{body}  </page>\n"


def dump(*pages, version="0.10"):
    return (header(version) + "".join(pages or (page(1), page(2))) + TAIL).encode()


# ----------------------------------------------------------------------------------------------------------- hypothesis

XML_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\r\x7f￾￿", exclude_categories=("Cc", "Cs"))
TEXTS = st.one_of(
    st.text(XML_CHARACTERS | st.sampled_from("\n\t<>&\"' "), max_size=40),
    st.sampled_from(["", "&lt;", "<page>", "</text>", "]]>", "&amp;amp;", "a\nb\n", "﻿", "x" * 3000, "=<!-- -->="]),
)
ENCODINGS = st.sampled_from(["plain", "plain", "plain", "cdata", "numeric", "comment", "crlf", "apos"])


def encoded(text, how):
    """One of the ways in which XML can hold the same text."""
    if how == "cdata" and "]]>" not in text and text:
        return f"<![CDATA[{text}]]>"
    if how == "numeric":
        return "".join(f"&#{ord(c)};" if ord(c) > 126 or c in "<&>\r" else c for c in text)
    if how == "comment":
        return quoted(text[: len(text) // 2]) + "<!-- </page> -->" + quoted(text[len(text) // 2 :])
    if how == "crlf":
        return quoted(text).replace("\n", "\r\n")
    if how == "apos":
        return quoted(text).replace("'", "&apos;")
    return quoted(text)


def choice(draw, usual, odd, is_odd):
    """One of the usual ways of writing something, or of the odd ones too."""
    return draw(st.sampled_from(usual + odd if is_odd else usual))


@st.composite
def revisions(draw):
    odd = draw(st.integers(0, 3)) == 0
    text = draw(TEXTS)
    how = draw(ENCODINGS) if odd else "plain"
    number = draw(st.integers(1, 10**12))
    parts = [f"<id>{number}</id>"]
    if draw(st.booleans()):
        parts.append(f"<parentid>{draw(st.integers(0, 10**9))}</parentid>")
    parts.append(f"<timestamp>{draw(st.datetimes()).isoformat(timespec='seconds')}Z</timestamp>")
    parts.append(
        choice(
            draw,
            [
                "<contributor><username>Ü &quot;b&quot;</username><id>3</id></contributor>",
                "<contributor><username /><id>0</id></contributor>",
                "<contributor>\n  <ip>2001:DB8::1</ip>\n</contributor>",
            ],
            ['<contributor deleted="deleted" />', "", "<contributor><id>4</id></contributor>"],
            odd,
        )
    )
    parts.append(choice(draw, ["", "<minor />", "<minor/>"], ["<minor></minor>"], odd))
    comments = ["", "<comment />", "<comment>/* a */ &amp;amp; b</comment>"]
    parts.append(choice(draw, comments, ['<comment deleted="deleted" />'], odd))
    parts.append(choice(draw, ["", "<origin>12</origin>"], ["<unknown a='>'><b>1</b></unknown>", "<origin/>"], odd))
    meta = "<model>wikitext</model><format>text/x-wiki</format>"
    hexadecimal = hashlib.sha1(text.encode()).hexdigest()
    checksums = ["", "<sha1 />", f"<sha1>{sha1_base36(text)}</sha1>"]
    checksum = choice(draw, checksums, [f"<sha1>{hexadecimal}</sha1>", "<sha1></sha1>"], odd)
    attributes = choice(
        draw,
        [
            ' xml:space="preserve"',
            f' bytes="{len(text.encode())}" xml:space="preserve"',
            f' bytes="{len(text.encode())}" sha1="{sha1_base36(text)}" xml:space="preserve"',
        ],
        [" xml:space='preserve'", "", "\n"],
        odd,
    )
    body = f"<text{attributes}>{encoded(text, how)}</text>"
    if not text and draw(st.booleans()):
        body = f"<text{attributes} />"
    if odd and draw(st.integers(0, 3)) == 0:
        body, checksum = draw(st.sampled_from(['<text deleted="deleted" />', '<text id="4" bytes="9" />'])), ""
    orders = [
        [meta, body, checksum],
        [body, checksum, meta],
        [checksum, body],
        [body, checksum],
        [checksum, meta, body],
    ]
    parts += draw(st.sampled_from(orders))
    space = draw(st.sampled_from(["", "\n      "]))
    return "<revision>" + space.join(parts) + "</revision>", text, number


@st.composite
def dumps(draw, maximum_pages=6):
    """(bytes of a well-formed dump, [(page id, title, text)] in order)"""
    version = draw(st.sampled_from(["0.3", "0.5", "0.8", "0.10", "0.11"]))
    out, expected = [header(version)], []
    for page_id in range(1, draw(st.integers(1, maximum_pages)) + 1):
        odd = draw(st.integers(0, 4)) == 0
        titles = ["T", "Talk:T", "user_talk:Ä", "x & <y>", 'quo"ted', "Nowhere: T"]
        title = draw(st.sampled_from(titles)) + str(page_id)
        ns = choice(draw, ["", "<ns>0</ns>", "<ns>-1</ns>", "<ns>2301</ns>"], ["<ns> 1 </ns>"], odd)
        redirects = ["", "", "<redirect />", '<redirect title="A &amp; &quot;B&quot;" />']
        redirect = choice(draw, redirects, ["<redirect title='C'/>", '<redirect title="a>b"/>'], odd)
        restrictions = choice(draw, ["", "", "<restrictions>edit=sysop</restrictions>"], ["<restrictions />"], odd)
        found = draw(st.lists(revisions(), min_size=1, max_size=3 if odd else 1, unique_by=lambda made: made[2]))
        betweens = ["<!-- <page> -->", "\n<?php <page> ?>", "\n<extra>1</extra>\n", "\n&amp; words >\n"]
        between = choice(draw, ["\n  ", "", "\n\n"], betweens, odd)
        after = choice(draw, [""], ["<upload><filename>f</filename></upload>", "<other>last</other>"], odd)
        body = "".join(text for text, _, _ in found)
        out.append(
            f"{between}<page>\n<title>{quoted(title)}</title>{ns}<id>{page_id}</id>{redirect}{restrictions}{body}{after}</page>"
        )
        expected += [(page_id, title, text) for _, text, _ in found]
    return ("".join(out) + "\n" + TAIL).encode(), expected

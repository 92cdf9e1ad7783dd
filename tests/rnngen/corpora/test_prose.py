import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngen.corpora.prose import (
    read_paragraphs,
    sentences,
    split_sentences,
    take_leading,
    treebank_sentences,
    wiki_paragraphs,
)
from rnngen.errors import InputError

LONG = "This sentence is long enough to be a paragraph, for it has more than eighty characters in a row."


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (LONG, LONG),
        (f"'''This''' {LONG[5:]}", LONG),
        (f"{{{{Infobox|name={{{{inner|x}}}}}}}}{LONG}", LONG),
        (f"{LONG[:5]}[[sentence]]{LONG[13:]}", LONG),
        (f"{LONG[:5]}[[Clause (grammar)|sentence]]{LONG[13:]}", LONG),
        (f"{LONG[:5]}[http://example.org/a sentence]{LONG[13:]}", LONG),
        (f"[[File:a.png|thumb|a [[link]] in a caption]]{LONG}", LONG),
        (f"[[Image:a.png|thumb|[[Image:b.png]] [[x|y]]]]{LONG}", LONG),
        (f"{LONG}<ref>Smith, 1999, [[p]]. 3</ref><ref name=b />", LONG),
        (f"{LONG}<!-- a\n\ncomment -->", LONG),
        (f"{LONG[:5]}<b>sentence</b>{LONG[13:]}", LONG),
        (f"{{| class=x\n| cell\n{{|\n| inner\n|}}\n|}}\n{LONG}", LONG),
        (f"{LONG[:4]} ({{{{lang|la|hoc}}}}){LONG[4:]}", f"{LONG[:4]} {LONG[4:]}"),
        (f"{LONG[:5]}AT&amp;T {LONG[5:]}", f"{LONG[:5]}AT&T {LONG[5:]}"),
        ("== Heading ==\n* item\n# item\n: indented", None),
        (f"* {LONG}", None),
        (f"{LONG} [[broken link", None),
        (f"{LONG} {{{{broken template", None),
        ("Short.", None),
        (f"#REDIRECT [[Other]]\n{LONG}", None),
    ],
)
def test_markup_is_stripped_and_what_is_no_paragraph_left_out(source, wanted):
    assert [" ".join(p.split()) for p in wiki_paragraphs(source)] == (
        [] if wanted is None else [" ".join(wanted.split())]
    )


@given(st.text(alphabet="ab [](){}|'<>/!-=#\n&;fileFILE:", max_size=200))
def test_any_source_ends_and_leaves_no_markup(source):
    for paragraph in wiki_paragraphs(LONG + source + LONG):
        assert not set(paragraph) & set("{}|[]<>")


def test_sentences_end_where_sentences_end():
    text = 'He met Dr. Smith and J. Doe at 3.5 km. "Why?" He left! In 1990 it rained, e.g. In May. 12 came.'
    assert sentences(text) == [
        "He met Dr. Smith and J. Doe at 3.5 km.",
        '"Why?"',
        "He left!",
        "In 1990 it rained, e.g. In May.",
        "12 came.",
    ]


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("The well-known Dog’s 3 bones cost $1,000.50 or so.", "the well-known dog 's N bones cost $ N or so"),
        ("It rose 5% – from 1,990 to 2.5 (AT&T said).", "it rose N % from N to N at&t said"),
        ("“Quoted” words, here; and there: fine!", "quoted words here and there fine"),
        ("They don't, can't and won't say it's theirs.", "they do n't ca n't and wo n't say it 's theirs"),
        ("'several' of 'em, e.g. the U.S. two'th", "several of em e.g. the u.s. two'th"),
        ("R & D costs 5$ a day", "r & d costs N $ a day"),
        ("Only three words.", None),
        ("One word with a Gödel in it.", None),
    ],
)
def test_the_treebank_rule(sentence, words):
    assert list(treebank_sentences([sentence])) == ([] if words is None else [words.split()])


@given(st.text(max_size=300))
def test_the_treebank_rule_gives_only_its_alphabet(text):
    for words in treebank_sentences([text]):
        assert len(words) >= 4
        assert all(word == "N" or set(word) <= set("abcdefghijklmnopqrstuvwxyz'-$%&.") for word in words)


def corpus():
    return [f"common common rare{k} x" for k in range(400)]


def test_parts_have_their_sizes_and_one_vocabulary():
    parts = split_sentences(corpus(), {"train": 3000, "validation": 600, "test": 500}, 10, seed=1)
    for part, size in (("train", 3000), ("validation", 600), ("test", 500)):
        assert set(" ".join(parts[part]).split()) == {"common", "x", "<unk>"}
        # a sentence has 22 to 24 characters with its line end; the last one may pass the size
        assert size / 24 <= len(parts[part]) <= size / 22 + 1


def test_the_vocabulary_keeps_the_commonest_words_seen_twice():
    found = ["a a a b", "b b c c", "d e e zz"]
    size = sum(len(sentence) + 1 for sentence in found)
    for vocabulary, known in ((10, "abce"), (3, "ab"), (4, "abc")):
        rows = split_sentences(found, {"train": size}, vocabulary, seed=0)["train"]
        assert set(" ".join(rows).split()) - {"<unk>"} == set(known)


def test_parts_do_not_overlap_and_the_seed_decides():
    found = [f"w{k} w{k} x x" for k in range(300)]
    sizes = {"train": 1000, "validation": 500, "test": 500}
    one, same, other = (split_sentences(found, sizes, 1000, seed) for seed in (1, 1, 2))
    assert one == same != other
    words = [{word for row in one[part] for word in row.split()} - {"x", "<unk>"} for part in sizes]
    assert not words[0] & words[1]


def test_too_little_text_is_refused():
    with pytest.raises(InputError, match=r"characters in \d+ sentences, .*; 99000 are asked for"):
        split_sentences(corpus(), {"train": 98000, "test": 1000}, 10, seed=1)


def test_what_follows_the_leading_texts_is_not_read():
    def texts():
        yield from ("one", "two", "three")
        raise AssertionError("read on")

    assert list(take_leading(texts(), 9)) == ["one", "two", "three"] and list(take_leading(texts(), 5)) == [
        "one",
        "two",
    ]
    assert list(take_leading(["one"], 9)) == ["one"]


VANDALISED = [
    "<!--",
    "[//",
    "( ",
    "<ref",
    "<ref ",
    "<ref>",
    "{{",
    "[[",
    "[[a|",
    "{|",
    "<math",
    "<pre>",
    "&#9",
    "(,",
    "A. ",
    "''",
]


@pytest.mark.parametrize("piece", VANDALISED)
@pytest.mark.parametrize("end", ["", "]]", "}}", ")>"])
def test_no_page_takes_more_than_its_share_of_time(piece, end):
    """What takes time in proportion to its square would keep this test for a long time; no clock is read."""
    half = 70_000 // len(piece)
    page = piece * half + end * (half // 2) + f"\n{LONG}"
    assert list(treebank_sentences([*wiki_paragraphs(page), page])) is not None


def test_deep_templates_take_their_paragraph_with_them_only():
    inside = "{{" * 60 + "a" + "}}" * 60
    assert wiki_paragraphs(f"{LONG}\n\n{LONG} {inside}\n\n{LONG} {{{{a|{{{{b}}}}}}}}") == [LONG, LONG]


def test_references_to_no_character_are_left_out():
    assert wiki_paragraphs(f"{LONG}&#{'9' * 5000};&#x{'f' * 5000};") == [LONG]


def test_text_files_and_parquet_are_read(tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("First line\nstill first.\n\n\nSecond.\r\n\r\nThird.\n", encoding="utf-8-sig")
    assert list(read_paragraphs(text)) == ["First line still first.", "Second.", "Third."]
    pages = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [LONG, None, f"Talk. {LONG}"], "ns": [0, None, 1]}), pages)
    assert list(read_paragraphs(pages)) == [LONG]


def test_other_files_are_refused(tmp_path):
    pages = tmp_path / "a.parquet"
    pq.write_table(pa.table({"sentence": ["x"]}), pages)
    with pytest.raises(InputError, match="no column 'text'"):
        list(read_paragraphs(pages))
    text = tmp_path / "a.txt"
    text.write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="byte 3 is not UTF-8"):
        list(read_paragraphs(text))

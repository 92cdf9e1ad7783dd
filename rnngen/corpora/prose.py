"""Running English text from Wikipedia pages or plain files, and the treebank-style sentences made of it.

The rule for sentences follows Mikolov's preparation of the Penn Treebank: lower case, no punctuation, numbers as N, all
but the commonest words as <unk>, one sentence per line. It is documented step by step at `treebank_sentences`.
"""

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from rnngen.checked_parquet import open_parquet, refuse_damage
from rnngen.errors import InputError

SHORTEST_PARAGRAPH = 80  # characters; shorter lines of a page are headings, captions and lists
SHORTEST_SENTENCE = 4  # words
BLOCK = 20  # sentences that stay together when the parts are drawn
UNKNOWN = "<unk>"

DEEPEST = 20  # templates, tables or links within one another; deeper ones stay, so their paragraph is left out
# Pages are written by anybody: every pattern takes time in proportion to the text, whatever it is.
EMPTY_REFERENCE = re.compile(r"<ref\b[^<>]*+(?<=/)>", re.I)
BLOCK_NAMES = ("math", "pre", "code", "gallery", "timeline", "syntaxhighlight", "source", "score")
BLOCK_START = re.compile(rf"<!--|<(ref|{'|'.join(BLOCK_NAMES)})\b", re.I)
BLOCK_END = {name: re.compile(rf"</{name}\s*+>", re.I) for name in ("ref", *BLOCK_NAMES)} | {"-->": re.compile("-->")}
TEMPLATE = re.compile(r"\{\{[^{}]*+\}\}")
TABLE = re.compile(r"\{\|(?:(?!\{\|).)*?\|\}", re.S)
MEDIA_LINK = re.compile(r"\[\[\s*+(?:file|image|category|media)\s*+:[^\[\]]*+\]\]", re.I)
INNER_LINK = re.compile(r"\[\[(?:[^\[\]|]*+\|)?([^\[\]|]*+)\]\]")
OUTER_LINK = re.compile(r"\[(?:https?:|ftp:)?//[^\s\]]*+\s*+([^\]]*+)\]")
LONG_REFERENCE = re.compile(r"&#(?:[0-9]{8,}+|x[0-9a-f]{8,}+);?", re.I)  # no character has such a number
TAG = re.compile(r"</?[a-z][^<>]*>", re.I)
QUOTES = re.compile(r"'{2,}")
LEFT_OVER = re.compile(r"[{}|\[\]<>]")
PARENTHESES_LEFT_EMPTY = re.compile(r"\([,;:\s]*+\)")
PARAGRAPH_START = re.compile(r"[A-Z\"“]")
SENTENCE_END = re.compile(r"(?<=[.?!])[\"”')]*\s+(?=[\"“(]?[A-Z0-9])")
ABBREVIATED = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Jr|Sr|Prof|Gen|Col|Sgt|Lt|Rev|Hon|vs|etc|cf|ca|No|Vol|pp|Fig|approx|e\.g|i\.e|U\.S)\.)$"
)
LONGEST_ABBREVIATION = 10
CLITIC = re.compile(r"(?<=[a-z])(n't|'(?:s|re|ve|ll|d|m))\b")
WORD = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|(?:[a-z]\.){2,}|[a-z]+(?:[-'&][a-z]+)*|\d+(?:[.,]\d+)*|[$%&]")
TYPOGRAPHIC = str.maketrans({"–": "-", "—": " ", "’": "'", "‘": "'"})
TREEBANK_FILES = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}


def wiki_paragraphs(text: str) -> list[str]:
    """The paragraphs of running text in a page's wiki source, without templates, tables, references, media and markup.

    A paragraph that still holds markup after that (an unbalanced template, a broken link) is left out, not guessed at.
    """
    if text.lstrip()[:9].lower() == "#redirect":
        return []
    text = remove_blocks(text, ("-->",))
    text = remove_blocks(EMPTY_REFERENCE.sub("", text), ("ref",))
    text = remove_blocks(text, BLOCK_NAMES)
    for pattern in (TEMPLATE, TABLE):
        text = _innermost_first(text, partial(pattern.sub, ""))
    # links lie inside the captions of images: first those without a link inside
    text = _innermost_first(text, lambda part: INNER_LINK.sub(_link_text, MEDIA_LINK.sub("", part)))
    last = text.rfind("]") + 1  # a link needs a `]` after it; looking for one each time takes too long
    text = OUTER_LINK.sub(r"\1", text[:last]) + text[last:]
    text = QUOTES.sub("", TAG.sub("", text))
    text = PARENTHESES_LEFT_EMPTY.sub("", html.unescape(LONG_REFERENCE.sub("", text)))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return [
        line
        for line in lines
        if len(line) >= SHORTEST_PARAGRAPH and PARAGRAPH_START.match(line) and not LEFT_OVER.search(line)
    ]


def remove_blocks(text: str, names: tuple[str, ...]) -> str:
    """The text without the elements of these names and what they hold, or without comments (`-->`)."""
    kept, end, unclosed = [], 0, set()
    for start in BLOCK_START.finditer(text):
        name = start[1].lower() if start[1] else "-->"
        if start.start() < end or name not in names or name in unclosed:
            continue
        close = BLOCK_END[name].search(text, start.end())
        if close is None:
            unclosed.add(name)
            continue
        kept.append(text[end : start.start()])
        end = close.end()
    return "".join([*kept, text[end:]])


def _innermost_first(text: str, replace: Callable[[str], str]) -> str:
    for _ in range(DEEPEST):
        text, before = replace(text), text
        if text == before:
            break
    return text


def _link_text(match: re.Match[str]) -> str:
    return "" if re.match(r"\[\[\s*(?:file|image|category|media)\s*:", match[0], re.I) else match[1]


def read_paragraphs(path: str | Path) -> Iterator[str]:
    """The paragraphs of a text file (UTF-8), or of the articles in a Parquet file of pages (column `text`).

    Raises InputError for other files and for text that is not UTF-8.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        with open_parquet(path, {}, "Parquet of Wikipedia pages") as pages, refuse_damage(path):
            schema = pages.schema_arrow
            if "text" not in schema.names or schema.field("text").type not in (pa.string(), pa.large_string()):
                raise InputError(
                    f"{path}: no column 'text' of strings; give the Parquet of Wikipedia pages or a text file"
                )
            columns = [name for name in ("text", "ns") if name in schema.names]
            for batch in pages.iter_batches(batch_size=256, columns=columns):
                for row in batch.to_pylist():
                    if row["text"] and not row.get("ns"):  # namespace 0, or not known: articles
                        yield from wiki_paragraphs(row["text"])
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; convert the file first") from None
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        if paragraph.strip():
            yield " ".join(paragraph.split())


def sentences(paragraph: str) -> list[str]:
    """Cut a paragraph after . ? ! where a capital or a digit follows, but not after an initial or an abbreviation."""
    found, begin = [], 0
    for cut in SENTENCE_END.finditer(paragraph):
        if not ABBREVIATED.search(paragraph[max(begin, cut.start() - LONGEST_ABBREVIATION) : cut.start()]):
            found.append(paragraph[begin : cut.end()].strip())
            begin = cut.end()
    return [*found, paragraph[begin:].strip()]


def treebank_sentences(paragraphs: Iterable[str]) -> Iterator[list[str]]:
    """The treebank's words of every sentence.

    1. Cut paragraphs into sentences.
    2. Lower case; dashes and typographic apostrophes to ASCII.
    3. Words are runs of a to z with inner hyphens, apostrophes and &; 's, n't and the like, cut off as in the treebank;
       abbreviations such as e.g.; and $, % and &. Digits with inner points and commas are the word N. Everything else
       separates words and is left out.
    4. A sentence with a letter outside a to z is left out whole, as is one of fewer than SHORTEST_SENTENCE words.
    """
    for paragraph in paragraphs:
        for sentence in sentences(paragraph.translate(TYPOGRAPHIC)):
            lowered = sentence.lower()
            if any(c.isalpha() and not "a" <= c <= "z" for c in lowered):
                continue
            words = ["N" if word[0].isdigit() else word for word in WORD.findall(CLITIC.sub(r" \1", lowered))]
            if len(words) >= SHORTEST_SENTENCE:
                yield words


def take_leading(texts: Iterable[str], characters: int) -> Iterator[str]:
    """The first texts, until they have this many characters (line ends counted); what follows is not read."""
    for text in texts:
        yield text
        characters -= len(text) + 1
        if characters <= 0:
            return


def split_sentences(found: list[str], sizes: dict[str, int], vocabulary: int, seed: int) -> dict[str, list[str]]:
    """Draw the parts of a corpus, each of about `sizes[part]` characters (line ends counted), and close its vocabulary.

    Blocks of BLOCK neighbouring sentences are shuffled, so that the parts come from the same pages and are alike. The
    vocabulary is the `vocabulary` - 1 commonest words that occur at least twice in the part 'train', and <unk> for all
    others.
    Raises InputError where the text is too small.
    """
    blocks = [found[k : k + BLOCK] for k in range(0, len(found), BLOCK)]
    order = iter(np.random.default_rng(seed).permutation(len(blocks)))
    drawn: dict[str, list[str]] = {}
    for part, size in sizes.items():
        drawn[part], written = [], 0
        while written < size:
            block = next(order, None)
            if block is None:
                total = sum(len(sentence) + 1 for sentence in found)
                raise InputError(
                    f"the text gives {total} characters in {len(found)} sentences, which are drawn {BLOCK} at a time; "
                    f"{sum(sizes.values())} are asked for: give more text, of more sentences, or ask for less"
                )
            for sentence in blocks[block]:
                if written < size:
                    drawn[part].append(sentence)
                    written += len(sentence) + 1
    counts = Counter(word for sentence in drawn["train"] for word in sentence.split())
    # commonest first, equal counts in alphabetical order
    ranked = sorted((word for word, count in counts.items() if count > 1), key=lambda word: (-counts[word], word))
    known = set(ranked[: vocabulary - 1])
    return {
        part: [" ".join(word if word in known else UNKNOWN for word in sentence.split()) for sentence in rows]
        for part, rows in drawn.items()
    }

"""The Penn Treebank as Mikolov prepared it (§3.1): sentences, the character alphabet, the word vocabulary."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rnngen.checked_parquet import parquet_writer, read_parquet
from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.archives import Refusals, members
from rnngen.corpora.sequences import Sequences
from rnngen.errors import InputError

FILES = {"ptb.train.txt": "train", "ptb.valid.txt": "validation", "ptb.test.txt": "test"}
SPLITS = ("train", "validation", "test")

MIKOLOV_MD5 = {
    "train": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
    "validation": "aa0affc06ff7c36e977d7cd49e3839bf",
    "test": "8b80168b89c18661a38ef683c0dc3721",
}
"""The files that every published Penn Treebank perplexity of this preparation was measured on."""

MIKOLOV_COUNTS = {
    "words": {"train": 929_589, "validation": 73_760, "test": 82_430},
    "characters": {"train": 5_017_482, "validation": 393_042, "test": 442_423},
}
"""Words with one end of sentence each; characters with one end of line per sentence and single spaces between words."""

MIKOLOV_VOCABULARY = 10_000
"""9,999 words of the training sentences, `<unk>` and `N` among them, and the end of sentence."""

MIKOLOV_ALPHABET = 49
"""Characters of the sentences, end of line not counted: space # $ & ' * - . / 0–9 < > N \\ a–z."""

UNKNOWN_WORD = "<unk>"
END = "\n"
"""Symbol of the end of a sentence, in the character alphabet and in the vocabulary."""

END_OF_SENTENCE = {
    "symbol-and-unk": "one symbol for the end of a sentence, one for <unk>",
    "symbol": "one symbol for the end of a sentence",
    "space": "the end of a sentence is a space",
    "none": "the end of a sentence is not predicted",
}
"""Rules by which a sentence becomes symbols; docs/data.md weighs them.

The paper has 49 input symbols, counts the end of sentence in the loss (§3.1), and converts with 5.6 characters per
word. The sentences have 49 distinct characters without any end of sentence, so one of the three seems to give way:

- `symbol-and-unk` (default): `<unk>`, which stands for no spelling, is one symbol as it is one word. `<` and `>` occur
  nowhere else, so 49 − 2 + 1 symbols remain and the end of sentence makes 49: 4,252,049 weights, and the end is in the
  loss. Bits per *character* are total bits over `Treebank.characters`, where `<unk>` counts as the five characters it
  is in the file, so that 5.6 characters per word hold too.
- `symbol`: the end of line is a 50th symbol; 4,257,050 weights.
- `space`: the end of line is read as the space that also ends a word: 49 symbols and the same number of predictions,
  but the network is not charged for telling the end of a sentence from the end of a word.
- `none`: 49 symbols, no end; one prediction fewer per sentence.
"""


def parse_treebank(folder: str | Path) -> tuple[pa.Table, dict[str, Any]]:
    """Rows (split, sentence) of the three files and the quality report.

    `folder` holds ptb.train.txt, ptb.valid.txt and ptb.test.txt at any depth, plain or inside simple-examples.tgz (or
    any tar or zip archive), or is such an archive. Words, between white space of any kind, are joined by single spaces;
    nothing else is changed. The counts are asserted where the md5 says that a file is Mikolov's. Raises InputError for
    a missing, empty or undecodable file, and for an archive that is damaged.
    """
    folder = Path(folder)
    found: dict[str, bytes] = {}
    origin: dict[str, str] = {}
    for member in members(folder, lambda name: name in FILES, Refusals(remedy="")):
        split = FILES[member.name]
        if split in found and found[split] != member.data:
            raise InputError(f"{member.where}: differs from {origin[split]}; keep one of the two in {folder}")
        found.setdefault(split, member.data)
        origin.setdefault(split, member.where)
    missing = [name for name, split in FILES.items() if split not in found]
    if missing:
        raise InputError(
            f"{folder}: no {', '.join(missing)}, plain or in an archive; they are in simple-examples.tgz of "
            "https://www.fit.vut.cz/person/imikolov/public/rnnlm/ (Penn Treebank, LDC99T42), folder data/"
        )
    rows: dict[str, list[str]] = {split: sentences(found[split], origin[split]) for split in SPLITS}
    report = quality(rows, found)
    table = pa.table(
        {
            "split": pa.array([split for split in SPLITS for _ in rows[split]]),
            "sentence": pa.array([sentence for split in SPLITS for sentence in rows[split]]),
        }
    )
    return table, report


def sentences(data: bytes, where: str) -> list[str]:
    """The lines of a file, words joined by one space; an empty line is an empty sentence.

    Lines end as on Unix, Windows or old Macs; a byte order mark before a line belongs to no sentence.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}, byte {error.start}: not UTF-8; download the file again") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    rows = [" ".join(line.removeprefix("\ufeff").split()) for line in lines]
    if not any(rows):
        raise InputError(f"{where}: no sentence in {len(data)} bytes; download the file again")
    return rows


def quality(rows: dict[str, list[str]], files: dict[str, bytes]) -> dict[str, Any]:
    """Counts of every split; raises InputError where a file is Mikolov's and they are not what they must be."""
    report: dict[str, Any] = {"corpus": "sentences in the files of the Penn Treebank", "splits": {}}
    train_words = {word for row in rows["train"] for word in row.split()}
    train_characters = set("".join(rows["train"]))
    for split, lines in rows.items():
        words = Counter(word for line in lines for word in line.split())
        md5 = hashlib.md5(files[split], usedforsecurity=False).hexdigest()
        counts: dict[str, Any] = {
            "sentences": len(lines),
            "empty_sentences": sum(not line for line in lines),
            "words": words.total() + len(lines),
            "characters": sum(map(len, lines)) + len(lines),
            "unknown_words": words[UNKNOWN_WORD],
            "words_outside_training_vocabulary": sum(n for word, n in words.items() if word not in train_words),
            "characters_outside_training_alphabet": sorted(set("".join(lines)) - train_characters),
            "md5": md5,
            "sha256": hashlib.sha256(files[split]).hexdigest(),
            "bytes": len(files[split]),
            "is_mikolov": md5 == MIKOLOV_MD5[split],
        }
        if counts["is_mikolov"]:
            expected = {name: by_split[split] for name, by_split in MIKOLOV_COUNTS.items()}
            _assert_counts(f"Penn Treebank, {split}", {name: counts[name] for name in expected}, expected)
        report["splits"][split] = counts
    report["vocabulary"] = len(train_words) + 1
    report["alphabet"] = len(train_characters)
    if all(counts["is_mikolov"] for counts in report["splits"].values()):
        report["corpus"] = "Penn Treebank"
    if report["splits"]["train"]["is_mikolov"]:
        counted = {"vocabulary": report["vocabulary"], "alphabet": report["alphabet"]}
        _assert_counts(
            "Penn Treebank, train", counted, {"vocabulary": MIKOLOV_VOCABULARY, "alphabet": MIKOLOV_ALPHABET}
        )
    return report


def _assert_counts(where: str, counted: dict[str, int], expected: dict[str, int]) -> None:
    for name, number in expected.items():
        if counted[name] != number:
            raise InputError(f"{where}: {counted[name]} {name}, expected {number}: this reader is at fault, report it")


def write_treebank(path: str | Path, table: pa.Table, provenance: dict[str, Any]) -> None:
    """Write rows (split, sentence) as Parquet; equal input gives equal bytes."""
    table = table.replace_schema_metadata({b"rnngen": json.dumps(provenance, sort_keys=True).encode()})
    with parquet_writer(path, table.schema, compression="zstd", compression_level=3) as writer:
        writer.write_table(table)


@dataclass(frozen=True)
class Treebank:
    """Sentences as symbols, by split."""

    unit: str
    alphabet: Alphabet
    sequences: dict[str, Sequences]
    words: dict[str, int]
    """Words of every split, and one end per sentence if it is predicted; the units of perplexity."""
    characters: dict[str, int]
    """Characters of every split as in the file, ends likewise; the units of bits per character."""
    rule: str
    """How a sentence becomes symbols, for the report."""

    def encode(self, text: str) -> Any:
        """Integers (n,) of a text without its end; lines end with the end symbol. Raises InputError as `Alphabet`."""
        if self.unit == "word":
            return self.alphabet.encode([w for line in text.split("\n") for w in [*line.split(), END]][:-1])
        return self.alphabet.encode(_characters(text, UNKNOWN_WORD in self.alphabet.index))

    def decode(self, codes: Any) -> str:
        """Text of integers."""
        symbols = self.alphabet.decode(codes)
        if self.unit == "character":
            return "".join(symbols)
        return " ".join(symbols).replace(f" {END} ", END).replace(f" {END}", END)


def load_treebank(path: str | Path, unit: str = "character", end_of_sentence: str = "symbol-and-unk") -> Treebank:
    """The corpus at `path` as symbols of `unit` (`character` | `word`) under a rule of `END_OF_SENTENCE`.

    The alphabet is that of the training sentences: characters by code point, words by falling frequency. A symbol of
    the other splits outside of it raises InputError, as does an empty split. For words the rule decides only whether
    the end of sentence is predicted (`none`: not); §3.1 counts it among the 10,000.
    """
    if unit not in ("character", "word"):
        raise InputError(f"unit {unit!r}: a treebank is read by character or by word")
    if end_of_sentence not in END_OF_SENTENCE:
        raise InputError(f"end_of_sentence {end_of_sentence!r}: one of {', '.join(END_OF_SENTENCE)}")
    rows = read_sentences(path)
    tokens = {split: [symbols(row, unit, end_of_sentence) for row in lines] for split, lines in rows.items()}
    counts = Counter(symbol for line in tokens["train"] for symbol in line)
    if unit == "word":
        alphabet = Alphabet(tuple(sorted(counts, key=lambda word: (-counts[word], word))))
        rule = f"words of the training sentences: {len(alphabet)}; {END_OF_SENTENCE[_word_rule(end_of_sentence)]}"
    else:
        alphabet = Alphabet(tuple(sorted(counts)))
        rule = f"characters of the training sentences: {len(alphabet)} symbols; {END_OF_SENTENCE[end_of_sentence]}"
    ends = 0 if end_of_sentence == "none" else 1
    sequences = {
        split: Sequences.of(
            alphabet.encode(line, f"{path}, {split} sentence {i + 1}") for i, line in enumerate(lines) if line
        )
        for split, lines in tokens.items()
    }
    return Treebank(
        unit=unit,
        alphabet=alphabet,
        sequences=sequences,
        words={split: sum(len(row.split()) + ends for row in lines) for split, lines in rows.items()},
        characters={split: sum(len(row) + ends for row in lines) for split, lines in rows.items()},
        rule=rule,
    )


def read_sentences(path: str | Path) -> dict[str, list[str]]:
    """Sentences by split; raises InputError for a file that is not such a corpus and for an empty split."""
    columns = {"split": pa.string(), "sentence": pa.string()}
    table = read_parquet(path, columns, "treebank corpus (parse_treebank makes one)")
    for name in columns:
        if table[name].null_count:
            raise InputError(f"{path}: {table[name].null_count} rows without a {name}; make the file again")
    rows: dict[str, list[str]] = {split: [] for split in SPLITS}
    for split, sentence in zip(table["split"].to_pylist(), table["sentence"].to_pylist(), strict=True):
        if split not in rows:
            raise InputError(f"{path}: split {split!r}; expected one of {', '.join(SPLITS)}")
        rows[split].append(sentence)
    for split, lines in rows.items():
        if not lines:
            raise InputError(f"{path}: the {split} split is empty; a corpus needs all of {', '.join(SPLITS)}")
    return rows


def symbols(sentence: str, unit: str, end_of_sentence: str) -> list[str]:
    """The symbols of a sentence in order, its end included where the rule predicts it."""
    if unit == "word":
        return [*sentence.split(), *([] if end_of_sentence == "none" else [END])]
    end = {"symbol-and-unk": [END], "symbol": [END], "space": [" "], "none": []}[end_of_sentence]
    return _characters(sentence, end_of_sentence == "symbol-and-unk") + end


def _word_rule(end_of_sentence: str) -> str:
    return "none" if end_of_sentence == "none" else "symbol"


def _characters(text: str, unknown_is_one: bool) -> list[str]:
    if not unknown_is_one:
        return list(text)
    first, *rest = text.split(UNKNOWN_WORD)
    return [*first, *(symbol for part in rest for symbol in [UNKNOWN_WORD, *part])]

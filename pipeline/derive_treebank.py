"""Make a corpus like the Penn Treebank from other English text."""

import itertools
from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from rnngen.artifacts import write_whole
from rnngen.corpora.prose import TREEBANK_FILES, read_paragraphs, split_sentences, take_leading, treebank_sentences

POOL = 20
"""Sentences are drawn from the beginning of the text: this many times what is asked for. The rest is not read."""


def main(
    text: Annotated[list[Path], typer.Option(help="Parquet of Wikipedia pages, or text files; repeat for several.")],
    output: Annotated[Path, typer.Option(help="Folder for the three files.")],
    train: Annotated[int, typer.Option(min=1, help="Characters of the training part.")] = 500_000,
    validation: Annotated[int, typer.Option(min=1, help="Characters of the validation part.")] = 50_000,
    test: Annotated[int, typer.Option(min=1, help="Characters of the test part.")] = 50_000,
    vocabulary: Annotated[int, typer.Option(min=2, help="Words in the vocabulary, <unk> included.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order in which sentences are drawn.")] = 1,
) -> None:
    """Writes ptb.{train,valid,test}.txt: lower case, numbers as N, rare words as <unk>, one sentence per line."""
    paragraphs = itertools.chain.from_iterable(map(read_paragraphs, text))
    sentences = (" ".join(words) for words in treebank_sentences(paragraphs))
    found = list(take_leading(sentences, POOL * (train + validation + test)))
    parts = split_sentences(found, {"train": train, "validation": validation, "test": test}, vocabulary, seed)
    for part, rows in parts.items():
        with write_whole(output / TREEBANK_FILES[part]) as partial:
            # the published files have a blank at both ends of every line
            partial.write_text("".join(f" {row} \n" for row in rows), encoding="ascii")
        words = [word for row in rows for word in row.split()]
        unknown = words.count("<unk>") / len(words)
        characters = sum(len(row) + 1 for row in rows)
        print(f"{part}: {len(rows)} sentences, {len(words)} words, {characters} characters, {unknown:.1%} <unk>")


if __name__ == "__main__":
    command(main)

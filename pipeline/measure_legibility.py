"""Measure how legible sampled handwriting is, by the errors of a reader network trained on the corpus."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from pipeline._command import command
from rnngen.artifacts import write_json
from rnngen.corpora.handwriting.parquet import read_columns
from rnngen.errors import InputError
from rnngen.handwriting_generator.corpus import draw_writers, write_numbered_line
from rnngen.handwriting_generator.glyphs import load_letterforms
from rnngen.ink.legibility import Reader, TranscribedInk, character_error_rate, thin, train_reader
from rnngen.ink.sampled_lines import read_sampled_lines

PEN_HANDS = 20


def main(
    corpus: Annotated[Path, typer.Option(help="Parquet of a handwriting corpus.")],
    samples: Annotated[list[Path], typer.Option(help="Parquet of sampled lines; repeat for several.")],
    output: Annotated[Path, typer.Option(help="JSON file of the error rates and readings.")],
    updates: Annotated[int, typer.Option(min=1, help="Updates of the reader's training.")] = 1200,
    held_out: Annotated[int, typer.Option(min=1, help="Read at most this many lines of the other sets.")] = 500,
    every: Annotated[int, typer.Option(min=1, help="Keep every Nth point of the corpus, as networks do.")] = 3,
    pen: Annotated[bool, typer.Option(help="Also read the samples' texts as the pen model writes them.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the reader's training.")] = 1,
) -> None:
    """The reader is trained on `trainset`. Its errors are counted on the other sets and on the samples, by bias."""
    torch.set_num_threads(1)
    training, others = read_corpus(corpus)
    groups = read_samples(samples)
    reader = train_reader(training, updates, seed)
    chosen = np.random.default_rng(seed).permutation(len(others))[:held_out]
    rows = [{"what": "corpus"} | measure(reader, [thin(others[k], every) for k in sorted(chosen)])]
    if pen:
        texts = sorted({ink.text for inks in groups.values() for ink in inks})
        rows.append(
            {"what": "generator"} | measure(reader, [thin(ink, every) for ink in write_with_the_generator(texts, seed)])
        )
    for (bias, primed), inks in sorted(groups.items()):
        rows.append({"what": "samples", "bias": bias, "primed": primed} | measure(reader, inks))
    for row in rows:
        row["above_corpus"] = row["character_error_rate"] - rows[0]["character_error_rate"]
        name = row["what"] + (f" bias {row['bias']:g}" if "bias" in row else "") + " primed" * row.get("primed", False)
        print(
            f"{name}: {row['character_error_rate']:.1%} of {row['characters']} characters misread, "
            f"{row['lines_read_right']} of {row['lines']} lines read without error"
        )
    about = {"updates": updates, "seed": seed, "lines": len(training), "characters": reader.characters}
    write_json(output, {"reader": about, "every": every, "measured": rows})


def read_corpus(path: Path) -> tuple[list[TranscribedInk], list[TranscribedInk]]:
    """The lines of the set 'trainset' and those of the other sets; lines without text or set are in neither."""
    table = read_columns(path, ("text", "split", "x", "y", "stroke_len"))
    training: list[TranscribedInk] = []
    others: list[TranscribedInk] = []
    for row in table.to_pylist():
        if row["text"] and row["split"]:
            points = np.stack([np.asarray(row["x"], float), np.asarray(row["y"], float)], axis=1)
            ink = TranscribedInk(row["text"], points, np.asarray(row["stroke_len"], int))
            (training if row["split"] == "trainset" else others).append(drop_empty_blanks(ink))
    if not training or not others:
        raise InputError(f"{path}: {len(training)} lines in trainset, {len(others)} in other sets; both are needed")
    return training, others


def read_samples(paths: list[Path]) -> dict[tuple[float, bool], list[TranscribedInk]]:
    """Sampled lines by bias and by whether another line primed them."""
    groups: dict[tuple[float, bool], list[TranscribedInk]] = {}
    for path in paths:
        for line in read_sampled_lines(path)[0]:
            if line.kind == "sample" and line.text:
                points = np.concatenate([np.zeros((0, 2)), *line.strokes])
                lengths = np.array([len(stroke) for stroke in line.strokes], int)
                ink = TranscribedInk(line.text, points, lengths)
                groups.setdefault((line.bias or 0.0, line.prime is not None), []).append(drop_empty_blanks(ink))
    if not groups:
        raise InputError(f"{', '.join(map(str, paths))}: no sampled line with a text; sample some first")
    return groups


def drop_empty_blanks(ink: TranscribedInk) -> TranscribedInk:
    """The ink; its text without the blanks that leave none."""
    return replace(ink, text=" ".join(ink.text.split()))


def write_with_the_generator(texts: list[str], seed: int) -> list[TranscribedInk]:
    """Every text by the generator's pen, in hands that no corpus of this seed has."""
    hands = draw_writers(load_letterforms(), PEN_HANDS, seed + 1_000_003)
    lines = [write_numbered_line(text, hands[k % PEN_HANDS], seed, k) for k, text in enumerate(texts)]
    return [
        TranscribedInk(line.text, np.stack([line.x, line.y], axis=1).astype(float), line.stroke_len) for line in lines
    ]


def measure(reader: Reader, inks: list[TranscribedInk]) -> dict[str, Any]:
    """Error rate and readings of lines."""
    texts = [ink.text for ink in inks]
    readings = reader.read(inks)
    return {
        "lines": len(inks),
        "characters": sum(map(len, texts)),
        "character_error_rate": character_error_rate(texts, readings),
        "lines_read_right": sum(map(str.__eq__, texts, readings)),
        "readings": [{"text": text, "reading": reading} for text, reading in zip(texts, readings, strict=True)],
    }


if __name__ == "__main__":
    command(main)

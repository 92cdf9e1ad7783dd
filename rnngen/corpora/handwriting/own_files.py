"""Your own handwriting: a folder of strokes with transcripts → lines, as iam_ondb.py gives them.

    FOLDER/NAME.json | .inkml | .svg | .xopp …     the strokes of one line of writing (`rnngen.ink.read_strokes`)
    FOLDER/NAME.txt                                what the line says, UTF-8
    FOLDER/PAGE/NAME.…                             lines of one page, which stay in one set

A tenth of the pages, at least one, is for validation (`testset_v`), the rest for training (`trainset`); a file directly
in FOLDER is a page of its own. Which pages they are follows from their names alone.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from rnngen.corpora.handwriting.iam_ondb import Line
from rnngen.corpora.handwriting.stroke_xml import Recording
from rnngen.errors import InputError
from rnngen.ink.read_strokes import SUFFIXES, read_ink
from rnngen.ink.strokes import Ink

FINENESS = 10
"""The median step has at least this many units, because coordinates are stored as whole numbers."""
MOST_DIGITS = 12
"""Coordinates are made finer by at most this many decimals."""


def holds_ink(folder: str | Path) -> bool:
    """Whether a folder has strokes with a transcript beside them, which no folder of IAM-OnDB has."""
    files = _files(Path(folder))
    transcribed = {path.with_suffix("") for path in files if _is_transcript(path)}
    return any(path.with_suffix("") in transcribed for path in files if path.suffix.lower() in SUFFIXES)


def read_own_handwriting(folder: str | Path, validation: float = 0.1) -> tuple[list[Line], dict[str, Any]]:
    """The lines in `folder`, sorted by name, and a quality report.

    `validation` is the share of pages for validation. Coordinates are multiplied by one power of ten for the whole
    folder, so that rounding them to whole units does no harm; the report has it. Where a file has no times, its points
    are taken to be a hundredth of a second apart.

    Raises InputError naming the file: strokes without transcript or the reverse, two files of strokes of one name, a
    transcript that is empty, of several lines or not UTF-8, strokes that cannot be read or have one point only; and for
    fewer than two pages.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; put NAME.json, .inkml, .svg … with NAME.txt beside it there")
    files = _files(folder)
    inks = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not inks:
        raise InputError(f"{folder}: no strokes in it; expected files {', '.join(SUFFIXES)} with NAME.txt beside each")
    for path in files:
        if any("\ud800" <= character <= "\udfff" for character in path.relative_to(folder).as_posix()):
            raise InputError(f"{path}: a name that is not UTF-8; rename the file or its folder")
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in inks]
    for name, path, after in zip(names, inks, names[1:], strict=False):
        if name == after:
            raise InputError(f"{path}: strokes of that name in another format too; keep one of the two")
    transcripts: dict[str, Path] = {}
    for path in filter(_is_transcript, files):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name not in names:
            raise InputError(f"{path}: a transcript without strokes; add them or remove it")
        if name in transcripts:
            raise InputError(f"{path}: a transcript beside {transcripts[name].name}; keep one of the two")
        transcripts[name] = path
    for name, path in zip(names, inks, strict=True):
        if name not in transcripts:
            raise InputError(f"{path}: no transcript; write what it says into {path.stem}.txt beside it")
    texts = [_transcript(transcripts[name]) for name in names]
    drawn = [read_ink(path) for path in inks]
    scale = _scale(drawn, folder)
    pages = [name.rpartition("/")[0] or name for name in names]
    held_out = _held_out(folder, sorted(set(pages)), validation)
    lines = [
        Line(name, page, _make_recording(ink, scale, path), None, "testset_v" if page in held_out else "trainset", text)
        for name, page, ink, path, text in zip(names, pages, drawn, inks, texts, strict=True)
    ]
    counts = {
        split: {
            "lines": sum(line.split == split for line in lines),
            "pages": len({line.form for line in lines if line.split == split}),
            "points": sum(len(line.recording.x) for line in lines if line.split == split),
            "characters": sum(len(line.text or "") for line in lines if line.split == split),
        }
        for split in ("trainset", "testset_v")
    }
    return lines, {
        "corpus": "own handwriting",
        "lines": len(lines),
        "points": sum(len(line.recording.x) for line in lines),
        "scale": scale,
        "lines_without_times": sum(ink.times is None for ink in drawn),
        "lines_whose_clock_runs_back": sum(
            ink.times is not None and bool(np.any(np.diff(np.concatenate(ink.times)) < 0)) for ink in drawn
        ),
        "other_files": len(files) - 2 * len(inks),
        "characters": "".join(sorted(set("".join(texts)))),
        "splits": counts,
    }


def _files(folder: Path) -> list[Path]:
    """All files, hidden ones left out, sorted by name without suffix."""
    found = [
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: (path.with_suffix("").as_posix(), path.suffix))


def _is_transcript(path: Path) -> bool:
    return path.suffix.lower() == ".txt"


def _transcript(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, byte {error.start}: not UTF-8; save it as UTF-8") from error
    rows = [" ".join(row.split()) for row in text.splitlines() if row.strip()]
    if len(rows) != 1:
        found = "empty" if not rows else f"{len(rows)} lines of text"
        raise InputError(f"{path}: {found}; a file of strokes is one line of writing, and its transcript one of text")
    return rows[0]


def _scale(drawn: list[Ink], folder: Path) -> int:
    """The least power of ten that makes the median step at least FINENESS units long."""
    steps = np.concatenate([np.hypot(*np.diff(stroke, axis=0).T) for ink in drawn for stroke in ink.strokes])
    steps = steps[steps > 0]
    if len(steps) == 0:
        return 1
    digits = max(0, int(np.ceil(np.log10(FINENESS) - np.log10(np.median(steps)))))
    if digits > MOST_DIGITS:
        raise InputError(f"{folder}: a median step of {np.median(steps):.2g} units; scale the strokes up")
    return 10**digits


def _make_recording(ink: Ink, scale: int, path: Path) -> Recording:
    points_nc = np.concatenate(ink.strokes)
    if len(points_nc) < 2:
        raise InputError(f"{path}: a single point; a line of writing has at least two")
    points_nc = np.rint((points_nc - points_nc.min(axis=0)) * scale)
    if points_nc.max() >= 2**31:
        raise InputError(f"{path}: too large compared with the other files, whose units it must share; scale it down")
    if ink.times is None:
        t_n = np.arange(len(points_nc))
    else:
        seconds_n = np.concatenate(ink.times)
        t_n = np.rint(100 * (seconds_n - seconds_n[0]))
        if not np.isfinite(t_n).all() or np.abs(t_n).max() >= 2**31:
            raise InputError(
                f"{path}: these times cannot be the seconds of one line of writing; correct or remove them"
            )
    return Recording(
        x=points_nc[:, 0].astype(np.int32),
        y=points_nc[:, 1].astype(np.int32),
        t=t_n.astype(np.int32),
        t0=0,
        stroke_len=np.array([len(stroke) for stroke in ink.strokes], dtype=np.int32),
        sensor="",
    )


def _held_out(folder: Path, pages: list[str], share: float) -> set[str]:
    if len(pages) < 2:
        raise InputError(
            f"{folder}: all lines are of one page; training and validation share none, so put some lines into another"
        )
    by_hash = sorted(pages, key=lambda page: hashlib.sha256(page.encode()).digest())
    return set(by_hash[: min(max(1, round(share * len(pages))), len(pages) - 1)])

"""IAM-OnDB: strokes, transcripts, writers and the four sets, found wherever they are and brought together by line.

Files are recognised by name, so that every layout is read: `a01-000u-01.xml` holds the strokes of a line,
`a01-000u.txt` the transcript of a form, `strokesu.xml` in a folder `a01-000` (original-xml) the writer of a form,
`trainset.txt` … the forms of a set.
"""

import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree

from rnngen.corpora.archives import Member, Refusals, members
from rnngen.corpora.handwriting.stroke_xml import Recording, UnreadableError, read
from rnngen.errors import InputError

SPLITS = ("trainset", "testset_v", "testset_t", "testset_f")
"""The published lists of forms: training, the smaller and the larger validation set, test (§4.2)."""

OFFICIAL_LISTS = {
    "trainset": "4f8e24257843725254dd7787220060a63d9943883e7ebff61cd9e5db7070bc06",
    "testset_v": "ca7e3edddc8e89f161aad3be2a18b938189a2444ffd62ac5789bbec3ecdd9102",
    "testset_t": "5b581de5386a869e3fb2be77f95f6ddd3a9adcc9b7500bca68e1211db24c6583",
    "testset_f": "bb144b9a5b7e4739a9c2d588dfe93f3c0198a141d8ab6f6a8612c73e64356394",
}
"""SHA-256 of each published list: its ids, sorted, joined by line ends."""

OFFICIAL_LINES = {"trainset": 5_364, "testset_v": 1_438, "testset_t": 1_518, "testset_f": 3_859}
"""Lines of the published sets, as the paper has them (§4.2)."""

LINE = re.compile(r"([a-z]\d{2}-\d{3}[a-z]?)-(\d{2})\.xml\Z", re.ASCII)
TRANSCRIPT = re.compile(r"([a-z]\d{2}-\d{3}[a-z]?)\.txt\Z", re.ASCII)
ORIGINAL = re.compile(r"strokes([a-z]?)\.xml\Z", re.ASCII)
ORIGINAL_TAGS = ("Form", "TextLine", "SensorLocation")
LIST = re.compile(rf"({'|'.join(SPLITS)})\.txt\Z", re.ASCII)
FORM_OR_LINE = re.compile(r"[a-z]\d{2}-\d{3}[a-z]?(-\d{2})?\Z", re.ASCII)

WHERE_TO_GET = (
    "register (free, for research) at https://fki.tic.heia-fr.ch/databases/iam-on-line-handwriting-database and put it "
    "there, packed or not"
)
PLACEHOLDER = "Please Enter Transcription here"
"""What a transcript says if nobody has typed it in."""

KNOWN_ODD = {
    **{f"a08-551z-{k}": "several readers call it broken; its transcript breaks the line by %%%" for k in ("08", "09")},
    **{f"z01-000z-{k:02d}": "its form has a placeholder for a transcript" for k in range(1, 9)},
}
"""Lines that several readers of the corpus leave out. They are kept, and named in the report."""

ENTITY = re.compile(r"&(?:quot|apos|amp|lt|gt|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
LINE_BREAK = re.compile(r"\s*%%+\s*")


@dataclass
class Line:
    """One line of handwriting: a row of the corpus."""

    line: str
    form: str
    recording: Recording
    writer: str | None = None
    split: str | None = None
    text: str | None = None


@dataclass
class Transcript:
    """What a form says, line by line."""

    lines: list[str]
    where: str
    encoding: str
    """`ASCII`, `UTF-8` or `ISO-8859-1`."""
    line_breaks: int
    """Line breaks given as %%%."""


@dataclass
class Found:
    """Everything read from the folder, before it is brought together."""

    recordings: dict[str, Recording] = field(default_factory=dict)
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The archive that holds each line, and its place for messages."""
    refused: set[str] = field(default_factory=set)
    """Lines whose file was found and refused."""
    transcripts: dict[str, Transcript] = field(default_factory=dict)
    writers: dict[str, str] = field(default_factory=dict)
    originals: dict[str, dict[str, str]] = field(default_factory=dict)
    """Text of lines by form, as original-xml has it."""
    original_sensors: Counter[str] = field(default_factory=Counter)
    lists: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """(id, place) of every entry of every list."""
    by_layout: int = 0
    copies: int = 0
    empty_strokes: int = 0


def parse_iam_ondb(folder: str | Path, keep_going: bool = False) -> tuple[list[Line], dict[str, Any]]:
    """All lines of the corpus below `folder`, sorted by id, and the quality report.

    Archives (.tar.gz, .tgz, .tar, .zip, nested) are read as streams, nothing is written to disk; an unpacked tree is
    read as well, and both together if a line is the same in both. Raises InputError with file, place and remedy for
    anything that cannot be read or does not fit together; with `keep_going` such items are skipped and listed in the
    report under `refused`. What is merely odd is kept and reported.
    """
    folder = Path(folder)
    refusals = Refusals(keep_going)
    found = search(folder, refusals)
    require_all_parts(folder, found)
    splits = assign_splits(found, refusals)
    lines = bring_together(found, splits, refusals)
    report = quality(found, lines, refusals)
    assert_counts(report, found, refusals)
    return lines, report


def search(folder: Path, refusals: Refusals) -> Found:
    """Read every file of the corpus below `folder`."""
    found = Found()

    def wanted(name: str) -> bool:
        return any(pattern.match(name.lower()) for pattern in (LINE, TRANSCRIPT, ORIGINAL, LIST))

    for member in members(folder, wanted, refusals):
        name = member.name.lower()  # some file systems and archivers have capitals only
        if match := LINE.match(name):
            add_line(found, member, name.removesuffix(".xml"), refusals)
        elif match := TRANSCRIPT.match(name):
            add_transcript(found, member, match[1], refusals)
        elif ORIGINAL.match(name):
            add_original(found, member, refusals)
        elif match := LIST.match(name):
            add_list(found, member, match[1], refusals)
    return found


def add_line(found: Found, member: Member, line: str, refusals: Refusals) -> None:
    """Read a stroke file. A second file of the same line must be the same line in another archive."""
    try:
        recording, by_layout = read(member.data)
    except UnreadableError as error:
        found.refused.add(line)
        refusals.refuse(member.where, str(error))
        return
    if line in found.recordings:
        source, where = found.sources[line]
        if member.source == source:
            first = where.removeprefix(f"{source}: ")
            refusals.refuse(member.where, f"a second file of line {line}, the first is {first}; keep one of the two")
        elif not _same(recording, found.recordings[line]):
            refusals.refuse(member.where, f"line {line} differs from {where}; keep one of the two")
        else:
            found.copies += 1
        return
    found.recordings[line] = recording
    found.sources[line] = (member.source, member.where)
    found.by_layout += by_layout
    found.empty_strokes += recording.empty_strokes


def _same(a: Recording, b: Recording) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("x", "y", "t", "t0", "stroke_len"))


def add_transcript(found: Found, member: Member, form: str, refusals: Refusals) -> None:
    """Read the transcript of a form."""
    text, encoding = decode(member.data)
    rows = [row.strip() for row in text.splitlines()]
    if "CSR:" not in rows:
        refusals.refuse(member.where, "no line `CSR:`, after which the transcript of a form begins")
        return
    rows = [ENTITY.sub(lambda m: html.unescape(m[0]), row) for row in rows[rows.index("CSR:") + 1 :] if row]
    lines = [part for row in rows for part in LINE_BREAK.split(row) if part]
    transcript = Transcript(lines, member.where, encoding, len(lines) - len(rows))
    earlier = found.transcripts.setdefault(form, transcript)
    if earlier.lines != lines:
        refusals.refuse(member.where, f"differs from the transcript of {form} in {earlier.where}; keep one of the two")


def decode(data: bytes) -> tuple[str, str]:
    """Text and its encoding: UTF-8 where it is valid, otherwise ISO-8859-1."""
    try:
        return data.decode("utf-8-sig"), "ASCII" if data.isascii() else "UTF-8"
    except UnicodeDecodeError:
        return data.decode("iso-8859-1"), "ISO-8859-1"


def add_original(found: Found, member: Member, refusals: Refusals) -> None:
    """Read writer, sensor and texts of a form from the part of its file before the strokes."""
    head = member.data.partition(b"<StrokeSet")[0]
    parser = etree.XMLPullParser(events=("start",), tag=ORIGINAL_TAGS, resolve_entities=False, no_network=True)
    try:
        parser.feed(head)
        elements = [element for _, element in parser.read_events()]
    except etree.XMLSyntaxError as error:
        refusals.refuse(member.where, f"incomplete XML: {error.msg}")
        return
    by_tag = {tag: [element for element in elements if element.tag == tag] for tag in ORIGINAL_TAGS}
    form = (member.path.parent.name + member.name.lower().removeprefix("strokes")).lower().removesuffix(".xml")
    for element in by_tag["Form"]:
        form = element.get("id", form)
        if writer := element.get("writerID"):
            found.writers[form] = writer
    for element in by_tag["SensorLocation"]:
        found.original_sensors[element.get("corner", "")] += 1
    found.originals[form] = {
        element.get("id", ""): " ".join(ENTITY.sub(lambda m: html.unescape(m[0]), element.get("text", "")).split())
        for element in by_tag["TextLine"]
    }


def add_list(found: Found, member: Member, split: str, refusals: Refusals) -> None:
    """Read the ids of a set, one per line."""
    text, _ = decode(member.data)
    entries = []
    for number, row in enumerate(text.splitlines(), start=1):
        if not row.strip():
            continue
        if not FORM_OR_LINE.match(row.strip()):
            refusals.refuse(f"{member.where}, line {number}", f"{row.strip()[:40]!r} is not the id of a form or line")
            continue
        entries.append((row.strip(), f"{member.where}, line {number}"))
    earlier = found.lists.setdefault(split, entries)
    if [entry for entry, _ in earlier] != [entry for entry, _ in entries]:
        refusals.refuse(member.where, f"differs from another {split}.txt below the same folder; keep one of the two")


def require_all_parts(folder: Path, found: Found) -> None:
    """Raise InputError that says what is missing and where to get it."""
    missing = []
    if not found.recordings and not found.refused:
        missing.append("strokes (lineStrokes-all.tar.gz)")
    if not found.transcripts:
        missing.append("transcripts (ascii-all.tar.gz)")
    if not found.lists:
        missing.append("lists of forms (trainset.txt …)")
    if missing:
        raise InputError(f"{folder}: IAM-OnDB lacks {' and '.join(missing)}; {WHERE_TO_GET}")


def assign_splits(found: Found, refusals: Refusals) -> dict[str, str]:
    """The set of every line in a list; raises InputError for an id in two lists and for one without files."""
    forms: dict[str, list[str]] = {}
    for line in [*found.recordings, *found.refused]:
        forms.setdefault(line[:-3], []).append(line)
    splits: dict[str, str] = {}
    for split in SPLITS:
        for entry, where in found.lists.get(split, ()):
            lines = forms.get(entry, [entry] if entry in found.recordings or entry in found.refused else [])
            if not lines:
                refusals.refuse(where, f"no stroke file of {entry} was found")
            for line in lines:
                if line in splits:
                    refusals.refuse(where, f"{line} is already in {splits[line]}")
                    continue
                splits[line] = split
    return splits


def bring_together(found: Found, splits: Mapping[str, str], refusals: Refusals) -> list[Line]:
    """The lines with their texts: line k of a form has the k-th line of its transcript."""
    numbers: dict[str, list[int]] = {}
    for line in sorted([*found.recordings, *found.refused]):
        numbers.setdefault(line[:-3], []).append(int(line[-2:]))
    lines = []
    for form, present in sorted(numbers.items()):
        transcript = found.transcripts.get(form)
        placeholder = transcript is not None and transcript.lines == [PLACEHOLDER]
        if transcript is None:
            refusals.refuse(f"form {form}", f"{len(present)} stroke files, but no transcript {form}.txt")
            continue
        if not placeholder and present != list(range(1, len(transcript.lines) + 1)):
            refusals.refuse(
                transcript.where,
                f"{len(transcript.lines)} lines of text for the stroke files {_numbers(present)} of form {form}: they "
                "cannot be paired",
            )
            continue
        for number in present:
            line = f"{form}-{number:02d}"
            if line in found.recordings:
                text = None if placeholder else transcript.lines[number - 1]
                lines.append(Line(line, form, found.recordings[line], found.writers.get(form), splits.get(line), text))
    return lines


def _numbers(numbers: list[int]) -> str:
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))


def official(found: Found) -> bool:
    """Whether all four lists are the published ones."""
    return all(
        hashlib.sha256("\n".join(sorted(entry for entry, _ in found.lists.get(split, ()))).encode()).hexdigest()
        == digest
        for split, digest in OFFICIAL_LISTS.items()
    )


def assert_counts(report: dict[str, Any], found: Found, refusals: Refusals) -> None:
    """Raise InputError unless the published lists gave the numbers of lines that the paper has."""
    if not report["lists"]["official"]:
        return
    for split, expected in OFFICIAL_LINES.items():
        counted = report["splits"][split]["lines"]
        if counted != expected:
            refusals.refuse(
                f"IAM-OnDB, {split}",
                f"{counted} lines, the published set has {expected}: files are missing, get lineStrokes-all again",
            )


def quality(found: Found, lines: list[Line], refusals: Refusals) -> dict[str, Any]:
    """What the corpus holds, and everything odd in it."""
    forms = {line.form for line in lines}
    texts = [line.text for line in lines if line.text is not None]
    unlisted = [line.line for line in lines if line.split is None]
    backwards = [line.line for line in lines if (np.diff(line.recording.t) < 0).any()]
    report: dict[str, Any] = {
        "corpus": "IAM-OnDB" if official(found) else "handwriting in the files of IAM-OnDB",
        "lines": len(lines),
        "strokes": sum(len(line.recording.stroke_len) for line in lines),
        "points": sum(len(line.recording.x) for line in lines),
        "forms": len(forms),
        "writers": len({line.writer for line in lines if line.writer is not None}),
        "lines_without_writer": sum(line.writer is None for line in lines),
        "distinct_characters": len(set("".join(texts))),
        "characters": "".join(sorted(set("".join(texts)))),
        "splits": {str(split): _counts([line for line in lines if line.split == split]) for split in SPLITS},
        "lists": {
            "found": sorted(found.lists),
            "missing": sorted(set(SPLITS) - set(found.lists)),
            "official": official(found),
        },
        "steps": _steps(lines),
        "oddities": {
            "unlisted_lines": len(unlisted),
            "unlisted_forms": sorted({line[:-3] for line in unlisted}),
            "known_odd_lines": [f"{line.line} ({KNOWN_ODD[line.line]})" for line in lines if line.line in KNOWN_ODD],
            "placeholder_transcripts": sorted(f for f in forms if found.transcripts[f].lines == [PLACEHOLDER]),
            "lines_without_text": sum(line.text is None for line in lines),
            "lines_with_time_running_backwards": len(backwards),
            "ids_with_time_running_backwards": backwards,
            "single_point_strokes": sum(int((line.recording.stroke_len == 1).sum()) for line in lines),
            "empty_strokes_left_out": found.empty_strokes,
            "transcripts_without_strokes": len(found.transcripts.keys() - forms),
            "transcripts_in_utf_8": sum(t.encoding == "UTF-8" for t in found.transcripts.values()),
            "transcripts_in_iso_8859_1": sum(t.encoding == "ISO-8859-1" for t in found.transcripts.values()),
            "line_breaks_by_percent_signs": {
                form: t.line_breaks for form, t in sorted(found.transcripts.items()) if t.line_breaks
            },
            "lines_whose_text_differs_in_original_xml": _find_differing(found, lines),
            "sensors": dict(sorted(Counter(line.recording.sensor for line in lines).items())),
            "sensors_in_original_xml": dict(sorted(found.original_sensors.items())),
            "files_not_in_the_published_layout": len(found.recordings) - found.by_layout,
            "lines_found_twice": found.copies,
            "other_files": refusals.other_files,
            "other_files_examples": refusals.other_examples,
        },
        "refused_items": len(refusals.items),
        "refused": refusals.items,
    }
    return report


def _counts(lines: list[Line]) -> dict[str, Any]:
    points = sum(len(line.recording.x) for line in lines)
    texts = [line.text or "" for line in lines]
    return {
        "lines": len(lines),
        "forms": len({line.form for line in lines}),
        "strokes": sum(len(line.recording.stroke_len) for line in lines),
        "points": points,
        "points_per_line": points / len(lines) if lines else None,
        "characters_per_line": sum(map(len, texts)) / len(lines) if lines else None,
    }


def _steps(lines: Iterable[Line]) -> dict[str, int]:
    """How many steps between neighbouring points are long, in raw units on the longer axis."""
    counts = dict.fromkeys((500, 1000, 2000), 0)
    for line in lines:
        x, y = (np.abs(np.diff(axis.astype(np.int64))) for axis in (line.recording.x, line.recording.y))
        step = np.maximum(x, y)
        if len(step) and step.max() > 500:
            for limit in counts:
                counts[limit] += int((step > limit).sum())
    return {f"longer_than_{limit}": count for limit, count in counts.items()}


def _find_differing(found: Found, lines: Iterable[Line]) -> list[str]:
    """Lines whose transcript differs in original-xml, apart from spacing."""
    return [
        line.line
        for line in lines
        if line.text is not None
        and (other := found.originals.get(line.form, {}).get(line.line)) is not None
        and other.replace(" ", "") != line.text.replace(" ", "")
    ]

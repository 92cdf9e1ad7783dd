"""Writes a corpus as IAM-OnDB ships it: archives of strokes, transcripts and forms, and the lists of the four sets.

The same corpus gives the same bytes: members come in order, without times, owners or names of the packing machine.
"""

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from rnngen.artifacts import write_whole
from rnngen.corpora.handwriting.iam_ondb import SPLITS
from rnngen.errors import InputError
from rnngen.handwriting_generator.write_line import RecordedLine

LINE_HEIGHT = 520  # device units from one line of a form to the next
MARGIN = 900  # device units left of and above the writing
BETWEEN_LINES = 150  # hundredths of a second
COMPRESSION = 5

SESSION = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<WhiteboardCaptureSession>\n'
DESCRIPTION = (
    "  <WhiteboardDescription>\n"
    '    <SensorLocation corner="top_left"/>\n'
    '    <DiagonallyOppositeCoords x="{right}" y="{bottom}"/>\n'
    '    <VerticallyOppositeCoords x="{left}" y="{bottom}"/>\n'
    '    <HorizontallyOppositeCoords x="{right}" y="{top}"/>\n'
    "  </WhiteboardDescription>\n"
    "  <StrokeSet>\n"
)
POINT = '      <Point x="%d" y="%d" time="%d.%02d"/>\r\n'  # the original ends these lines, and only these, with CR LF


@dataclass(frozen=True)
class Form:
    """A sheet of lines by one writer."""

    id: str  # like a01-000z
    writer: int
    split: str  # one of SPLITS
    lines: tuple[RecordedLine, ...]

    @property
    def folder(self) -> str:
        """The folders that hold the form's files: a01/a01-000."""
        return f"{self.id[:3]}/{self.id[:7]}"


def form_id(number: int) -> str:
    """The id of the form of that number: letter, two digits, three digits, and z as IAM-OnDB's later forms have it."""
    letter, rest = divmod(number, 10_000)
    return f"{chr(ord('a') + letter)}{rest // 100:02d}-{rest % 100:03d}z"


def stroke_xml(line: RecordedLine, left: int, top: int, start: int) -> bytes:
    """One file of lineStrokes: the line moved by (left, top) device units, its clock starting at `start` hundredths."""
    x, y, t = line.x + left, line.y + top, line.t.astype(np.int64) + start
    parts = [
        SESSION,
        DESCRIPTION.format(left=x.min(), right=x.max(), top=y.min(), bottom=y.max()),
    ]
    values = np.stack([x, y, t // 100, t % 100], axis=1)
    ends = np.cumsum(line.stroke_len)
    for first, end in zip(ends - line.stroke_len, ends, strict=True):
        begun, over = int(t[first]), int(t[end - 1])
        parts.append(
            f'    <Stroke colour="black" start_time="{begun // 100}.{begun % 100:02d}"'
            f' end_time="{over // 100}.{over % 100:02d}">\n'
        )
        parts.append(POINT * int(end - first) % tuple(values[first:end].ravel().tolist()))
        parts.append("    </Stroke>\n")
    parts.append("  </StrokeSet>\n</WhiteboardCaptureSession>\n")
    return "".join(parts).encode("iso-8859-1")


def transcript(form: Form) -> bytes:
    """The form's file of ascii: its text as set (OCR) and as written, line by line (CSR).

    Raises InputError for a line that the format would change: %% stands for a line break, blanks are single.
    """
    for number, line in enumerate(form.lines, start=1):
        if "%%" in line.text or line.text != " ".join(line.text.split()):
            raise InputError(
                f"{form.id}-{number:02d}: {line.text!r} cannot be a line of a transcript:"
                " write no %% and single blanks between words only"
            )
    text = "\n".join(line.text for line in form.lines)
    return f"OCR:\n\n{text}\n\nCSR:\n\n{text}\n".encode()


def form_xml(form: Form) -> bytes:
    """The form's file of original-xml: its writer and text; the strokes are in lineStrokes and not repeated."""
    rows = [
        SESSION.replace("ISO-8859-1", "UTF-8"),
        "  <General>\n",
        f'    <Form id="{form.id}" writerID="{form.writer}" saveTime="0.00"/>\n',
        '    <Setting location="none" producer="rnngen" system="generated handwriting"/>\n',
        "  </General>\n  <Transcription>\n    <Text>\n",
        *(escape(line.text) + "\n" for line in form.lines),
        "    </Text>\n",
        # in IAM-OnDB the text of a TextLine is escaped twice
        *(
            f'    <TextLine id="{form.id}-{number:02d}" text={quoteattr(escape(line.text, {chr(34): "&quot;"}))}/>\n'
            for number, line in enumerate(form.lines, start=1)
        ),
        "  </Transcription>\n  <StrokeSet/>\n</WhiteboardCaptureSession>\n",
    ]
    return "".join(rows).encode()


@contextmanager
def _archive(path: Path) -> Iterator[tarfile.TarFile]:
    with (
        write_whole(path) as partial,
        partial.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=COMPRESSION, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        yield archive


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # its time is 0, its owner is nobody
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write_archives(forms: Iterable[Form], folder: str | Path) -> None:
    """Write the forms to `folder`: lineStrokes-all.tar.gz, ascii-all.tar.gz, original-xml.tar.gz and the set lists.

    Forms are taken one at a time, in order of their ids.
    """
    folder = Path(folder)
    listed: dict[str, list[str]] = {split: [] for split in SPLITS}
    with (
        _archive(folder / "lineStrokes-all.tar.gz") as strokes,
        _archive(folder / "ascii-all.tar.gz") as texts,
        _archive(folder / "original-xml.tar.gz") as originals,
    ):
        clock = 10_000
        for form in forms:
            listed[form.split].append(form.id)
            for number, line in enumerate(form.lines, start=1):
                name = f"lineStrokes/{form.folder}/{form.id}-{number:02d}.xml"
                _add(strokes, name, stroke_xml(line, MARGIN, MARGIN + LINE_HEIGHT * (number - 1), clock))
                clock += int(line.t[-1]) + BETWEEN_LINES
            _add(texts, f"ascii/{form.folder}/{form.id}.txt", transcript(form))
            _add(originals, f"original/{form.folder}/strokes{form.id[7:]}.xml", form_xml(form))
    for split, ids in listed.items():
        with write_whole(folder / f"{split}.txt") as partial:
            # a blank before each id, as in the published lists
            partial.write_text("".join(f" {form_id}\n" for form_id in ids), encoding="ascii")

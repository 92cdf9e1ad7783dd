"""A made-up corpus in the files of IAM-OnDB, and the ways people keep such files."""

import io
import tarfile
import zipfile

import numpy as np

SESSION = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<WhiteboardCaptureSession>\n'
DESCRIPTION = (
    '  <WhiteboardDescription>\n    <SensorLocation corner="top_left"/>\n'
    '    <DiagonallyOppositeCoords x="6512" y="1376"/>\n    <VerticallyOppositeCoords x="966" y="1376"/>\n'
    '    <HorizontallyOppositeCoords x="6512" y="787"/>\n  </WhiteboardDescription>\n'
)
TEXTS = {
    "a01-000u": ["By the door", 'he said "no" .'],
    "a01-001": ["A second form", "with two lines"],
    "a02-003z": ["One line"],
    "b01-004": ["Another one"],
    "c01-009": ["in no list"],
}
LISTS = {"trainset": ["a01-000u"], "testset_v": ["a01-001"], "testset_t": ["a02-003z"], "testset_f": ["b01-004"]}


def drawn(seed, strokes=4):
    """Strokes of (x, y, hundredths) rows; the first has one point for every third seed."""
    random = np.random.default_rng(seed)
    result, place, clock = [], np.array([1000, 1200]), 76_905 + 1_000 * seed
    for i in range(strokes):
        rows = []
        for _ in range(1 if i == 0 and seed % 3 == 0 else int(random.integers(2, 9))):
            rows.append((*place.tolist(), clock))
            place = np.maximum(place + random.integers(-30, 60, 2), 0)
            clock += int(random.integers(1, 3))
        result.append(rows)
        clock += 20
    return result


def stroke_xml(strokes, point_end="\r\n", description=DESCRIPTION, colour="black"):
    """A stroke file with every byte as the published ones have it."""
    seconds = lambda t: f"{t // 100}.{t % 100:02d}"  # noqa: E731
    parts = [SESSION, description, "  <StrokeSet>\n"]
    for rows in strokes:
        first, last = (seconds(rows[0][2]), seconds(rows[-1][2])) if rows else ("0.00", "0.00")
        parts.append(f'    <Stroke colour="{colour}" start_time="{first}" end_time="{last}">\n')
        parts += [f'      <Point x="{x}" y="{y}" time="{seconds(t)}"/>{point_end}' for x, y, t in rows]
        parts.append("    </Stroke>\n")
    parts.append("  </StrokeSet>\n</WhiteboardCaptureSession>\n")
    return "".join(parts).encode("iso-8859-1")


def transcript(lines, newline="\r\n"):
    """A transcript of a form."""
    return newline.join(["OCR:", "", "as printed", "", "CSR: ", "", *lines, ""]).encode()


def original_xml(form, writer, lines):
    """A file of original-xml as far as the strokes."""
    escape = lambda s: s.replace("&", "&amp;").replace('"', "&amp;quot;").replace("'", "&amp;apos;")  # noqa: E731
    rows = "".join(f'    <TextLine id="{form}-{k:02d}" text="{escape(s)}"/>\n' for k, s in enumerate(lines, 1))
    general = f'  <General>\n    <Form id="{form}" writerID="{writer}" saveTime="1.00"/>\n  </General>\n'
    text = f"  <Transcription>\n{rows}  </Transcription>\n"
    return (SESSION + general + text + DESCRIPTION + "  <StrokeSet>\n  </StrokeSet>\n").encode("iso-8859-1")


def files(texts=None, lists=None):
    """The whole corpus: {archive: {member: bytes}}; the lists have an archive of their own, ``."""
    texts, lists = TEXTS if texts is None else texts, LISTS if lists is None else lists
    strokes, ascii_, originals = {}, {}, {}
    seed = 0
    for form, lines in texts.items():
        folder = f"{form[:3]}/{form[:7]}"
        for k in range(1, len(lines) + 1):
            strokes[f"lineStrokes/{folder}/{form}-{k:02d}.xml"] = stroke_xml(drawn(seed))
            seed += 1
        ascii_[f"ascii/{folder}/{form}.txt"] = transcript(lines)
        writer = 10_000 + int(form[4:7])
        originals[f"original/{folder}/strokes{form[7:]}.xml"] = original_xml(form, writer, lines)
    listed = {f"{name}.txt": "".join(f" {form}\n" for form in forms).encode() for name, forms in lists.items()}
    return {"lineStrokes-all": strokes, "ascii-all": ascii_, "original-xml-all": originals, "": listed}


def tar(members, mode="w:gz"):
    """A tar archive of {name: bytes}; a value may be a TarInfo instead, which is added as it is."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zipped(members):
    """A zip archive of {name: bytes}."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def put(folder, members):
    """Write {path: bytes} below `folder`."""
    for name, data in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def as_archives(folder, corpus, pack=tar, suffix=".tar.gz"):
    """The corpus as people download it."""
    for archive, members in corpus.items():
        put(folder, {archive + suffix: pack(members)} if archive else members)
    return folder

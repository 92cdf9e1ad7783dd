"""A specimen sheet: every form of every character as it stands in the alphabet, then sentences in several hands."""

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from rnngen.artifacts import write_whole
from rnngen.handwriting_generator.corpus import draw_writers, write_numbered_line
from rnngen.handwriting_generator.glyphs import Glyph, Letterforms, compose
from rnngen.handwriting_generator.hands import draw_writer
from rnngen.handwriting_generator.write_line import RecordedLine, write_line

ROW = 480  # device units from one row to the next
COLUMN = 300
COLUMNS = 22  # forms in a row
INK = "#16223c"


def _ink(axes: Axes, line: RecordedLine, x: float, top: float, scale: float = 1.0) -> None:
    """Draw a line of handwriting with its left end at x and its highest point at `top`."""
    ends = np.cumsum(line.stroke_len)
    points = np.stack([x + scale * line.x, top - scale * line.y], axis=1)
    strokes = [points[end - n : end] for n, end in zip(line.stroke_len, ends, strict=True)]
    axes.add_collection(LineCollection(strokes, colors=INK, linewidths=0.7, capstyle="round", joinstyle="round"))


def draw_specimen(path: str | Path, alphabet: Letterforms, sentences: Sequence[str], writers: int, seed: int) -> None:
    """Draw the sheet to `path`, PNG or SVG by its suffix; the same input gives the same bytes."""
    plain = replace(
        draw_writer(alphabet, np.random.default_rng(seed), variety=0),
        joining=0.0,
        delays=0.0,
        slant=0.0,
        jitter=0.0,
        variation=0.0,
        rhythm=0.0,
        wander=0.0,
        waviness=0.0,
        noise=0.0,
    )
    forms = [
        glyph
        for character in alphabet.glyphs
        if not unicodedata.combining(character[0])
        for glyph in alphabet.glyphs[character]
    ]
    forms += [
        compose(alphabet.glyphs[base][0], alphabet.glyphs[mark][0], character)
        for character, (base, mark) in alphabet.composed.items()
    ]
    hands = draw_writers(alphabet, writers, seed)
    written = [
        [write_numbered_line(sentence, hand, seed, k * len(sentences) + n) for n, sentence in enumerate(sentences)]
        for k, hand in enumerate(hands)
    ]
    rows = -(-len(forms) // COLUMNS)
    scale = min(1.0, COLUMN * (COLUMNS - 1) / max(int(line.x.max()) for lines in written for line in lines))
    height = rows * ROW + 1.15 * scale * ROW * len(hands) * (len(sentences) + 0.4)
    # a Figure of its own: no window system, no state left behind
    figure = Figure(figsize=(11, 11 * height / (COLUMNS * COLUMN)), dpi=90)
    axes = figure.add_axes((0, 0, 1, 1))
    for number, glyph in enumerate(forms):
        row, column = divmod(number, COLUMNS)
        shown: dict[str, tuple[Glyph, ...]] = dict.fromkeys((*glyph.character, glyph.character), (glyph,))
        hand = replace(plain, forms=shown, places=dict.fromkeys(shown, "end"))
        line = write_line(glyph.character, hand, np.random.default_rng(0))
        top = max(stroke.points[:, 1].max() for stroke in glyph.strokes) * plain.size
        _ink(axes, line, column * COLUMN + 40, top - row * ROW)
    y = float(-rows * ROW)
    for lines in written:
        for line in lines:
            _ink(axes, line, 40, y + 20 * plain.size, scale)
            y -= 1.15 * scale * ROW
        y -= 0.4 * 1.15 * scale * ROW
    axes.set(xlim=(-40, COLUMNS * COLUMN), ylim=(y + 0.3 * ROW, 24 * plain.size), aspect="equal")
    axes.axis("off")
    figure.set_facecolor("white")
    with write_whole(path) as partial, matplotlib.rc_context({"svg.hashsalt": "rnngen"}):
        if Path(path).suffix.lower() == ".svg":
            figure.savefig(partial, format="svg", metadata={"Date": None})
        else:
            pixels = io.BytesIO()
            figure.savefig(pixels, format="png")
            # ink and paper need few colours, which makes the file a quarter as large
            Image.open(pixels).convert("L").quantize(16).save(partial, format="png", optimize=True)

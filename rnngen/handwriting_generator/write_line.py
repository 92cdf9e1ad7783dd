"""A line of handwriting: letters one after the other, joined or lifted, dots and crosses where the hand makes them."""

from dataclasses import dataclass

import numpy as np

from rnngen.errors import InputError
from rnngen.handwriting_generator.glyphs import Glyph, Stroke
from rnngen.handwriting_generator.hands import Writer
from rnngen.handwriting_generator.kinematics import record, smooth_curve


@dataclass(frozen=True)
class RecordedLine:
    """A recorded line: device units, x right and y down as on a whiteboard, hundredths of a second.

    `stroke_char` says for each stroke which character of the text it began with.
    """

    text: str
    x: np.ndarray  # (points,) int32
    y: np.ndarray  # (points,) int32
    t: np.ndarray  # (points,) int32, rising, since the first point
    stroke_len: np.ndarray  # (strokes,) int32
    stroke_char: np.ndarray  # (strokes,) int32


BODY = slice(2, 6)  # the bands of BANDS from just below the baseline to x-height


class _Strokes:
    """Strokes under way: control points, corners and, for each point, the character it belongs to."""

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []
        self.corners: list[np.ndarray] = []
        self.owners: list[int] = []
        self.starts: list[bool] = []  # whether a stroke starts with this piece

    def add(self, points: np.ndarray, corners: np.ndarray, owner: int, start: bool) -> None:
        if len(points):
            self.points.append(points)
            self.corners.append(corners)
            self.owners.append(owner)
            self.starts.append(start)


def _advance(left: Glyph, right: Glyph, spacing: float) -> float:
    """How far the origin of `right` lies from that of `left`, so that their bodies are `spacing` apart.

    Half of the gap is measured between the bodies from baseline to x-height, half where the letters come closest at
    equal heights; and nowhere is it less than two thirds of `spacing`.
    """
    near, far = left.right[BODY].max(), right.left[BODY].min()
    # signs without a body, such as quotes: their whole outline
    near = near if np.isfinite(near) else left.right.max()
    far = far if np.isfinite(far) else right.left.min()
    closest = (left.right - right.left).max()  # -inf where the letters have no height in common
    return max(0.5 * (near - far) + 0.5 * max(closest, near - far - 10), closest - 0.35 * spacing) + spacing


def _place(text: str, writer: Writer, rng: np.random.Generator) -> tuple[_Strokes, np.ndarray]:
    """Lay the letters of a line side by side; returns the strokes and the x of each character's origin."""
    strokes = _Strokes()
    origins = np.zeros(len(text))
    luck = rng.random((len(text), 3))
    waiting: list[tuple[Stroke, int]] = []
    delays = False
    x = 0.0
    previous: Glyph | None = None
    pen_down = False  # whether the last stroke still runs into this letter
    for place, character in enumerate(text):
        if character == " ":
            for stroke, owner in waiting:
                strokes.add(stroke.points, stroke.corners, owner, True)
            waiting = []
            x += (writer.word_gap + (previous.right.max() if previous else 0)) * (0.9 + 0.25 * luck[place, 0])
            previous, pen_down = None, False
            continue
        glyph = writer.forms[character]
        if previous is None:
            delays = luck[place, 2] < writer.delays  # a habit of the hand, decided anew for each word
        else:
            x += _advance(previous, glyph, writer.spacing * (0.85 + 0.3 * luck[place, 0]) + 1.2 * pen_down)
        origins[place] = x
        lead = glyph.lead
        joined = pen_down and lead is not None
        if joined:
            if previous.ends_high:
                lead = lead[lead[:, 1] > 6]
            strokes.add(previous.tail, np.zeros(len(previous.tail), bool), place - 1, False)
            strokes.add(lead, np.zeros(len(lead), bool), place, False)
        for index, stroke in enumerate(glyph.strokes):
            if index >= glyph.delayed and delays:
                waiting.append((stroke, place))
            else:
                strokes.add(stroke.points, stroke.corners, place, not (joined and index == 0))
        ends_here = place + 1 == len(text) or text[place + 1] == " "
        lifted = len(glyph.strokes) > glyph.delayed and not delays  # the pen went away for a dot or a cross
        pen_down = glyph.tail is not None and not lifted and not ends_here and luck[place, 1] < writer.joining
        pen_down = pen_down and writer.forms[text[place + 1]].lead is not None
        if ends_here and glyph.tail is not None and not glyph.ends_high and not lifted and writer.joining > 0.6:
            strokes.add(glyph.tail, np.zeros(len(glyph.tail), bool), place, False)  # a joining hand runs out
        previous = glyph
    for stroke, owner in waiting:
        strokes.add(stroke.points, stroke.corners, owner, True)
    return strokes, origins


def write_line(text: str, writer: Writer, rng: np.random.Generator) -> RecordedLine:
    """Write `text` with the hand of `writer`; everything random comes from `rng`.

    Raises InputError for a text without a visible character or with one that the hand has no form for.
    """
    missing = sorted(set(text) - set(writer.forms) - {" "})
    if missing or not text.strip():
        what = f"no glyph for {', '.join(map(repr, missing))}" if missing else "nothing to write"
        raise InputError(f"{text!r}: {what}; the alphabet is {''.join(sorted({' ', *writer.forms}))!r}")
    strokes, origins = _place(text, writer, rng)
    lengths = np.array([len(piece) for piece in strokes.points])
    points = np.concatenate(strokes.points)
    corners = np.concatenate(strokes.corners)
    owner = np.repeat(strokes.owners, lengths)
    first = np.zeros(len(points), bool)
    first[(np.cumsum(lengths) - lengths)[strokes.starts]] = True

    n = len(text)
    points = points + rng.normal(0, writer.jitter, points.shape)
    scale = 1 + rng.normal(0, writer.variation, (n, 2))
    lean = rng.normal(0, writer.variation, n) + writer.slant
    lift = rng.normal(0, 0.18 * (writer.variation / 0.03), n)
    x, y = points[:, 0] * writer.width, points[:, 1]
    y = np.where(y > 10, 10 + (y - 10) * writer.ascent, np.where(y < 0, y * writer.descent, y))
    x, y = x * scale[owner, 0], y * scale[owner, 1]
    x = x + origins[owner] * writer.width + lean[owner] * y
    phase, wave = rng.uniform(0, 2 * np.pi), rng.uniform(90, 180)
    y = y + lift[owner] + writer.drift * x + writer.waviness * np.sin(2 * np.pi * x / wave + phase)

    curve, starts = smooth_curve(np.stack([x, y], axis=1), corners, first)
    begins = np.flatnonzero(starts)
    ends = np.append(begins[1:], len(curve)) - 1
    way = np.hypot(*(curve[begins[1:]] - curve[ends[:-1]]).T)
    lifts = np.append(0.0, writer.pause * rng.uniform(0.7, 1.3, len(way)) + way / (1.6 * writer.pace))
    pace = writer.pace * (1 + rng.normal(0, 0.04))
    places, ticks, stroke_len = record(curve, starts, pace, lifts)

    device = places * [writer.size, -writer.size] + rng.normal(0, writer.noise, places.shape)
    device = np.rint(device - [device[:, 0].min(), device[:, 1].min()]).astype(np.int32)
    return RecordedLine(
        text=text,
        x=device[:, 0],
        y=device[:, 1],
        t=ticks.astype(np.int32),
        stroke_len=stroke_len.astype(np.int32),
        stroke_char=owner[first].astype(np.int32),
    )

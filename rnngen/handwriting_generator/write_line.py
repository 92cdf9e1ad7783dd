"""A line of handwriting: letters one after the other, joined or lifted, dots and crosses where the hand makes them."""

from dataclasses import dataclass

import numpy as np

from rnngen.errors import InputError
from rnngen.handwriting_generator.glyphs import LONGEST_LIGATURE, Glyph, Stroke
from rnngen.handwriting_generator.hands import Writer
from rnngen.handwriting_generator.kinematics import STEPS, record, smooth_curve


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


LIGATURE_USED = 0.85  # of the places where a hand could use a ligature that it has
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
    # signs without a body, such as quotes: their whole outline, and a letter does not creep far under them
    under = 10.0 if np.isfinite(near - far) else 4.0
    near = near if np.isfinite(near) else left.right.max()
    far = far if np.isfinite(far) else right.left.min()
    closest = (left.right - right.left).max()  # -inf where the letters have no height in common
    return max(0.5 * (near - far) + 0.5 * max(closest, near - far - under), closest - 0.35 * spacing) + spacing


def _spell(text: str, writer: Writer, luck: np.ndarray) -> list[tuple[int, Glyph] | None]:
    """The forms that a hand writes a text in, each with its place in the text; None for a blank.

    luck (characters, 2) decides about ligatures and second forms.
    """
    spelt: list[tuple[int, Glyph] | None] = []
    place = 0
    while place < len(text):
        if text[place] == " ":
            spelt.append(None)
            place += 1
            continue
        length = next(
            n
            for n in range(LONGEST_LIGATURE, 0, -1)
            if text[place : place + n] in writer.forms and place + n <= len(text)
        )
        if length > 1 and luck[place, 0] > LIGATURE_USED:
            length = 1
        written = text[place : place + length]
        usual, *second = writer.forms[written]
        end = place + length
        before = spelt[-1] if spelt else None
        here = {
            "start": before is None,
            "end": end == len(text) or text[end] == " ",
            "doubled": before is not None and text[place - 1] == text[place],
            "after high": before is not None and before[1].ends_high,
            "at will": luck[place, 1] < 0.4,
        }[writer.places[written]]
        slips = luck[place, 1] > 0.95  # no habit is without exceptions
        spelt.append((place, second[0] if second and here != slips else usual))
        place = end
    return spelt


def _place(text: str, writer: Writer, rng: np.random.Generator) -> tuple[_Strokes, np.ndarray]:
    """Lay the letters of a line side by side; returns the strokes and the x of each character's origin."""
    strokes = _Strokes()
    origins = np.zeros(len(text))
    luck = rng.random((len(text), 6))
    waiting: list[tuple[Stroke, int]] = []
    delays = returns = False
    x = 0.0
    previous: Glyph | None = None
    joining: tuple[int, Glyph, np.ndarray] | None = None  # place, letter and tail, from which the pen still runs on
    spelt = _spell(text, writer, luck[:, 3:5])

    def add_waiting() -> None:
        for stroke, owner in reversed(waiting) if returns else waiting:
            strokes.add(stroke.points, stroke.corners, owner, True)
        waiting.clear()

    for number, written in enumerate(spelt):
        if written is None:
            add_waiting()
            # a blank is as wide as the hand's word gap, now and then much wider or narrower
            x += (writer.word_gap + (previous.right.max() if previous else 0)) * (0.85 + 0.35 * luck[number, 0])
            previous, joining = None, None
            continue
        place, glyph = written
        following = spelt[number + 1] if number + 1 < len(spelt) else None
        if previous is None:
            delays = luck[place, 2] < writer.delays  # a habit of the hand, decided again for each word
            returns = luck[place, 5] < writer.returns
        else:
            x += _advance(
                previous,
                glyph,
                writer.spacing * (0.8 + 0.4 * luck[place, 0]) + _reach(previous, glyph, joining is not None),
            )
        origins[place] = x
        lead = glyph.lead
        if joining is not None and lead is not None:
            owner, left, tail = joining
            if left.ends_high:
                lead = lead[lead[:, 1] > 6]
                # from x-height down to a letter that is entered lower, without the sweep up that others need
                if glyph.strokes[0].points[0, 1] < 6 and not len(lead):
                    tail = tail[:-1]
            strokes.add(tail, np.zeros(len(tail), bool), owner, False)
            strokes.add(lead, np.zeros(len(lead), bool), place, False)
        for index, stroke in enumerate(glyph.strokes):
            if index >= glyph.delayed and delays:
                waiting.append((stroke, place))
            else:
                strokes.add(stroke.points, stroke.corners, place, joining is None or index > 0)
        lifted = len(glyph.strokes) > glyph.delayed and not delays  # the pen went away for a dot or a cross
        joining = None
        if glyph.tail is not None and not lifted:
            if following is not None:
                if luck[place, 1] < writer.joining and following[1].lead is not None:
                    joining = place, glyph, glyph.tail
            elif not glyph.ends_high and writer.joining > 0.6:  # a joining hand runs out
                strokes.add(glyph.tail, np.zeros(len(glyph.tail), bool), place, False)
        previous = glyph
    add_waiting()
    return strokes, origins


def _reach(left: Glyph, right: Glyph, joined: bool) -> float:
    """What a join adds to the gap: most where it climbs from the baseline to a letter that begins at x-height."""
    if not joined:
        return 0.0
    enters_high = right.strokes[0].points[0, 1] > 6
    return 0.6 if left.ends_high else 1.5 if enters_high else 0.9


def _wander(rng: np.random.Generator, text: str) -> np.ndarray:
    """Deviations (characters,) of variance 1, in three parts: of each letter, running on along a word, of each word."""
    letter, step, word = rng.normal(0, 1, (3, len(text)))
    run = np.zeros(len(text))
    for k in range(len(text)):
        run[k] = step[k] if k == 0 or text[k - 1] == " " else 0.8 * run[k - 1] + 0.6 * step[k]
    begun = np.cumsum([k == 0 or text[k - 1] == " " for k in range(len(text))]) - 1
    return (letter + run + word[begun]) / np.sqrt(3)


def write_line(text: str, writer: Writer, rng: np.random.Generator, uneven_clock: bool = False) -> RecordedLine:
    """Write `text` with the hand of `writer`; everything random comes from `rng`.

    The clock has a hundred ticks a second. With `uneven_clock` it misses some, as a recording of IAM-OnDB does.
    Raises InputError for a text without a visible character or with one that the hand has no form for.
    """
    missing = sorted(set(text) - set(writer.forms) - {" "})
    if missing or not text.strip():
        what = f"no glyph for {', '.join(map(repr, missing))}" if missing else "nothing to write"
        known = "".join(sorted({" ", *(c for c in writer.forms if len(c) == 1)}))
        raise InputError(f"{text!r}: {what}; the alphabet is {known!r}")
    strokes, origins = _place(text, writer, rng)
    lengths = np.array([len(piece) for piece in strokes.points])
    points = np.concatenate(strokes.points)
    corners = np.concatenate(strokes.corners)
    owner = np.repeat(strokes.owners, lengths)
    first = np.zeros(len(points), bool)
    first[(np.cumsum(lengths) - lengths)[strokes.starts]] = True

    # slips of size, lean, height and pace, correlated along a word
    points = points + rng.normal(0, writer.jitter, points.shape)
    wide, tall, leaning, lifted, hurried = (_wander(rng, text) for _ in range(5))
    smaller = 1 - writer.shrinking * origins / 500
    scale = np.stack([1 + writer.variation * wide, (1 + writer.variation * tall) * smaller], axis=1)
    lean = 1.4 * writer.variation * leaning + writer.slant
    lift = 6 * writer.variation * lifted
    x, y = points[:, 0] * writer.width, points[:, 1]
    y = np.where(y > 10, 10 + (y - 10) * writer.ascent, np.where(y < 0, y * writer.descent, y))
    x, y = x * scale[owner, 0], y * scale[owner, 1]
    x = x + origins[owner] * writer.width + lean[owner] * y
    # the line itself climbs or falls, with a bow and a wave in it
    phase, wave = rng.uniform(0, 2 * np.pi), rng.uniform(90, 180)
    rise, bow = writer.wander * rng.normal(0, [0.006, 3e-5])
    y = y + lift[owner] + (writer.drift + rise) * x + bow * (x - x.mean()) ** 2
    y = y + writer.waviness * np.sin(2 * np.pi * x / wave + phase)

    curve, starts = smooth_curve(np.stack([x, y], axis=1), corners, first)
    begins = np.flatnonzero(starts)
    ends = np.append(begins[1:], len(curve)) - 1
    way = np.hypot(*(curve[begins[1:]] - curve[ends[:-1]]).T)
    lifts = np.append(0.0, writer.pause * rng.uniform(0.7, 1.3, len(way)) + way / (1.6 * writer.pace))
    begins_word = np.append(False, np.diff(np.cumsum([c == " " for c in text])[owner[first]]) > 0)
    lifts += begins_word * rng.exponential(writer.hesitation, len(lifts))
    pace = writer.pace * (1 + rng.normal(0, 0.04)) * (1 + writer.rhythm * hurried)
    places, ticks, stroke_len = record(curve, starts, np.repeat(pace[owner], np.where(first, 1, STEPS)), lifts)
    if uneven_clock:
        places, ticks, stroke_len = _miss_ticks(places, ticks, stroke_len, rng)

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


def _miss_ticks(
    places: np.ndarray, ticks: np.ndarray, stroke_len: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leave out points within strokes: the clock runs at intervals of 10 to 20 ms and now and then stops for longer."""
    kept = rng.random(len(ticks)) > 0.3
    for at in np.flatnonzero(rng.random(len(ticks)) < 0.005):
        kept[at : at + 3] = False
    ends = np.cumsum(stroke_len)
    kept[ends - 1] = kept[ends - stroke_len] = True
    counted = np.add.reduceat(kept, ends - stroke_len)
    return places[kept], ticks[kept], counted

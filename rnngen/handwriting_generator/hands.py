"""Writers: which of the forms of a letter a hand uses and where, and how it bends, leans, joins and hurries them."""

from dataclasses import dataclass, replace

import numpy as np

from rnngen.handwriting_generator.glyphs import Glyph, Letterforms, Stroke, compose

PLACES = ("start", "end", "doubled", "after high", "at will")
"""Where a hand may use its second form of a letter: in a word's first or last place, after the same letter, after one
that is left at x-height (o, r, v, w), or now and then."""
SECOND_FORMS = 0.5  # share of the letters with several forms of which a hand of full variety uses two
LIGATURES = 0.6  # probability that a hand of full variety has a ligature


@dataclass(frozen=True)
class Writer:
    """One hand. Lengths are in glyph units (x-height 10), times in seconds."""

    forms: dict[str, tuple[Glyph, ...]]  # one or two forms of a character or ligature, bent by the hand's habits
    places: dict[str, str]  # where the second form stands, one of PLACES
    joining: float  # 0 prints, 1 joins wherever the letters allow it
    delays: float  # probability that i-dots and t-crosses wait until the word is done
    returns: float  # probability that those of a word are made on the way back, the last first
    slant: float  # x moved per unit of y
    size: float  # device units per glyph unit
    width: float  # breadth of letters, 1 as drawn
    ascent: float  # height of what rises above x-height, 1 as drawn
    descent: float  # depth of what falls below the baseline, 1 as drawn
    spacing: float  # gap between letters
    word_gap: float  # gap between words
    pace: float  # units a second on a curve of radius 3
    pause: float  # seconds of a pen lift, on top of the way through the air
    jitter: float  # standard deviation of each control point, drawn again for every letter
    variation: float  # standard deviation of the size and lean of letters, relative; half of it runs on along the word
    rhythm: float  # standard deviation of the pace from letter to letter and word to word, relative
    hesitation: float  # seconds, mean of the pause before a word
    drift: float  # rise of the baseline per unit of x
    wander: float  # standard deviation of a line's own rise, of the bow in it, and of the height of words
    shrinking: float  # how much smaller the letters are at the end of a line of 500 units
    waviness: float  # amplitude of the baseline's wave
    noise: float  # device units, standard deviation of the recording


def draw_writer(
    alphabet: Letterforms, rng: np.random.Generator, variety: float = 1.0, joining: float | None = None
) -> Writer:
    """Draw a hand.

    variety 0 gives one neat hand with the commonest forms, 1 the whole range of hands, from neat to hurried; joining
    fixes how much the hand joins (0 print to 1 cursive), drawn where None.
    """

    def around(middle: float, spread: float) -> float:
        return middle + variety * 2 * spread * float(np.tanh(rng.normal(0, 0.55)))  # never beyond two spreads

    drawn = float(rng.beta(0.7, 0.8))
    joins = (0.5 + variety * (drawn - 0.5)) if joining is None else joining
    haste = variety * float(rng.beta(1.3, 2.2))  # 0: every letter as drawn; 1: as fast as can still be read
    slant = around(0.16, 0.14)
    rounder, leaning, arch = rng.normal(0, variety, 3)
    forms: dict[str, tuple[Glyph, ...]] = {}
    places: dict[str, str] = {}
    for character in sorted(alphabet.glyphs):
        glyphs = alphabet.glyphs[character]
        suits = {"print": 1 - joins, "cursive": joins, "any": 1.0}
        weights = np.array([glyph.weight * suits[glyph.hand] ** 2 + 1e-9 for glyph in glyphs])
        chosen = rng.choice(len(glyphs), p=weights / weights.sum())
        chosen = chosen if rng.random() < variety else int(weights.argmax())
        second = rng.choice(len(glyphs), p=weights / weights.sum())
        has_second, place = rng.random() < SECOND_FORMS * variety, PLACES[rng.integers(len(PLACES))]
        bent = tuple(
            _bent(glyphs[k], rng, variety, rounder, leaning, arch) for k in dict.fromkeys((int(chosen), int(second)))
        )
        if len(character) > 1 and rng.random() > LIGATURES * variety:
            continue
        forms[character] = bent if has_second else bent[:1]
        places[character] = place
    for character, (base, mark) in alphabet.composed.items():
        forms[character] = tuple(compose(form, forms[mark][0], character) for form in forms[base])
        places[character] = places[base]
    return Writer(
        forms=forms,
        places=places,
        joining=joins,
        delays=float(np.clip(around(2.2 * joins - 0.6, 0.2), 0, 1)),
        returns=variety * float(rng.random() ** 2),
        slant=slant,
        size=around(13.5, 2.2),
        width=max(0.75, around(1.07, 0.15)) + 0.08 * haste,
        ascent=around(1.15, 0.15),
        descent=around(1.25, 0.18),
        spacing=around(3.7, 0.9),
        word_gap=around(16.0, 3.5),
        pace=around(104.0, 8.0) * (1 + 0.3 * haste),
        pause=around(0.17, 0.03),
        jitter=max(0.03, around(0.1, 0.03)) * (1 + 1.6 * haste),
        variation=max(0.005, around(0.024, 0.007)) * (1 + 1.2 * haste),
        rhythm=0.05 + 0.06 * haste,
        hesitation=max(0.0, around(0.12, 0.05)),
        drift=around(0.0, 0.011),
        wander=variety * (0.4 + 0.6 * haste),
        shrinking=around(0.0, 0.04),
        waviness=abs(around(0.25, 0.15)),
        noise=0.5,
    )


def _bent(glyph: Glyph, rng: np.random.Generator, variety: float, rounder: float, leaning: float, arch: float) -> Glyph:
    """The glyph as one hand habitually writes it: smoothly bent, each control point a little displaced."""

    def bend(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        height = np.clip(y / 10, -1, 2)
        return np.stack(
            [x + 0.25 * rounder * np.sin(np.pi * height) + 0.15 * leaning * height, y + 0.2 * arch * np.sin(0.35 * x)],
            axis=1,
        )

    strokes = tuple(
        Stroke(bend(s.points) + variety * rng.normal(0, 0.2, s.points.shape), s.corners) for s in glyph.strokes
    )
    return replace(
        glyph,
        strokes=strokes,
        lead=None if glyph.lead is None else bend(glyph.lead),
        tail=None if glyph.tail is None else bend(glyph.tail),
    )

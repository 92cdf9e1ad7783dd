"""Writers: which of the forms of a letter a hand uses, and how it bends, leans, joins and hurries them."""

from dataclasses import dataclass, replace

import numpy as np

from rnngen.handwriting_generator.glyphs import Alphabet, Glyph, Stroke


@dataclass(frozen=True)
class Writer:
    """One hand. Lengths are in glyph units (x-height 10), times in seconds."""

    forms: dict[str, Glyph]  # the allograph this hand uses, bent by its habits
    joining: float  # 0 prints, 1 joins wherever the letters allow it
    delays: float  # probability that i-dots and t-crosses wait until the word is done
    slant: float  # x moved per unit of y
    size: float  # device units per glyph unit
    width: float  # breadth of letters, 1 as drawn
    ascent: float  # height of what rises above x-height, 1 as drawn
    descent: float  # depth of what falls below the baseline, 1 as drawn
    spacing: float  # gap between letters
    word_gap: float  # gap between words
    pace: float  # units a second on a curve of radius 3
    pause: float  # seconds of a pen lift, beside the way through the air
    jitter: float  # standard deviation of each control point, anew in every letter
    variation: float  # standard deviation of the size and lean of letters, relative
    drift: float  # rise of the baseline per unit of x
    waviness: float  # amplitude of the baseline's wave
    noise: float  # device units, standard deviation of the recording


def draw_writer(
    alphabet: Alphabet, rng: np.random.Generator, variety: float = 1.0, joining: float | None = None
) -> Writer:
    """Draw a hand.

    variety 0 gives one neat hand with the commonest forms, 1 the whole range of hands; joining fixes how much the hand
    joins (0 print to 1 cursive), drawn where None.
    """

    def around(middle: float, spread: float) -> float:
        return middle + variety * float(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread))

    drawn = float(rng.beta(0.7, 0.8))
    joins = (0.5 + variety * (drawn - 0.5)) if joining is None else joining
    slant = around(0.16, 0.13)
    rounder, leaning, arch = rng.normal(0, variety, 3)
    forms = {}
    for character in sorted(alphabet.glyphs):
        glyphs = alphabet.glyphs[character]
        suits = {"print": 1 - joins, "cursive": joins, "any": 1.0}
        weights = np.array([glyph.weight * suits[glyph.hand] ** 2 + 1e-9 for glyph in glyphs])
        chosen = rng.choice(len(glyphs), p=weights / weights.sum())
        chosen = chosen if rng.random() < variety else int(weights.argmax())
        forms[character] = _bent(glyphs[chosen], rng, variety, rounder, leaning, arch)
    return Writer(
        forms=forms,
        joining=joins,
        delays=float(np.clip(around(2.2 * joins - 0.6, 0.2), 0, 1)),
        slant=slant,
        size=around(15.0, 1.8),
        width=around(0.96, 0.09),
        ascent=around(0.94, 0.08),
        descent=around(0.95, 0.08),
        spacing=around(2.7, 0.55),
        word_gap=around(9.5, 1.3),
        pace=around(112.0, 9.0),
        pause=around(0.17, 0.03),
        jitter=max(0.04, around(0.16, 0.05)),
        variation=max(0.005, around(0.03, 0.008)),
        drift=around(0.0, 0.008),
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

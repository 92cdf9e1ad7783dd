"""Whether a sampled line says its whole text, as the network's own window tells (eq 46–47).

φ(t, u), divided by its sum over u, is the share of the window that character u has at step t. A letter that is written
has nearly all of it at some step; one that the pen passes over never has. A window that does not move on writes the
same letter again and again. And where a network has gone wrong, many of its letters have a little less than they
should: that tells malformed letters better than any single one of them (docs/writer.md has the measurement). Full
stops and the like never have the window for themselves, and are not judged in a line that has letters or digits.

Shapes: s steps, u characters.
"""

import math
from dataclasses import dataclass

import numpy as np

from rnngen.sampling.lines import SampledLine

CLEAR = 0.978
"""A line counts as clear if the lower quartile of its letters' greatest shares is this much of the upper quartile."""
MISSING = 0.75
"""A letter counts as passed over if its greatest share is below this, in units of the upper quartile."""
DOUBT = "some letters may be malformed"
"""The fault of a line that is whole, but not clear."""
LONG = 4.0
"""Steps that the window may stay on any letter but the last, in units of the median over the line's letters."""


@dataclass(frozen=True)
class Alignment:
    """How the window went along a text, and what is wrong with it; `fault` is None for a line that seems whole."""

    clarity: float  # lower over upper quartile of the letters' greatest shares; 1 less for a line that has no end
    fault: str | None

    @property
    def rank(self) -> float:
        """The greater, the better the line."""
        return math.inf if self.fault is None else self.clarity


def check_alignment(line: SampledLine, text: str) -> Alignment:
    """Judge the line of `text`, which comes last in the window's text."""
    if line.phi_su is None:
        raise ValueError("a line of a network without a window has no alignment")
    steps = len(line.new_t3)
    if steps == 0:
        return Alignment(-math.inf, "nothing was written")
    phi_su = line.phi_su[line.prime_steps : line.prime_steps + steps].astype(np.float64)
    share_su = (phi_su / np.maximum(phi_su.sum(1, keepdims=True), 1e-30))[:, -1 - len(text) : -1]
    letters = np.flatnonzero([character.isalnum() for character in text])
    if not len(letters):
        letters = np.flatnonzero([not character.isspace() for character in text])
    greatest_u, stays_u = share_su.max(0), np.bincount(share_su.argmax(1), minlength=len(text))
    lower, upper = np.quantile(greatest_u[letters], (0.25, 0.75))
    clarity = float(lower / max(upper, 1e-30))
    faintest = int(letters[greatest_u[letters].argmin()])
    named = f"{text[faintest]!r}, character {faintest + 1},"
    longest = int(letters[stays_u[letters[:-1]].argmax()]) if len(letters) > 1 else faintest
    if line.stopped == "cap":
        return Alignment(clarity - 1, f"it did not end within {steps} points")
    if greatest_u[faintest] < MISSING * upper:
        return Alignment(clarity, f"{named} seems to be missing")
    if len(letters) > 1 and stays_u[longest] > LONG * max(np.median(stays_u[letters]), 1):
        return Alignment(clarity, f"{text[longest]!r}, character {longest + 1}, seems to be repeated")
    if clarity < CLEAR:
        return Alignment(clarity, f"{DOUBT}, above all {named.rstrip(',')}")
    return Alignment(clarity, None)

"""Handwriting on sheets of paper: sizes, margins, alignment, as many sheets as the lines need; straightened baselines.

Lengths on paper are millimetres. Shapes: n points of a stroke, c coordinates, y downwards.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rnngen.errors import InputError
from rnngen.ink.page import Page, middle_of, place, wrap
from rnngen.ink.strokes import Stroke, bounds, transform

SIZES = {"a3": (297.0, 420.0), "a4": (210.0, 297.0), "a5": (148.0, 210.0), "letter": (215.9, 279.4)}
LARGEST_SIDE = 10_000.0
MARGIN = 20.0
STEEPEST = math.tan(math.radians(20))  # a baseline that climbs or falls more is left as it is: no line of writing does


class Align(StrEnum):
    """Where lines stand between the margins."""

    LEFT = "left"
    CENTRE = "centre"
    RIGHT = "right"

    @property
    def share(self) -> float:
        """The share of the free width of a line that lies on its left."""
        return {"left": 0.0, "centre": 0.5, "right": 1.0}[self.value]


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper and its margins: top, right, bottom, left."""

    width: float
    height: float
    margins: tuple[float, float, float, float] = (MARGIN,) * 4

    def __post_init__(self) -> None:
        if not all(0 < side <= LARGEST_SIDE for side in (self.width, self.height)):
            raise InputError(f"a page of {self.width:g} × {self.height:g} mm: sides are up to {LARGEST_SIDE:,.0f} mm")
        if not all(0 <= margin < math.inf for margin in self.margins):
            raise InputError(f"margins of {show_margins(self.margins)} mm: a margin is 0 or more")
        if self.room <= 0 or self.depth <= 0:
            raise InputError(
                f"margins of {show_margins(self.margins)} mm leave nothing of a page of "
                f"{self.width:g} × {self.height:g} mm"
            )

    @property
    def room(self) -> float:
        """Width between the margins."""
        return self.width - self.margins[1] - self.margins[3]

    @property
    def depth(self) -> float:
        """Height between the margins."""
        return self.height - self.margins[0] - self.margins[2]

    @classmethod
    def parse(cls, size: str, margin: str | None = None) -> "Sheet":
        """A size by its name (a4, letter …) or as WIDTHxHEIGHT, and margins: one, two or four numbers as in CSS."""
        if size.lower() in SIZES:
            width, height = SIZES[size.lower()]
        else:
            match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*[x×]\s*(\d+(?:\.\d+)?)(?:\s*mm)?", size.lower())
            if match is None:
                raise InputError(f"page {size!r}: give {', '.join(SIZES)}, or width and height in mm, such as 148x105")
            width, height = map(float, match.groups())
        return cls(width, height, (MARGIN,) * 4 if margin is None else parse_margins(margin))


def parse_margins(text: str) -> tuple[float, float, float, float]:
    """Four margins from one number (all), two (top and bottom, left and right) or four (top, right, bottom, left)."""
    parts = text.replace(",", " ").split()
    if not all(re.fullmatch(r"\d+(\.\d+)?", part) for part in parts) or len(parts) not in (1, 2, 4):
        raise InputError(f"margin {text!r}: give one, two or four numbers in mm, such as 20 or 25,15 or 30,15,20,15")
    values = [float(part) for part in parts]
    top, right, bottom, left = values * (4 // len(values))
    return top, right, bottom, left


def show_margins(margins: Sequence[float]) -> str:
    """Margins as they are typed."""
    return ",".join(f"{margin:g}" for margin in margins)


CHARACTER_WIDTH = 3.0  # on average
PITCH = 3.2  # from line to line, in widths of a character
LINE_CHARACTERS = 40
WIDE = 1.2  # one line in ten is wider than its number of characters times this


@dataclass(frozen=True)
class Layout:
    """How lines stand on paper."""

    size: float = CHARACTER_WIDTH  # average width of a character
    sheet: Sheet | None = None  # None: one page, as large as the writing and a margin
    align: Align = Align.LEFT
    line_height: float | None = None  # from line to line; None: 3.2 times the size
    straight: bool = False  # whether baselines are made level

    @property
    def pitch(self) -> float:
        """Distance from line to line."""
        return PITCH * self.size if self.line_height is None else self.line_height

    def wrap(self, text: str, width: int = LINE_CHARACTERS) -> list[str]:
        """The lines of `text`, of at most `width` characters, and on a sheet no more than fit.

        Raises InputError where a single word is wider than the sheet's room.
        """
        if self.sheet is None:
            return wrap(text, width)
        most = int(self.sheet.room / (WIDE * self.size))
        longest = max(text.split(), key=len, default="")
        if len(longest) > most:
            needed = len(longest) * WIDE * self.size
            raise InputError(
                f"the word {longest!r} of {len(longest)} characters needs {needed:.0f} mm, and the page has "
                f"{self.sheet.room:g} mm between its margins: write smaller or give a wider page"
            )
        return wrap(text, min(width, most))

    def place(self, lines: Sequence[Sequence[Stroke]], scale: float) -> list[Page]:
        """Lines of strokes, times `scale` in millimetres, on as many pages as they need; one without strokes is blank.

        A line moves down where it would touch the one above. On a sheet, a line wider than the room between the margins
        is drawn smaller, and blank lines at the top are left out. Raises InputError for a line too high for the sheet.
        """
        if self.straight:
            lines = [straighten(line) if line else [] for line in lines]
        share = self.align.share
        if self.sheet is None:
            return [place(lines, self.pitch, scale=scale, share=share, on_baseline=self.straight)]
        return _on_sheets([transform(line, scale) for line in lines], self.sheet, self.pitch, share, self.straight)


def _on_sheets(
    lines: Sequence[list[Stroke]], sheet: Sheet, pitch: float, share: float, on_baseline: bool
) -> list[Page]:
    top, _, bottom, left = sheet.margins
    lowest = sheet.height - bottom
    pages: list[list[list[Stroke]]] = [[]]
    centre = 0.0  # of the line before, and of the blank ones since
    for line in lines:
        if not line:
            centre += pitch
            continue
        west, _, east, _ = bounds(line)
        line = transform(line, min(1.0, sheet.room / max(east - west, 1e-9)))
        west, north, east, south = bounds(line)
        if south - north > sheet.depth:
            raise InputError(
                f"a line of writing {south - north:.0f} mm high does not fit between the margins of a page "
                f"{sheet.height:g} mm high: write smaller or give a taller page"
            )
        middle = 0.0 if on_baseline else middle_of(line)
        if pages[-1]:
            down = max(centre + pitch - middle, bounds(pages[-1][-1])[3] - north)
            if down + south > lowest:
                pages.append([])
        if not pages[-1]:
            down = min(top + max(pitch / 2 - middle, -north), lowest - south)
        pages[-1].append(transform(line, shift=(left - west + share * (sheet.room - east + west), down)))
        centre = middle + down
    return [Page(page, sheet.width, sheet.height) for page in pages]


def straighten(strokes: Sequence[Stroke]) -> list[Stroke]:
    """A line of strokes turned and moved so that its baseline is level, at y = 0.

    The baseline goes through the feet of the letters: by the median of the slopes between the lowest points of the
    pen's ways down (Theil–Sen), among those within a third of the line's height of it, so that descenders do not count.
    """
    feet = _feet(strokes)
    slope, level = 0.0, float(np.median(feet[:, 1]))
    if len(feet) >= 4:
        slope, level = _through(feet)
        for _ in range(2):
            off = feet[:, 1] - (level + slope * feet[:, 0])
            near = np.abs(off) <= max(1.5 * float(np.median(np.abs(off))), 1e-9)
            if near.sum() < 4 or np.ptp(feet[near, 0]) < 0.5 * np.ptp(feet[:, 0]):
                break
            slope, level = _through(feet[near])
    if abs(slope) > STEEPEST:
        slope, level = 0.0, float(np.median(feet[:, 1]))
    cosine = 1 / math.hypot(1, slope)
    turn = np.array([[cosine, -slope * cosine], [slope * cosine, cosine]])
    return [(np.asarray(stroke, float) - (0.0, level)) @ turn for stroke in strokes]


def _feet(strokes: Sequence[Stroke]) -> np.ndarray:
    """(n, 2) lowest points of the ways down; of a line that has none, its lowest point."""
    feet = []
    for stroke in strokes:
        y = np.asarray(stroke)[:, 1]
        falls, rises = np.diff(y, prepend=-np.inf) > 0, np.diff(y, append=-np.inf) <= 0
        feet.append(np.asarray(stroke, float)[falls & rises])
    found = np.concatenate(feet)
    height = np.ptp(np.concatenate(list(strokes))[:, 1])
    # the dots of i and the bars of t end high up
    lower = found[found[:, 1] >= np.percentile(found[:, 1], 40) - 0.25 * height]
    return lower if len(lower) else found


def _through(points_nc: np.ndarray) -> tuple[float, float]:
    """Slope and height at x = 0 of the line through points, by medians (Theil–Sen)."""
    i, j = np.triu_indices(len(points_nc), 1)
    run = points_nc[j, 0] - points_nc[i, 0]
    far = np.abs(run) > 0.2 * np.ptp(points_nc[:, 0])
    if not far.any():
        return 0.0, float(np.median(points_nc[:, 1]))
    slope = float(np.median((points_nc[j, 1] - points_nc[i, 1])[far] / run[far]))
    return slope, float(np.median(points_nc[:, 1] - slope * points_nc[:, 0]))

"""Several lines of handwriting on one page: wrapping before they are written, placing afterwards.

Shapes: n points of a stroke, c coordinates. y grows downwards.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngen.errors import InputError
from rnngen.ink.strokes import Stroke, bounds, transform


def wrap(text: str, width: int | None) -> list[str]:
    """The lines of `text`: its own line breaks are kept, longer lines are broken between words at `width` characters.

    A single word longer than `width` stays whole. Blank lines are empty strings; those before the first visible
    character and after the last are dropped.
    """
    lines = text.strip().splitlines()
    if width is not None:
        if width < 1:
            raise ValueError(f"width must be at least 1 character, not {width}")
        lines = [
            part
            for line in lines
            for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
        ]
    return [line.strip() for line in lines]


@dataclass(frozen=True)
class Page:
    """Lines of strokes placed on a sheet of `width` × `height`; every point lies inside. Blank lines are left out."""

    lines: list[list[Stroke]]
    width: float
    height: float

    @property
    def strokes(self) -> list[Stroke]:
        """All strokes of all lines in pen order."""
        return [stroke for line in self.lines for stroke in line]


def middle_of(line: Sequence[Stroke]) -> float:
    """Half way between the outermost twentieths of the points of a line, above and below."""
    return float(np.mean(np.percentile(np.concatenate(list(line))[:, 1], (5, 95))))


def line_height(lines: Sequence[Sequence[Stroke]]) -> float:
    """The largest height of a line, leaving out the outermost twentieth of its points above and below."""
    heights = [np.ptp(np.percentile(np.concatenate(list(line))[:, 1], (5, 95))) for line in lines]
    return float(max(heights))


def place(
    lines: Sequence[Sequence[Stroke]],
    pitch: float | None = None,
    margin: float | None = None,
    scale: float = 1.0,
    share: float = 0.0,
    on_baseline: bool = False,
) -> Page:
    """Lines of strokes one below the other, times `scale`; a line without strokes is blank.

    A line has `share` of the room that it leaves beside the widest on its left: 0 aligns on the left, 1 on the right.
    Lines are a pitch apart by their middles, or with `on_baseline` by y = 0 of their strokes.

    `pitch` is the distance from a line to the next, `margin` the free border, both on the page (after scaling). By
    default the pitch is 1.7 line heights, more where neighbouring lines would still touch, and the margin half a pitch.
    """
    with np.errstate(over="ignore"):  # refused below
        lines = [transform(line, scale) for line in lines]
    written = [line for line in lines if line]
    if not written:
        raise ValueError("a page needs at least one line with strokes")
    if not np.isfinite(np.concatenate([stroke for line in written for stroke in line])).all():
        raise InputError("a point of the writing is not a number, or outside every page: write smaller, or train again")
    if pitch is None:
        pitch = 1.7 * line_height(written) or 1.0
    margin = 0.5 * pitch if margin is None else margin
    widest = max(bounds(line)[2] - bounds(line)[0] for line in written)
    moved: list[list[Stroke]] = []
    centre = 0.0  # of the line before, and of the blank ones since
    for line in lines:
        if not line:
            centre += pitch
            continue
        left, _, right, _ = bounds(line)
        middle = 0.0 if on_baseline else middle_of(line)
        if moved:
            gap = bounds(line)[1] - middle + centre + pitch - bounds(moved[-1])[3]
            centre += pitch + max(0.0, -gap)
        moved.append(transform(line, shift=(share * (widest - right + left) - left, centre - middle)))
    left, top, right, bottom = bounds([stroke for line in moved for stroke in line])
    shift = (margin - left, margin - top)
    return Page([transform(line, shift=shift) for line in moved], right - left + 2 * margin, bottom - top + 2 * margin)

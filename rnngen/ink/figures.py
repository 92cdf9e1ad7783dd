"""The paper's handwriting figures: lines under one another (9, 11, 15–21), the window (13).

Predictive densities (10, 14) are in rnngen/ink/density_figure.py, which needs torch.

Every function returns a matplotlib figure that `save` writes as SVG and PNG, the same bytes for the same input.

Shapes: s steps, u characters. y grows downwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from rnngen.artifacts import write_whole
from rnngen.errors import InputError
from rnngen.ink.page import line_height, place
from rnngen.ink.strokes import Stroke, bounds, transform

INK, REAL_INK, QUIET = "#16213e", "#9a3b1b", "#6b7280"  # samples, lines of the corpus, words beside them
PEN_POINTS = 0.9
HEAT = "magma"
GREATEST_PITCH = 0.6  # inches; short lines are not blown up beyond it


@dataclass(frozen=True)
class FigureLine:
    """One line of a figure; `real` sets a line of the corpus off from the samples."""

    strokes: list[Stroke]
    label: str = ""
    real: bool = False


@dataclass(frozen=True)
class Block:
    """Rows that belong together, under a caption."""

    rows: list[FigureLine]
    caption: str = ""


def lines_figure(blocks: Sequence[Block], width: float = 7.0) -> Figure:
    """Blocks of lines under one another, all at one scale; labels stand at the left.

    At most `width` inches wide. A single block of short lines is set in two or three columns.
    """
    rows = [row for block in blocks for row in block.rows]
    edge, label_width, caption_height, gap = 0.1, 0.0, 0.24, 0.18
    if any(row.label for row in rows):
        label_width = 0.12 + 0.075 * max(len(row.label) for row in rows)
    extent = max(np.ptp(np.concatenate(row.strokes)[:, 0]) for row in rows)
    pitch = 1.6 * line_height([row.strokes for row in rows]) or 1.0
    inner = width - label_width - 2 * edge
    inches = min(inner / max(extent, 1e-9), GREATEST_PITCH / pitch)
    column = extent * inches + 2 * gap
    columns = min(3, len(rows), int((inner + 2 * gap) / column)) if len(blocks) == 1 and not label_width else 1
    figure = Figure()
    axes = figure.add_axes((0, 0, 1, 1))
    y = edge
    for block in blocks:
        if block.caption:
            axes.text(edge, y + 0.1, block.caption, fontsize=7.5, color=QUIET, va="center", style="italic")
            y += caption_height
        deep = -(-len(block.rows) // columns)
        height = 0.0
        for k in range(0, len(block.rows), deep):
            part = block.rows[k : k + deep]
            page = place([row.strokes for row in part], pitch=pitch * inches, margin=0, scale=inches)
            height = max(height, page.height)
            for row, strokes in zip(part, page.lines, strict=True):
                moved = transform(strokes, shift=(edge + label_width + k // deep * column, y))
                _draw(axes, moved, REAL_INK if row.real else INK)
                if row.label:
                    middle = np.percentile(np.concatenate(moved)[:, 1], (5, 95)).mean()
                    x = edge + label_width - 0.1
                    axes.text(x, middle, row.label, fontsize=8, color=QUIET, ha="right", va="center")
        y += height + gap
    size = (2 * edge + label_width + columns * column - 2 * gap, y - gap + edge)
    captions = max((len(block.caption) for block in blocks), default=0)
    size = (max(size[0], min(width, 2 * edge + 0.06 * captions)), size[1])
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    axes.axis("off")
    figure.set_size_inches(*size)
    return figure


def _draw(axes: Axes, strokes: Sequence[Stroke], colour: str) -> None:
    # a stroke of one point is a line of no length, which round caps make visible
    segments = [stroke if len(stroke) > 1 else stroke + np.array([[0, 0], [1e-3, 0]]) for stroke in strokes]
    axes.add_collection(
        LineCollection(
            segments, colors=colour, linewidths=PEN_POINTS, capstyle="round", joinstyle="round", clip_on=False
        ),
        autolim=False,
    )


def window_figure(
    phi_su: np.ndarray, text: str, strokes: Sequence[Stroke], *, caption: str = "", width: float = 7.0
) -> Figure:
    """Figure 13: how strongly the window lies on each character, from the first (bottom) to the last (top), step by
    step.

    phi_su (S, U or U + 1): a column past the text, which serves the stop rule, is left out. The ink stands below.
    """
    characters = len(text)
    edge, label, gap = 0.08, 0.3, 0.28
    inner = width - label - edge
    map_height = min(max(0.125 * characters, 1.2), 6.0)
    left, top, right, bottom = bounds(strokes)
    inches = min(inner / max(right - left, 1e-9), 1.5 / max(bottom - top, 1e-9))
    ink_height = (bottom - top) * inches + 0.1
    above = edge + (0.17 if caption else 0.0)
    height = above + map_height + gap + ink_height + edge
    figure = Figure(figsize=(width, height))
    axes = axes_at(figure, label, above, inner, map_height)
    axes.imshow(
        phi_su[:, :characters].T,
        origin="lower",
        aspect="auto",
        cmap=HEAT,
        vmin=0,
        interpolation="nearest",
        extent=(0, len(phi_su), 0.5, characters + 0.5),
    )
    axes.set_yticks(range(1, characters + 1), [c.replace(" ", "␣") for c in text], fontsize=6.5)
    axes.set_xlabel("step of the pen", fontsize=7, color=QUIET, labelpad=1)
    axes.tick_params(axis="y", length=0, pad=3, labelcolor=INK)
    axes.tick_params(axis="x", labelsize=6, length=2, color=QUIET, labelcolor=QUIET)
    axes.set_title(caption, fontsize=7.5, color=QUIET, style="italic", pad=3)
    below = axes_at(figure, label, above + map_height + gap, inner, ink_height)
    _draw(below, transform(strokes, inches, (-left * inches, -top * inches + 0.05)), INK)
    below.set(xlim=(0, inner), ylim=(ink_height, 0))
    below.axis("off")
    return figure


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes whose upper left corner lies `left`, `top` inches from the figure's."""
    across, down = figure.get_size_inches()
    axes = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color=QUIET)
    return axes


def save(figure: Figure, svg: str | Path | None = None, png: str | Path | None = None, dpi: float = 160) -> None:
    """Write `figure` to the paths that are given; at least one must be.

    Equal figures give equal bytes: no date, no random identifiers.
    """
    if svg is None and png is None:
        raise InputError("nowhere to draw: give `svg`, `png` or both")
    FigureCanvasAgg(figure)
    with rc_context({"svg.hashsalt": "rnngen", "svg.fonttype": "none"}):
        for path, metadata in ((svg, {"Date": None}), (png, {"Software": None})):
            if path is not None:
                with write_whole(path) as partial:
                    kind = "svg" if path is svg else "png"
                    figure.savefig(partial, format=kind, dpi=dpi, metadata=metadata, facecolor="white")

"""What a model wrote: lines of strokes with their texts and how each came about, ready to be laid out and drawn."""

from dataclasses import dataclass
from typing import Any

from rnngen.ink.drawing import Pen, svg
from rnngen.ink.layout import Layout
from rnngen.ink.page import Page
from rnngen.ink.strokes import Stroke, smooth_strokes

MOST_PIECES = 100  # pieces of curve that a step is drawn in


@dataclass(frozen=True)
class HandwrittenLine:
    """A line as the network drew it; strokes (n, 2) in units of the corpus. A blank line has no text and no strokes."""

    text: str
    strokes: list[Stroke]
    bias: float = 0.0
    seed: int = 0
    style: str | None = None
    stopped: str = "rule"  # "cap": cut, because it had not ended by itself
    steps: int = 0
    tries: int = 1  # how often it was drawn until it was kept
    fault: str | None = None  # what the network's window says is wrong with it

    @property
    def about(self) -> dict[str, Any]:
        """All but the strokes."""
        names = ("text", "bias", "seed", "style", "stopped", "steps", "tries", "fault")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Handwriting:
    """The lines of a text, blank ones included, written by one model."""

    lines: list[HandwrittenLine]
    character_width: float  # on average, in units of the corpus
    points_per_second: float  # as the model writes
    every: int  # the model writes every Nth of the points that a recording has; this is N
    end: str
    replaced: dict[str, str]  # characters of the text that the model does not know, and what was written instead
    layout: Layout
    misfit: str | None = None  # what is wrong with the text of the style

    @property
    def written(self) -> list[HandwrittenLine]:
        """The lines that are not blank."""
        return [line for line in self.lines if line.text]

    @property
    def about(self) -> dict[str, Any]:
        """How it came about, as plain values."""
        return {"lines": [line.about for line in self.written], "end": str(self.end), "replaced": self.replaced}

    def pages(self, smooth: int | None = None) -> list[Page]:
        """The lines on paper; each step is drawn as `smooth` pieces of a curve.

        By default it is `every`: a piece for each point that a recording would have.
        """
        pieces = self._pieces(smooth)
        lines = [smooth_strokes(line.strokes, pieces) for line in self.lines]
        return self.layout.place(lines, self.layout.size / self.character_width)

    def pen(
        self, width: float = Pen.width, colour: str = Pen.colour, speed: float = 1.0, smooth: int | None = None
    ) -> Pen:
        """A pen that draws `pages` as fast as people write, times `speed`; `width` in millimetres."""
        rate = self.points_per_second * self._pieces(smooth) * speed
        return Pen(width, colour, rate, Pen.seconds_between_strokes / speed)

    def _pieces(self, smooth: int | None) -> int:
        return smooth or min(self.every, MOST_PIECES)

    @property
    def strokes(self) -> list[Stroke]:
        """All strokes in pen order, page after page, (n, 2) in millimetres, y downwards."""
        return [stroke for page in self.pages() for stroke in page.strokes]

    def _repr_svg_(self) -> str:
        """How a notebook shows it: the first page."""
        return svg(self.pages()[0], self.pen(), title="\n".join(line.text for line in self.lines))

"""Ink on paper: SVG (still or writing itself), PNG, PDF, GIF and JSON.

Every format draws the strokes as plain polylines in pen order, one path per stroke, nothing filled and nothing clipped,
so that a pen plotter takes the SVG as it is. Strokes are (n, 2) arrays, y downwards; a page is `page.Page`.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import GifImagePlugin, Image, ImageColor, ImageDraw

from rnngen.artifacts import write_whole
from rnngen.errors import InputError
from rnngen.ink.page import Page
from rnngen.ink.strokes import Stroke

DECIMALS = 3  # of the numbers in an SVG; with the page in millimetres, a micrometre
DOT = "h.01"  # what a dot is drawn as: plotters leave out what has no length


@dataclass(frozen=True)
class Pen:
    """How a line looks and how fast it is written."""

    width: float = 0.45  # on the page, in millimetres
    colour: str = "#1b2a49"
    points_per_second: float = 100.0  # rate at which the points of a stroke follow one another in animations
    seconds_between_strokes: float = 0.08


# --- SVG -------------------------------------------------------------------------------------------------------------


def path_data(stroke: Stroke, decimals: int = DECIMALS) -> str:
    """The `d` attribute of one stroke: M x y L x y …; a stroke without extent is a dot, M x y h.01."""
    points = [f"{_number(x, decimals)} {_number(y, decimals)}" for x, y in stroke]
    return f"M{points[0]}{DOT}" if len(set(points)) == 1 else "M" + "L".join(points)


def _number(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"
    return "0" if text in ("-0", "") else text


def svg(page: Page, pen: Pen | None = None, title: str | None = None, decimals: int = DECIMALS) -> str:
    """`page` as an SVG document in millimetres: one <path> per stroke, one <g> per line."""
    return _svg_document(page, pen or Pen(), title, decimals, lambda stroke, k: ("", ""))


def draw_animated_svg(
    page: Page,
    pen: Pen | None = None,
    title: str | None = None,
    times: Sequence[np.ndarray] | None = None,
    decimals: int = DECIMALS,
) -> str:
    """`page` as an SVG document whose strokes write themselves, once, in pen order and at pen speed; without scripts.

    `times` are the times of every point in seconds, stroke by stroke; without them points follow at the rate of `pen`.
    """
    pen = pen or Pen()
    times = list(times) if times is not None else pen_times(page.strokes, pen)

    def animation(stroke: Stroke, k: int) -> tuple[str, str]:
        begin, duration = times[k][0], max(times[k][-1] - times[k][0], 0.01)
        show = f'<set attributeName="visibility" to="visible" begin="{begin:.3f}s"/>'
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
        if path_data(stroke, decimals).endswith(DOT):  # dashes have no meaning on a dot
            return ' visibility="hidden"', show
        left = ";".join(_number(1 - s, 3) for s in along / along[-1])
        moments = ";".join(_number(t, 3) for t in (times[k] - begin) / duration)
        return ' visibility="hidden" pathLength="1" stroke-dasharray="1"', (
            f'{show}<animate attributeName="stroke-dashoffset" begin="{begin:.3f}s" dur="{duration:.3f}s" '
            f'values="{left}" keyTimes="{moments}" fill="freeze"/>'
        )

    return _svg_document(page, pen, title, decimals, animation)


def _svg_document(
    page: Page,
    pen: Pen,
    title: str | None,
    decimals: int,
    extras: Callable[[Stroke, int], tuple[str, str]],
) -> str:
    """`extras` gives further attributes and the content of the k-th stroke's element."""
    width, height = (_number(side, decimals) for side in (page.width, page.height))
    out = StringIO()
    out.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" fill="none" stroke="{_escape(pen.colour)}" '
        f'stroke-width="{_number(pen.width, decimals)}" stroke-linecap="round" stroke-linejoin="round">\n'
    )
    if title:
        out.write(f"<title>{_escape(title)}</title>\n")
    k = 0
    for line in page.lines:
        out.write("<g>\n")
        for stroke in line:
            attributes, content = extras(stroke, k)
            end = f">{content}</path>" if content else "/>"
            out.write(f'<path d="{path_data(stroke, decimals)}"{attributes}{end}\n')
            k += 1
        out.write("</g>\n")
    out.write("</svg>\n")
    return out.getvalue()


NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _escape(text: str) -> str:
    kept = NOT_XML.sub("", text)
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def pen_times(strokes: Sequence[Stroke], pen: Pen) -> list[np.ndarray]:
    """Times in seconds at which `pen` reaches every point, stroke after stroke."""
    times, now = [], 0.0
    for stroke in strokes:
        times.append(now + np.arange(len(stroke)) / pen.points_per_second)
        now = times[-1][-1] + pen.seconds_between_strokes
    return times


# --- raster and PDF --------------------------------------------------------------------------------------------------

MILLIMETRES_PER_INCH = 25.4
MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535  # pixels; of a GIF by its format, of a PNG by Matplotlib


def _figure(page: Page, pen: Pen):
    """The page as a matplotlib figure without axes, in its own size."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(page.width / MILLIMETRES_PER_INCH, page.height / MILLIMETRES_PER_INCH), facecolor="white")
    points = pen.width / MILLIMETRES_PER_INCH * 72
    size = np.array([page.width, page.height])
    for stroke in page.strokes:
        at = stroke / size
        dot = not (np.ptp(stroke, axis=0) > 0).any()  # a line of no length is not drawn, a round marker is
        figure.add_artist(
            Line2D(
                at[:1, 0] if dot else at[:, 0],
                1 - (at[:1, 1] if dot else at[:, 1]),
                color=pen.colour,
                linewidth=points,
                marker="o" if dot else "",
                markersize=points,
                markeredgewidth=0,
                solid_capstyle="round",
                solid_joinstyle="round",
                clip_on=False,
                transform=figure.transFigure,
            )
        )
    return figure


def _write_png(path: Path, page: Page, pen: Pen, dpi: float) -> None:
    _check_pixels(page, dpi)
    _figure(page, pen).savefig(path, format="png", dpi=dpi, metadata={"Software": None})


def _write_pdf(path: Path, pages: Sequence[Page], pen: Pen) -> None:
    from matplotlib.backends.backend_pdf import PdfPages

    with PdfPages(path, metadata={"CreationDate": None, "Producer": None, "Creator": None}) as file:
        for page in pages:
            file.savefig(_figure(page, pen))


def _check_pixels(page: Page, dpi: float, limit: int = MAX_PIXELS) -> None:
    width, height = (side / MILLIMETRES_PER_INCH * dpi for side in (page.width, page.height))
    if width * height > limit or max(width, height) > MAX_SIDE:
        raise InputError(
            f"a picture of {page.width:,.0f} × {page.height:,.0f} mm at {dpi:g} dpi has {width:,.0f} × {height:,.0f} "
            f"pixels, over the limit of {limit // 1_000_000} million and {MAX_SIDE} per side: "
            "lower the dpi or write SVG or PDF"
        )


GREYS = 16  # of a GIF, from ink to paper
FINE = 3  # a GIF is drawn this many times as large, then reduced, for smooth edges
MAX_GIF_PIXELS = 25_000_000  # FINE² bytes each while it is drawn


def _write_gif(path: Path, page: Page, pen: Pen, dpi: float, frames_per_second: float = 20.0) -> None:
    """The writing as an animation that plays once and rests on the finished page.

    A frame holds only the part that is new since the frame before, and goes to the file at once.
    """
    _check_pixels(page, dpi, MAX_GIF_PIXELS)
    per_mm = dpi / MILLIMETRES_PER_INCH
    size = (max(1, round(page.width * per_mm)), max(1, round(page.height * per_mm)))
    width = max(1, round(pen.width * per_mm * FINE))
    canvas = Image.new("L", (size[0] * FINE, size[1] * FINE), 255)
    draw = ImageDraw.Draw(canvas)
    blank = Image.new("P", size, GREYS - 1)
    blank.putpalette(_palette(pen.colour))
    step = round(1000 / frames_per_second)
    reach = width / FINE / 2 + 1
    fresh = np.zeros((0, 2))  # pixels; points drawn since the last frame, and the start of each step

    with path.open("wb") as file:

        def add(frame: Image.Image, corner: tuple[int, int], duration: int) -> None:
            for block in GifImagePlugin.getdata(frame, corner, duration=duration):
                file.write(block)

        def add_fresh(duration: int) -> None:
            low = np.clip(np.floor(fresh.min(0, initial=np.inf) - reach), 0, np.array(size) - 1)
            high = np.clip(np.ceil(fresh.max(0, initial=-np.inf) + reach), low + 1, size)
            left, top, right, bottom = map(int, (*low, *high))
            part = canvas.crop((FINE * left, FINE * top, FINE * right, FINE * bottom)).reduce(FINE)
            grey = part.point([grey * GREYS // 256 for grey in range(256)])
            add(Image.frombytes("P", grey.size, grey.tobytes()), (left, top), duration)

        for block in GifImagePlugin.getheader(blank, info={"duration": step})[0]:
            file.write(block)
        add(blank, (0, 0), step)
        shown = 0.0
        for stroke, at in zip(page.strokes, pen_times(page.strokes, pen), strict=True):
            p = stroke * per_mm * FINE
            for n in range(len(p)):
                while at[n] >= shown + 1 / frames_per_second:
                    shown += 1 / frames_per_second
                    add_fresh(step)
                    fresh = fresh[:0]
                x, y = p[n]
                draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
                if n:
                    draw.line([tuple(p[n - 1]), tuple(p[n])], fill=0, width=width)
                fresh = np.concatenate([fresh, p[max(n - 1, 0) : n + 1] / FINE])
        add_fresh(3000)
        file.write(b";")


def _palette(colour: str) -> list[int]:
    """GREYS steps from the colour of the ink to white."""
    from matplotlib.colors import to_rgb

    ink = np.array(to_rgb(colour)) * 255
    steps = np.linspace(0, 1, GREYS)[:, None]
    return np.rint(ink * (1 - steps) + 255 * steps).astype(int).ravel().tolist()


# --- JSON and choice by suffix ---------------------------------------------------------------------------------------


def ink_json(page: Page, pen: Pen | None = None, about: dict[str, Any] | None = None) -> dict[str, Any]:
    """The page as JSON: strokes as lists of [x, y, seconds], the size in millimetres, and what `about` adds."""
    times = pen_times(page.strokes, pen or Pen())
    strokes = [
        [[round(x, 4), round(y, 4), round(t, 4)] for (x, y), t in zip(stroke.tolist(), at.tolist(), strict=True)]
        for stroke, at in zip(page.strokes, times, strict=True)
    ]
    size = {"width": round(page.width, 4), "height": round(page.height, 4), "unit": "mm"}
    return {**(about or {}), **size, "strokes_per_line": [len(line) for line in page.lines], "strokes": strokes}


FORMATS = (".svg", ".png", ".pdf", ".gif", ".json")


def write_drawing(
    path: str | Path,
    page: Page,
    *,
    pen: Pen | None = None,
    animate: bool = False,
    dpi: float = 200.0,
    title: str | None = None,
    about: dict[str, Any] | None = None,
) -> None:
    """Write `page` in the format that the suffix of `path` names; equal input gives equal bytes.

    `animate` makes an SVG write itself (a GIF always does); `about` goes into JSON. Another suffix is an InputError.
    """
    path, pen = Path(path), pen or Pen()
    suffix = path.suffix.lower()
    check_format(path, animate)
    with write_whole(path) as partial:
        if suffix == ".svg":
            document = draw_animated_svg(page, pen, title) if animate else svg(page, pen, title)
            partial.write_text(document, encoding="utf-8")
        elif suffix == ".png":
            _write_png(partial, page, pen, dpi)
        elif suffix == ".pdf":
            _write_pdf(partial, [page], pen)
        elif suffix == ".gif":
            _write_gif(partial, page, pen, min(dpi, 120.0))
        else:
            partial.write_text(json.dumps(ink_json(page, pen, about), ensure_ascii=False) + "\n", encoding="utf-8")


def write_drawings(
    path: str | Path,
    pages: Sequence[Page],
    *,
    pen: Pen | None = None,
    animate: bool = False,
    dpi: float = 200.0,
    title: str | None = None,
    about: dict[str, Any] | None = None,
) -> list[Path]:
    """Write pages as `write_drawing` does, and return the files.

    A single page is the file `path`, and so is a PDF of any number; otherwise there is one file per page, note-1.svg,
    note-2.svg and so on, whose JSON says which page it is.
    """
    path = Path(path)
    if len(pages) == 1:
        write_drawing(path, pages[0], pen=pen, animate=animate, dpi=dpi, title=title, about=about)
        return [path]
    if path.suffix.lower() == ".pdf":
        with write_whole(path) as partial:
            _write_pdf(partial, pages, pen or Pen())
        return [path]
    files = [path.with_name(f"{path.stem}-{k + 1}{path.suffix}") for k in range(len(pages))]
    for k, (file, page) in enumerate(zip(files, pages, strict=True)):
        said = {**(about or {}), "page": k + 1, "pages": len(pages)}
        write_drawing(file, page, pen=pen, animate=animate, dpi=dpi, title=title, about=said)
    return files


def check_colour(colour: str) -> None:
    """Raise InputError unless every format knows `colour`: a name of a colour in SVG, #rgb or #rrggbb."""
    if colour.lower() not in ImageColor.colormap and not re.fullmatch(r"#([0-9a-fA-F]{3}){1,2}", colour):
        raise InputError(f"unknown colour {colour!r}; give a name such as darkblue, or #rrggbb")


def check_format(path: Path, animate: bool = False) -> None:
    """Raise InputError if `path` has a suffix no format belongs to, or one that cannot be animated when it should."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path}: unknown picture format {path.suffix or '(no suffix)'!r}; use one of {', '.join(FORMATS)}"
        )
    if animate and path.suffix.lower() not in (".svg", ".gif"):
        raise InputError(f"{path}: only .svg and .gif can be animated")

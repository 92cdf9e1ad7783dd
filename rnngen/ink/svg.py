"""The pen strokes of an SVG: what it draws with a stroke, as polylines in the order of drawing.

A shape is ink if its stroke is painted, or if it names no paint at all and is open, as in the plainest files. What is
not displayed draws nothing; nor does what stands in <defs>, <clipPath>, <mask>, <pattern>, <symbol> …, unless <use>
shows it. A rectangle without a stroke is paper, a small disc is a dot. Any other filled shape is an outline, in which
the way of the pen is lost: it stops the reading, as do text and pictures.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lxml import etree

from rnngen.errors import InputError
from rnngen.ink.strokes import Ink, Stroke
from rnngen.ink.xml import MAX_POINTS, NUMBER, local_name, parse_numbers, place

FLATTENING = 16  # line segments of one Bézier curve, and of a quarter of an ellipse
MAX_DEPTH = 200
MAX_ELEMENTS = 50_000  # drawn, with what <use> repeats
MAX_CHARACTERS = 20_000_000  # of their attributes
DOT = 0.1  # a disc of at most this share of the ink's extent is a dot
PAPER = 0.8  # a filled rectangle under at least this share of the ink's width and height is paper
TOUCHING = 1e-9  # of the ink's extent: a piece that begins this close to the end of the one before continues it

_CONTAINERS = {"svg", "g", "a", "switch", "symbol"}
_SHAPES = {"path", "polyline", "polygon", "line", "circle", "ellipse", "rect"}
_NOT_DRAWN = {"title", "desc", "defs", "metadata", "style", "clipPath", "mask", "symbol", "marker", "filter", "script"}
_NOT_DRAWN |= {"linearGradient", "radialGradient", "meshgradient", "hatch", "pattern", "solidcolor", "color-profile"}
_NOT_DRAWN |= {"animate", "animateTransform", "animateMotion", "animateColor", "set", "view", "cursor", "font"}
_SVG = "http://www.w3.org/2000/svg"
_PAGES = "{http://www.inkscape.org/namespaces/inkscape}page"
_HREFS = ("href", "{http://www.w3.org/1999/xlink}href")


def read_svg(root: etree._Element, path: Path) -> Ink:
    """The strokes an SVG shows, in user units; transforms are applied, curves flattened, touching pieces joined."""
    pages = sum(1 for _ in root.iter(_PAGES))
    if pages > 1:
        raise InputError(f"{path}: {pages} pages in one drawing; save each as a file of its own")
    reader = _SvgReader(path)
    for element in root.iter():
        if element.get("id"):
            reader.by_id.setdefault(element.get("id"), element)
        if local_name(element) == "style" and element.get("media", "all").strip() in ("all", "screen", ""):
            reader.read_style_sheet("".join(element.itertext()), place(path, element))
    matrix = np.eye(3)
    if root.get("preserveAspectRatio", "").strip() == "none" and {"viewBox", "width", "height"} <= set(root.attrib):
        across, down = np.diag(_viewport(root, place(path, root)))[:2]
        matrix[1, 1] = down / across
    reader.walk(root, matrix, {}, 0)
    return Ink(reader.find_ink())


# --- style -----------------------------------------------------------------------------------------------------------

_INHERITED = {"fill", "stroke", "visibility", "stroke-width", "stroke-opacity", "fill-opacity"}
_PROPERTIES = {*_INHERITED, "display", "opacity", "transform", "transform-origin"}
_SELECTOR = re.compile(r"\*|[.#]?[\w\u0080-\U0010FFFF-]++")
_HARMLESS_RULES = (
    "@font-face",
    "@keyframes",
    "@-webkit-keyframes",
    "@page",
    "@property",
    "@counter-style",
    "@media print",
)
_ZERO = r"[-+]?(?:0++\.?+0*+|\.0++)(?:%|px|pt|mm|cm|in|pc)?"
_CLEAR = re.compile(
    rf"none|transparent|#[0-9a-f]{{6}}00|#[0-9a-f]{{3}}0|(?:rgb|hsl)a?\((?:(?:[^,/()]*+,){{3}}|[^/()]*+/){_ZERO}\)"
)

Declarations = dict[str, tuple[bool, str]]
"""A property's value, and whether it is !important."""


def _declarations(text: str) -> Declarations:
    found: Declarations = {}
    for part in text.split(";"):
        name, _, value = part.partition(":")
        name = name.strip().lower()
        value, mark, _ = value.partition("!")
        if name in _PROPERTIES and value.strip() and bool(mark) >= found.get(name, (False, ""))[0]:
            found[name] = bool(mark), value.strip()
    return found


def _style_rules(text: str, where: str) -> Iterator[tuple[str, Declarations]]:
    """(selector, declarations) of a style sheet in its order, without those that cannot decide what is ink."""
    first, *rest = text.replace("<!--", " ").replace("-->", " ").split("/*")
    text = first + " ".join(part.partition("*/")[2] for part in rest)
    depth, prelude = 0, ""
    body: list[str] = []
    for piece in re.split(r"([{}])", text):
        if piece == "{":
            depth += 1
        elif piece == "}":
            depth -= 1
            if depth == 0:
                selectors, declared = prelude.rpartition(";")[2].strip(), _declarations(";".join(body))
                if declared and not selectors.startswith(_HARMLESS_RULES):
                    for selector in map(str.strip, selectors.split(",")):
                        if not _SELECTOR.fullmatch(selector):
                            raise InputError(
                                f"{where}: a style sheet with {selector[:40]!r}, where only tags, .classes, #ids are "
                                f"read; save it as plain SVG, with presentation attributes"
                            )
                        yield selector, declared
                body = []
        elif depth == 0:
            prelude = piece
        else:
            body.append(piece)
        if depth < 0:
            break
    if depth:
        raise InputError(f"{where}: a style sheet whose braces do not match; save it as plain SVG")


def _is_painted(style: dict[str, str], paint: str) -> bool:
    return not _CLEAR.fullmatch("".join(style.get(paint, "none").split())) and not _is_zero(
        style.get(f"{paint}-opacity")
    )


def _is_zero(value: str | None) -> bool:
    return value is not None and re.fullmatch(_ZERO, value) is not None


# --- what is drawn ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawn:
    kind: str
    """stroke, disc (its centre and four ends) or filled."""
    name: str
    subpaths: list[Stroke]
    where: str


@dataclass
class _SvgReader:
    path: Path
    by_id: dict[str, etree._Element] = field(default_factory=dict)
    rules: dict[str, dict[str, tuple[bool, int, str]]] = field(default_factory=dict)
    """Of each selector and property: whether important, its place among the rules, the value."""
    drawn: list[_Drawn] = field(default_factory=list)
    rules_read: int = 0
    elements: int = 0
    characters: int = 0
    points: int = 0

    def read_style_sheet(self, text: str, where: str) -> None:
        for selector, declared in _style_rules(text, where):
            self.rules_read += 1
            known = self.rules.setdefault(selector, {})
            for key, (important, value) in declared.items():
                if key not in known or important >= known[key][0]:
                    known[key] = important, self.rules_read, value

    def walk(
        self, element: etree._Element, matrix: np.ndarray, style: dict[str, str], depth: int, used: bool = False
    ) -> None:
        """Collect what an element draws. `style` is inherited, `matrix` leads from its parent to the drawing."""
        name = local_name(element)
        if etree.QName(element).namespace not in (None, _SVG) or (
            name in _NOT_DRAWN and not (used and name == "symbol")
        ):
            return
        where = place(self.path, element)
        self.elements += 1
        self.characters += sum(map(len, element.values()))
        if depth > MAX_DEPTH:
            raise InputError(f"{where}: elements nested more than {MAX_DEPTH} deep; ungroup them")
        if self.elements > MAX_ELEMENTS or self.characters > MAX_CHARACTERS:
            raise InputError(
                f"{where}: over the limit of {MAX_ELEMENTS} elements and {MAX_CHARACTERS} characters drawn, with those "
                f"that <use> repeats; save only the strokes"
            )
        own = self._read_own_style(element)
        if own.get("display") == "none" or _is_zero(own.get("opacity")):
            return
        style = style | {key: value for key, value in own.items() if key in _INHERITED and value != "inherit"}
        if "transform" in own:
            if "transform-origin" in own:
                raise InputError(f"{where}: transform-origin is not read; save it as plain SVG, transforms applied")
            matrix = matrix @ _transform(own["transform"], where)
        if name in _CONTAINERS:
            if name == "symbol" or (name == "svg" and depth):
                matrix = matrix @ _viewport(element, where)
            for child in _choose_switched(element, where) if name == "switch" else element:
                self.walk(child, matrix, style, depth + 1)
        elif name == "use":
            reference = next((element.get(key).strip() for key in _HREFS if element.get(key)), "")
            if not reference.startswith("#") or reference[1:] not in self.by_id:
                raise InputError(
                    f"{where}: <use> of {reference[:60]!r}, which is not in the file; save it as plain SVG"
                )
            step = np.eye(3)
            step[:2, 2] = [_length(element, key, where) for key in ("x", "y")]
            self.walk(self.by_id[reference[1:]], matrix @ step, style, depth + 1, used=True)
        elif style.get("visibility") not in ("hidden", "collapse"):
            if name not in _SHAPES:
                raise InputError(f"{where}: <{name}> is not a pen stroke; remove it or convert it to paths")
            self._draw_shape(element, name, matrix, style, where)

    def _read_own_style(self, element: etree._Element) -> dict[str, str]:
        """What is declared for an element: attributes, rules by specificity and then by their order, then style=."""
        layers = [{key: (False, 0, element.get(key).strip()) for key in element.attrib if key in _PROPERTIES}]
        layers += [self.rules.get(selector, {}) for selector in ("*", local_name(element))]
        of_class: dict[str, tuple[bool, int, str]] = {}
        for name in set(element.get("class", "").split()):
            for key, ranked in self.rules.get(f".{name}", {}).items():
                of_class[key] = max(ranked, of_class.get(key, ranked))
        layers += [of_class, self.rules.get(f"#{element.get('id')}", {})]
        layers.append({key: (mark, 0, value) for key, (mark, value) in _declarations(element.get("style", "")).items()})
        own: Declarations = {}
        for layer in layers:
            for key, (important, _, value) in layer.items():
                if important >= own.get(key, (False, ""))[0]:
                    own[key] = important, value if key == "transform" else value.lower()
        for child in element:  # what appears in the course of an animation is drawn
            if local_name(child) in ("set", "animate") and child.get("attributeName") in (
                "visibility",
                "display",
                "opacity",
            ):
                own.pop(child.get("attributeName"), None)
        return {key: value for key, (_, value) in own.items()}

    def _draw_shape(
        self, element: etree._Element, name: str, matrix: np.ndarray, style: dict[str, str], where: str
    ) -> None:
        is_plain = "stroke" not in style and "fill" not in style
        is_stroked = _is_painted(style, "stroke") and not _is_zero(style.get("stroke-width"))
        is_filled = _is_painted({"fill": "black"} | style, "fill")
        if not is_stroked and (not is_filled or name == "rect"):
            return
        if name == "rect":
            raise InputError(f"{where}: <rect> is not a pen stroke; remove it or convert it to paths")
        if name in ("circle", "ellipse"):
            across, down = [_length(element, key, where) for key in ("rr" if name == "circle" else ("rx", "ry"))]
            x, y = _length(element, "cx", where), _length(element, "cy", where)
            if not is_filled:
                raise InputError(f"{where}: <{name}> is not a pen stroke; remove it or convert it to paths")
            ends = [[x, y], [x - across, y], [x + across, y], [x, y - down], [x, y + down]]
            self._add("disc", name, [np.array(ends)] if min(across, down) > 0 else [], matrix, where)
            return
        is_closed = name == "polygon"
        if name == "path":
            subpaths, is_closed = _path_strokes(element.get("d", ""), where)
        elif name == "line":
            coordinates = [_length(element, key, where) for key in ("x1", "y1", "x2", "y2")]
            subpaths = [np.array(coordinates).reshape(2, 2)]
        else:
            p_nc = np.array(parse_numbers(element.get("points", ""), where))
            if len(p_nc) % 2:
                raise InputError(f"{where}: <{name}> needs pairs of coordinates in points=; correct them")
            p_nc = p_nc.reshape(-1, 2)
            subpaths = [np.concatenate([p_nc, p_nc[:1]]) if is_closed else p_nc] if len(p_nc) else []
        is_figure = is_closed and is_filled and "fill" in style  # a frame, a letter's outline with a stroke around it
        is_ink = not is_figure if is_stroked else is_plain and not is_closed
        if is_ink or max(map(len, subpaths), default=0) > 2:  # a line has no area to fill
            self._add("stroke" if is_ink else "filled", name, subpaths, matrix, where)

    def _add(self, kind: str, name: str, subpaths: list[Stroke], matrix: np.ndarray, where: str) -> None:
        self.points += sum(map(len, subpaths))
        if self.points > MAX_POINTS:
            raise InputError(f"{where}: over the limit of {MAX_POINTS} points; save only the strokes")
        if subpaths:
            self.drawn.append(_Drawn(kind, name, [p @ matrix[:2, :2].T + matrix[:2, 2] for p in subpaths], where))

    def find_ink(self) -> list[Stroke]:
        """The strokes, dots among them, in their order; pieces that touch are one stroke."""
        inked = [stroke for drawn in self.drawn if drawn.kind == "stroke" for stroke in drawn.subpaths]
        low, high = (f(np.concatenate(inked), axis=0) if inked else np.zeros(2) for f in (np.min, np.max))
        extent = float(np.max(high - low))
        found: list[list[Stroke]] = []  # pieces of each stroke
        for drawn in self.drawn:
            subpaths = drawn.subpaths
            if drawn.kind == "disc":
                if not np.ptp(subpaths[0], axis=0).max() <= DOT * extent:
                    raise InputError(
                        f"{drawn.where}: <{drawn.name}> is not a pen stroke, but too large a dot; remove it"
                    )
                subpaths = [subpaths[0][:1]]
            elif drawn.kind == "filled":
                if inked and _is_paper(subpaths, low, high):
                    continue
                raise InputError(
                    f"{drawn.where}: a filled <{drawn.name}>, which is an outline and not the way of a pen; remove it, "
                    f"or export the ink as lines with a stroke and without a fill"
                )
            for stroke in subpaths:
                pieces = found[-1] if found else [stroke[:1]]
                is_near = np.hypot(*(pieces[-1][-1] - stroke[0])) <= TOUCHING * extent
                if is_near and min(len(pieces[0]), len(stroke)) > 1:  # a dot continues nothing
                    pieces.append(stroke[1:])
                else:
                    found.append([stroke])
        return [np.concatenate(pieces) for pieces in found]


def _is_paper(subpaths: list[Stroke], low: np.ndarray, high: np.ndarray) -> bool:
    """Whether a filled shape is one rectangle, perhaps with round corners, that lies under the ink."""
    if len(subpaths) != 1:
        return False
    p_nc = subpaths[0]
    (x, y), size = p_nc.T, np.ptp(p_nc, axis=0)
    area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    under = np.minimum(high, p_nc.max(0)) - np.maximum(low, p_nc.min(0))
    return bool(area >= 0.9 * size[0] * size[1] and np.all(under >= PAPER * (high - low)))


def _choose_switched(element: etree._Element, where: str) -> list[etree._Element]:
    """The child that a <switch> shows: the first that asks for nothing this reader lacks."""
    for child in element:
        if child.get("systemLanguage") is not None:
            raise InputError(f"{where}: a <switch> between languages; remove it")
        if child.get("requiredExtensions") is None and local_name(child) != "foreignObject":
            return [child]
    return []


# --- places ----------------------------------------------------------------------------------------------------------

_LENGTH = re.compile(rf"\s*+({NUMBER})\s*+([A-Za-z]*+)\s*+")
_PIXELS = {"": 1.0, "px": 1.0, "pt": 96 / 72, "pc": 16.0, "in": 96.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "q": 96 / 101.6}
_STEP = re.compile(r"[\s,]*+([A-Za-z]++)\s*+\(([^()]*+)\)")


def _length(element: etree._Element, key: str, where: str) -> float:
    """An attribute in user units, 0 where it is not given."""
    text = element.get(key, "0")
    match = _LENGTH.fullmatch(text)
    if match is None or match[2].lower() not in _PIXELS or math.isinf(float(match[1])):
        raise InputError(
            f"{where}: {key}={text[:40]!r} is not a length that can be read; give it as a number, px, mm or in"
        )
    return float(match[1]) * _PIXELS[match[2].lower()]


def _viewport(element: etree._Element, where: str) -> np.ndarray:
    """The 3 × 3 matrix from the inside of an <svg> or <symbol> to where it stands."""
    matrix = np.eye(3)
    corner = np.array([_length(element, key, where) for key in ("x", "y")])
    matrix[:2, 2] = corner
    if element.get("viewBox") is None:
        return matrix
    box = parse_numbers(element.get("viewBox"), where)
    size = np.array([_length(element, key, where) for key in ("width", "height")])
    if len(box) != 4 or min(box[2:]) <= 0 or min(size) <= 0:
        raise InputError(f"{where}: <{local_name(element)}> with viewBox= needs its width= and height=; ungroup it")
    scale = size / box[2:]
    align, *meet = element.get("preserveAspectRatio", "").split() or ["xMidYMid"]
    if align != "none":
        scale[:] = scale.max() if "slice" in meet else scale.min()
    share = [{"Min": 0.0, "Max": 1.0}.get(align[k : k + 3], 0.5) for k in (1, 5)]
    matrix[:2, :2] = np.diag(scale)
    matrix[:2, 2] = corner + share * (size - scale * box[2:]) - scale * box[:2]
    return matrix


def _transform(text: str, where: str) -> np.ndarray:
    """The 3 × 3 matrix of a transform= attribute or property."""
    matrix = np.eye(3)
    position, text = 0, text.rstrip().rstrip(",")
    if text in ("none", "inherit"):
        return matrix
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise InputError(f"{where}: cannot read transform {text[position : position + 60]!r}; apply the transforms")
        position = match.end()
        kind, v = match[1], parse_numbers(re.sub(r"(?<=[0-9.])(?:px|deg)", "", match[2]), where)
        step = np.eye(3)
        if kind == "matrix" and len(v) == 6:
            step[:2] = [[v[0], v[2], v[4]], [v[1], v[3], v[5]]]
        elif kind == "translate" and len(v) in (1, 2):
            step[:2, 2] = v[0], v[1] if len(v) == 2 else 0.0
        elif kind == "scale" and len(v) in (1, 2):
            step[0, 0], step[1, 1] = v[0], v[-1]
        elif kind == "rotate" and len(v) in (1, 3):
            c, s = math.cos(math.radians(v[0])), math.sin(math.radians(v[0]))
            x, y = v[1:] or (0.0, 0.0)
            step[:2] = [[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y]]
        elif kind in ("skewX", "skewY") and len(v) == 1:
            step[(0, 1) if kind == "skewX" else (1, 0)] = math.tan(math.radians(v[0]))
        else:
            raise InputError(f"{where}: cannot read transform {kind[:20]}({match[2][:40]}); apply the transforms")
        matrix = matrix @ step
    return matrix


# --- paths -----------------------------------------------------------------------------------------------------------

_PATH_TOKEN = re.compile(rf"\s*+,?+\s*+(?:([A-Za-z])|({NUMBER}))")
_ARC_FLAG = re.compile(r"\s*+,?+\s*+()([01])")  # which may touch the number after it
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "Z": 0, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7}
_STEPS = np.arange(1, FLATTENING + 1) / FLATTENING
_BERNSTEIN = {
    n: np.stack([math.comb(n, k) * _STEPS**k * (1 - _STEPS) ** (n - k) for k in range(n + 1)], axis=1) for n in (2, 3)
}
LARGEST = 1e9
"""The largest number; beyond it float32 would overflow once a network has squared it."""


def _path_strokes(data: str, where: str) -> tuple[list[Stroke], bool]:
    """One stroke for each subpath of a `d` attribute that draws anything, and whether one of them closes an area."""
    strokes: list[list[tuple[float, float]]] = []
    here = start = control = (0.0, 0.0)  # control: last control point, for S and T
    previous, points, encloses = "", 0, False
    for command, v in _path_commands(data, where):
        kind, relative = command.upper(), command.islower()
        dx, dy = here if relative else (0.0, 0.0)
        if kind != "M" and not previous:
            raise InputError(f"{where}: a path must begin with M, not {command}; correct it")
        if kind == "M":
            if previous == "M":
                strokes.pop()  # a move without a line draws nothing
            here = start = (v[0] + dx, v[1] + dy)
            strokes.append([here])
        elif kind == "Z":
            if previous != "Z":
                encloses |= len(strokes[-1]) > 2
                if len(strokes[-1]) > 1 and strokes[-1][-1] != start:
                    strokes[-1].append(start)
            here = start
        else:
            if previous == "Z":  # after a closed subpath the pen goes on from its start
                strokes.append([start])
            if kind == "H":
                line = [(v[0] + dx, here[1])]
            elif kind == "V":
                line = [(here[0], v[0] + dy)]
            elif kind == "A":
                line = _arc_points(here, v[:5], (v[5] + dx, v[6] + dy))
            elif kind == "L":
                line = [(v[0] + dx, v[1] + dy)]
            else:
                smooth = previous and previous in ("CS" if kind in "CS" else "QT")
                first = (2 * here[0] - control[0], 2 * here[1] - control[1]) if smooth else here
                given = [(v[k] + dx, v[k + 1] + dy) for k in range(0, len(v), 2)]
                bezier = [here, *([first] if kind in "ST" else []), *given]
                line, control = _bezier_points(bezier), bezier[-2]
            strokes[-1] += line
            here = line[-1]
            points += len(line)
            if points > MAX_POINTS:
                raise InputError(f"{where}: over the limit of {MAX_POINTS} points; save only the strokes")
        previous = kind
    if previous == "M":
        strokes.pop()
    return [np.array(stroke, float) for stroke in strokes], encloses


def _path_commands(data: str, where: str) -> Iterator[tuple[str, list[float]]]:
    """(command, arguments) with repetitions written out."""
    position, command = 0, ""
    arguments: list[float] = []
    is_fed = True  # whether the command has had its arguments once
    data = data.strip()
    if data == "none":  # SVG 2's word for no path
        return
    while position < len(data):
        is_flag = command in ("A", "a") and len(arguments) in (3, 4)
        match = (_ARC_FLAG if is_flag else _PATH_TOKEN).match(data, position)
        if match is None or (match[1] and match[1].upper() not in _ARGUMENTS):
            raise InputError(f"{where}: cannot read the path at {data[position : position + 30]!r}; correct it")
        position = match.end()
        if match[1]:
            if arguments or not is_fed:
                raise InputError(f"{where}: {command} lacks arguments before {match[1]}; correct the path")
            command, is_fed = match[1], match[1] in "Zz"
            if is_fed:
                yield command, []
                command = ""
            continue
        if not command:
            raise InputError(f"{where}: the path has a number where a command is needed; correct it")
        arguments.append(float(match[2]))
        if abs(arguments[-1]) > LARGEST:
            raise InputError(f"{where}: {match[2][:30]} is not a number of ordinary size; scale the drawing")
        if len(arguments) == _ARGUMENTS[command.upper()]:
            yield command, arguments
            arguments, is_fed = [], True
            command = {"M": "L", "m": "l"}.get(command, command)  # further pairs after a move are lines
    if arguments or not is_fed:
        raise InputError(f"{where}: the path ends in the middle of {command}; correct it")


def _bezier_points(bezier: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of a quadratic or cubic Bézier curve after its first."""
    return [tuple(p) for p in (_BERNSTEIN[len(bezier) - 1] @ bezier).tolist()]


def _arc_points(start: tuple[float, float], arc: list[float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of an elliptical arc after its first: rx, ry, rotation, large, sweep (SVG 2, appendix B.2.4)."""
    rx, ry, degrees, large, sweep = np.array(arc)
    rx, ry = abs(rx), abs(ry)
    chord = math.dist(start, end)
    if min(rx, ry) <= 1e-9 * chord or chord == 0:  # by SVG's rules a straight line, or nothing
        return [end]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    half = turn.T @ (np.subtract(start, end) / 2)
    scaled = half / [rx, ry]
    stretch = max(1.0, np.hypot(*scaled))  # radii too short for the chord grow
    rx, ry, scaled = rx * stretch, ry * stretch, scaled / stretch
    square = scaled @ scaled
    offset = np.sqrt(max(0.0, 1 / square - 1)) * (-1 if large == sweep else 1)
    centre = offset * np.array([scaled[1], -scaled[0]])  # on the unit circle, relative to the middle of the chord
    first, last = (np.arctan2(y, x) for x, y in (scaled - centre, -scaled - centre))
    angle = (last - first) % (2 * np.pi) - (0 if sweep else 2 * np.pi)
    pieces = max(1, math.ceil(abs(angle) / (np.pi / 2) - 1e-9)) * FLATTENING
    at = first + angle * np.arange(1, pieces) / pieces
    unit_nc = np.stack([np.cos(at), np.sin(at)], axis=1) + centre
    points = (unit_nc * [rx, ry]) @ turn.T + np.add(start, end) / 2
    return [*(tuple(p) for p in points.tolist()), end]

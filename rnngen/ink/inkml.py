"""InkML 1.0 (W3C Recommendation, 2011): traces and what says how their numbers are meant.

A trace's format is that of its contextRef or its group's; else the one that stood before it (<traceFormat> or
<context> directly in <ink>); else the only one of the file; else X Y. Values may be explicit (!), first differences
('), second differences ("), "as before" (*), booleans (T, F) and hexadecimal (#1A). Traces in <definitions> are drawn
where a <traceView> outside shows them.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lxml import etree

from rnngen.errors import InputError
from rnngen.ink.strokes import Ink, Stroke
from rnngen.ink.xml import MAX_POINTS, MAX_STROKES, NUMBER, local_name, place

_TOKEN = re.compile(rf"""\s*+(?:(,)|([!'"]?+)\s*+({NUMBER}|[*?TF]|[-+]?\#[0-9A-Fa-f]{{1,16}}+(?![0-9A-Fa-f])))""")
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "min": 60.0}
_MILLIMETRES = {
    **{"m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "himetric": 1e-2},
    **{"in": 25.4, "pt": 25.4 / 72, "pc": 25.4 / 6, "px": 25.4 / 96},
}
SHORTEST_STEP = 0.5
"""Milliseconds: no pen reports its points faster, so smaller steps in a time without units are seconds."""


@dataclass(frozen=True)
class _Channel:
    name: str
    sign: float
    units: str | None
    resolution: tuple[float, str] | None
    """How many values make one unit, and which, if the device says so."""
    relative: bool
    """Whether values count from the start of the trace (T without respectTo)."""


@dataclass(frozen=True)
class _Format:
    channels: tuple[_Channel, ...]
    regular: int
    """Channels every point has; those after them are intermittent."""

    def index(self, name: str) -> int | None:
        return next((k for k, channel in enumerate(self.channels) if channel.name == name), None)

    def index_xy(self) -> tuple[int, int]:
        """Where X and Y are, which every format has."""
        names = [channel.name for channel in self.channels]
        return names.index("X"), names.index("Y")


_DEFAULT = _Format(tuple(_Channel(name, 1.0, None, None, True) for name in "XY"), 2)


def read_inkml(root: etree._Element, path: Path) -> Ink:
    """The traces of a file in their order, pen-up traces left out; times in seconds where all traces have them."""
    return _InkmlReader(root, path).read()


class _InkmlReader:
    def __init__(self, root: etree._Element, path: Path) -> None:
        self.root, self.path = root, path
        self.by_id: dict[tuple[str, str], list[etree._Element]] = {}
        for element in root.iter():
            for identifier in _ids(element):
                self.by_id.setdefault((local_name(element), identifier), []).append(element)
        # so that many traces of one context cost one reading
        self.found: dict[etree._Element, _Format | None] = {}
        self.read_formats: dict[etree._Element, _Format] = {}
        self.resolutions: dict[etree._Element, dict[str | None, tuple[float, str]]] = {}
        self.formats = {self._format(element) for element in root.iter("{*}traceFormat")}
        self.current: _Format | None = None
        self.strokes: list[Stroke] = []
        self.times: list[np.ndarray | None] = []
        self.units: list[tuple[_Channel, _Channel]] = []
        self.last: dict[str, int] = {}  # id of a trace → its last stroke
        self.pieces: dict[int, list[tuple[Stroke, np.ndarray | None]]] = {}  # of strokes in several traces
        self.points = self.traces = 0
        self.undrawn = 0
        self.views = self._views()
        self.highlighters = {
            identifier
            for brush in root.iter("{*}brush")
            if any(found.get("value") == "maskPen" for found in brush.iter("{*}brushProperty"))
            for identifier in _ids(brush)
        }

    def read(self) -> Ink:
        self._walk(self.root, None, drawn=True)
        if not self.strokes and self.undrawn:
            raise InputError(
                f"{self.path}: no strokes: its {self.undrawn} traces are definitions that no <traceView> shows; "
                f"move them out of <definitions>"
            )
        self._join_pieces()
        self._share_units()
        times = [t for t in self.times if t is not None]
        whole = len(times) == len(self.strokes) and not any(np.isnan(t).any() for t in times)
        return Ink(self.strokes, times if whole else None)

    # what the file says about its traces

    def _resolve(self, element: etree._Element, attribute: str, name: str) -> etree._Element | None:
        reference = element.get(attribute)
        if reference is None:
            return None
        found = self.by_id.get((name, reference.strip().removeprefix("#")), [])
        if len(found) != 1:
            raise InputError(
                f"{place(self.path, element)}: {attribute}={reference[:60]!r} names {len(found)} <{name}> of the file, "
                f"expected one; correct it"
            )
        return found[0]

    def _format_of(self, context: etree._Element, depth: int = 0) -> _Format | None:
        """The trace format of a <context> or <inkSource>: its own, the one it refers to, or its source's."""
        if context not in self.found:
            if depth > 20:
                raise InputError(f"{place(self.path, context)}: contexts refer to each other in a circle; correct them")
            self.found[context] = self._format_in(context, depth)
        return self.found[context]

    def _format_in(self, context: etree._Element, depth: int) -> _Format | None:
        self._expect_identity(context)
        for child in context:
            if local_name(child) == "traceFormat":
                return self._format(child)
        own = self._resolve(context, "traceFormatRef", "traceFormat")
        if own is not None:
            return self._format(own)
        for further in (
            next((child for child in context if local_name(child) == "inkSource"), None),
            self._resolve(context, "inkSourceRef", "inkSource"),
            self._resolve(context, "contextRef", "context") if not _is_default(context) else None,
        ):
            found = None if further is None else self._format_of(further, depth + 1)
            if found is not None:
                return found
        return None

    def _expect_identity(self, element: etree._Element) -> None:
        referred = self._resolve(element, "canvasTransformRef", "canvasTransform")
        inside = [child for child in element if local_name(child) in ("canvasTransform", "mapping")]
        for transform in inside + ([] if referred is None else [referred]):
            for mapping in transform.iter("{*}mapping"):
                if mapping.get("type", "unknown") not in ("identity", "unknown"):
                    raise InputError(
                        f"{place(self.path, mapping)}: a mapping of type {mapping.get('type')[:30]!r} is not read; "
                        f"save the traces in the coordinates they are shown in"
                    )

    def _format(self, element: etree._Element) -> _Format:
        if element not in self.read_formats:
            self.read_formats[element] = self._read_format(element)
        return self.read_formats[element]

    def _read_format(self, element: etree._Element) -> _Format:
        resolutions = self._resolutions(element.getparent())
        regular: list[_Channel] = []
        intermittent: list[_Channel] = []
        for channel in element.iter("{*}channel"):
            rare = local_name(channel.getparent()) == "intermittentChannels"
            (intermittent if rare else regular).append(self._channel(channel, resolutions))
        if not regular and not intermittent:
            return _DEFAULT
        found = _Format((*regular, *intermittent), len(regular))
        names = [channel.name for channel in found.channels]
        if names.count("X") != 1 or names.count("Y") != 1 or names.count("T") > 1:
            raise InputError(
                f"{place(self.path, element)}: the trace format has no X and Y channel, only {', '.join(names)}; "
                f"each must be named once"
            )
        return found

    def _channel(self, element: etree._Element, resolutions: dict[str | None, tuple[float, str]]) -> _Channel:
        self._expect_identity(element)
        name = element.get("name", "?").strip()
        sign = -1.0 if element.get("orientation", "").strip() == "-ve" else 1.0
        units = element.get("units", "").strip() or None
        return _Channel(name, sign, units, resolutions.get(name), element.get("respectTo") is None)

    def _resolutions(self, source: etree._Element | None) -> dict[str | None, tuple[float, str]]:
        """What the <channelProperties> of an <inkSource> say of its channels."""
        if source is None or local_name(source) != "inkSource":
            return {}
        if source not in self.resolutions:
            self.resolutions[source] = found = {}
            for channel in source.iter("{*}channelProperty"):
                value = channel.get("value", "").strip()
                if channel.get("name") == "resolution" and re.fullmatch(NUMBER, value) and 0 < float(value) < math.inf:
                    found[channel.get("channel")] = float(value), channel.get("units", "").strip().removeprefix("1/")
        return self.resolutions[source]

    def _views(self) -> set[str]:
        """Ids of what <traceView> elements show, those inside definitions apart."""
        shown = set()
        for view in self.root.iter("{*}traceView"):
            reference = view.get("traceDataRef")
            if reference is not None and not _is_defined(view):
                name = reference.strip().removeprefix("#")
                shown.add(name)
                targets = self.by_id.get(("trace", name), []) + self.by_id.get(("traceGroup", name), [])
                if ("from" in view.attrib or "to" in view.attrib) and any(map(_is_defined, targets)):
                    raise InputError(
                        f"{place(self.path, view)}: a view of a part of a defined trace; save it as a trace of its own"
                    )
        return shown

    # traces

    def _walk(self, element: etree._Element, given: _Format | None, drawn: bool) -> None:
        for child in element:
            name = local_name(child)
            drawn_here = drawn and name != "definitions"
            if not drawn:
                drawn_here = not self.views.isdisjoint(_ids(child))
            if name == "trace":
                self.traces += 1
                if self.traces > MAX_STROKES:
                    raise InputError(f"{self.path}: over the limit of {MAX_STROKES} traces; save one line of writing")
                if drawn_here:
                    self._trace(child, given)
                else:
                    self.undrawn += 1
            elif name in ("traceFormat", "context"):
                found = self._format(child) if name == "traceFormat" else self._format_of(child)
                if local_name(element) == "ink" and found is not None:
                    self.current = found
            elif name not in ("annotation", "annotationXML"):
                self._walk(child, self._find_format(child) or given, drawn_here)

    def _find_format(self, element: etree._Element) -> _Format | None:
        if _is_default(element):
            return _DEFAULT
        context = self._resolve(element, "contextRef", "context")
        return None if context is None else self._format_of(context)

    def _trace(self, element: etree._Element, given: _Format | None) -> None:
        where = place(self.path, element)
        kind = element.get("type", "penDown")
        if kind == "penUp":
            return  # the way of the pen through the air
        if element.get("brushRef", "").strip().removeprefix("#") in self.highlighters:
            raise InputError(f"{where}: a stroke of a highlighter, not of a pen; remove it")
        form = self._find_format(element) or given or self.current
        if form is None:
            if len(self.formats) > 1:
                raise InputError(
                    f"{where}: which of {len(self.formats)} trace formats it has is not said; add contextRef="
                )
            form = next(iter(self.formats), _DEFAULT)
        switch = form.index("S")
        if kind != "penDown" and (kind != "indeterminate" or switch is None):
            raise InputError(f"{where}: type={kind[:30]!r} does not say whether the pen touched; make it penDown")
        text = element.text or ""
        for child in element:
            if local_name(child) not in ("annotation", "annotationXML"):
                raise InputError(f"{where}: <{local_name(child)}> in a trace, where only points are read; remove it")
            text += " " + (child.tail or "")
        values = _points(text, form, where)
        self.points += len(values)
        if self.points > MAX_POINTS:
            raise InputError(f"{where}: over the limit of {MAX_POINTS} points; save only the strokes")
        x, y = form.index_xy()
        xy = values[:, [x, y]] * [form.channels[x].sign, form.channels[y].sign]
        if np.isnan(xy).any():
            n = int(np.isnan(xy).any(1).argmax())
            raise InputError(f"{where}: point {n + 1} does not report its X or Y; remove the point")
        t = self._seconds(values, form, element, where)
        strokes = [(xy, t)] if len(xy) else []
        if switch is not None:  # the tip switch cuts a trace where the pen was up
            down = values[:, switch] != 0
            runs = np.split(np.arange(len(xy)), np.flatnonzero(np.diff(down)) + 1)
            strokes = [(xy[run], None if t is None else t[run]) for run in runs if down[run].any()]
        units = form.channels[x], form.channels[y]
        if strokes and element.get("continuation", "begin") != "begin":
            self._continue(element, *strokes[0], units, where)
            del strokes[0]
        for stroke, seconds in strokes:
            self.last.update(dict.fromkeys(_ids(element), len(self.strokes)))
            self.strokes.append(stroke)
            self.times.append(seconds)
            self.units.append(units)

    def _continue(self, element, stroke: Stroke, seconds: np.ndarray | None, units: tuple, where: str) -> None:
        """Join a stroke to the one of the trace before it, priorRef."""
        k = self.last.get(element.get("priorRef", "").strip().removeprefix("#"), -1)
        if k < 0 or self.units[k] != units:
            raise InputError(f"{where}: a continued trace without the trace before it (priorRef=); save strokes whole")
        self.pieces.setdefault(k, [(self.strokes[k], self.times[k])]).append((stroke, seconds))
        self.last.update(dict.fromkeys(_ids(element), k))

    def _join_pieces(self) -> None:
        for k, pieces in self.pieces.items():
            self.strokes[k] = np.concatenate([stroke for stroke, _ in pieces])
            times = [seconds for _, seconds in pieces if seconds is not None]
            self.times[k] = np.concatenate(times) if len(times) == len(pieces) else None

    def _seconds(self, values: np.ndarray, form: _Format, element: etree._Element, where: str) -> np.ndarray | None:
        """Times of a trace: its T, and timeOffset= where T counts from the start of the trace."""
        k = form.index("T")
        if k is None or not len(values):
            return None if k is None else np.zeros(0)
        channel, t = form.channels[k], values[:, k]
        units = channel.units or "dev"
        if units in _SECONDS:
            unit = _SECONDS[units]
        elif units != "dev":
            raise InputError(f"{where}: T in units of {units[:30]!r}; use s or ms")
        elif channel.resolution is not None and channel.resolution[1] in _SECONDS:
            unit = _SECONDS[channel.resolution[1]] / channel.resolution[0]
        else:
            steps = np.diff(t)[np.diff(t) > 0]
            unit = 1.0 if channel.units is None and len(steps) and np.median(steps) < SHORTEST_STEP else 1e-3
        t = t * unit
        offset = (element.get("timeOffset") or "0").strip()
        if not re.fullmatch(NUMBER, offset):
            raise InputError(f"{where}: timeOffset={offset[:30]!r} is not a number of milliseconds")
        offset_seconds = float(offset) / 1000
        return t + offset_seconds if channel.relative and t[0] < offset_seconds else t

    def _share_units(self) -> None:
        """Bring traces of several units to the first one's, so that their shapes and distances are right."""
        units = {channel.units for pair in self.units for channel in pair if channel.units is not None}
        lengths = [[_millimetres(channel) for channel in pair] for pair in self.units]
        known = [length for pair in lengths for length in pair if length is not None]
        if len(known) < 2 * len(lengths):
            if len(units) > 1:
                raise InputError(f"{self.path}: coordinates in units of {', '.join(sorted(units))}; save them in one")
        elif known and max(known) > 1.01 * min(known):  # no reason to move all: devices give 47.29 and 47.24 per cm
            self.strokes = [
                stroke * (np.array(pair) / lengths[0][0]) for stroke, pair in zip(self.strokes, lengths, strict=True)
            ]


def _ids(element: etree._Element) -> set[str]:
    return {element.get(_XML_ID), element.get("id")} - {None}


def _is_default(element: etree._Element) -> bool:
    return (element.get("contextRef") or "").strip() == "#DefaultContext"


def _is_defined(element: etree._Element) -> bool:
    return any(local_name(ancestor) == "definitions" for ancestor in element.iterancestors())


def _millimetres(channel: _Channel) -> float | None:
    if channel.units in _MILLIMETRES:
        return _MILLIMETRES[channel.units]
    if channel.units in (None, "dev") and channel.resolution is not None and channel.resolution[1] in _MILLIMETRES:
        return _MILLIMETRES[channel.resolution[1]] / channel.resolution[0]
    return None


def _points(text: str, form: _Format, where: str) -> np.ndarray:
    """(n, channels) values of one <trace>; NaN where a channel is not reported."""
    channels = len(form.channels)
    order = ["!"] * channels
    value = [math.nan] * channels
    speed, growth = [0.0] * channels, [0.0] * channels
    points: list[list[float]] = []
    text = text.strip()
    position = start = k = 0
    expected = f"expected {form.regular} values" + (f" to {channels}" if channels > form.regular else "")
    expected += "; correct it or the trace format"

    def refuse(reason: str) -> InputError:
        end = text.find(",", start)
        point = text[start : end if end >= 0 else len(text)].strip()[:60]
        return InputError(f"{where}: point {len(points) + 1} is {point!r}, {reason}")

    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise refuse(expected)
        position = match.end()
        if match[1]:
            if k < form.regular:
                raise refuse(expected)
            points.append(value.copy())
            if len(points) > MAX_POINTS:
                raise InputError(f"{where}: over the limit of {MAX_POINTS} points; save only the strokes")
            start, k = position, 0
            continue
        if k >= channels:
            raise refuse(expected)
        order[k] = match[2] or order[k]
        token = match[3]
        if token == "?":
            value[k] = math.nan
        elif token in "TF":
            value[k] = float(token == "T")
        elif order[k] == "!":
            if token != "*":
                number = float(int(token.replace("#", ""), 16)) if "#" in token else float(token)
                speed[k] = 0.0 if math.isnan(value[k]) else number - value[k]
                growth[k], value[k] = 0.0, number
        else:
            if math.isnan(value[k]):
                raise refuse("a difference from a value that is not there; write the value itself, with !")
            if token != "*":
                number = float(int(token.replace("#", ""), 16)) if "#" in token else float(token)
                if order[k] == "'":
                    speed[k] = number
                else:
                    growth[k] = number
            if order[k] == '"':
                speed[k] += growth[k]
            value[k] += speed[k]
        k += 1
    if k:  # a comma after the last point is usual
        if k < form.regular:
            raise refuse(expected)
        points.append(value.copy())
    return np.array(points, float).reshape(len(points), channels)

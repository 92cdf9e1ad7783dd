"""The pages of Xournal++ (.xopp) and Xournal (.xoj): XML, most often packed by gzip.

<xournal> has pages, these have layers, these have <stroke tool="pen">x y x y …</stroke> in points of 1/72 inch.
"""

from pathlib import Path

import numpy as np
from lxml import etree

from rnngen.errors import InputError
from rnngen.ink.strokes import Ink, Stroke
from rnngen.ink.xml import local_name, parse_numbers, place

_NOT_INK = {"title", "preview", "background", "timestamp", "audio"}


def read_xournal(root: etree._Element, path: Path) -> Ink:
    """The pen strokes of the one page that has any; these files hold no times.

    Raises InputError for what is on a page but is not a pen stroke: text, pictures, the highlighter, the whiteout
    eraser.
    """
    strokes: list[Stroke] = []
    written_page = None
    for element in root.iter():
        name = local_name(element)
        if name in ("xournal", "page", "layer") or name in _NOT_INK:
            continue
        where = place(path, element)
        if name != "stroke":
            raise InputError(f"{where}: <{name}> is not a pen stroke; remove it in Xournal++")
        if element.get("tool", "pen") != "pen":
            raise InputError(f"{where}: a stroke of the {element.get('tool')}, not of a pen; remove it in Xournal++")
        if len(element):
            raise InputError(f"{where}: <{local_name(element[0])}> in a stroke, where only numbers are read; remove it")
        text = element.text or ""
        values = parse_numbers(text, where)
        if "," in text or len(values) % 2:
            raise InputError(f"{where}: expected x y x y … with decimal points, got {text.strip()[:60]!r}; correct it")
        page = next(ancestor for ancestor in element.iterancestors() if local_name(ancestor) != "layer")
        if written_page is not None and page is not written_page:
            raise InputError(f"{where}: writing on a second page; save each page as a file of its own")
        written_page = page
        if values:
            strokes.append(np.array(values).reshape(-1, 2))
    return Ink(strokes)

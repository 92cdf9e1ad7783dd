"""What the readers of InkML, SVG and Xournal++ share: an XML parser for files from outside, and lists of numbers.

Every pattern here and in the readers takes time linear in its input: a quantifier never gives back what it took (`*+`).
"""

import math
import re
from pathlib import Path

from lxml import etree

from rnngen.errors import InputError

NUMBER = r"[-+]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?+"
MAX_POINTS = 1_000_000
MAX_STROKES = 100_000
_OF_IDS = {"DTD_XMLID_VALUE", "DTD_ID_REDEFINED"}
"""Complaints about an xml:id that is not a name, as in all of CROHME, or not unique: they cost nothing."""
_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#x?[0-9A-Fa-f]+);)")


def parse_xml(data: bytes, path: Path, name: str) -> etree._Element:
    """The root element, which must be <name>; comments and processing instructions are taken out.

    No entity is resolved and nothing outside the file is read. Raises InputError where entities would be needed.
    """
    parser = _parser()
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        kinds = {entry.type_name for entry in parser.error_log}
        if not kinds or kinds - _OF_IDS:
            raise InputError(f"{path}: not well-formed XML: {error.msg or 'empty'}; save it again") from error
        root = etree.fromstring(data, _parser(recover=True))
    document = root.getroottree().docinfo
    if document.doctype:  # without one, an entity that is not declared is an error; with one, it may just vanish
        declared = document.internalDTD
        entities = declared is not None and next(declared.iterentities(), None) is not None
        if entities or _ENTITY.search(data.replace(b"\0", b"")):
            raise InputError(
                f"{path}: it declares XML entities, which are not read; save it as plain {name.upper()} "
                f"(Illustrator: Export, not Save As)"
            )
    if local_name(root) != name:
        raise InputError(f"{path}: the root element is <{local_name(root)}>, expected <{name}>")
    return root


def _parser(recover: bool = False) -> etree.XMLParser:
    # collect_ids=False would pass over any xml:id, but makes libxml2 load the DTD of a file
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        recover=recover,
        remove_comments=True,
        remove_pis=True,
    )


def local_name(element: etree._Element) -> str:
    """Name without namespace."""
    return etree.QName(element).localname


def place(path: Path, element: etree._Element) -> str:
    """Where an element begins, for messages."""
    return f"{path}: line {element.sourceline}"


def parse_numbers(text: str, where: str) -> list[float]:
    """Numbers between blanks or commas; they may touch where a sign or a point begins the next one."""
    numbers = [float(number) for number in re.findall(NUMBER, text)]
    if re.sub(rf"{NUMBER}|[\s,]++", "", text) or not all(map(math.isfinite, numbers)):
        raise InputError(f"{where}: expected numbers, got {text.strip()[:60]!r}; correct them")
    return numbers
